package walk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/walk"
)

// tree makes files, empty ones, and links, written as "link -> target", in a new folder.
func tree(t *testing.T, entries ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, e := range entries {
		name, target, link := strings.Cut(e, " -> ")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func names(files []walk.File) []string {
	list := []string{}
	for _, f := range files {
		list = append(list, f.Name)
	}
	return list
}

func TestImages(t *testing.T) {
	tests := map[string]struct {
		tree       []string
		root       string
		o          walk.Options
		want       []string
		unreadable []string // paths below the root
	}{
		"folder and sub-folders": {tree: []string{"b.png", "a.jpg", "sub/deep/c.tiff", "notes.txt"}, want: []string{"a.jpg", "b.png", "sub/deep/c.tiff"}},
		"only the folder itself": {tree: []string{"a.jpg", "sub/c.tiff"}, o: walk.Options{Flat: true}, want: []string{"a.jpg"}},
		"extensions in capitals": {tree: []string{"a.PNG", "b.Jpg", "c.TIF"}, want: []string{"a.PNG", "b.Jpg", "c.TIF"}},
		"BigTIFF":                {tree: []string{"a.btf", "b.tf2", "c.TF8", "d.tf9"}, want: []string{"a.btf", "b.tf2", "c.TF8"}},
		"the folder is a link":   {tree: []string{"real/a.png", "link -> real"}, root: "link", want: []string{"a.png"}},
		"a link to a folder below": {
			tree: []string{"in/a.png", "other/b.png", "other/sub/c.png", "in/link -> ../other"}, root: "in",
			want: []string{"a.png", "link/b.png", "link/sub/c.png"},
		},
		"a link to a file":                    {tree: []string{"in/a.png -> ../store/0815", "store/0815"}, root: "in", want: []string{"a.png"}},
		"links to files, flat":                {tree: []string{"in/a.png -> ../store/0815", "store/0815", "in/l.png -> ../store"}, root: "in", o: walk.Options{Flat: true}, want: []string{"a.png"}},
		"a link to itself":                    {tree: []string{"a.png", "loop.png -> loop.png"}, want: []string{"a.png"}, unreadable: []string{"loop.png"}},
		"a link to the folder":                {tree: []string{"a.png", "sub/b.png", "sub/up -> .."}, want: []string{"a.png", "sub/b.png"}},
		"a link above the folder":             {tree: []string{"in/sub/b.png", "in/sub/up -> ../.."}, root: "in", want: []string{"sub/b.png"}},
		"a link to what is around the folder": {tree: []string{"in/a.png", "other/b.png", "in/up -> .."}, root: "in", want: []string{"a.png"}},
		"a link to the root of the disk":      {tree: []string{"a.png", "all -> /"}, want: []string{"a.png"}},
		"a link out of a linked folder":       {tree: []string{"in/link -> ../ext/x", "ext/x/a.png", "ext/b.png", "ext/x/up -> .."}, root: "in", want: []string{"link/a.png"}},
		"links to each other":                 {tree: []string{"a/x.png", "b/y.png", "a/b -> ../b", "b/a -> ../a"}, want: []string{"a/b/y.png", "a/x.png", "b/a/x.png", "b/y.png"}},
		"a link that leads nowhere":           {tree: []string{"a.png", "gone.png -> nowhere", "disk -> /nowhere", "notes.txt -> nowhere"}, want: []string{"a.png"}, unreadable: []string{"disk", "gone.png"}},
		"a folder named as an image":          {tree: []string{"slide.png/tile.png"}, want: []string{"slide.png/tile.png"}},
		"hidden and system files": {
			tree: []string{
				"a.png", "._a.png", ".hidden.png", ".ipynb_checkpoints/a-checkpoint.png", ".Trash-1000/files/b.png", "__MACOSX/a.png",
				"@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/c.png", "System Volume Information/d.png", "lost+found/e.png", "Thumbs.db", "desktop.ini", "sub/.a.png.x1.tmp",
			},
			want: []string{"a.png"},
		},
		"a hidden folder that is named": {tree: []string{".cache/a.png"}, root: ".cache", want: []string{"a.png"}},
		"a folder to be left out":       {tree: []string{"a.png", "out/b.png", "link -> out"}, o: walk.Options{Except: []string{"out", "nowhere"}}, want: []string{"a.png"}},
		"empty":                         {tree: []string{"sub/notes.txt"}, want: []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(tree(t, test.tree...), test.root)
			for i, folder := range test.o.Except {
				test.o.Except[i] = filepath.Join(root, folder)
			}
			l, err := walk.Images(t.Context(), root, test.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(l.Files)); diff != "" {
				t.Error(diff)
			}
			var unreadable []string
			for _, u := range l.Unreadable {
				name, err := filepath.Rel(root, u.Path)
				if err != nil {
					t.Fatal(err)
				}
				unreadable = append(unreadable, name)
			}
			if diff := cmp.Diff(test.unreadable, unreadable); diff != "" {
				t.Errorf("unreadable: %s", diff)
			}
			for _, f := range l.Files {
				if _, err := os.Stat(f.Path); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Ten folders that each have links to all others can be walked in more than 10! ways.
func TestFoldersThatAreLinkedToEachOtherEnd(t *testing.T) {
	const n = 10
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf("%d/a.png", i))
		for k := range n {
			if k != i {
				entries = append(entries, fmt.Sprintf("%d/to%d -> ../%d", i, k, k))
			}
		}
	}
	l, err := walk.Images(t.Context(), tree(t, entries...), walk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Files) < n*n || len(l.Files) > n*n*n {
		t.Errorf("%d files: want each folder below each link at the top once, or a few times", len(l.Files))
	}
}

// Whatever a tree's links are, the walk ends, and finds every file that is there without a link exactly once under its
// own name.
func TestAnyLinks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "") //nolint:usetesting // one for each check
		if err != nil {
			rt.Fatal(err)
		}
		folders := []string{root}
		for i := range rapid.IntRange(1, 5).Draw(rt, "folders") {
			dir := filepath.Join(rapid.SampledFrom(folders).Draw(rt, "parent"), fmt.Sprintf("d%d", i))
			folders = append(folders, dir)
			if err := os.Mkdir(dir, 0o755); err != nil {
				rt.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "x.png"), nil, 0o644); err != nil {
				rt.Fatal(err)
			}
		}
		for i := range rapid.IntRange(0, 6).Draw(rt, "links") {
			from, to := rapid.SampledFrom(folders).Draw(rt, "from"), rapid.SampledFrom(folders).Draw(rt, "to")
			if err := os.Symlink(to, filepath.Join(from, fmt.Sprintf("l%d", i))); err != nil {
				rt.Fatal(err)
			}
		}
		l, err := walk.Images(t.Context(), root, walk.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		found := map[string]int{}
		for _, f := range l.Files {
			found[f.Path]++
		}
		for _, dir := range folders[1:] {
			if n := found[filepath.Join(dir, "x.png")]; n != 1 {
				rt.Fatalf("%s was found %d times", dir, n)
			}
		}
	})
}

