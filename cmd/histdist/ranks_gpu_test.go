//go:build gpu

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// job is a training in several processes on the fake GPUs.
type job struct {
	t        *testing.T
	fake     string
	size     int
	launcher func(rank, size int, port string) []string
	env      func(rank int) []string
	args     func(rank int) []string
}

// rank is one of its processes.
type rank struct {
	*exec.Cmd
	said lockedBuffer
}

// lockedBuffer is read while a process writes it.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func torchrun(rank, size int, port string) []string {
	return []string{
		"RANK=" + strconv.Itoa(rank), "WORLD_SIZE=" + strconv.Itoa(size), "LOCAL_RANK=" + strconv.Itoa(rank),
		"MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port,
	}
}

func srun(rank, size int, port string) []string {
	return []string{
		"SLURM_PROCID=" + strconv.Itoa(rank), "SLURM_NTASKS=" + strconv.Itoa(size), "SLURM_LOCALID=" + strconv.Itoa(rank),
		"SLURM_JOB_NODELIST=localhost", "SLURM_JOB_ID=77", "HISTDIST_PORT=" + port,
	}
}

func mpirun(rank, size int, port string) []string {
	return []string{
		"OMPI_COMM_WORLD_RANK=" + strconv.Itoa(rank), "OMPI_COMM_WORLD_SIZE=" + strconv.Itoa(size),
		"OMPI_COMM_WORLD_LOCAL_RANK=" + strconv.Itoa(rank), "OMPI_COMM_WORLD_LOCAL_SIZE=" + strconv.Itoa(size),
		"HISTDIST_PORT=" + port,
	}
}

