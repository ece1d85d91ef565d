package ranks_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/ranks"
)

func TestFind(t *testing.T) {
	type place struct {
		By                string
		Rank, Size, Local int
		Address           string
	}
	for name, test := range map[string]struct {
		env  string
		want place
		err  string
	}{
		"alone":        {"HOME=/root", place{}, ""},
		"torchrun":     {"RANK=3 WORLD_SIZE=8 LOCAL_RANK=1 MASTER_ADDR=gpu01 MASTER_PORT=29400", place{"torchrun", 3, 8, 1, "gpu01:29400"}, ""},
		"agent's port": {"RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=gpu01 MASTER_PORT=29400 TORCHELASTIC_USE_AGENT_STORE=True", place{"torchrun", 0, 2, 0, "gpu01:29401"}, ""},
		"port":         {"RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=::1 MASTER_PORT=29400 HISTDIST_PORT=7", place{"torchrun", 0, 2, 0, "[::1]:7"}, ""},
		"one":          {"RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 MASTER_ADDR=gpu01 MASTER_PORT=29400", place{}, ""},
		"slurm": {
			"SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_JOB_ID=30007 SLURM_JOB_NODELIST=gpu[07-08,11]",
			place{"Slurm", 5, 8, 1, "gpu07:15007"},
			"",
		},
		"slurm's step": {
			"SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=0 SLURM_JOB_ID=1 " +
				"SLURM_STEP_NODELIST=b2 SLURM_JOB_NODELIST=a[1-2],b2 MASTER_PORT=5",
			place{"Slurm", 0, 2, 0, "b2:5"},
			"",
		},
		"slurm's shell": {"SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_JOB_NODELIST=gpu07", place{}, ""},
		"mpi on a machine": {
			"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2",
			place{"Open MPI", 1, 2, 1, "127.0.0.1:29500"},
			"",
		},
		"mpi in slurm": {
			"OMPI_COMM_WORLD_RANK=9 OMPI_COMM_WORLD_SIZE=16 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=8 " +
				"MASTER_ADDR=gpu07 SLURM_PROCID=0 SLURM_NTASKS=16 SLURM_LOCALID=0",
			place{"Open MPI", 9, 16, 1, "gpu07:29500"},
			"",
		},
		"mpi on machines": {
			"OMPI_COMM_WORLD_RANK=9 OMPI_COMM_WORLD_SIZE=16 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=8",
			place{},
			"started by Open MPI: MASTER_ADDR is not set",
		},
		"too large": {"RANK=8 WORLD_SIZE=8 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=70000", place{}, "MASTER_PORT is \"70000\": want a number from 1 to 65535"},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(test.env) {
			key, value, _ := strings.Cut(pair, "=")
			env[key] = value
		}
		got := place{}
		l, err := ranks.Find(func(key string) string { return env[key] })
		if l != nil {
			got = place{l.By, l.Rank, l.Size, l.Local, l.Address}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: error %v, want %q", name, err, test.err)
		}
	}
}

// address is one of this machine that nobody uses.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const long = time.Minute // no test waits for it

// launches are the places of n ranks.
func launches(t *testing.T, n int) []ranks.Launch {
	t.Helper()
	var list []ranks.Launch
	at := address(t)
	for rank := range n {
		list = append(list, ranks.Launch{By: "a test", Rank: rank, Size: n, Local: rank, Address: at, Secret: []byte("s")})
	}
	return list
}

