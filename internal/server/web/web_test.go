package web_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/server/web"
)

// builtFrom lists the sources with their hashes, as build.mjs writes them into sources.sha256.
func builtFrom(t *testing.T) string {
	t.Helper()
	names := []string{"build.mjs", "package-lock.json", "package.json", "tsconfig.json"}
	err := filepath.WalkDir("src", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var list strings.Builder
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(source), name)
	}
	return list.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(web.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBuiltFromTheSources(t *testing.T) {
	if diff := cmp.Diff(builtFrom(t), read(t, "sources.sha256")); diff != "" {
		t.Errorf("the built page is stale: run `make web` and commit internal/server/web/dist (-sources +dist):\n%s", diff)
	}
}

var (
	inline    = regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\s(style|on[a-z]+)=|javascript:`)
	reference = regexp.MustCompile(`(?:href|src)="([^"#]+)"`)
)

// What the page's policy refuses isn't in it, and what it refers to is there.
func TestIndex(t *testing.T) {
	index := read(t, "index.html")
	if found := inline.FindAllString(index, -1); found != nil {
		t.Errorf("index.html has inline scripts or styles, which the content security policy refuses: %q", found)
	}
	references := reference.FindAllStringSubmatch(index, -1)
	if len(references) < 3 {
		t.Errorf("index.html refers to %d files, want a script, a style sheet and an icon", len(references))
	}
	for _, m := range references {
		read(t, m[1]) // a URL of another host is no name of a file, and so refused too
	}
	if want := "Research use only"; !strings.Contains(index, want) {
		t.Errorf("index.html doesn't say %q", want)
	}
}

// Code of others comes with its licence.
func TestLicenses(t *testing.T) {
	licenses := read(t, "LICENSES.txt")
	for _, want := range []string{"openseadragon 6.", "Redistributions in binary form must reproduce the above"} {
		if !strings.Contains(licenses, want) {
			t.Errorf("LICENSES.txt lacks %q", want)
		}
	}
}
