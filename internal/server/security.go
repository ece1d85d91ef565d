package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// localUser is the one user of a server without tokens.
const localUser = "local"

// account is a user with the hash of its token: hashes have one length, so comparing them says nothing of the token's.
type account struct {
	name  string
	token [sha256.Size]byte
}

// Tokens that are shorter could be guessed.
const leastToken = 16

// readTokens reads the file of users: lines of a name and a token. Lines that begin with # are comments.
func readTokens(path string) ([]account, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	var all []account
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
			continue
		case len(fields) != 2: // the message doesn't quote the line: it has a secret
			return nil, fmt.Errorf("--token-file: line %d: want a name and a token", number)
		case len(fields[1]) < leastToken:
			return nil, fmt.Errorf("--token-file: line %d: the token has %d characters: want %d or more, such as "+
				"`openssl rand -hex 24` prints", number, len(fields[1]), leastToken)
		case slices.ContainsFunc(all, func(a account) bool { return a.name == fields[0] }):
			return nil, fmt.Errorf("--token-file: line %d: the name %q is there twice", number, fields[0])
		}
		all = append(all, account{fields[0], sha256.Sum256([]byte(fields[1]))})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--token-file: %s has no user: want lines of a name and a token", path)
	}
	return all, nil
}

// user returns whose token a request has. How long that takes depends neither on the token nor on whose it is.
func (s *Server) user(r *http.Request) (string, error) {
	if s.accounts == nil {
		return localUser, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := -1
	for i, a := range s.accounts {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], a.token[:]), i, found)
	}
	if found < 0 || !strings.EqualFold(scheme, "Bearer") {
		return "", problem(http.StatusUnauthorized, "this needs a token: Authorization: Bearer TOKEN").
			with("WWW-Authenticate", `Bearer realm="histdist"`)
	}
	return s.accounts[found].name, nil
}

// knownHosts are the names, besides addresses, by which a server may be asked for. A page of another site can make a
// browser send requests here, under its own name (DNS rebinding); with a name that is not ours they are refused.
func knownHosts(o Settings) []string {
	names := []string{"localhost"}
	if local, err := loopback(o.Address); err != nil || !local {
		if name, err := os.Hostname(); err == nil {
			names = append(names, strings.ToLower(name))
		}
	}
	for _, name := range o.Hosts {
		names = append(names, strings.ToLower(name))
	}
	return names
}

// checkHost refuses requests under other names than the server's. Addresses can't be rebound.
func (s *Server) checkHost(r *http.Request) error {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.Trim(strings.ToLower(name), "[]"), ".")
	if _, err := netip.ParseAddr(name); err == nil || slices.Contains(s.hosts, name) {
		return nil
	}
	return problem(http.StatusMisdirectedRequest,
		"this server is not known under the name in the header Host: start it with --host NAME")
}

// checkOrigin refuses requests that pages of other sites make: CORS is closed, and browsers send some requests without
// asking for it.
func (s *Server) checkOrigin(r *http.Request) error {
	if err := s.origins.Check(r); err != nil {
		return problem(http.StatusForbidden, "this request comes from a page of another site")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); strings.HasPrefix(r.URL.Path, "/api/") && site == "cross-site" {
		return problem(http.StatusForbidden, "this request comes from a page of another site")
	}
	return nil
}

// policy allows the page its own files alone; blob: and data: are images that it makes or fetches with its token.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets the headers of every answer.
func (s *Server) secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if s.settings.TLSCertificate != "" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
