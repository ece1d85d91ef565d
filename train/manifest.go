package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/internal/atomicfile"
)

const manifestFile = "manifest.json"

// ErrDamaged is the error of a checkpoint whose files have changed since they were written.
var ErrDamaged = errors.New("damaged")

// manifest records a folder's files as they were written.
type manifest struct {
	Files  map[string]fingerprint `json:"files"`  // by path in the folder, with slashes
	SHA256 string                 `json:"sha256"` // of Files, as JSON
}

type fingerprint struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// text returns a manifest as its file has it.
func (m manifest) text() ([]byte, error) {
	files, err := json.Marshal(m.Files)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(files)
	m.SHA256 = hex.EncodeToString(sum[:])
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// writeManifest writes the manifest of all files of a folder.
func writeManifest(dir string) error {
	m := manifest{Files: map[string]fingerprint{}}
	if err := eachFile(dir, func(name, path string) (err error) {
		m.Files[name], err = fingerprintOf(path)
		return err
	}); err != nil {
		return err
	}
	text, err := m.text()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, manifestFile), text)
}

// verify compares a folder's files with its manifest. An error names every file that is missing, changed or new.
func verify(dir string) error {
	path := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	if want, err := m.text(); err != nil || !bytes.Equal(text, want) {
		return errors.Join(fmt.Errorf("%s: %w: not what was written", path, ErrDamaged), err)
	}
	var errs []error
	seen := map[string]bool{}
	if err := eachFile(dir, func(name, path string) error {
		seen[name] = true
		got, err := fingerprintOf(path)
		if err != nil {
			return err
		}
		switch want, ok := m.Files[name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: %w: not in %s", path, ErrDamaged, manifestFile))
		case got.Bytes != want.Bytes:
			errs = append(errs, fmt.Errorf("%s: %w: %d bytes, want %d", path, ErrDamaged, got.Bytes, want.Bytes))
		case got != want:
			errs = append(errs, fmt.Errorf("%s: %w: its SHA-256 is %s, want %s", path, ErrDamaged, got.SHA256, want.SHA256))
		}
		return nil
	}); err != nil {
		return err
	}
	for name := range m.Files {
		if !seen[name] {
			errs = append(errs, fmt.Errorf("%s: %w: missing", filepath.Join(dir, name), ErrDamaged))
		}
	}
	return errors.Join(errs...)
}

// eachFile visits the files of a folder, except its manifest.
func eachFile(dir string, visit func(name, path string) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == manifestFile {
			return err
		}
		return visit(filepath.ToSlash(name), path)
	})
}

func fingerprintOf(path string) (fingerprint, error) {
	f, err := os.Open(path)
	if err != nil {
		return fingerprint{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return fingerprint{n, hex.EncodeToString(sum.Sum(nil))}, err
}

// writeFile writes a file and syncs it.
func writeFile(path string, text []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, atomicfile.Sync(f), f.Close())
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}