// each runs a function in every rank and returns their errors.
func each(t *testing.T, list []ranks.Launch, o ranks.Options, f func(j *ranks.Job) error) []error {
	t.Helper()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, l := range list {
		wg.Go(func() {
			var j *ranks.Job
			if j, errs[i] = ranks.Join(t.Context(), l, o); errs[i] != nil {
				return
			}
			err := f(j)
			if failed := j.Leave(err); failed != nil {
				err = failed
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

var patient = ranks.Options{Timeout: long, Silence: long, Beat: 10 * time.Millisecond}

func TestRanksMeet(t *testing.T) {
	for i, err := range each(t, launches(t, 4), patient, func(j *ranks.Job) error {
		for round := range 3 {
			got, err := j.FromFirst(t.Context(), "a number", fmt.Appendf(nil, "%d of %d", round, j.Rank()))
			if want := fmt.Sprintf("%d of 0", round); err != nil || string(got) != want {
				return fmt.Errorf("%q, %w: want %q", got, err, want)
			}
			if err := j.Agree(t.Context(), "a fact", map[string]string{"round": fmt.Sprint(round)}); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			t.Errorf("rank %d: %v", i, err)
		}
	}
}

// wantError checks that all have the same Error.
func wantError(t *testing.T, errs []error, want ...string) {
	t.Helper()
	for i, err := range errs {
		var failed *ranks.Error
		if !errors.As(err, &failed) {
			t.Errorf("rank %d: %v, want an Error", i, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(failed.Text, w) {
				t.Errorf("rank %d: %q, want %q", i, failed.Text, w)
			}
		}
	}
}

func TestRanksThatDiffer(t *testing.T) {
	errs := each(t, launches(t, 3), patient, func(j *ranks.Job) error {
		facts := map[string]string{"train.lr": "1e-4", "version": "1.0"}
		if j.Rank() == 2 {
			facts["train.lr"] = "2e-4"
		}
		return j.Agree(t.Context(), "the configuration", facts)
	})
	wantError(t, errs, "train.lr: 1e-4 on ranks 0, 1, 2e-4 on rank 2 (")
	if strings.Contains(errs[0].Error(), "version") {
		t.Errorf("what is the same is named: %v", errs[0])
	}
}

func TestRankThatFails(t *testing.T) {
	broken := errors.New("a broken image")
	for culprit := range 3 {
		errs := each(t, launches(t, 3), patient, func(j *ranks.Job) error {
			if j.Rank() == culprit {
				return broken
			}
			_, err := j.FromFirst(t.Context(), "what never comes", nil)
			return err
		})
		wantError(t, errs, fmt.Sprintf("rank %d (", culprit), "failed: a broken image")
	}
}

// A rank that ends in order while others wait for it.
func TestRankThatEndsEarly(t *testing.T) {
	errs := each(t, launches(t, 3), patient, func(j *ranks.Job) error {
		if j.Rank() == 1 {
			return nil
		}
		_, err := j.FromFirst(t.Context(), "the model", nil)
		return err
	})
	wantError(t, errs, "rank 1 (", "has ended before the model")
}

func TestRankThatHangs(t *testing.T) {
	o := patient
	o.Timeout = 200 * time.Millisecond
	for name, test := range map[string]struct {
		doing func(j *ranks.Job)
		want  string
	}{
		"one":     {func(j *ranks.Job) { j.At(7, []ranks.Doing{ranks.Summing, ranks.Learning}[j.Rank()%2]) }, "rank 1 ("},
		"earlier": {func(j *ranks.Job) { j.At(7-j.Rank()%2, ranks.Summing) }, "step 7: the other ranks have waited"},
		"all":     {func(j *ranks.Job) { j.At(7, ranks.Summing) }, "the network or a GPU hangs"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, each(t, launches(t, 3), o, func(j *ranks.Job) error {
				test.doing(j)
				<-j.Failed()
				return j.Err()
			}), test.want)
		})
	}
}

// A checkpoint may take longer than any timeout.
func TestRankThatSaves(t *testing.T) {
	o := patient
	o.Timeout = 50 * time.Millisecond
	for i, err := range each(t, launches(t, 2), o, func(j *ranks.Job) error {
		j.At(7, []ranks.Doing{ranks.Saving, ranks.Summing}[j.Rank()])
		time.Sleep(10 * o.Timeout) // only makes the watch look often enough to be wrong
		return nil
	}) {
		if err != nil {
			t.Errorf("rank %d: %v", i, err)
		}
	}
}

// A rank that falls silent, though its connection is there: a proxy stops passing on what it sends.
func TestSilentRank(t *testing.T) {
	list := launches(t, 2)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	cut := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { pass(c, list[0].Address, cut) })
		}
	})
	list[1].Address = front.Addr().String()
	o := patient
	o.Silence = 500 * time.Millisecond
	errs := each(t, list, o, func(j *ranks.Job) error {
		if j.Rank() == 0 {
			if _, err := j.FromFirst(t.Context(), "both are here", nil); err != nil {
				return err
			}
			close(cut)
		} else if _, err := j.FromFirst(t.Context(), "both are here", nil); err != nil {
			return err
		}
		<-j.Failed()
		return j.Err()
	})
	wantError(t, errs, "nothing was heard of rank")
	_ = front.Close()
	wg.Wait()
}

// pass copies both ways until it is cut; then it swallows everything.
func pass(c net.Conn, to string, cut <-chan struct{}) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		wg.Go(func() {
			buffer := make([]byte, 1<<16)
			for {
				n, err := way[0].Read(buffer)
				if err != nil {
					return
				}
				select {
				case <-cut:
				default:
					if _, err := way[1].Write(buffer[:n]); err != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestRanksThatDoNotMeet(t *testing.T) {
	o := patient
	o.Timeout = 2 * time.Second // in which the ranks that are there must come, on any machine
	for name, test := range map[string]struct {
		change func([]ranks.Launch) []ranks.Launch
		ranks  int // the first, which have an error with these words
		want   []string
	}{
		"one is missing": {
			func(l []ranks.Launch) []ranks.Launch { return slices.Delete(l, 1, 2) }, 2,
			[]string{"after 2s these of 3 ranks have not come to 127.0.0.1:", ": 1"},
		},
		"rank 0 is missing": {
			func(l []ranks.Launch) []ranks.Launch { return l[1:] }, 2, []string{"rank 0 has not answered at 127.0.0.1:"},
		},
		"another secret": {
			func(l []ranks.Launch) []ranks.Launch { l[2].Secret = []byte("x"); return l }, 2,
			[]string{"have not come", ": 2", "was turned away: it has another secret"},
		},
		"another size": {
			func(l []ranks.Launch) []ranks.Launch { l[2].Size = 4; return l }, 2, []string{"is of 4 ranks: here are 3"},
		},
		"twice": {
			func(l []ranks.Launch) []ranks.Launch { l[2].Rank = 1; return l }, 1,
			[]string{"two processes say that they are rank 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := each(t, test.change(launches(t, 3)), o, func(*ranks.Job) error { return nil })
			wantError(t, errs[:test.ranks], test.want...)
			if name == "another secret" {
				wantError(t, errs[2:], "another job listens there, or HISTDIST_JOB_SECRET is another")
			}
		})
	}
}

// Ctrl-C while the others are not there yet.
func TestJoinIsInterrupted(t *testing.T) {
	for _, l := range launches(t, 2) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ranks.Join(ctx, l, patient); !errors.Is(err, context.Canceled) {
			t.Errorf("rank %d: %v, want context.Canceled", l.Rank, err)
		}
	}
}
