package train

import (
	"testing"

	"github.com/histdist/histdist/graph/device/ref"
	"github.com/histdist/histdist/graph/op"
)

// BenchmarkMovingAverage reports the bytes that the average reads and writes a second: 12 for a parameter.
func BenchmarkMovingAverage(b *testing.B) {
	s := op.NewScope("network")
	for _, name := range []string{"a", "b", "c"} {
		s.Param(name, 4096, 4096)
	}
	if err := s.Err(); err != nil {
		b.Fatal(err)
	}
	state, err := newState(ref.New(), s.Params(), true)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := state.close(); err != nil {
			b.Error(err)
		}
	}()
	b.SetBytes(3 * 4096 * 4096 * 12)
	for b.Loop() {
		state.average(0.999)
	}
}
