//go:build gpu

package cuda

// #include <stdlib.h>
// #include "driver.h"
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device/cuda/internal/kernels"
)

// modules are the families of kernels. The driver compiles one for its GPU when the first of its kernels is asked for.
type modules struct {
	mu        sync.Mutex
	texts     map[string]string // by file
	files     map[string]string // by kernel: the file that has it
	loaded    map[string]cu.Module
	functions map[string]cu.Function
}

// read finds out which file has which kernel.
func (m *modules) read() error {
	m.texts, m.files = map[string]string{}, map[string]string{}
	m.loaded, m.functions = map[string]cu.Module{}, map[string]cu.Function{}
	families, err := kernels.Families()
	if err != nil {
		return err
	}
	for _, f := range families {
		m.texts[f.File] = f.PTX
		for _, kernel := range f.Kernels {
			m.files[kernel] = f.File
		}
	}
	return nil
}

// load has the driver compile a family's kernels for the GPU.
func (m *modules) load(file string) (module cu.Module, err error) {
	if module, ok := m.loaded[file]; ok {
		return module, nil
	}
	text := C.CString(m.texts[file])
	defer C.free(unsafe.Pointer(text))
	log := (*C.char)(C.calloc(1, 4096))
	defer C.free(unsafe.Pointer(log))
	if err := result(C.hd_module_load((*C.CUmodule)(unsafe.Pointer(&module)), text, log, 4096)); err != nil {
		return module, fmt.Errorf("the driver can't compile %s: %w %s", file, err, C.GoString(log))
	}
	m.loaded[file] = module
	return module, nil
}

// function finds a kernel by its name.
func (d *Device) function(name string) (f cu.Function, err error) {
	m := &d.modules
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.functions[name]; ok {
		return f, nil
	}
	file, ok := m.files[name]
	if !ok {
		return f, fmt.Errorf("kernel %s: no gen_*.ptx has it", name)
	}
	err = d.within(func() error {
		module, err := m.load(file)
		if err != nil {
			return err
		}
		f, err = module.Function(name)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("kernel %s: %w", name, err)
	}
	m.functions[name] = f
	return f, nil
}

// unload gives the kernels back.
func (m *modules) unload() (errs []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, module := range m.loaded {
		errs = append(errs, explain(module.Unload()))
	}
	return errs
}
