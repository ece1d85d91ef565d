package data

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/walk"
)

// namePattern selects a folder's images of one stain and finds what their names share with their partners'.
type namePattern struct {
	text       string // "*_HE"; the asterisks are what is shared
	expression *regexp.Regexp
	literal    int // characters that are no asterisk
}

func parseSuffixes(text string) (he, ihc *namePattern, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) != 2 {
		return nil, nil, option.Wrong("suffixes", "%q: want two, that of the H&E images first, such as _HE,_ER", text)
	}
	if !utf8.ValidString(text) {
		return nil, nil, option.Wrong("suffixes", "%q is not in UTF-8", text)
	}
	he, ihc = newNamePattern(parts[0]), newNamePattern(parts[1])
	if strings.Count(he.text, "*") != strings.Count(ihc.text, "*") {
		return nil, nil, option.Wrong("suffixes", "%q: the two have different numbers of asterisks", text)
	}
	return he, ihc, nil
}

func newNamePattern(text string) *namePattern {
	text = strings.TrimSpace(text)
	if walk.IsImage("x" + text) { // "_HE.png"
		text = strings.TrimSuffix(text, path.Ext(text))
	}
	if !strings.Contains(text, "*") {
		text = "*" + text
	}
	text = norm.NFC.String(text)
	expression := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, "(.+)") + "$"
	return &namePattern{text, regexp.MustCompile(expression), len(text) - strings.Count(text, "*")}
}

// match returns what a name shares with its partner's.
func (p *namePattern) match(name string) (string, bool) {
	groups := p.expression.FindStringSubmatch(name)
	if groups == nil {
		return "", false
	}
	between := "_"
	if strings.Contains(p.text, "/") {
		between = "/"
	}
	return strings.Join(groups[1:], between), true
}