// start starts all processes.
func (j job) start() []*rank {
	j.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		j.t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		j.t.Fatal(err)
	}
	// What ends the processes if a test is wrong.
	ctx, cancel := context.WithTimeout(j.t.Context(), 3*time.Minute)
	j.t.Cleanup(cancel)
	var list []*rank
	for i := range j.size {
		r := &rank{Cmd: exec.CommandContext(ctx, os.Args[0], append([]string{
			"train", "demo", "--set", "run.tensorboard=false", "--device", "cuda",
		}, j.args(i)...)...)}
		r.Env = append(os.Environ(), asCommand+"=1", "LD_LIBRARY_PATH="+j.fake, "HISTDIST_CUDA_LIBRARIES="+j.fake,
			"HISTDIST_FAKE_CUDA_GPUS="+strconv.Itoa(j.size))
		r.Env = append(r.Env, j.launcher(i, j.size, port)...)
		if j.env != nil {
			r.Env = append(r.Env, j.env(i)...)
		}
		r.Stdout, r.Stderr = &r.said, &r.said
		if err := r.Start(); err != nil {
			j.t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// wait returns the exit codes; −1 is a signal.
func wait(ranks []*rank) (codes []int) {
	for _, r := range ranks {
		_ = r.Wait() // the code says it
		codes = append(codes, r.ProcessState.ExitCode())
	}
	return codes
}

// want checks exit codes and that each process ends with a line that has some words.
func want(t *testing.T, ranks []*rank, code int, words ...string) {
	t.Helper()
	for i, got := range wait(ranks) {
		said := ranks[i].said.String()
		last := said[max(0, strings.LastIndex("\n"+said, "\nhistdist train: ")):]
		if got != code {
			t.Errorf("rank %d: exit code %d, want %d:\n%s", i, got, code, said)
		}
		for _, w := range words {
			if !strings.Contains(last, w) {
				t.Errorf("rank %d ends with %q: want %q", i, last, w)
			}
		}
	}
}

// sharedSteps are the steps of a shared run.
const sharedSteps = 3

// shared are the arguments of a run whose steps have four micro-steps, an epoch.
func shared(t *testing.T, pairs, output string, more ...string) func(int) []string {
	return func(int) []string {
		return append(append(tinyTraining(t, pairs, output), "--resume", auto, "--set", "data.crop=32",
			"--set", fmt.Sprintf("train.steps=%d", sharedSteps), "--set", "train.accumulate=4", "--set",
			"train.checkpoint-every=1", "--set", "train.validate-every=0"), more...)
	}
}

// learnt are the files of a run's last checkpoint that don't name the machine.
func learnt(t *testing.T, output string) string { return learntBy(t, output, "unet") }

// learntBy are those of a network or an adapter.
func learntBy(t *testing.T, output, part string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{part, part + "_ema", "optimizer"} {
		files, err := filepath.Glob(filepath.Join(output, fmt.Sprintf("checkpoint-%d", sharedSteps), name, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s: %v", name, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	return all.String()
}

// Two and four processes end with the bytes of two and four GPUs in one process, whichever launcher started them.
func TestRanks(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs := tinyPairs(t, dir)
	for name, c := range map[string]struct {
		size     int
		launcher func(rank, size int, port string) []string
		devices  string
		part     string
		more     []string
	}{
		"torchrun": {2, torchrun, "cuda:0,cuda:1", "unet", []string{"--set", "train.bucket-mb=0.02"}},
		"srun":     {4, srun, "cuda:0,cuda:1,cuda:2,cuda:3", "unet", nil},
		"mpirun":   {2, mpirun, "cuda:0,cuda:1", "unet", []string{"--set", "train.shard-optimizer=true"}},
		"adapter": {2, torchrun, "cuda:0,cuda:1", "adapter", []string{
			"--set", "train.adapter=lora", "--set", "train.shard-optimizer=true",
		}},
	} {
		if testing.Short() && name == "mpirun" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			one, several := filepath.Join(dir, name+"-one"), filepath.Join(dir, name)
			code, said := trainOnFake(t, fake, "HISTDIST_FAKE_CUDA_GPUS=4",
				append(shared(t, pairs, one, c.more...)(0), "--device", c.devices)...)
			if code != exitOK {
				t.Fatalf("exit code %d:\n%s", code, said)
			}
			ranks := job{
				t: t, fake: fake, size: c.size, launcher: c.launcher, args: shared(t, pairs, several, c.more...),
				env: func(rank int) []string {
					// Streams that nobody waits for work as late, or as early, as GPUs may.
					return []string{"HISTDIST_FAKE_CUDA_ORDER=" + []string{"early", "late"}[rank%2]}
				},
			}.start()
			want(t, ranks, exitOK)
			if learntBy(t, one, c.part) != learntBy(t, several, c.part) {
				t.Error("the weights differ from those of one process")
			}
			if said := ranks[0].said.String(); !strings.Contains(said, "slowest GPU") {
				t.Errorf("nothing of the slowest GPU:\n%s", said)
			}
			for _, r := range ranks[1:] {
				if said := r.said.String(); said != "" {
					t.Errorf("another rank than the first says:\n%s", said)
				}
			}
		})
	}
}

// Gradients are summed in buckets while the backward pass goes on: between the sums of a step the GPUs are given more
// of its kernels, without waiting for anything. That holds for GPUs of one process, too.
func TestRanksSumDuringTheBackwardPass(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs := tinyPairs(t, dir)
	trace := func(name string) string { return filepath.Join(dir, name+".log") }
	small := []string{"--set", "train.bucket-mb=0.02"}
	code, said := trainOnFake(t, fake, "HISTDIST_FAKE_CUDA_LOG="+trace("one"),
		append(shared(t, pairs, filepath.Join(dir, "one"), small...)(0), "--device", "cuda:0,cuda:1")...)
	if code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	want(t, job{
		t: t, fake: fake, size: 2, launcher: torchrun, args: shared(t, pairs, filepath.Join(dir, "two"), small...),
		env: func(rank int) []string { return []string{"HISTDIST_FAKE_CUDA_LOG=" + trace(strconv.Itoa(rank))} },
	}.start(), exitOK)
	for _, name := range []string{"one", "0", "1"} {
		text, err := os.ReadFile(trace(name))
		if err != nil {
			t.Fatal(err)
		}
		overlaps := 0
		summing, recorded := false, 0
		for line := range strings.Lines(string(text)) {
			switch {
			case strings.HasPrefix(line, "launch nccl"):
				overlaps += recorded
				summing, recorded = true, 0
			case strings.HasPrefix(line, "synchronize"):
				summing, recorded = false, 0
			case strings.HasPrefix(line, "replay") && summing:
				recorded++
			}
		}
		if least := 2 * (sharedSteps - 1); overlaps < least {
			t.Errorf("%s: kernels of the backward pass are between two sums %d times in %d steps: want %d at least",
				name, overlaps, sharedSteps, least)
		}
	}
}

// A checkpoint of two ranks goes on with four, in the same order of data.
func TestRanksResumeInAnotherNumber(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs, output := tinyPairs(t, dir), filepath.Join(dir, "run")
	steps := func(n int, more ...string) func(int) []string {
		return shared(t, pairs, output, append(more, "--set", fmt.Sprintf("train.steps=%d", n))...)
	}
	want(t, job{t: t, fake: fake, size: 2, launcher: torchrun, args: steps(1)}.start(), exitOK)
	want(t, job{t: t, fake: fake, size: 4, launcher: torchrun, args: steps(2)}.start(), exitRestart,
		"devices: 2 in the checkpoint, 4 now", "--accept-changes")
	ranks := job{t: t, fake: fake, size: 4, launcher: torchrun, args: steps(2, "--override")}.start()
	want(t, ranks, exitOK)
	if said := ranks[0].said.String(); !strings.Contains(said, "resuming after step 1 of 2") {
		t.Errorf("not resumed:\n%s", said)
	}
}

// Ranks that are not alike never begin.
func TestRanksThatDiffer(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs, other := tinyPairs(t, dir), filepath.Join(dir, "other")
	if err := os.CopyFS(other, os.DirFS(pairs)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(other, "TrainValAB", "trainA", "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	if err := os.Rename(files[0], files[1]); err != nil { // a pair that has another one's H&E
		t.Fatal(err)
	}
	if err := os.Link(files[1], files[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, says string }{
		{"train.lr", "0.5", "train.lr: "}, {"data.dir", other, "images: "},
	} {
		output := filepath.Join(dir, c.key)
		same := shared(t, pairs, output)
		want(t, job{t: t, fake: fake, size: 3, launcher: torchrun, args: func(rank int) []string {
			if rank == 1 {
				return append(same(rank), "--set", c.key+"="+c.value)
			}
			return same(rank)
		}}.start(), exitRestart, "the ranks are not set up alike", c.says, " on rank 1 (", " on ranks 0, 2")
	}
}

// A network that hangs: no sum ends any more.
func TestRanksWhoseNetworkHangs(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	args := shared(t, tinyPairs(t, dir), filepath.Join(dir, "run"), "--set", "run.rank-timeout=30")
	want(t, job{
		t: t, fake: fake, size: 2, launcher: torchrun, args: args,
		env: func(int) []string { return []string{"HISTDIST_FAKE_NCCL_HANG=2"} },
	}.start(), exitRestart, "the network or a GPU hangs", "NCCL_DEBUG=INFO")
}

// SIGTERM to one rank, as of a machine that is to be given back, stops all after the same step, saved.
func TestRanksAreTold(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs, output, whole := tinyPairs(t, dir), filepath.Join(dir, "run"), filepath.Join(dir, "whole")
	j := job{t: t, fake: fake, size: 2, launcher: torchrun, args: shared(t, pairs, output)}
	ranks := j.start()
	for !strings.Contains(ranks[0].said.String(), "step 1/") {
		time.Sleep(10 * time.Millisecond) // until it trains; the job has a limit
		if ranks[0].said.String() != "" && strings.Contains(ranks[0].said.String(), "histdist train:") {
			break
		}
	}
	if err := ranks[1].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, ranks, exitOK)
	want(t, j.start(), exitOK)
	j.args = shared(t, pairs, whole)
	want(t, j.start(), exitOK)
	if learnt(t, output) != learnt(t, whole) {
		t.Error("the weights differ from those of a run that was not stopped")
	}
}

// Ranks that are killed at random moments end all others, with the name of the culprit, and a job that is started again
// each time ends with the bytes of one that never was.
func TestRanksAreKilled(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs, output, whole := tinyPairs(t, dir), filepath.Join(dir, "run"), filepath.Join(dir, "whole")
	j := job{t: t, fake: fake, size: 2, launcher: torchrun, args: shared(t, pairs, whole)}
	begin := time.Now()
	want(t, j.start(), exitOK)
	took := time.Since(begin)
	j.args = shared(t, pairs, output)
	kills := 20
	if testing.Short() {
		kills = 3
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range kills {
		ranks := j.start()
		culprit := r.IntN(2)
		time.Sleep(time.Duration(r.Float64() * float64(took)))
		if err := ranks[culprit].Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		codes := wait(ranks)
		if codes[culprit] != -1 { // it was done before
			continue
		}
		said := ranks[1-culprit].said.String()
		named := strings.Contains(said, fmt.Sprintf("rank %d (", culprit)) && strings.Contains(said, "is gone") ||
			strings.Contains(said, "rank 0 has not answered") || strings.Contains(said, "have not come")
		if code := codes[1-culprit]; code != exitOK && (code != exitRestart || !named) {
			t.Errorf("rank %d was killed; the other: exit code %d, and says\n%s", culprit, code, said)
		}
	}
	want(t, j.start(), exitOK)
	if learnt(t, output) != learnt(t, whole) {
		t.Error("the weights differ from those of a run that was not killed")
	}
}
