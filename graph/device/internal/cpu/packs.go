package cpu

// #include "kernels.h"
import "C"

import "github.com/histdist/histdist/graph/device"

// packKey is a weight and how it is rearranged. Programs that use one weight in the same way share the copy.
type packKey struct {
	weight    device.Pointer // its Identity
	n, k      C.hd_n
	features  device.DType // of the other factor
	layout    int
	algorithm int
}

// pack returns the copy for a key, which fill makes if there is none yet.
func (d *Device) pack(key packKey, bytes int64, fill func(device.Pointer)) (*device.Held[packKey], error) {
	return d.packs.Hold(d, key, bytes, func(m device.Memory) error {
		fill(m.Ptr)
		return nil
	})
}

// Unread is the weight, input 1, once it is rearranged.
func (k *kernel) Unread() []int {
	if k.packed == nil {
		return nil
	}
	return []int{1}
}

// Close drops the rearranged weight.
func (k *kernel) Close() error {
	if k.packed == nil {
		return nil
	}
	p := k.packed
	k.packed = nil
	return k.device.packs.Drop(k.device, p)
}
