package hostinfo

import (
	"io/fs"
	"os"
	"strings"
)

// systemName is the distribution and the kernel, such as "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64".
func systemName() string { return systemOf(os.DirFS("/")) }

// systemOf is systemName for the root of a file system.
func systemOf(root fs.FS) string {
	name := "Linux"
	if kernel := readLine(root, "proc/sys/kernel/osrelease"); kernel != "" {
		name += " " + kernel
	}
	for line := range strings.Lines(readFile(root, "etc/os-release")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`) + ", " + name
		}
	}
	return name
}
