package queue_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/server/queue"
)

// childFolder is the variable that makes this test's program a server of the folder that it names.
const childFolder = "HISTDIST_QUEUE_CHILD"

// childStuck is the variable that says after how many parts the jobs of a child get stuck; without it they don't.
const childStuck = "HISTDIST_QUEUE_STUCK"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		if err := child(folder); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// finish asks a child to end when all jobs have.
const finish = "finish"

// parts is how many parts the work of a job has.
const parts = 8

// product is a part of the result of a job: it depends on nothing but the request.
func product(request json.RawMessage, part int) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s %d", request, part)))
	return hex.EncodeToString(sum[:])
}

// child is a process with a queue. It says what happens on its standard output, a line for each event, and takes jobs
// on its standard input: lines of a user and a key.
func child(folder string) error {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	ctx := context.Background()
	changed := make(chan struct{}, 1)
	q, err := queue.Open(ctx, queue.Options{
		Folder: folder, Limits: queue.Limits{Deaths: 1000},
		Trouble: func(err error) { say("error %v", err) },
		Changed: func(j queue.Job) {
			say("state %s %s %d", j.ID, j.State, j.Ended.UnixMilli())
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	stuck := func(ctx context.Context, parts int) {
		if os.Getenv(childStuck) == strconv.Itoa(parts) {
			say("stuck")
			<-ctx.Done()
		}
	}
	run := func(ctx context.Context, j queue.Job, report func(queue.Progress)) error {
		say("start %s", j.ID)
		stuck(ctx, 0)
		in := func(name string) string { return filepath.Join(q.Folder(j.ID), name) }
		if _, err := os.Stat(in("result")); err == nil {
			return nil
		}
		if err := os.MkdirAll(q.Folder(j.ID), 0o700); err != nil {
			return err
		}
		var result strings.Builder
		for i := range parts {
			part := in("part" + strconv.Itoa(i))
			text, err := os.ReadFile(part)
			if errors.Is(err, os.ErrNotExist) {
				text = []byte(product(j.Request, i))
				err = atomicfile.Write(part, text)
			}
			if err != nil {
				return err
			}
			result.Write(text)
			report(queue.Progress{Done: int64(i + 1), Of: parts})
			say("part %s %d", j.ID, i)
			stuck(ctx, i+1)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := atomicfile.Write(in("result"), []byte(result.String())); err != nil {
			return err
		}
		say("result %s", j.ID)
		return nil
	}
	work(q, run, run)
	say("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == finish {
			for {
				s, err := q.Stats(ctx)
				if err != nil {
					return err
				}
				if s.Jobs[queue.Queued]+s.Jobs[queue.Running] == 0 {
					break
				}
				<-changed
			}
			break
		}
		user, key, _ := strings.Cut(lines.Text(), " ")
		j, _, err := q.Add(ctx, queue.New{User: user, Key: key, Request: request(key)})
		if err != nil {
			return err
		}
		say("added %s %s", key, j.ID)
	}
	return q.Close()
}

// process is a running child.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, folder string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], "-test.run=^$")}
	p.Env = append(os.Environ(), childFolder+"="+folder)
	p.Stderr = os.Stderr
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // it has ended, unless the test failed
	p.out = bufio.NewScanner(out)
	return p
}

// kill ends a process as a failure of power does, and returns what it had still said.
func (p *process) kill(t *testing.T) (lines []string) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for p.out.Scan() {
		lines = append(lines, p.out.Text())
	}
	_ = p.Wait() // it was killed
	return lines
}

// Of a server that is killed at twenty random moments, no job is lost, none is done twice, and every result is the one
// of an undisturbed run.
func TestKilled(t *testing.T) {
	folder := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const jobs = 24
	ids := map[string]string{} // of what was added, by the key
	doneAt := map[string]string{}
	results := map[string]int{}
	next := 0
	hear := func(line string) {
		f := strings.Fields(line)
		switch f[0] {
		case "error":
			t.Error(line)
		case "added":
			if before, some := ids[f[1]]; some && before != f[2] {
				t.Errorf("the job %s has become another", f[1])
			}
			ids[f[1]] = f[2]
		case "start":
			if doneAt[f[1]] != "" {
				t.Errorf("job %s was done, and is done again", f[1])
			}
		case "result":
			results[f[1]]++
		case "state":
			if f[2] == "failed" || f[2] == "cancelled" {
				t.Error(line)
			}
			if f[2] == "done" {
				doneAt[f[1]] = f[3]
			}
		}
	}
	offer := func(p *process) { // the next job, or the last one again; whoever has died can't take it
		if _, known := ids[fmt.Sprintf("key%d", next)]; known && next < jobs-1 && random.IntN(6) == 0 {
			next++
		}
		_, _ = fmt.Fprintf(p.in, "%s key%d\n", []string{"ann", "bob", "carl"}[next%3], next)
	}
	for range 20 {
		p := start(t, folder)
		for left := 1 + random.IntN(25); left > 0 && p.out.Scan(); left-- {
			hear(p.out.Text())
			offer(p)
		}
		for _, line := range p.kill(t) {
			hear(line)
		}
	}
	p := start(t, folder)
	for len(ids) < jobs && p.out.Scan() {
		hear(p.out.Text())
		offer(p)
	}
	if _, err := fmt.Fprintln(p.in, finish); err != nil {
		t.Fatal(err)
	}
	for p.out.Scan() {
		hear(p.out.Text())
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(ids) != jobs {
		t.Fatalf("%d jobs were added, want %d", len(ids), jobs)
	}
	q := open(t, queue.Options{Folder: folder})
	list, err := q.List(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != jobs {
		t.Errorf("%d jobs, want %d", len(list), jobs)
	}
	for _, j := range list {
		if j.State != queue.Done || ids[keyOf(ids, j.ID)] != j.ID {
			t.Errorf("%+v", j)
			continue
		}
		if results[j.ID] > 1 {
			t.Errorf("job %s was done %d times", j.ID, results[j.ID])
		}
		if said := doneAt[j.ID]; said != "" && said != fmt.Sprint(j.Ended.UnixMilli()) {
			t.Errorf("job %s ended at %s, and again at %d", j.ID, said, j.Ended.UnixMilli())
		}
		var want strings.Builder
		for i := range parts {
			want.WriteString(product(j.Request, i))
		}
		if got, err := os.ReadFile(filepath.Join(q.Folder(j.ID), "result")); err != nil || string(got) != want.String() {
			t.Errorf("job %s has another result: %v", j.ID, err)
		}
	}
}

func keyOf(ids map[string]string, id string) string {
	for key, of := range ids {
		if of == id {
			return key
		}
	}
	return ""
}

// dies starts a process in which the one job, added the first time, is stuck after so many parts, and kills it then.
func dies(t *testing.T, folder string, first bool, after int) {
	t.Helper()
	t.Setenv(childStuck, strconv.Itoa(after))
	p := start(t, folder)
	if first {
		if _, err := fmt.Fprintln(p.in, "ann key"); err != nil {
			t.Fatal(err)
		}
	}
	for p.out.Scan() && !strings.HasPrefix(p.out.Text(), "stuck") {
		if strings.HasPrefix(p.out.Text(), "error") {
			t.Error(p.out.Text())
		}
	}
	p.kill(t)
}
