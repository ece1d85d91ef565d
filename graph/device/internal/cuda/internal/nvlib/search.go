package nvlib

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// search is where libraries are looked for.
type search struct {
	named   []string // folders that the user named: the first library there is the one
	by      string   // the variable that named them
	folders []string // others: the newest library is the one
	loader  bool     // whether to look where the system's loader does, after that
}

// whereToLook returns the folders that the environment names, or the usual ones.
func whereToLook() (search, error) {
	switch folders := os.Getenv(FoldersVariable); folders {
	case NoLibraries:
		return search{}, fmt.Errorf("%w: switched off (%s=%s)", ErrNoLibrary, FoldersVariable, NoLibraries)
	case "":
		return search{loaderFolders(os.Getenv), loaderVariable, usualFolders(os.Getenv, filepath.Glob), true}, nil
	default:
		return search{named: filepath.SplitList(folders), by: FoldersVariable}, nil
	}
}

func (s search) String() string {
	places := slices.Concat(s.named, s.folders)
	if s.loader {
		places = append(places, "where the system's loader looks ("+loaderVariable+", ldconfig)")
	}
	return strings.Join(places, ", ")
}

// candidate is a library that is there and may be opened.
type candidate struct {
	path    string
	version []int  // from the files' names: at least the number after .so
	cuda    int    // the major version of CUDA that it was made for; 0 if unknown
	site    string // the folder of Python packages that contains it, if any
	by      string // how it was found, unless as the newest one
}

// candidates lists the files that there are of a library, the best first: those of folders that the user named, in
// their order; then the newest. Which one is best must be known before any is opened, because an open library stays
// in the process. Files of one folder come in the order of LibrarySpec.files. What the system's loader may find
// elsewhere comes last.
func (s search) candidates(p LibrarySpec, driver int) []candidate {
	seen := map[string]bool{}
	look := func(folders []string, by string) (found []candidate) {
		for _, folder := range folders {
			for _, name := range p.files(driver) {
				path := filepath.Join(folder, name)
				real, err := filepath.EvalSymlinks(path)
				if err != nil || seen[real] {
					continue
				}
				c := p.candidate(path, real)
				if by == "" && c.cuda > 12 && driver < 1000*c.cuda {
					continue
				}
				seen[real], c.by = true, by
				found = append(found, c)
			}
		}
		return found
	}
	all := look(s.named, s.by)
	others := look(s.folders, "")
	slices.SortStableFunc(others, func(a, b candidate) int {
		if d := slices.Compare(b.version, a.version); d != 0 {
			return d
		}
		return b.cuda - a.cuda
	})
	all = append(all, others...)
	if s.loader {
		for _, name := range p.files(driver) {
			all = append(all, candidate{path: name, by: "the system's loader"})
		}
	}
	return all
}

// candidate reads the version of a library from the name of its file, as in libcudnn.so.9.14.0, or from the Python
// package that it is part of: site-packages/nvidia/cudnn/lib/libcudnn.so.9 next to
// site-packages/nvidia_cudnn_cu13-9.19.0.56.dist-info.
func (p LibrarySpec) candidate(path, real string) candidate {
	c := candidate{path: path}
	_, suffix, _ := strings.Cut(filepath.Base(real), ".so.")
	c.version = numbers(suffix)
	nvidia := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	if filepath.Base(nvidia) != "nvidia" {
		return c
	}
	c.site = filepath.Dir(nvidia)
	for i, wheel := range p.wheels {
		if wheel == "" {
			continue
		}
		prefix := strings.ReplaceAll(wheel, "-", "_") + "-"
		found, err := filepath.Glob(filepath.Join(c.site, prefix+"*.dist-info"))
		if err != nil || len(found) != 1 {
			continue
		}
		v := numbers(strings.TrimPrefix(strings.TrimSuffix(filepath.Base(found[0]), ".dist-info"), prefix))
		if len(v) > len(c.version) && slices.Equal(v[:len(c.version)], c.version) {
			c.version, c.cuda = v, 12+i
		}
	}
	return c
}

// numbers are the numeric parts of a version, up to the first that is not a number.
func numbers(version string) (n []int) {
	for part := range strings.SplitSeq(version, ".") {
		v, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		n = append(n, v)
	}
	return n
}

// why says how a candidate was chosen among all, of which the first `failed` ones could not be opened.
func (c candidate) why(all []candidate, failed int) string {
	if c.by != "" {
		return "by " + c.by
	}
	var others []string
	for _, o := range all[failed:] {
		if o.path != c.path && o.by == "" {
			others = append(others, fmt.Sprintf("%s in %s", o.versionText(), filepath.Dir(o.path)))
		}
	}
	text := "the only one"
	if len(others) > 0 {
		text = "the newest; there is " + strings.Join(others, ", ")
	}
	switch {
	case failed == 1:
		text += "; 1 doesn't open"
	case failed > 1:
		text += fmt.Sprintf("; %d don't open", failed)
	}
	return text
}

// versionText is the version as far as it is known.
func (c candidate) versionText() string {
	parts := make([]string, len(c.version))
	for i, n := range c.version {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}
