package catalogue

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// idLength is that of identifiers and tags: 128 bits in base64url.
const idLength = 22

// digest is a keyed hash of texts. Without the key nobody can tell whether it is that of a certain name.
func (c *Catalogue) digest(kind string, parts ...string) string {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte(kind + "\x00" + strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
