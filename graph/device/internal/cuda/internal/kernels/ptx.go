package kernels

import (
	"embed"
	"fmt"
	"regexp"
)

//go:embed ptx/gen_*.ptx
var ptx embed.FS

// Family is the kernels of one source file, compiled to PTX.
type Family struct {
	File    string // such as "gen_matmul.ptx"
	PTX     string
	Kernels []string // the names of its kernels
}

// entry is the head of a kernel in PTX.
var entry = regexp.MustCompile(`\.entry (\w+)\(`)

// Families lists all kernels by their source files. Kernels' names are unique among all of them.
func Families() ([]Family, error) {
	files, err := ptx.ReadDir("ptx")
	if err != nil {
		return nil, err
	}
	var families []Family
	home := map[string]string{} // by kernel: the file that has it
	for _, f := range files {
		text, err := ptx.ReadFile("ptx/" + f.Name())
		if err != nil {
			return nil, err
		}
		family := Family{File: f.Name(), PTX: string(text)}
		for _, e := range entry.FindAllSubmatch(text, -1) {
			kernel := string(e[1])
			if other, twice := home[kernel]; twice {
				return nil, fmt.Errorf("kernel %s is in %s and %s: want one name for one kernel", kernel, other, f.Name())
			}
			home[kernel] = f.Name()
			family.Kernels = append(family.Kernels, kernel)
		}
		families = append(families, family)
	}
	return families, nil
}
