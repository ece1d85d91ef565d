package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/childtest"
)

// only checks that a folder holds nothing but the named files.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	slices.Sort(names)
	if !slices.Equal(there, names) {
		t.Errorf("%s holds %v, want %v", dir, there, names)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"old", "new"} {
		if err := atomicfile.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("read %q, %v, want %q", got, err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "folder"), nil); err == nil {
		t.Error("a folder was written over")
	}
	only(t, dir, "a", "folder")
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "made")
	broken := errors.New("broken")
	fill := func(after error) func(string) error {
		return func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "a"), nil, 0o644), after)
		}
	}
	if err := atomicfile.Folder(path, fill(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of fill", err)
	}
	only(t, filepath.Dir(path))
	if err := atomicfile.Folder(path, fill(nil)); err != nil {
		t.Fatal(err)
	}
	only(t, path, "a")
	if err := atomicfile.Folder(path, fill(nil)); err == nil {
		t.Error("a folder that exists was made again")
	}
	only(t, filepath.Dir(path), "made")
}

// Of many that make one file, one does, and the others find it whole.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	var all sync.WaitGroup
	var made atomic.Int64
	for range 8 {
		all.Go(func() {
			one, err := atomicfile.WriteNew(path, []byte("text"))
			if err != nil {
				t.Error(err)
			}
			if one {
				made.Add(1)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d made it", made.Load())
	}
	if err := errors.Join(atomicfile.WriteSoon(path, []byte("new")), atomicfile.Flush(path)); err != nil {
		t.Fatal(err)
	}
	atomicfile.Revisit(dir)
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" {
		t.Errorf("read %q, %v", text, err)
	}
	only(t, dir, "a")
}

// Names of 255 bytes are the longest that most file systems allow: temporary files have shorter ones.
func TestLongNames(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 255), strings.Repeat("ä", 127), strings.Repeat("日", 85)} {
		path := filepath.Join(t.TempDir(), name)
		if err := atomicfile.Write(path, []byte("text")); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
			t.Errorf("%q, %v", text, err)
		}
		folder := filepath.Join(t.TempDir(), name)
		if err := atomicfile.Folder(folder, func(string) error { return nil }); err != nil {
			t.Error(err)
		}
		if err := atomicfile.SyncFolder(folder); err != nil {
			t.Error(err)
		}
	}
}

// What a killed program leaves is removed, and nothing else: no file that is being written, on whatever machine.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	others := []string{"kept", "kept.tmp", ".kept", ".kept.1.tmp", ".a.histdist-new"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "begun")
	left := func(name string) {
		if err := os.Rename(childtest.Abandon(t, path), name); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const node, container = "0123abcd", "4567abcd"
	childtest.Abandon(t, path)
	left(atomicfile.HiddenOn(path, node, false))
	left(atomicfile.HiddenOn(path, container, true))
	want := func(more ...string) {
		t.Helper()
		only(t, dir, slices.Concat(others, []string{filepath.Base(alive.Name())}, more)...)
	}
	atomicfile.Sweep(dir)
	onNode := filepath.Base(atomicfile.HiddenOn(path, node, false))
	if runtime.GOOS == "linux" { // which says what a container runs on
		want(onNode)
	}
	atomicfile.Sweep(dir, container)
	want(onNode)
	atomicfile.Sweep(dir, node)
	want()
	left(atomicfile.HiddenOn(path, node, false))
	atomicfile.SweepAll(dir)
	want()
	if err := alive.Commit(); err != nil {
		t.Fatal(err)
	}
	only(t, dir, slices.Concat(others, []string{"begun"})...)
	atomicfile.Sweep(filepath.Join(dir, "missing"))
}

// Programs that write and others that sweep at the same time don't hinder each other.
func TestSweepWhileWriting(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for k := range 4 {
		all.Go(func() {
			for i := range 50 {
				path := filepath.Join(dir, strconv.Itoa(k)+"-"+strconv.Itoa(i))
				made, errNew := atomicfile.WriteNew(path, []byte("new"))
				if err := errors.Join(errNew, atomicfile.WriteSoon(path, []byte("soon"))); err != nil || !made {
					t.Error(err, made)
				}
				atomicfile.Sweep(dir)
			}
		})
	}
	all.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 200 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}
