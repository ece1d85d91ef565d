package devicetest

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
)

// poison fills memory that a kernel must not read: 0xFF… is a NaN in every floating-point type and −1 as an id.
const poison = 0xFF

// guard is the number of poisoned bytes before and after every block. It keeps the 64-byte alignment.
const guard = 64

// memory allocates and checks a kernel's operands on the device. Runs use it in turn.
type memory struct {
	device device.Device
	all    []*block
	spare  []device.Memory // of earlier runs
}

// block is device memory between guards.
type block struct {
	memory device.Memory
	ptr    device.Pointer
	bytes  int64
	data   []byte // its contents; nil where one byte fills it
	lead   int64  // bytes before ptr
	name   string
}

// block takes memory and uploads data. It begins shift bytes after an aligned address.
func (m *memory) block(data []byte, shift int64) (*block, error) {
	b, err := m.take(int64(len(data)), shift)
	if err != nil {
		return nil, err
	}
	b.data = data
	return b, m.device.Upload(b.ptr, data)
}

// filled takes memory and writes the same byte everywhere.
func (m *memory) filled(x byte, bytes int64) (*block, error) {
	b, err := m.take(bytes, 0)
	if err != nil {
		return nil, err
	}
	return b, m.fill(b.ptr, x, bytes)
}

// take returns memory whose guards are set.
func (m *memory) take(bytes, shift int64) (*block, error) {
	lead := guard + shift
	mem, err := m.alloc(lead + bytes + guard)
	if err != nil {
		return nil, err
	}
	b := &block{memory: mem, ptr: unsafe.Add(mem.Ptr, lead), bytes: bytes, lead: lead}
	m.all = append(m.all, b)
	return b, errors.Join(m.fill(mem.Ptr, poison, lead), m.fill(unsafe.Add(b.ptr, bytes), poison, guard))
}

// alloc prefers memory of an earlier run.
func (m *memory) alloc(bytes int64) (device.Memory, error) {
	for i, s := range m.spare {
		if s.Bytes >= bytes && s.Bytes <= bytes+guard {
			m.spare = append(m.spare[:i], m.spare[i+1:]...)
			return s, nil
		}
	}
	return m.device.Alloc(bytes)
}

// reuse keeps the memory of a run for the next one.
func (m *memory) reuse() {
	for _, b := range m.all {
		m.spare = append(m.spare, b.memory)
	}
	m.all = nil
}

// close frees the memory.
func (m *memory) close() (err error) {
	m.reuse()
	for _, s := range m.spare {
		err = errors.Join(err, m.device.Free(s))
	}
	m.spare = nil
	return err
}

// workspace is poisoned memory; nil if none is needed.
func (m *memory) workspace(size int64) (device.Pointer, error) {
	if size == 0 {
		return nil, nil
	}
	if size < 0 {
		return nil, fmt.Errorf("a workspace of %d bytes", size)
	}
	b, err := m.filled(poison, size)
	if err != nil {
		return nil, err
	}
	b.name = "the workspace"
	return b.ptr, nil
}

// fill writes the same byte everywhere, a piece at a time: no kernel's memory comes twice.
func (m *memory) fill(p device.Pointer, x byte, n int64) error {
	piece := bytes.Repeat([]byte{x}, int(min(n, 64<<10)))
	for at := int64(0); at < n; at += int64(len(piece)) {
		if err := m.device.Upload(unsafe.Add(p, at), piece[:min(int64(len(piece)), n-at)]); err != nil {
			return err
		}
	}
	return nil
}

// read returns a block's bytes on the device.
func (m *memory) read(b *block) ([]byte, error) {
	data := make([]byte, b.bytes)
	return data, m.device.Download(data, b.ptr)
}

// intact reports whether the guards of all blocks and the inputs that are not written are as they were.
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
		for _, g := range []struct{ from, n int64 }{{-b.lead, b.lead}, {b.bytes, guard}} {
			bytes := make([]byte, g.n)
			if err := m.device.Download(bytes, unsafe.Add(b.ptr, g.from)); err != nil {
				return err
			}
			for i, x := range bytes {
				if x != poison {
					return fmt.Errorf("byte %d of %s, which has %d, was written", int(g.from)+i, b.name, b.bytes)
				}
			}
		}
		if kept[b] {
			data, err := m.read(b)
			if err != nil {
				return err
			}
			if !bytes.Equal(data, b.data) {
				return fmt.Errorf("%s was written", b.name)
			}
		}
	}
	return nil
}
