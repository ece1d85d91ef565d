//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
)

// All copies go through pinned memory of the host, so that they need not wait for each other: one half is filled
// while the other one is copied.
const (
	stageBytes = 8 << 20
	stages     = 2
)

type stage struct {
	memory unsafe.Pointer
	copied driver.Event // recorded after the last copy from it
}

func (d *Device) makeStages() (err error) {
	for i := range d.stages {
		s := &d.stages[i]
		if s.memory, err = driver.AllocPinned(stageBytes); err != nil {
			return err
		}
		if s.copied, err = driver.NewEvent(false); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) freeStages() error {
	var errs []error
	for _, s := range d.stages {
		errs = append(errs, driver.FreePinned(s.memory), s.copied.Destroy())
	}
	return errors.Join(errs...)
}

// Upload returns when src has been read; the copy takes its turn after the kernels before it.
func (d *Device) Upload(dst device.Pointer, src []byte) error {
	d.copying.Lock()
	defer d.copying.Unlock()
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	err := d.stream.Within(func() error {
		for len(src) > 0 {
			s := &d.stages[d.turn%stages]
			d.turn++
			if err := s.copied.Synchronize(); err != nil {
				return err
			}
			n := copy(device.Slice[byte](s.memory, stageBytes), src)
			if err := d.stream.Upload(dst, s.memory, n); err != nil {
				return err
			}
			if err := s.copied.Record(d.stream); err != nil {
				return err
			}
			dst, src = unsafe.Add(dst, n), src[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: upload: %w", d.Name(), err)
	}
	return nil
}

// Download waits for the kernels before it.
func (d *Device) Download(dst []byte, src device.Pointer) error {
	d.copying.Lock()
	defer d.copying.Unlock()
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	err := d.stream.Within(func() error {
		s := &d.stages[d.turn%stages]
		if err := s.copied.Synchronize(); err != nil {
			return err
		}
		for len(dst) > 0 {
			n := min(len(dst), stageBytes)
			if err := d.stream.Download(s.memory, src, n); err != nil {
				return err
			}
			if err := d.stream.Synchronize(); err != nil {
				return err
			}
			copy(dst, device.Slice[byte](s.memory, n))
			dst, src = dst[n:], unsafe.Add(src, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: download: %w", d.Name(), err)
	}
	return nil
}

func (d *Device) Copy(dst, src device.Pointer, bytes int64) error {
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	return d.stream.Within(func() error { return d.stream.Copy(dst, src, bytes) })
}
