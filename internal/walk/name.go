package walk

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Extensions are the extensions of image files; .btf, .tf2 and .tf8 are BigTIFF.
func Extensions() []string {
	return []string{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".bmp"}
}

// IsImage reports whether a file has the name of an image: its extension, in capitals or not.
func IsImage(name string) bool {
	return slices.Contains(Extensions(), strings.ToLower(filepath.Ext(name)))
}

// systemNames are files and folders that systems and programs leave among a user's, in lower case.
var systemNames = []string{
	"__macosx",                                // archives made on macOS
	"thumbs.db", "ehthumbs.db", "desktop.ini", // Windows
	"$recycle.bin", "recycler", "system volume information", "lost+found", // roots of disks
	"@eadir", "#recycle", "@recycle", "#snapshot", // Synology, QNAP
}

// Hidden reports whether a file or folder of this name is skipped: its name begins with a dot, like .ipynb_checkpoints,
// .Trash-1000, ._image.png and this program's unfinished files, or it is a system's.
func Hidden(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(systemNames, strings.ToLower(name))
}

// Stem is what a file is compared by: its name, with the folders in it, without the extension, with slashes, in NFC.
func Stem(name string) string {
	return norm.NFC.String(filepath.ToSlash(strings.TrimSuffix(name, filepath.Ext(name))))
}
