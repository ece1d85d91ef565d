package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse reads the text of a file: one YAML document of keys and values, or nothing.
func parse(name string, text []byte) (file, error) {
	f := file{name: name, root: &yaml.Node{Kind: yaml.MappingNode}}
	if list := pairList(name, text); list != nil {
		return f, list
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return f, nil
	case err != nil:
		return f, inUsersWords(name, text, err)
	}
	if err := d.Decode(&second); err == nil {
		return f, fmt.Errorf("%s:%d: a second document begins after ---: want one", name, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return f, inUsersWords(name, text, err)
	}
	switch root := document.Content[0]; {
	case root.Kind == yaml.MappingNode:
		f.root = root
	case root.ShortTag() != "!!null":
		return f, fmt.Errorf("%s: want keys and values, such as\n  train:\n    steps: 1000", name)
	}
	return f, nil
}

// pairList returns an error if the text is a list of image pairs instead of a configuration.
func pairList(name string, text []byte) error {
	first, _, _ := strings.Cut(string(text), "\n")
	ext := strings.ToLower(filepath.Ext(name))
	if ext != ".csv" && ext != ".tsv" && (!strings.Contains(first, ",") || strings.ContainsAny(first, ":#{[-")) {
		return nil
	}
	return fmt.Errorf("%s looks like a list of image pairs: want a YAML file; to train on a list, "+
		"name a built-in experiment with --set data.layout=csv --set data.dir=%[1]s", name)
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// inUsersWords says what the YAML parser found wrong with a text, and where.
func inUsersWords(name string, text []byte, err error) error {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%s: want a YAML file in UTF-8", name)
	}
	match := yamlError.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			return fmt.Errorf("%s:%d: a tab before a key: want spaces", name, i+1)
		}
	}
	at, _ := strconv.Atoi(match[1]) // 0 if the parser names no line
	if anchor := unknownAnchor.FindStringSubmatch(match[2]); anchor != nil {
		before, _, _ := strings.Cut(string(text), "*"+anchor[1])
		at = 1 + strings.Count(before, "\n")
	}
	for _, known := range syntaxErrors {
		if strings.Contains(match[2], known.parser) {
			return fmt.Errorf("%s:%d: %s", name, max(at+known.lines, 1), known.words)
		}
	}
	return fmt.Errorf("%s:%d: not YAML: %s", name, max(at, 1), match[2])
}

const (
	indented = "a line indented differently from its neighbours"
	bracket  = "a bracket is not closed; a value that contains brackets must be quoted"
)

// syntaxErrors translates the YAML parser's messages, some of which count lines from 0.
var syntaxErrors = []struct {
	parser string
	lines  int
	words  string
}{
	{"cannot start any token", 0, "a value that begins with @, `, % or a tab must be quoted"},
	{"mapping values are not allowed", 0, "a second colon, or " + indented + "; a value with a colon must be quoted"},
	{"could not find expected ':'", 0, "want KEY: VALUE"},
	{"did not find expected key", 1, indented + ", or text after a quoted value"},
	{"did not find expected '-'", 1, indented},
	{"did not find expected ','", 1, bracket},
	{"did not find expected node content", 1, bracket},
	{"unexpected end of stream", 0, "a quote is not closed"},
	{"did not find expected alphabetic", 0, "a value that begins with * or & must be quoted"},
	{"unknown anchor", 0, "a value that begins with * must be quoted"},
	{"unknown escape character", 0, `a backslash in double quotes: use single quotes`},
	{"hexdecimal number", 0, `a backslash in double quotes: use single quotes`},
	{"control characters", 0, "a control character: want text"},
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
