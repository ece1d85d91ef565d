package doctor

import (
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// secret is a text that a report must not have, and what stands for it.
type secret struct{ text, stands string }

// secrets are those of a user, the longest first.
type secrets []secret

// secretsHere lists the user's own paths and names: of the home, the working folder, and the folders that variables of
// the environment name.
func secretsHere() secrets {
	var s secrets
	add := func(text, stands string) {
		if len(text) > 2 {
			s = append(s, secret{text, stands}, secret{filepath.ToSlash(text), stands})
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		add(home, "~")
	}
	if here, err := os.Getwd(); err == nil {
		add(here, ".")
	}
	if host, err := os.Hostname(); err == nil {
		add(host, "(host)")
	}
	if u, err := user.Current(); err == nil {
		add(u.HomeDir, "~")
		add(filepath.Base(filepath.FromSlash(strings.ReplaceAll(u.Username, `\`, "/"))), "(user)") // DOMAIN\name
	}
	for _, name := range variables(os.Environ()) {
		for _, value := range filepath.SplitList(os.Getenv(name)) {
			if strings.ContainsAny(value, `/\.`) { // a path, no number and no "off"
				add(value, "$"+name)
			}
		}
	}
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		add(os.Getenv(name), "(user)")
	}
	slices.SortStableFunc(s, func(a, b secret) int { return len(b.text) - len(a.text) })
	return s
}

// hide replaces the secrets in a text, and shortens all paths but the system's to what they are below and to the names
// of libraries.
func (s secrets) hide(text string) string {
	for _, one := range s {
		text = replaceWhole(text, one.text, one.stands)
	}
	return anyPath.ReplaceAllStringFunc(text, func(match string) string {
		part := anyPath.FindStringSubmatch(match)
		before, root, path := part[1], part[2], part[3]
		if strings.HasSuffix(root, ":") { // a drive
			root, path = "", root+path
		}
		words := strings.Fields(path)
		another := slices.ContainsFunc(words[1:], func(word string) bool { return strings.ContainsAny(word, `/\`) })
		if root == "" && ofSystem.MatchString(words[0]) && !another {
			return match
		}
		short := root + "…"
		if root != "" {
			short = root + "/…"
		}
		if name := path[strings.LastIndexAny(path, `/\`)+1:]; library.MatchString(name) {
			short += "/" + name
		}
		return before + short
	})
}

// replaceWhole replaces a text where it is no part of a longer word.
func replaceWhole(text, old, with string) string {
	var b strings.Builder
	for {
		at := strings.Index(text, old)
		if at < 0 {
			return b.String() + text
		}
		end := at + len(old)
		b.WriteString(text[:at])
		if at > 0 && isWord(text[at-1]) && isWord(old[0]) || end < len(text) && isWord(text[end]) && isWord(old[len(old)-1]) {
			b.WriteString(old)
		} else {
			b.WriteString(with)
		}
		text = text[end:]
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

var (
	// anyPath is a path with what is before it: it begins with a slash, a drive, or what stands for a secret, and ends
	// with the last part that follows a slash, for folders may have blanks in their names. A slash within a word, as in
	// GFLOP/s, begins none.
	anyPath = regexp.MustCompile(`(^|[^\w~.$…)/\\])(~|\.|\$\w+|[A-Za-z]:)?([/\\](?:[^"'(),;:\n]*[/\\])?[^\s"'(),;:]*)`)

	// ofSystem are folders that are the same everywhere.
	ofSystem = regexp.MustCompile(
		`(?i)^(/(usr|lib\w*|opt|etc|proc|sys|system|library|nix)(/|$)|[a-z]:[/\\](windows|program)\b)`)

	// library is the name of a file that says more than it hides.
	library = regexp.MustCompile(`^[\w.+-]+\.(so[.\d]*|dylib|dll)$`)
)
