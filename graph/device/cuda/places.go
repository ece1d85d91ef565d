//go:build gpu

package cuda

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// search is where libraries are looked for.
type search struct {
	named   []string // folders that the user named: the first library there is the one
	by      string   // the variable that named them
	folders []string // others: the newest library is the one
	loader  bool     // then where the system's loader looks
}

// whereToLook reads Options.Libraries, or what says the same in the environment.
func whereToLook(folders string) (search, error) {
	by := "Options.Libraries"
	if folders == "" {
		folders, by = os.Getenv(librariesVariable), librariesVariable
	}
	switch folders {
	case noLibraries:
		return search{}, fmt.Errorf("%w: switched off (%s=%s)", ErrNoLibrary, by, noLibraries)
	case "":
		return search{loaderFolders(os.Getenv), loaderVariable, usualFolders(os.Getenv, filepath.Glob), true}, nil
	}
	return search{named: filepath.SplitList(folders), by: by}, nil
}

// String lists the places.
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
	version []int  // as far as names of files tell: at least the number behind .so
	cuda    int    // the CUDA that it was made for, 0 if that is unknown
	site    string // the folder of Python's packages that has it, if one has
	by      string // how it was found, unless as the newest one
}

// candidates lists the libraries there are of what is sought, the best first: those of folders that the user named, in their order; then the
// newest. It must be known before one is opened which is the best, for a process can't give a library back that has been at work. Files of
// one folder come in the order of their names. What the loader may know besides comes last.
func (s search) candidates(p sought, driver int) []candidate {
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

// candidate reads the version of a library from the name of its file, as in libcudnn.so.9.14.0, or from that of the package of Python that it is
// part of: site-packages/nvidia/cudnn/lib/libcudnn.so.9 beside site-packages/nvidia_cudnn_cu13-9.19.0.56.dist-info.
func (p sought) candidate(path, real string) candidate {
	c := candidate{path: path}
	_, behind, _ := strings.Cut(filepath.Base(real), ".so.")
	c.version = numbers(behind)
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

// numbers are those of a version, up to the first part that is none.
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

// why says how a candidate was chosen among all of which the first failed ones didn't open.
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

// loaderVariable has folders in which the system's loader looks before all others: who sets it wants what lies there.
const loaderVariable = "LD_LIBRARY_PATH"

func loaderFolders(env func(string) string) []string {
	return strings.FieldsFunc(env(loaderVariable), func(r rune) bool { return r == ':' || r == ';' })
}

// usualFolders lists the folders of this machine in which NVIDIA's libraries may lie, toolkits, the system's
// packages, environments of Python. No program is run for it.
func usualFolders(env func(string) string, glob func(string) ([]string, error)) []string {
	var folders []string
	add := func(patterns ...string) {
		for _, pattern := range patterns {
			found, err := glob(pattern)
			if err != nil { // a variable that holds a bad pattern
				continue
			}
			slices.Reverse(found) // later versions first
			for _, f := range found {
				if !slices.Contains(folders, f) {
					folders = append(folders, f)
				}
			}
		}
	}
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if root := env(variable); root != "" {
			add(root+"/lib64", root+"/lib")
		}
	}
	add("/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/opt/cuda/lib64")
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	add("/usr/lib/"+arch+"-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
	for _, root := range pythons(env, glob) {
		for _, site := range []string{"/lib/python3*/site-packages", "/lib/python3*/dist-packages", "/lib64/python3*/site-packages"} {
			// nvidia/cu13/lib has what is of CUDA 13, nvidia/cublas/lib, nvidia/cudnn/lib … the rest.
			add(root + site + "/nvidia/*/lib")
		}
	}
	if root := env("CONDA_PREFIX"); root != "" {
		add(root + "/lib")
	}
	add("/opt/conda/lib")
	return folders
}

// pythons lists the folders that hold Python environments: the active one, that of the python3 on the path, the system's, and such as images
// for machine learning have.
func pythons(env func(string) string, glob func(string) ([]string, error)) []string {
	var roots []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if root := env(variable); root != "" {
			roots = append(roots, root)
		}
	}
	for _, folder := range filepath.SplitList(env("PATH")) {
		program := filepath.Join(folder, "python3")
		if _, err := os.Stat(program); err != nil {
			continue
		}
		// The python3 of an environment is a link to the one that it was made of, and may be linked to: each has a folder of packages.
		for range 16 {
			roots = append(roots, filepath.Dir(filepath.Dir(program)))
			to, err := os.Readlink(program)
			if err != nil {
				break
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(program), to)
			}
			program = filepath.Clean(to)
		}
	}
	roots = append(roots, "/usr/local", "/usr")
	if home := env("HOME"); home != "" {
		roots = append(roots, home+"/.local")
	}
	for _, pattern := range []string{"/opt/*/.venv", "/opt/*venv*", "/opt/conda"} {
		if found, err := glob(pattern); err == nil {
			roots = append(roots, found...)
		}
	}
	return roots
}
