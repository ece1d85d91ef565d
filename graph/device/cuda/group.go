//go:build gpu

package cuda

// #include "group.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda/internal/nvlib"
)

// Group is GPUs of one machine that add up what each of them holds, by NCCL.
type Group struct {
	members   []*Device
	library   *nvlib.Library
	functions C.hd_nccl
	comms     []unsafe.Pointer
}

var _ device.Group = (*Group)(nil)

// NewGroup joins GPUs. They stay the caller's, and must outlive the group.
func NewGroup(members []*Device) (*Group, error) {
	if len(members) == 0 {
		return nil, errors.New("cuda: a group of no GPUs")
	}
	l, err := nvlib.NCCL.Open(members[0].version)
	if err != nil {
		return nil, fmt.Errorf("cuda: several GPUs: %w", err)
	}
	g := &Group{members: members, library: l}
	for name, to := range map[string]*unsafe.Pointer{
		"ncclCommInitAll":    (*unsafe.Pointer)(unsafe.Pointer(&g.functions.init_all)),
		"ncclAllReduce":      (*unsafe.Pointer)(unsafe.Pointer(&g.functions.all_reduce)),
		"ncclGroupStart":     (*unsafe.Pointer)(unsafe.Pointer(&g.functions.group_start)),
		"ncclGroupEnd":       (*unsafe.Pointer)(unsafe.Pointer(&g.functions.group_end)),
		"ncclCommDestroy":    (*unsafe.Pointer)(unsafe.Pointer(&g.functions.destroy)),
		"ncclGetErrorString": (*unsafe.Pointer)(unsafe.Pointer(&g.functions.error_string)),
	} {
		if *to, err = l.Symbol(name); err != nil {
			return nil, err
		}
	}
	ordinals := make([]C.int, len(members))
	for i, d := range members {
		ordinals[i] = C.int(d.ordinal)
	}
	comms := make([]unsafe.Pointer, len(members))
	if r := C.hd_nccl_init(&g.functions, &comms[0], C.int(len(members)), &ordinals[0]); r != 0 {
		return nil, g.explain("join the GPUs", r)
	}
	g.comms = comms
	return g, nil
}

// explain is an error in NCCL's words.
func (g *Group) explain(doing string, r C.int) error {
	return fmt.Errorf("cuda: %s: %s (%d) of %v; NCCL_DEBUG=INFO makes it say more", doing, C.GoString(C.hd_nccl_error(&g.functions, r)), int(r), g.library)
}

// Sum queues the sums behind what the GPUs do.
func (g *Group) Sum(tensors []device.Parts) error {
	n := len(g.members)
	if len(tensors) == 0 {
		return nil
	}
	addresses, sizes := make([]unsafe.Pointer, 0, n*len(tensors)), make([]C.size_t, len(tensors))
	for i, t := range tensors {
		if len(t.At) != n {
			return fmt.Errorf("cuda: sum: %d addresses for %d GPUs", len(t.At), n)
		}
		addresses = append(addresses, t.At...)
		sizes[i] = C.size_t(t.N)
	}
	contexts, streams := make([]C.CUcontext, n), make([]C.CUstream, n)
	for i, d := range g.members {
		d.order.Lock()
		defer d.order.Unlock()
		contexts[i], streams[i] = contextOf(d.context), streamOf(d.stream)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r := C.hd_nccl_sum(&g.functions, &g.comms[0], C.int(n), &contexts[0], &streams[0], &addresses[0], &sizes[0], C.size_t(len(tensors))); r != 0 {
		return g.explain("sum over the GPUs", r)
	}
	return nil
}

// Close parts the GPUs.
func (g *Group) Close() error {
	var errs []error
	for _, c := range g.comms {
		if r := C.hd_nccl_destroy(&g.functions, c); r != 0 {
			errs = append(errs, g.explain("part the GPUs", r))
		}
	}
	g.comms = nil
	return errors.Join(errs...)
}
