//go:build gpu

package nccl

/*
#cgo LDFLAGS: -lcuda
#include "nccl.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
)

// Group is GPUs that sum their tensors.
type Group struct {
	streams   []*driver.Stream
	library   *nvlib.Library
	functions C.hd_nccl
	comms     []unsafe.Pointer
}

// open opens NCCL for the streams of this process's GPUs and a driver that knows CUDA version version.
func open(streams []*driver.Stream, version int) (*Group, error) {
	l, err := nvlib.NCCL.Open(version)
	if err != nil {
		return nil, fmt.Errorf("cuda: several GPUs: %w", err)
	}
	g := &Group{streams: streams, library: l}
	for name, to := range map[string]*unsafe.Pointer{
		"ncclCommInitAll":    (*unsafe.Pointer)(unsafe.Pointer(&g.functions.init_all)),
		"ncclGetUniqueId":    (*unsafe.Pointer)(unsafe.Pointer(&g.functions.unique_id)),
		"ncclCommInitRank":   (*unsafe.Pointer)(unsafe.Pointer(&g.functions.init_rank)),
		"ncclAllReduce":      (*unsafe.Pointer)(unsafe.Pointer(&g.functions.all_reduce)),
		"ncclReduce":         (*unsafe.Pointer)(unsafe.Pointer(&g.functions.reduce)),
		"ncclBroadcast":      (*unsafe.Pointer)(unsafe.Pointer(&g.functions.broadcast)),
		"ncclGroupStart":     (*unsafe.Pointer)(unsafe.Pointer(&g.functions.group_start)),
		"ncclGroupEnd":       (*unsafe.Pointer)(unsafe.Pointer(&g.functions.group_end)),
		"ncclCommDestroy":    (*unsafe.Pointer)(unsafe.Pointer(&g.functions.destroy)),
		"ncclGetErrorString": (*unsafe.Pointer)(unsafe.Pointer(&g.functions.error_string)),
	} {
		if *to, err = l.Symbol(name); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Join makes a group of GPUs of this process, given by their numbers and streams: see open.
func Join(ordinals []int, streams []*driver.Stream, version int) (*Group, error) {
	g, err := open(streams, version)
	if err != nil {
		return nil, err
	}
	numbers := make([]C.int, len(ordinals))
	for i, n := range ordinals {
		numbers[i] = C.int(n)
	}
	comms := make([]unsafe.Pointer, len(ordinals))
	if r := C.hd_nccl_init(&g.functions, &comms[0], C.int(len(comms)), &numbers[0]); r != 0 {
		return nil, g.explain("join the GPUs", r)
	}
	g.comms = comms
	return g, nil
}

// JoinRanks makes a group of one GPU of each of size processes, when all of them have called it. share returns in all
// processes what number 0 passes.
func JoinRanks(stream *driver.Stream, version, rank, size int, share func([]byte) ([]byte, error)) (*Group, error) {
	g, err := open([]*driver.Stream{stream}, version)
	if err != nil {
		return nil, err
	}
	var id C.hd_nccl_id
	if rank == 0 {
		if r := C.hd_nccl_unique_id(&g.functions, &id); r != 0 {
			return nil, g.explain("prepare to join the GPUs", r)
		}
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&id)), unsafe.Sizeof(id))
	shared, err := share(bytes)
	if err != nil {
		return nil, err
	}
	if copy(bytes, shared) != len(bytes) {
		return nil, fmt.Errorf("cuda: NCCL's identifier has %d bytes, want %d", len(shared), len(bytes))
	}
	comms := make([]unsafe.Pointer, 1)
	err = stream.Within(func() error {
		if r := C.hd_nccl_init_rank(&g.functions, &comms[0], C.int(size), &id, C.int(rank)); r != 0 {
			return g.explain("join the GPUs of all ranks", r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	g.comms = comms
	return g, nil
}

// explain is an error in NCCL's words.
func (g *Group) explain(doing string, r C.int) error {
	return fmt.Errorf("cuda: %s: %s (%d) of %v; NCCL_DEBUG=INFO makes it say more",
		doing, C.GoString(C.hd_nccl_error(&g.functions, r)), int(r), g.library)
}

// How numbers move.
type How int

// What moves: see device.Group.
const (
	Sum How = iota
	Reduce
	Spread
)

// Move queues what moves float32 in the GPUs' streams: sizes[t] is the size of tensor t, owners[t] the number of the
// GPU that owns it, addresses[t·n + i] where GPU i of this process's n holds it.
func (g *Group) Move(how How, addresses []unsafe.Pointer, sizes, owners []int) error {
	n := len(g.streams)
	contexts, streams := make([]C.CUcontext, n), make([]C.CUstream, n)
	for i, s := range g.streams {
		contexts[i], streams[i] = C.CUcontext(s.Context()), C.CUstream(s.Handle())
	}
	counts, roots := make([]C.size_t, len(sizes)), make([]C.int, len(sizes))
	for i, size := range sizes {
		counts[i], roots[i] = C.size_t(size), C.int(owners[i])
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r := C.hd_nccl_move(&g.functions, C.int(how), &g.comms[0], C.int(n), &contexts[0], &streams[0], &addresses[0],
		&counts[0], &roots[0], C.size_t(len(counts))); r != 0 {
		return g.explain("sum over the GPUs", r)
	}
	return nil
}

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