func TestUnreadableFolderIsListedAndTheRestFound(t *testing.T) {
	root := tree(t, "a.png", "locked/b.png", "torn/c.png", "torn/d.png", "z/e.png")
	locked, torn := filepath.Join(root, "locked"), filepath.Join(root, "torn")
	l, err := walk.ImagesWith(t.Context(), root, walk.Options{}, func(folder string) ([]fs.DirEntry, error) {
		entries, err := os.ReadDir(folder)
		switch folder {
		case locked:
			return nil, &fs.PathError{Op: "open", Path: folder, Err: syscall.EACCES}
		case torn: // the disk fails on the way
			return entries[:1], &fs.PathError{Op: "readdirent", Path: folder, Err: syscall.EIO}
		}
		return entries, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.png", "torn/c.png", "z/e.png"}, names(l.Files)); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, u := range l.Unreadable {
		got = append(got, u.String())
	}
	if diff := cmp.Diff([]string{locked + ": permission denied", torn + ": input/output error"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheFolderItselfCantBeRead(t *testing.T) {
	root := tree(t, "a.png")
	denied := func(folder string) ([]fs.DirEntry, error) {
		return nil, &fs.PathError{Op: "open", Path: folder, Err: syscall.EACCES}
	}
	if _, err := walk.ImagesWith(t.Context(), root, walk.Options{}, denied); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v", err)
	}
	if _, err := walk.Images(t.Context(), filepath.Join(root, "absent"), walk.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := walk.Images(t.Context(), filepath.Join(root, "a.png"), walk.Options{}); err == nil {
		t.Error("a file is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := walk.Images(ctx, root, walk.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What the program made is known by what the files say, whatever they are called and wherever they are.
func TestOwnOutputs(t *testing.T) {
	root := t.TempDir()
	write := func(name string, pairs ...imagefile.Pair) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := imagefile.Write(path, imagefile.New(8, 8), imagefile.WriteOptions{Provenance: pairs}); err != nil {
			t.Fatal(err)
		}
	}
	kind := func(k imagefile.Kind) imagefile.Pair { return imagefile.Pair{Key: imagefile.KeyKind, Value: string(k)} }
	old := imagefile.Pair{Key: "histdist.settings", Value: "seed=0"}
	write("he.png")
	write("he-panel.png", imagefile.Pair{Key: "Software", Value: "another program"})
	write("tissue.jpg", imagefile.Pair{Key: imagefile.KeyDescription, Value: "synthetic tissue, made by histdist"})
	for _, ext := range []string{"png", "jpg", "tif"} {
		write("out/stain."+ext, kind(imagefile.VirtualStain))
		write("out/old."+ext, old)
	}
	write("out/stain-panel.png", kind(imagefile.Panel))
	write("out/old-panel.png", old)
	write("out/renamed.png", kind(imagefile.Panel))
	write("out/stain-sd.png", kind(imagefile.Deviation))
	if err := os.WriteFile(filepath.Join(root, "empty-panel.png"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	input := []string{"empty-panel.png", "he.png", "he-panel.png", "tissue.jpg"}
	stains := []string{
		"out/old.jpg",
		"out/old.png",
		"out/old.tif",
		"out/renamed.png",
		"out/stain.jpg",
		"out/stain.png",
		"out/stain.tif",
	}
	panels := []string{"out/old-panel.png", "out/stain-panel.png", "out/stain-sd.png"}
	for name, test := range map[string]struct {
		o    walk.Outputs
		want []string
	}{
		"input of a translation": {walk.PassAll, input},
		"a set of stains":        {walk.PassPanels, append(append([]string{}, input[:3]...), append(stains, input[3])...)},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := walk.Images(t.Context(), root, walk.Options{Outputs: test.o})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(l.Files)); diff != "" {
				t.Error(diff)
			}
			if got, want := len(l.Files)+len(l.Passed), len(input)+len(stains)+len(panels); got != want {
				t.Errorf("%d files and %d passed over, of %d", len(l.Files), len(l.Passed), want)
			}
		})
	}
}

// ä is one letter, or a and two dots: macOS writes names in the second way.
const composed, decomposed = "\u00e4", "a\u0308"

func TestNamesAreComparedInNFC(t *testing.T) {
	l, err := walk.Images(t.Context(), tree(t, decomposed+"/x.PNG", decomposed+".png", composed+".tif"), walk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, same := l.ByStem()
	if files[composed+"/x"].Name != decomposed+"/x.PNG" {
		t.Errorf("files %v", files)
	}
	if len(same) != 1 || same[0][0].Name != decomposed+".png" || same[0][1].Name != composed+".tif" {
		t.Errorf("files of one stem: %v", same)
	}
}

func TestPattern(t *testing.T) {
	root := tree(
		t,
		"a.png",
		"b.JPG",
		"b.txt",
		".c.png",
		"case-1/HE/x.png",
		"case-1/HE/.y.png",
		"case-2/HE/x.tif",
		"case-2/IHC/x.tif",
		"case-2/Thumbs.db",
		".Trash-1000/HE/z.png",
		decomposed+".png",
		"linked -> case-1",
		"case-3 -> .",
	)
	tests := map[string]struct{ pattern, below, want string }{
		"files":                     {pattern: "*.png", want: "a.png a\u0308.png"},
		"extensions in capitals":    {pattern: "*.jpg", want: "b.JPG"},
		"folders":                   {pattern: "case-[12]", want: "case-1/HE/x.png case-2/HE/x.tif case-2/IHC/x.tif"},
		"folders in the middle":     {pattern: "*/HE/*", want: "case-1/HE/x.png case-2/HE/x.tif linked/HE/x.png"},
		"NFC":                       {pattern: composed + ".p*", want: decomposed + ".png"},
		"below a folder":            {pattern: "case-2/*/x.tif", below: "case-2", want: "HE/x.tif IHC/x.tif"},
		"a dot that is written":     {pattern: ".c*", want: ".c.png"},
		"nothing":                   {pattern: "x*", want: ""},
		"below nothing":             {pattern: "nowhere/*.png", below: "nowhere", want: ""},
		"other files":               {pattern: "b*", want: "b.JPG"},
		"question mark, and a list": {pattern: "[ab].???", want: "a.png b.JPG"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l, err := walk.Pattern(t.Context(), filepath.Join(root, test.pattern), walk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, strings.Join(names(l.Files), " ")); diff != "" {
				t.Error(diff)
			}
			if want := filepath.Join(root, test.below); l.Root != want {
				t.Errorf("root %s, want %s", l.Root, want)
			}
		})
	}
	if _, err := walk.Pattern(t.Context(), "[a", walk.Options{}); err == nil {
		t.Error("a bracket that is not closed is no error")
	}
}
