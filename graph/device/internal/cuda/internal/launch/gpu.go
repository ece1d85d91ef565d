//go:build gpu

package launch

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
)

// GPU is where kernels are launched.
type GPU struct {
	Name   string // for errors, such as "cuda:0"
	Stream *driver.Stream
	Fault  unsafe.Pointer // address for kernels' errors: Fault of arrange.cu

	mu        sync.Mutex
	texts     map[string]string // PTX by file
	files     map[string]string // by kernel: the file that has it
	loaded    map[string]driver.Module
	functions map[string]driver.Function
}

// Index finds out which file has which kernel.
func (g *GPU) Index() error {
	g.texts, g.files = map[string]string{}, map[string]string{}
	g.loaded, g.functions = map[string]driver.Module{}, map[string]driver.Function{}
	families, err := kernels.Families()
	if err != nil {
		return err
	}
	for _, f := range families {
		g.texts[f.File] = f.PTX
		for _, kernel := range f.Kernels {
			g.files[kernel] = f.File
		}
	}
	return nil
}

// Function finds a kernel by its name. The driver compiles a family for its GPU when the first of its kernels is
// asked for.
func (g *GPU) Function(name string) (f driver.Function, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.functions[name]; ok {
		return f, nil
	}
	file, ok := g.files[name]
	if !ok {
		return f, fmt.Errorf("kernel %s: no gen_*.ptx has it", name)
	}
	err = g.Stream.Within(func() error {
		module, ok := g.loaded[file]
		if !ok {
			if module, err = driver.Load(g.texts[file]); err != nil {
				return fmt.Errorf("the driver can't compile %s: %w", file, err)
			}
			g.loaded[file] = module
		}
		f, err = module.Function(name)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("kernel %s: %w", name, err)
	}
	g.functions[name] = f
	return f, nil
}

// Unload frees the kernels.
func (g *GPU) Unload() (errs []error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, module := range g.loaded {
		errs = append(errs, module.Unload())
	}
	return errs
}
