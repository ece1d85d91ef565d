package model

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/atomicfile"
)

// digestCache keeps digests of weights between runs: hashing 4.3 GB takes 2 s on two cores. A digest holds for as long
// as the files have the same weights.Store.Identity. As with git's index, files that changed shortly before could
// change again within the resolution of their times, so nothing is kept of them. What can't be read or written is
// computed.
type digestCache struct {
	folder string // "" keeps nothing
	least  int64  // the bytes of weights from which a digest is kept
	now    time.Time
}

// settled is for how long files must not have changed: mapped memory may be written for half a minute before the file's
// time changes.
const settled = 2 * time.Minute

// userDigests is the cache in the user's own.
func userDigests() digestCache {
	cache, err := os.UserCacheDir()
	if err != nil {
		return digestCache{}
	}
	return digestCache{folder: filepath.Join(cache, "histdist", "digests"), least: 64 << 20, now: time.Now()}
}

// digest returns what weights.Store.Digest writes.
func (c digestCache) digest(s *weights.Store) ([]byte, error) {
	if c.folder == "" || s.Bytes() < c.least {
		return computed(s)
	}
	id, changed, err := s.Identity()
	if err != nil {
		return computed(s)
	}
	path := c.path(s)
	if kept, err := os.ReadFile(path); err == nil {
		if text, ok := opened(kept, id); ok {
			return text, nil
		}
	}
	text, err := computed(s)
	if err != nil {
		return nil, err
	}
	if now, _, err := s.Identity(); err == nil && now == id && c.now.Sub(changed) > settled {
		if os.MkdirAll(c.folder, 0o700) == nil {
			_ = atomicfile.Write(path, sealed(text, id)) // the next run computes it again
		}
	}
	return text, nil
}

// path is where the digest of weights is kept.
func (c digestCache) path(s *weights.Store) string {
	name := sha256.Sum256([]byte(s.Path()))
	return filepath.Join(c.folder, fmt.Sprintf("%x.txt", name[:8]))
}

// sealed is a digest as it is kept: a hash of the files' identity and the digest, then the digest.
func sealed(text []byte, id string) []byte { return append(seal(text, id), text...) }

// opened returns a kept digest if it is whole and of these files.
func opened(kept []byte, id string) ([]byte, bool) {
	n := min(len(kept), 2*sha256.Size+1)
	text := kept[n:]
	return text, bytes.Equal(kept[:n], seal(text, id))
}

func seal(text []byte, id string) []byte {
	return fmt.Appendf(nil, "%x\n", sha256.Sum256(fmt.Appendf(nil, "digest 1\n%s\n%s", id, text)))
}

func computed(s *weights.Store) ([]byte, error) {
	var b bytes.Buffer
	err := s.Digest(&b)
	return b.Bytes(), err
}
