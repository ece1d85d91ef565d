package train_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// meeting stands in for NCCL: ranks, each in a goroutine as if in a process of its own, add in their order.
type meeting struct {
	group  device.Group // of all ranks' devices
	size   int
	lock   sync.Mutex
	turn   *sync.Cond
	parts  [][]device.Parts // of those who are here
	here   int
	rounds int
	err    error
}

// member is a rank's view of a meeting.
type member struct {
	*meeting
	rank int
}

func (m member) Size() int    { return m.size }
func (m member) Rank() int    { return m.rank }
func (m member) Join() error  { return nil }
func (m member) Close() error { return nil }

func (m member) Sum(tensors []device.Parts) error    { return m.meet(tensors, m.group.Sum) }
func (m member) Reduce(tensors []device.Parts) error { return m.meet(tensors, m.group.Reduce) }
func (m member) Spread(tensors []device.Parts) error { return m.meet(tensors, m.group.Spread) }

// meet waits for all ranks.
func (m member) meet(tensors []device.Parts, do func([]device.Parts) error) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.parts[m.rank] = tensors
	if m.here++; m.here < m.size {
		for round := m.rounds; round == m.rounds; {
			m.turn.Wait()
		}
		return m.err
	}
	all := make([]device.Parts, len(tensors))
	for i := range all {
		all[i].N, all[i].Owner = tensors[i].N, tensors[i].Owner
		for _, parts := range m.parts {
			if len(parts) != len(tensors) || parts[i].N != all[i].N || parts[i].Owner != all[i].Owner || len(parts[i].At) != 1 {
				m.err = errors.New("the ranks sum different tensors")
			}
			all[i].At = append(all[i].At, parts[i].At...)
		}
	}
	if m.err == nil {
		m.err = do(all)
	}
	m.here = 0
	m.rounds++
	m.turn.Broadcast()
	return m.err
}

// runRanks trains with n ranks. change may change what a rank is told.
func runRanks(
	t *testing.T, n int, c train.Config, o train.RunOptions, change func(rank int, o *train.RunOptions, stop func()),
) ([]train.Result, []error) {
	t.Helper()
	devices := make([]device.Device, n)
	for i := range devices {
		d, err := networktest.Fastest(1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		devices[i] = d
	}
	g, err := catalog.Group(devices)
	if err != nil {
		t.Fatal(err)
	}
	m := &meeting{group: g, size: n, parts: make([][]device.Parts, n)}
	m.turn = sync.NewCond(&m.lock)
	net, schedule := network(t), sdSchedule(t, c.Prediction)
	results, errs := make([]train.Result, n), make([]error, n)
	var wg sync.WaitGroup
	for rank := range n {
		wg.Go(func() {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			mine := o
			change(rank, &mine, stop)
			trainer, err := train.New(c, train.Options{
				Device: devices[rank], Group: member{m, rank}, UNet: net, Schedule: schedule,
			})
			if err != nil {
				errs[rank] = err
				return
			}
			results[rank], errs[rank] = train.Run(ctx, trainer, mine)
			errs[rank] = errors.Join(errs[rank], trainer.Close())
		})
	}
	wg.Wait()
	return results, errs
}

// skipping are examples that need not be made where they only move the noise on.
type skipping struct {
	noisy
	made *int
}

func (s skipping) Example(ctx context.Context, at train.Position, task train.Task, g *rng.Torch) (
	train.Example, error,
) {
	*s.made++
	return s.noisy.Example(ctx, at, task, g)
}

func (s skipping) Skip(ctx context.Context, _ train.Position, _ train.Task, g *rng.Torch) (train.Example, error) {
	g.Randn(make([]float32, 64))
	return train.Example{Shape: [4]int{1, 4, 4, 4}}, ctx.Err()
}

// TestRanksShareTheWork: n processes end with the bytes of n devices in one, whether they make the others' examples or
// skip them, an epoch's last step of fewer micro-steps than ranks included. Only the first one writes.
func TestRanksShareTheWork(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.CheckpointEvery = 6, 3, 3
	for n := 2; n <= 3; n++ {
		want, got := t.TempDir(), t.TempDir()
		wantLosses := runOn(t, n, c, train.RunOptions{Folder: want})
		made := make([]int, n)
		gotLosses := make([]losses, n)
		_, errs := runRanks(t, n, c, train.RunOptions{}, func(rank int, o *train.RunOptions, _ func()) {
			o.Folder, o.Observe = got, progress.On(gotLosses[rank].add)
			if o.Examples = (noisy{length: 7}); rank > 0 {
				o.Examples = skipping{noisy{length: 7}, &made[rank]}
			}
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for rank, l := range gotLosses {
			if !slices.Equal(l, wantLosses) {
				t.Errorf("rank %d of %d: losses %v, want %v", rank, n, l, wantLosses)
			}
		}
		// 6 steps are two epochs of 7 micro-steps.
		if most := 2 * (7/n + 1); made[1] == 0 || made[1] > most {
			t.Errorf("rank 1 of %d made %d examples, want %d at most", n, made[1], most)
		}
		same(t, filepath.Join(got, "checkpoint-6"), filepath.Join(want, "checkpoint-6"))
	}
}

// TestRanksStopTogether: one is told to stop, all do after the same step, and go on from there to the same bytes.
func TestRanksStopTogether(t *testing.T) {
	c := tinyRun()
	c.MaxSteps = 6
	whole, parts := t.TempDir(), t.TempDir()
	run := func(folder string, stops bool) ([]train.Result, []error) {
		return runRanks(t, 2, c, train.RunOptions{Folder: folder, Examples: noisy{length: 7}},
			func(rank int, o *train.RunOptions, stop func()) {
				o.Resume.Allowed = true
				o.Observe = progress.On(func(m train.Metrics) error {
					if stops && rank == 1 && m.Step == 2 {
						stop()
					}
					return nil
				})
			})
	}
	results, errs := run(parts, true)
	for rank, err := range errs {
		if !errors.Is(err, train.ErrStopped) || results[rank].Step != 3 {
			t.Errorf("rank %d: %v after step %d, want ErrStopped after step 3", rank, err, results[rank].Step)
		}
	}
	if want := filepath.Join(parts, "checkpoint-3"); results[0].Checkpoint != want || results[1].Checkpoint != "" {
		t.Errorf("%+v, want the checkpoint %s of rank 0 alone", results, want)
	}
	for _, folder := range []string{parts, whole} {
		if _, errs := run(folder, false); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
	}
	same(t, filepath.Join(parts, "checkpoint-6"), filepath.Join(whole, "checkpoint-6"))
}

// TestRanksSkipTogether: a loss that is not finite in one rank is a skipped step in all.
func TestRanksSkipTogether(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.MaxSkipped = 5, 1
	spoil := func(at train.Position, e *train.Example) {
		if at == (train.Position{Epoch: 0, Index: 3}) {
			e.Context[0] = float32(math.NaN())
		}
	}
	for _, most := range []int{1, 0} {
		c.MaxSkipped = most
		results, errs := runRanks(t, 2, c, train.RunOptions{Folder: t.TempDir(), Examples: noisy{length: 7, spoil: spoil}},
			func(int, *train.RunOptions, func()) {})
		for rank, err := range errs {
			switch {
			case most == 1 && (err != nil || results[rank].Skipped != 1 || results[rank].Step != 5):
				t.Errorf("rank %d: %+v, %v: want one skipped step of 5", rank, results[rank], err)
			case most == 0 && !errors.Is(err, train.ErrNotFinite):
				t.Errorf("rank %d: error %v, want ErrNotFinite", rank, err)
			}
		}
	}
}
