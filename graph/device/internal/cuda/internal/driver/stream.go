//go:build gpu

package driver

import (
	"errors"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work for a GPU, which does it in the order of the calls. It belongs to the GPU's primary
// context.
type Stream struct {
	gpu     cu.Device
	context cu.CUContext
	stream  cu.Stream
}

// NewStream returns a stream of a GPU.
func (g GPU) NewStream() (*Stream, error) {
	s := &Stream{gpu: g.device}
	var err error
	if s.context, err = s.gpu.RetainPrimaryCtx(); err != nil {
		return nil, explain(err)
	}
	err = s.Within(func() (err error) {
		s.stream, err = cu.MakeStream(cu.NonBlocking)
		return explain(err)
	})
	if err != nil {
		return nil, errors.Join(err, explain(s.gpu.ReleasePrimaryCtx()))
	}
	return s, nil
}

// Close releases the stream and its context.
func (s *Stream) Close() error {
	err := s.Within(func() error { return explain(s.stream.Destroy()) })
	return errors.Join(err, explain(s.gpu.ReleasePrimaryCtx()))
}

// Within calls f on a thread that has the GPU's context.
func (s *Stream) Within(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(s.context); err != nil {
		return explain(err)
	}
	return f()
}

// Context is the CUcontext, for C of other packages.
func (s *Stream) Context() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&s.context)) }

// Handle is the CUstream.
func (s *Stream) Handle() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&s.stream)) }
func (s *Stream) Synchronize() error     { return explain(s.stream.Synchronize()) }

// Upload queues a copy from pinned memory of the host.
func (s *Stream) Upload(dst, src unsafe.Pointer, bytes int) error {
	return explain(cu.MemcpyHtoDAsync(address(dst), src, int64(bytes), s.stream))
}

// Download queues a copy to pinned memory of the host.
func (s *Stream) Download(dst, src unsafe.Pointer, bytes int) error {
	return explain(cu.MemcpyDtoHAsync(dst, address(src), int64(bytes), s.stream))
}

// Copy queues a copy within the GPU's memory.
func (s *Stream) Copy(dst, src unsafe.Pointer, bytes int64) error {
	return explain(cu.MemcpyDtoDAsync(address(dst), address(src), bytes, s.stream))
}

// Zero queues the zeroing of memory.
func (s *Stream) Zero(p unsafe.Pointer, bytes int64) error {
	return explain(cu.MemsetD8Async(address(p), 0, bytes, s.stream))
}
