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

// parse reads a file's text, which is one YAML document of keys and values, or nothing.
func parse(name string, text []byte) (File, error) {
	f := File{Name: name, root: &yaml.Node{Kind: yaml.MappingNode}}
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

// pairList is the error of a list of image pairs in the place of a configuration; nil if it is none.
func pairList(name string, text []byte) error {
	first, _, _ := strings.Cut(string(text), "\n")
	if ext := strings.ToLower(filepath.Ext(name)); ext != ".csv" && ext != ".tsv" && (!strings.Contains(first, ",") || strings.ContainsAny(first, ":#{[-")) {
		return nil
	}
	return fmt.Errorf("%s: a list of image pairs, it seems: want a YAML file, or a built-in experiment with --set data.layout=csv --set data.dir=%[1]s", name)
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// inUsersWords says what is wrong with a text that the YAML parser refuses, and where.
func inUsersWords(name string, text []byte, err error) error {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%s: want a YAML file, which is text in UTF-8", name)
	}
	match := yamlError.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			return fmt.Errorf("%s:%d: a tab: want spaces in front of a key", name, i+1)
		}
	}
	at, _ := strconv.Atoi(match[1]) // 0 where the parser says nothing
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
	indented = "a line that is indented differently from those around it"
	bracket  = "a bracket that isn't closed; a value with brackets in it must be in quotes"
)

// syntaxErrors are what the YAML parser says, and what that means to a user. The parser counts lines from 0 in some.
var syntaxErrors = []struct {
	parser string
	lines  int
	words  string
}{
	{"cannot start any token", 0, "a value that begins with @, `, % or a tab: put it in quotes"},
	{"mapping values are not allowed", 0, "a second colon, or " + indented + ": a value with a colon in it must be in quotes"},
	{"could not find expected ':'", 0, "want KEY: VALUE"},
	{"did not find expected key", 1, indented + ", or text after a quoted value"},
	{"did not find expected '-'", 1, indented},
	{"did not find expected ','", 1, bracket},
	{"did not find expected node content", 1, bracket},
	{"unexpected end of stream", 0, "a quote that isn't closed"},
	{"did not find expected alphabetic", 0, "a value that begins with * or &: put it in quotes"},
	{"unknown anchor", 0, "a value that begins with *: put it in quotes"},
	{"unknown escape character", 0, `a backslash in double quotes: use single quotes`},
	{"hexdecimal number", 0, `a backslash in double quotes: use single quotes`},
	{"control characters", 0, "a control character: want text"},
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
