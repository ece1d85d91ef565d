package model

import (
	"os"
	"time"
)

// FingerprintAt is Fingerprint with digests of weights of any size kept in a folder, at a time.
func (m *Model) FingerprintAt(folder string, now time.Time) (string, error) {
	return m.fingerprint(digestCache{folder: folder, now: now})
}

// ForgeDigests replaces what is kept of each network by a text that no weights have.
func (m *Model) ForgeDigests(folder string) error {
	for _, s := range m.stores() {
		id, _, err := s.Identity()
		if err != nil {
			return err
		}
		if err := os.WriteFile(digestCache{folder: folder}.path(s), sealed([]byte("forged"), id), 0o644); err != nil {
			return err
		}
	}
	return nil
}
