package parallel_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/histdist/histdist/internal/parallel"
)

func TestRangesCoverEachIndexOnce(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 1000} {
		calls := make([]int32, n)
		parallel.Ranges(n, 8, func(from, to int) {
			if from >= to || to-from > 8 {
				t.Errorf("range [%d,%d) of %d", from, to, n)
			}
			for i := from; i < to; i++ {
				atomic.AddInt32(&calls[i], 1)
			}
		})
		for i, c := range calls {
			if c != 1 {
				t.Errorf("%d of %d is in %d ranges", i, n, c)
			}
		}
	}
}

func TestEachStopsAtAnError(t *testing.T) {
	failure := errors.New("failure")
	var calls, running atomic.Int32
	err := parallel.Each(t.Context(), 1000, 3, func(i int) error {
		calls.Add(1)
		if now := running.Add(1); now > 3 {
			t.Errorf("%d calls at the same time", now)
		}
		defer running.Add(-1)
		if i == 10 {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want that of the call", err)
	}
	if n := running.Load(); n != 0 {
		t.Errorf("%d of %d calls are still running", n, calls.Load())
	}
}

func TestEachEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	var calls atomic.Int32
	err := parallel.Each(ctx, 1000, 1, func(i int) error {
		if calls.Add(1) == 5 {
			cancel(stop)
		}
		return nil
	})
	if !errors.Is(err, stop) || calls.Load() != 5 {
		t.Errorf("error %v after %d calls, want the context's cause after 5", err, calls.Load())
	}
}

func TestAheadKeepsTheOrderAndTheFirstError(t *testing.T) {
	failure := errors.New("failure")
	for _, c := range []struct {
		name                string
		values, fails, stop int // next ends or fails after so many; use fails at one
		used                int
		err                 error
	}{
		{"all", 100, -1, -1, 100, nil},
		{"none", 0, -1, -1, 0, nil},
		{"next fails", 100, 7, -1, 7, failure},
		{"use fails", 100, -1, 7, 8, failure},
		{"the last use fails", 8, -1, 7, 8, failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, used := 0, 0
			err := parallel.Ahead(func() (int, error) {
				switch made {
				case c.fails:
					return 0, failure
				case c.values:
					return 0, io.EOF
				}
				made++
				return made - 1, nil
			}, func(v int) error {
				if v != used {
					t.Errorf("value %d after %d", v, used)
				}
				used++
				if v == c.stop {
					return failure
				}
				return nil
			})
			if !errors.Is(err, c.err) || used != c.used {
				t.Errorf("error %v after %d values, want %v after %d", err, used, c.err, c.used)
			}
			if made > used+3 {
				t.Errorf("%d values were made ahead", made-used)
			}
		})
	}
}
