package devicetest

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
)

// poison fills what a kernel must not read: 0xFF… is a NaN in every floating-point type and −1 as an id.
const poison = 0xFF

// guard is the number of poisoned bytes before and behind every block. It keeps the 64-byte alignment.
const guard = 64

// memory is what a run of a kernel needs on the device.
type memory struct {
	device device.Device
	all    []*block
}

// block is device memory between guards.
type block struct {
	memory device.Memory
	ptr    device.Pointer
	data   []byte // what was written into it
	lead   int64  // bytes before ptr
	name   string
}

// block allocates memory for data and uploads it. It begins shift bytes behind an aligned address.
func (m *memory) block(data []byte, shift int64) (*block, error) {
	lead := guard + shift
	mem, err := m.device.Alloc(lead + int64(len(data)) + guard)
	if err != nil {
		return nil, err
	}
	b := &block{memory: mem, ptr: unsafe.Add(mem.Ptr, lead), data: data, lead: lead}
	m.all = append(m.all, b)
	all := bytes.Repeat([]byte{poison}, int(mem.Bytes))
	copy(all[lead:], data)
	return b, m.device.Upload(mem.Ptr, all)
}

// workspace is poisoned memory; nil if none is needed.
func (m *memory) workspace(size int64) (device.Pointer, error) {
	if size == 0 {
		return nil, nil
	}
	if size < 0 {
		return nil, fmt.Errorf("a workspace of %d bytes", size)
	}
	b, err := m.block(bytes.Repeat([]byte{poison}, int(size)), 0)
	if err != nil {
		return nil, err
	}
	b.name = "the workspace"
	return b.ptr, nil
}

// write replaces a block's bytes on the device.
func (m *memory) write(b *block, data []byte) error { return m.device.Upload(b.ptr, data) }

// read returns a block's bytes on the device.
func (m *memory) read(b *block) ([]byte, error) {
	data := make([]byte, len(b.data))
	return data, m.device.Download(data, b.ptr)
}

// intact tells whether the guards of all blocks and the inputs that are not written are as they were.
func (m *memory) intact(out *block, in []*block, written []int) error {
	out.name = "the output"
	kept := map[*block]bool{}
	for i, b := range in {
		b.name = fmt.Sprintf("input %d", i)
		kept[b] = true
	}
	for _, i := range written {
		kept[in[i]] = false
	}
	for _, b := range m.all {
		all := make([]byte, b.memory.Bytes)
		if err := m.device.Download(all, b.memory.Ptr); err != nil {
			return err
		}
		end := int(b.lead) + len(b.data)
		for i, x := range all {
			if (i < int(b.lead) || i >= end) && x != poison {
				return fmt.Errorf("byte %d of %s, which has %d, was written", i-int(b.lead), b.name, len(b.data))
			}
		}
		if kept[b] && !bytes.Equal(all[b.lead:end], b.data) {
			return fmt.Errorf("%s was written", b.name)
		}
	}
	return nil
}

func (m *memory) free() (err error) {
	for _, b := range m.all {
		err = errors.Join(err, m.device.Free(b.memory))
	}
	return err
}
