//go:build gpu

package driver

// #include "driver.h"
import "C"

// Graph is recorded work.
type Graph struct{ exec C.CUgraphExec }

// BeginCapture records the work that this thread puts into the stream from now on, instead of doing it.
func (s *Stream) BeginCapture() error { return result(C.hd_capture(streamOf(s))) }

// EndCapture ends the recording.
func (s *Stream) EndCapture() (g Graph, err error) {
	err = result(C.hd_captured(streamOf(s), &g.exec))
	return g, err
}

// DropCapture ends a recording that failed; its error is known already.
func (s *Stream) DropCapture() { C.hd_captured(streamOf(s), nil) }

// Replay queues recorded work.
func (s *Stream) Replay(g Graph) error { return result(C.hd_replay(contextOf(s), g.exec, streamOf(s))) }

// Destroy frees the recording.
func (g Graph) Destroy() error { return result(C.cuGraphExecDestroy(g.exec)) }
