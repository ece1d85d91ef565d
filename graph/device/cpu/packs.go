package cpu

// #include "kernels.h"
import "C"

import (
	"sync"

	"github.com/histdist/histdist/graph/device"
)

// packs are the rearranged weights of a device. Programs that use one weight in the same way share the copy.
type packs struct {
	mu   sync.Mutex
	live map[packKey]*pack
}

// packKey is a weight and how it is rearranged.
type packKey struct {
	weight    device.Pointer // its Identity
	n, k      C.long
	features  device.DType // what it is multiplied with
	layout    int
	algorithm int
}

type pack struct {
	key    packKey
	memory device.Memory
	users  int
}

// get returns the copy for a key, made by fill if there is none yet.
func (p *packs) get(key packKey, bytes int64, d *Device, fill func(device.Pointer)) (*pack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.live[key]; found != nil {
		found.users++
		return found, nil
	}
	m, err := d.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	fill(m.Ptr)
	if p.live == nil {
		p.live = map[packKey]*pack{}
	}
	p.live[key] = &pack{key, m, 1}
	return p.live[key], nil
}

func (p *packs) release(k *pack, d *Device) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.users--; k.users > 0 {
		return nil
	}
	delete(p.live, k.key)
	return d.Free(k.memory)
}

// packedKernel is a kernel that may hold a rearranged weight.
type packedKernel struct {
	kernel
	device *Device
	packed *pack // nil: the weight is read as it is
}

// Unread is the weight, input 1, once it is rearranged.
func (k *packedKernel) Unread() []int {
	if k.packed == nil {
		return nil
	}
	return []int{1}
}

// Close gives the copy back.
func (k *packedKernel) Close() error {
	if k.packed == nil {
		return nil
	}
	p := k.packed
	k.packed = nil
	return k.device.packs.release(p, k.device)
}
