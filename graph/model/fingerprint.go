package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Fingerprint is a hash of everything that a model's images depend on, 16 hexadecimal digits: weights, configurations,
// noise schedule, tokenizer and image preprocessing. It is of the files as they were opened. It reads all weights,
// unless the user's cache has the digests of files that have not changed since: see digestCache.
func (m *Model) Fingerprint() (string, error) { return m.fingerprint(userDigests()) }

func (m *Model) fingerprint(c digestCache) (string, error) {
	h := sha256.New()
	for _, s := range m.stores() {
		text, err := c.digest(s)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	for _, a := range m.Adapters {
		fmt.Fprintf(h, "adapter %s %g\n", a.Digest, a.Weight)
	}
	if markers := m.Purpose.Markers; len(markers) > 0 {
		fmt.Fprintf(h, "markers %q\n", markers)
	}
	settings, err := m.settingsFiles()
	if err != nil {
		return "", err
	}
	for _, path := range settings {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // optional
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", filepath.Base(path), sha256.Sum256(text))
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// settingsFiles are a model's files without weights, in a fixed order.
func (m *Model) settingsFiles() ([]string, error) {
	files := []string{
		filepath.Join(m.UNetDir, "config.json"), filepath.Join(m.Dir, "vae", "config.json"),
		filepath.Join(m.Dir, "text_encoder", "config.json"), filepath.Join(m.Dir, "scheduler", "scheduler_config.json"),
		filepath.Join(m.PhikonDir, "config.json"), filepath.Join(m.PhikonDir, "preprocessor_config.json"),
	}
	tokenizer, err := os.ReadDir(filepath.Join(m.Dir, "tokenizer")) // sorted
	if err != nil {
		return nil, err
	}
	for _, e := range tokenizer {
		switch filepath.Ext(e.Name()) {
		case ".json", ".txt":
			files = append(files, filepath.Join(m.Dir, "tokenizer", e.Name()))
		}
	}
	return files, nil
}
