// Command notice writes the file NOTICE: the licences of everything that is linked into the program or embedded in it,
// on any of the platforms that it is released for.
//
//	go run ./internal/notice          writes NOTICE
//	go run ./internal/notice -check   fails if NOTICE is stale
//
// The modules are those that `go list -deps` finds, and their licences the files that lie in a module and next to its
// packages that are used, identified by github.com/google/licensecheck.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// platforms are those of .goreleaser.yaml, one for each set of packages: tag, GOOS, GOARCH.
var platforms = [][3]string{
	{"gpu", "linux", "amd64"},
	{"", "linux", "arm64"},
	{"", "darwin", "amd64"},
	{"", "darwin", "arm64"},
	{"", "windows", "amd64"},
}

// page has the licences of the page of `histdist serve`; its build writes the file.
const page = "internal/server/web/dist/LICENSES.txt"

const intro = `HistDiST for Go
Copyright 2026 The HistDiST for Go authors

Licensed under the Apache License, Version 2.0: see the file LICENSE.

The program contains the software of others that is listed here, under the licences whose texts follow, or whose text
is in LICENSE. Made by ` + "`make notice`" + `.
`

const loaded = `
Not contained in the program, but opened when it runs, where the user has installed them:

  OpenSlide                    LGPL-2.1-only
  NVIDIA CUDA driver           NVIDIA's licence for its drivers
  NVIDIA cuBLAS, cuDNN         NVIDIA's licences for the CUDA Toolkit and cuDNN
  NVIDIA NCCL                  BSD-3-Clause
  the C library of the system  LGPL-2.1-or-later (glibc)

Builds for NVIDIA GPUs use the names of the functions in CUDA's headers, and no code of NVIDIA's.
`

func main() {
	check := flag.Bool("check", false, "compare NOTICE instead of writing it")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "notice:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	modules, err := linked()
	if err != nil {
		return err
	}
	ofPage, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := notice(modules, string(ofPage), licensecheck.Scan)
	if err != nil || !check {
		return errors.Join(err, os.WriteFile("NOTICE", text, 0o644))
	}
	if old, err := os.ReadFile("NOTICE"); err != nil || !bytes.Equal(old, text) {
		return errors.New("NOTICE is not what the dependencies ask for: run `make notice` and commit the file")
	}
	return nil
}

// module is a module of others, with the folders whose licences count.
type module struct {
	name    string // path and version
	root    string
	folders []string // of the packages that are used
}

// linked lists the modules of the program on all platforms, by name.
func linked() ([]module, error) {
	found := map[string]module{}
	for _, p := range platforms {
		list := exec.Command("go", "list", "-deps", "-tags", p[0],
			"-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}", "./cmd/histdist")
		list.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+p[1], "GOARCH="+p[2])
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s/%s: %w", p[1], p[2], err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			if len(fields) != 3 {
				continue // a package of the program or of the standard library
			}
			m := found[fields[0]]
			m.name, m.root = fields[0], fields[1]
			m.folders = append(m.folders, fields[2])
			found[m.name] = m
		}
	}
	var modules []module
	for _, m := range found {
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.name, b.name) })
	return modules, nil
}

// A licence file begins with such a word, or ends with it.
var licenceFile = regexp.MustCompile(`(?i)^((un)?licen[sc]e|copying|copyright|notice|patents)([-._].*)?$|-licen[sc]e$`)

// chosen has the file of the licence that applies where a module leaves the choice.
var chosen = map[string]string{"github.com/golang/freetype": "licenses/ftl.txt"} // or the GPL

// licences lists the licence files of a module: in its root, in its folder of licences of others, and in every folder
// between its root and a package that is used.
func (m module) licences() ([]string, error) {
	folders := []string{m.root, filepath.Join(m.root, "THIRD_PARTY_LICENSES")}
	for _, folder := range m.folders {
		for ; len(folder) > len(m.root); folder = filepath.Dir(folder) {
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	var files []string
	for _, folder := range slices.Compact(folders) {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
				files = append(files, filepath.Join(folder, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no licence", m.name)
	}
	if path, _, _ := strings.Cut(m.name, " "); chosen[path] != "" {
		files = append(files, filepath.Join(m.root, chosen[path]))
	}
	return files, nil
}

// notice is the text of NOTICE. A text that several modules share is in it once; recognise names the licences of a
// text.
func notice(modules []module, page string, recognise func(text []byte) licensecheck.Coverage) ([]byte, error) {
	var list, texts strings.Builder
	numbers := map[string]int{}
	entry := func(name string, files []string) error {
		var kinds, places []string
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text := clean(string(b))
			scan := recognise(b)
			for _, match := range scan.Match {
				if !match.IsURL && !slices.Contains(kinds, match.ID) {
					kinds = append(kinds, match.ID)
				}
			}
			if len(scan.Match) == 1 && scan.Match[0].ID == "Apache-2.0" && scan.Percent > 90 {
				places = append(places, "[LICENSE]")
				continue
			}
			if numbers[text] == 0 {
				numbers[text] = len(numbers) + 1
				fmt.Fprintf(&texts, "\n%s\n[%d]\n\n%s\n", strings.Repeat("=", 80), numbers[text], text)
			}
			if place := fmt.Sprintf("[%d]", numbers[text]); !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
		if len(kinds) == 0 {
			return fmt.Errorf("%s: no licence is recognised in %s", name, strings.Join(files, ", "))
		}
		fmt.Fprintf(&list, "  %s\n      %s %s\n", name, strings.Join(kinds, ", "), strings.Join(places, " "))
		return nil
	}
	for _, m := range modules {
		files, err := m.licences()
		if err == nil {
			err = entry(m.name, files)
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(m.name, "golang.org/x/sys ") {
			// The same authors, the same text.
			if err := entry("the standard library and runtime of Go", []string{filepath.Join(m.root, "LICENSE")}); err != nil {
				return nil, err
			}
		}
	}
	return fmt.Appendf(nil, "%s\nGo modules\n\n%s%s%s\n%s\n%s\n", intro, list.String(), loaded, texts.String(),
		strings.Repeat("=", 80), clean(page)), nil
}

// clean removes what editors and systems do to line ends.
func clean(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
