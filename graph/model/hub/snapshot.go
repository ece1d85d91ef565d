package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/internal/atomicfile"
)

// cacheTag marks a folder that backups may leave out: https://bford.info/cachedir/
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55\n" +
	"# This file is a cache directory tag. See https://bford.info/cachedir/\n"

// ErrSpace is wrapped by the error of a disk that is full, or would be.
var ErrSpace = errors.New("not enough space on the disk")

// prepare makes the folders of a model, and checks that the disk has space for what is missing.
func (c *Client) prepare(repo *repository, small, large []file) error {
	for _, dir := range []string{filepath.Join(repo.folder, "blobs"), repo.locks} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("the cache can't be written, HF_HOME names another: %w", err)
		}
	}
	if tag := filepath.Join(c.Cache, "CACHEDIR.TAG"); !exists(tag) {
		_ = atomicfile.Write(tag, []byte(cacheTag)) // for others' comfort
	}
	need := int64(0)
	for _, f := range append(small, large...) {
		if repo.contentOf(f) == "" {
			need += f.size - allocated(repo.blob(f)+incomplete, f.size, c.part)
		}
	}
	free, err := c.free(repo.folder)
	if err != nil || need <= 0 || uint64(need) <= free {
		return nil //nolint:nilerr // some file systems don't say
	}
	return fmt.Errorf("%w: %s more are needed, and %s has %s: free some, or set HF_HOME to a folder on another disk",
		ErrSpace, size(need), c.Cache, size(int64(free)))
}

// allocated is the space that an incomplete file of a size takes already: that of its parts.
func allocated(path string, size, unit int64) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	done, err := readParts(f, path, size, unit)
	if err != nil {
		return 0
	}
	_, there := (&partial{size: size, unit: unit, done: done}).missing()
	return there
}

// size writes a number of bytes for people.
func size(bytes int64) string {
	if bytes < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
}

// place makes the snapshot of files whose contents are there, and returns its folder. A new one appears as a whole.
func (c *Client) place(repo *repository, files []file) (string, error) {
	dst := repo.snapshot()
	if !exists(dst) {
		if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
			return "", err
		}
		hidden, err := os.MkdirTemp(repo.folder, ".new-")
		if err != nil {
			return "", err
		}
		defer func() { _ = os.RemoveAll(hidden) }() // what is left has a hidden name
		dir := filepath.Join(hidden, repo.commit)   // as deep as the snapshot, so that its links lead to the same place
		if err := os.Mkdir(dir, 0o777); err != nil {
			return "", err
		}
		if err := c.fill(repo, dir, files); err != nil {
			return "", err
		}
		if err := atomicfile.Rename(dir, dst); err != nil && !exists(dst) { // another process may have been faster
			return "", err
		}
	}
	if err := c.fill(repo, dst, files); err != nil {
		return "", err
	}
	if repo.revision == repo.commit {
		return dst, nil
	}
	ref := filepath.Join(repo.folder, "refs", filepath.FromSlash(repo.revision))
	if text, err := os.ReadFile(ref); err == nil && string(text) == repo.commit {
		return dst, nil
	}
	if err := os.MkdirAll(filepath.Dir(ref), 0o777); err != nil {
		return "", err
	}
	return dst, atomicfile.Write(ref, []byte(repo.commit))
}

// fill gives the files that a folder of a snapshot lacks their names.
func (c *Client) fill(repo *repository, dir string, files []file) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		if info, err := os.Stat(path); err == nil && info.Size() == f.size {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := c.link(repo, f, path); err != nil {
			return err
		}
	}
	return nil
}

// link makes a name for a content: a relative symbolic link, which survives a move of the cache; without those, as on
// Windows without developer mode, a hard link; without links at all, a copy.
func (c *Client) link(repo *repository, f file, path string) error {
	content := repo.contentOf(f)
	if content == repo.blob(f) && !c.NoLinks {
		up := strings.Repeat("../", 2+strings.Count(f.path, "/"))
		_ = c.symlink(filepath.FromSlash(up+"blobs/"+f.hash), path)
		if exists(path) { // whatever was said: another process may have been faster, and Wine only says that it made one
			return nil
		}
	}
	real, err := filepath.EvalSymlinks(content) // a blob may be a link into a store that models share
	if err != nil {
		return err
	}
	if err := os.Link(real, path); err == nil {
		return nil
	}
	to, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer to.Discard()
	from, err := os.Open(real)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := to.ReadFrom(from); err != nil {
		return err
	}
	return to.Commit()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
