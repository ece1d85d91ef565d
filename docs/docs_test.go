// Package docs has no code: its tests keep the documents in step with the repository.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// documents returns the Markdown files by their path from the repository's root.
func documents(t *testing.T) map[string]string {
	texts := map[string]string{}
	for _, pattern := range []string{"../*.md", "*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(filepath.Join("docs", path))] = string(text)
		}
	}
	return texts
}

var example = regexp.MustCompile("(?s)<!-- example: (\\S+) -->\n```go\n(.*?)```\n")

// A quoted example consists of lines of a file that is compiled and run, in their order; lines may be left out.
func TestExamplesAreQuoted(t *testing.T) {
	found := 0
	for name, text := range documents(t) {
		for _, m := range example.FindAllStringSubmatch(text, -1) {
			found++
			source, err := os.ReadFile(filepath.Join("..", m[1]))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			lines := strings.Split(string(source), "\n")
			for want := range strings.Lines(m[2]) {
				want = strings.TrimSpace(want)
				for len(lines) > 0 && strings.TrimSpace(lines[0]) != want {
					lines = lines[1:]
				}
				if len(lines) == 0 {
					t.Errorf("%s quotes a line that %s doesn't have there: %s", name, m[1], want)
					break
				}
			}
		}
	}
	if found == 0 {
		t.Error("no example found")
	}
}

// Every package of the module is in the map.
func TestPackagesAreInArchitecture(t *testing.T) {
	text := documents(t)["docs/architecture.md"]
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); name != ".." && strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != ".." {
			return filepath.SkipDir // another module
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			if name := filepath.ToSlash(strings.TrimPrefix(path, "../")); !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/architecture.md doesn't mention the package %s", name)
			}
			break
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	link = regexp.MustCompile(`\]\(([^):#]+)(#[^)]*)?\)`)
	code = regexp.MustCompile("`((?:cmd|configs|data|docs|examples|experiments|graph|infer|internal|scripts|testdata|" +
		"train)/[a-z0-9_./-]+)`")
)

// Files that documents link to or name exist.
func TestPathsExist(t *testing.T) {
	for name, text := range documents(t) {
		if name == "CHANGELOG.md" {
			continue // it tells of earlier versions
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which doesn't exist", name, m[1])
			}
		}
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which doesn't exist", name, m[1])
			}
		}
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// The messages in the first columns of troubleshooting.md's tables are in the code; … stands for values.
func TestMessagesAreInTheCode(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() != ".." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin" {
			return filepath.SkipDir
		}
		ext := filepath.Ext(path)
		if ext != ".sh" && ext != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	code := source.String()
	for line := range strings.Lines(documents(t)["docs/troubleshooting.md"]) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			for part := range strings.SplitSeq(m[1], "…") {
				if part = strings.TrimSpace(part); !strings.Contains(code, part) {
					t.Errorf("troubleshooting.md: no message has %q, of %q", part, m[1])
				}
			}
		}
	}
}

// Prose ends at 120 columns; tables, code and links may be longer.
func TestProseEndsAt120Columns(t *testing.T) {
	for name, text := range documents(t) {
		inCode, number := false, 0
		for line := range strings.Lines(text) {
			line, number = strings.TrimRight(line, "\n"), number+1
			if strings.HasPrefix(line, "```") {
				inCode = !inCode
			}
			prose := !inCode && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "![")
			if prose && utf8.RuneCountInString(line) > 120 && !strings.Contains(line, "://") {
				t.Errorf("%s:%d has more than 120 columns", name, number)
			}
		}
	}
}
