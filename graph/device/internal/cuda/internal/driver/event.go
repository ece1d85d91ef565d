//go:build gpu

package driver

// #include "driver.h"
import "C"

import (
	"time"
	"unsafe"

	"gorgonia.org/cu"
)

// Event is a point in a stream's work.
type Event struct{ event cu.Event }

// NewEvent returns an event; one that is timed can be asked for Until.
func NewEvent(timed bool) (Event, error) {
	flags := cu.DisableTiming
	if timed {
		flags = cu.DefaultEvent
	}
	e, err := cu.MakeEvent(flags)
	return Event{e}, explain(err)
}

// Record places the event after the stream's work so far.
func (e Event) Record(s *Stream) error { return explain(e.event.Record(s.stream)) }

// Before makes a stream's work from now on wait until the work before the event has been done.
func (e Event) Before(s *Stream) error {
	return result(C.cuStreamWaitEvent(streamOf(s), *(*C.CUevent)(unsafe.Pointer(&e.event)), 0))
}

// Synchronize waits until the work before the event has been done.
func (e Event) Synchronize() error { return explain(e.event.Synchronize()) }

// Until is the time from this event to a later one, both of which must have passed.
func (e Event) Until(later Event) (time.Duration, error) {
	milliseconds, err := e.event.Elapsed(later.event)
	return time.Duration(milliseconds * float64(time.Millisecond)), explain(err)
}

// Destroy frees the event.
func (e Event) Destroy() error { return explain(cu.DestroyEvent(&e.event)) }
