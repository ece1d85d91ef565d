package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/lockfile"
	"github.com/histdist/histdist/internal/server/queue"
)

// open opens a queue until the test ends.
func open(t *testing.T, o queue.Options) *queue.Queue {
	t.Helper()
	if o.Folder == "" {
		o.Folder = t.TempDir()
	}
	if o.Trouble == nil {
		o.Trouble = func(err error) { t.Error(err) }
	}
	q, err := queue.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() }) // some tests close it before
	return q
}

func closed(t *testing.T, q *queue.Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, q *queue.Queue, user, what string) queue.Job {
	t.Helper()
	j, created, err := q.Add(t.Context(), queue.New{User: user, Request: request(what)})
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	return j
}

func request(what string) json.RawMessage { return json.RawMessage(fmt.Sprintf("{%q:1}", what)) }

func get(t *testing.T, q *queue.Queue, id string) queue.Job {
	t.Helper()
	j, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// work starts workers. They end with the queue, which waits for them.
func work(q *queue.Queue, workers ...queue.Run) {
	for _, run := range workers {
		go q.Work(run)
	}
}

// until waits for a job to be as a function says.
func until(t *testing.T, q *queue.Queue, id string, is func(queue.Job) bool) queue.Job {
	t.Helper()
	w := q.Watch(id)
	defer w.Close()
	for {
		if j := get(t, q, id); is(j) {
			return j
		}
		select {
		case <-w.Changed():
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func ended(j queue.Job) bool { return j.State.Ended() }

// wait is a Run that waits for the end of its context, after it has said that it runs.
func wait(began chan<- string) queue.Run {
	return func(ctx context.Context, j queue.Job, _ func(queue.Progress)) error {
		began <- j.ID
		<-ctx.Done()
		return context.Cause(ctx)
	}
}

// A job goes through its states, with its progress, its files and its times.
func TestJob(t *testing.T) {
	clock := newClock()
	var mu sync.Mutex
	var states []queue.State
	q := open(t, queue.Options{Clock: clock.Clock(), Keep: time.Hour, Changed: func(j queue.Job) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, j.State)
	}})
	go_ := make(chan struct{})
	a := add(t, q, "ann", "first")
	if len(a.ID) != 22 || a.State != queue.Queued || a.Position != 1 || a.User != "ann" || !a.Created.Equal(clock.now) {
		t.Errorf("added: %+v", a)
	}
	b := add(t, q, "ann", "second")
	if b.Position != 2 {
		t.Errorf("the second is at %d", b.Position)
	}
	work(q, func(ctx context.Context, j queue.Job, report func(queue.Progress)) error {
		if err := os.MkdirAll(q.Folder(j.ID), 0o700); err != nil {
			return err
		}
		clock.pass(10 * time.Second)
		report(queue.Progress{Done: 20, Of: 100, Earlier: 10, Parts: 1, OfParts: 3})
		<-go_
		return os.WriteFile(filepath.Join(q.Folder(j.ID), "result"), j.Request, 0o600)
	})
	running := until(t, q, a.ID, func(j queue.Job) bool { return j.Progress.Done > 0 })
	want := queue.Progress{Done: 20, Of: 100, Earlier: 10, Parts: 1, OfParts: 3, Left: 80 * time.Second}
	if diff := cmp.Diff(want, running.Progress); diff != "" || running.State != queue.Running {
		t.Errorf("%s: %s", running.State, diff)
	}
	if err := q.Delete(t.Context(), a.ID); !errors.Is(err, queue.ErrNotEnded) {
		t.Errorf("deleting a running job: %v", err)
	}
	go_ <- struct{}{}
	done := until(t, q, a.ID, ended)
	if done.State != queue.Done || done.Error != "" || done.Disk != int64(len(a.Request)) || done.Spent != 10*time.Second {
		t.Errorf("done: %+v", done)
	}
	if !done.Expires.Equal(done.Ended.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("ended %v, expires %v", done.Ended, done.Expires)
	}
	go_ <- struct{}{}
	until(t, q, b.ID, ended)
	list, err := q.List(t.Context(), "ann", queue.Done)
	if err != nil || len(list) != 2 || list[0].ID != b.ID {
		t.Errorf("list: %+v, %v", list, err)
	}
	if list, err := q.List(t.Context(), "bob", ""); err != nil || len(list) != 0 {
		t.Errorf("another user's: %+v, %v", list, err)
	}
	stats, err := q.Stats(t.Context())
	if err != nil || stats.Jobs[queue.Done] != 2 || stats.Disk != int64(len(a.Request)+len(b.Request)) {
		t.Errorf("%+v, %v", stats, err)
	}
	if err := q.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(q.Folder(a.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
	if _, err := q.Get(t.Context(), a.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a deleted job: %v", err)
	}
	closed(t, q)
	mu.Lock()
	defer mu.Unlock()
	wantStates := []queue.State{"queued", "queued", "running", "done", "running", "done"}
	if diff := cmp.Diff(wantStates, states); diff != "" {
		t.Error(diff)
	}
}

// What a queue doesn't take, it says; the same request under the same key is the same job.
func TestLimits(t *testing.T) {
	q := open(t, queue.Options{Limits: queue.Limits{Queued: 2, Disk: 1000}})
	first := queue.New{User: "ann", Key: "k", Request: request("x"), Disk: 400}
	a, created, err := q.Add(t.Context(), first)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	for range 3 { // it takes no place
		again, created, err := q.Add(t.Context(), first)
		if err != nil || created || again.ID != a.ID {
			t.Errorf("again: %s, created %t, %v; want %s", again.ID, created, err, a.ID)
		}
	}
	if found, err := q.Find(t.Context(), "ann", "k"); err != nil || found.ID != a.ID {
		t.Errorf("by its key: %v, %v", found.ID, err)
	}
	for _, test := range []struct {
		what string
		job  queue.New
		want error
	}{
		{"another request under the key", queue.New{User: "ann", Key: "k", Request: request("y")}, queue.ErrKey},
		{"the key of another user", queue.New{User: "bob", Key: "k", Request: request("y")}, nil},
		{"more than there is room for", queue.New{User: "ann", Request: request("y"), Disk: 601}, queue.ErrDisk},
		{"more than may ever be", queue.New{User: "ann", Request: request("y"), Disk: 1001}, queue.ErrTooLarge},
		{"others have taken the room", queue.New{User: "ann", Request: request("y"), Disk: 600, Others: 1}, queue.ErrDisk},
		{"the last place", queue.New{User: "ann", Request: request("y"), Disk: 600}, nil},
		{"one more", queue.New{User: "ann", Request: request("z")}, queue.ErrFull},
		{"another user's", queue.New{User: "bob", Request: request("z")}, nil},
	} {
		if _, _, err := q.Add(t.Context(), test.job); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
	}
	if _, err := q.Find(t.Context(), "carl", "k"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a user without jobs: %v", err)
	}
}

// A job is cancelled while it waits and while it runs; its files are deleted, and others go on.
func TestCancel(t *testing.T) {
	q := open(t, queue.Options{})
	began := make(chan string)
	a, b, c := add(t, q, "ann", "a"), add(t, q, "ann", "b"), add(t, q, "ann", "c")
	cancel := func(id string) {
		t.Helper()
		if err := q.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	cancel(b.ID)
	if j := get(t, q, b.ID); j.State != queue.Cancelled || j.Ended.IsZero() {
		t.Errorf("a job that waited: %+v", j)
	}
	work(q, func(ctx context.Context, j queue.Job, _ func(queue.Progress)) error {
		if err := os.MkdirAll(q.Folder(j.ID), 0o700); err != nil {
			return err
		}
		began <- j.ID
		if j.ID == c.ID {
			return nil
		}
		<-ctx.Done()
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	})
	if id := <-began; id != a.ID {
		t.Fatalf("%s runs, want %s", id, a.ID)
	}
	cancel(a.ID)
	cancel(a.ID) // a second time does no more
	if j := until(t, q, a.ID, ended); j.State != queue.Cancelled || j.Error != "" {
		t.Errorf("a job that ran: %+v", j)
	}
	if id := <-began; id != c.ID {
		t.Fatalf("%s runs, want %s", id, c.ID)
	}
	if j := until(t, q, c.ID, ended); j.State != queue.Done {
		t.Errorf("the next: %+v", j)
	}
	cancel(c.ID)
	if j := get(t, q, c.ID); j.State != queue.Done {
		t.Errorf("an ended job was cancelled: %+v", j)
	}
	closed(t, q)
	for _, id := range []string{a.ID, b.ID} {
		if _, err := os.Stat(q.Folder(id)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("files of %s: %v", id, err)
		}
	}
	if err := q.Cancel(t.Context(), "none"); err == nil {
		t.Error("cancelling in a closed queue: no error")
	}
}

// Jobs that ran when a queue was closed go on in the next, before others, with their files and progress.
func TestContinued(t *testing.T) {
	o := queue.Options{Folder: t.TempDir()}
	q := open(t, o)
	began := make(chan string, 9)
	a, b, c := add(t, q, "ann", "a"), add(t, q, "bob", "b"), add(t, q, "bob", "c")
	run := func(ctx context.Context, j queue.Job, report func(queue.Progress)) error {
		if err := os.MkdirAll(q.Folder(j.ID), 0o700); err != nil {
			return err
		}
		report(queue.Progress{Done: 5, Of: 10})
		return wait(began)(ctx, j, report)
	}
	work(q, run, run)
	first, second := <-began, <-began
	if got := map[string]bool{first: true, second: true}; !got[a.ID] || !got[b.ID] {
		t.Fatalf("%s and %s run", first, second)
	}
	closed(t, q)
	q = open(t, o)
	var order []string
	for _, id := range []string{a.ID, b.ID, c.ID} {
		j := get(t, q, id)
		if j.State != queue.Queued || j.Restarted != (id != c.ID) || (j.Progress.Done == 5) != j.Restarted {
			t.Errorf("%+v", j)
		}
		if _, err := os.Stat(q.Folder(id)); (err == nil) != j.Restarted {
			t.Errorf("files: %v", err)
		}
		order = append(order, fmt.Sprint(j.Position))
	}
	if got := strings.Join(order, " "); got != "1 2 3" {
		t.Errorf("positions %s", got)
	}
	work(q, func(context.Context, queue.Job, func(queue.Progress)) error { return nil })
	for _, id := range []string{a.ID, b.ID, c.ID} {
		if j := until(t, q, id, ended); j.State != queue.Done {
			t.Errorf("%+v", j)
		}
	}
}

// Errors, panics and the limit of time end a job, not the queue.
func TestFailures(t *testing.T) {
	for what, test := range map[string]struct {
		limit   time.Duration
		want    string
		trouble string
	}{
		"panic": {0, "an error in this program: its log says more", "a bug"},
		"slow":  {time.Nanosecond, "the job took too long: more than 1ns", ""},
		"wrong": {0, "no tissue found", ""},
		"right": {0, "", ""},
		"quick": {time.Hour, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			troubles := make(chan error, 9)
			q := open(t, queue.Options{
				Limits: queue.Limits{Time: test.limit}, Trouble: func(err error) { troubles <- err },
			})
			work(q, func(ctx context.Context, j queue.Job, _ func(queue.Progress)) error {
				if err := os.MkdirAll(q.Folder(j.ID), 0o700); err != nil {
					return err
				}
				switch what {
				case "panic":
					panic("a bug")
				case "slow":
					<-ctx.Done()
					return fmt.Errorf("stopped: %w", context.Cause(ctx))
				case "wrong":
					return errors.New("no tissue found")
				}
				return nil
			})
			for range 2 { // the worker goes on
				j := until(t, q, add(t, q, "ann", what).ID, ended)
				if (j.State == queue.Failed) != (test.want != "") || j.Error != test.want {
					t.Errorf("%s, %q, want %q", j.State, j.Error, test.want)
				}
				if test.trouble != "" {
					if err := <-troubles; !strings.Contains(err.Error(), test.trouble) {
						t.Error(err)
					}
				}
			}
			closed(t, q)
			if len(troubles) > 0 {
				t.Error(<-troubles)
			}
		})
	}
}

// A watch that nobody looks at holds nothing up, and shows the last state when somebody does.
func TestSlowWatch(t *testing.T) {
	q := open(t, queue.Options{})
	a := add(t, q, "ann", "a")
	w := q.Watch(a.ID)
	defer w.Close()
	work(q, func(_ context.Context, _ queue.Job, report func(queue.Progress)) error {
		for i := range int64(10_000) {
			report(queue.Progress{Done: i + 1, Of: 1 << 40})
		}
		return nil
	})
	until(t, q, a.ID, ended)
	changes := 0
	for len(w.Changed()) > 0 {
		<-w.Changed()
		changes++
	}
	if j := get(t, q, a.ID); changes != 1 || j.State != queue.Done || j.Progress.Done != 10_000 {
		t.Errorf("%d changes, %+v", changes, j)
	}
}

// A folder belongs to one queue at a time.
func TestTwoQueues(t *testing.T) {
	o := queue.Options{Folder: t.TempDir()}
	q := open(t, o)
	_, err := queue.Open(t.Context(), o)
	var held *lockfile.HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), o.Folder) {
		t.Errorf("a second one: %v", err)
	}
	closed(t, q)
	closed(t, open(t, o))
}

// A database that is damaged, or of a later version, is named, and nothing of it or of the results is changed.
func TestDamaged(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, q *queue.Queue, path string)
		want   error
		text   string
	}{
		"another file": {func(t *testing.T, q *queue.Queue, path string) {
			closed(t, q)
			overwrite(t, path, 0, []byte(strings.Repeat("no database ", 100)))
		}, queue.ErrDamaged, "put a backup in its place"},
		"pages overwritten": {func(t *testing.T, q *queue.Queue, path string) {
			closed(t, q)
			overwrite(t, path, 4096, []byte(strings.Repeat("x", 8192)))
		}, queue.ErrDamaged, "put a backup in its place"},
		"cut off": {func(t *testing.T, q *queue.Queue, path string) {
			closed(t, q)
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		}, queue.ErrDamaged, "put a backup in its place"},
		"later version": {func(t *testing.T, q *queue.Queue, _ string) {
			q.Version(t, 99)
			closed(t, q)
		}, nil, "made by a later version of this program"},
	} {
		t.Run(name, func(t *testing.T) {
			o := queue.Options{Folder: t.TempDir()}
			q := open(t, o)
			a := add(t, q, "ann", "a")
			result := filepath.Join(q.Folder(a.ID), "result")
			if err := errors.Join(os.MkdirAll(q.Folder(a.ID), 0o700), os.WriteFile(result, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(o.Folder, "jobs.sqlite")
			test.damage(t, q, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = queue.Open(t.Context(), o)
			if err == nil || test.want != nil && !errors.Is(err, test.want) ||
				!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || string(after) != string(before) {
				t.Errorf("the database was changed: %v", err)
			}
			if _, err := os.Stat(result); err != nil {
				t.Error(err)
			}
		})
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(with, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Without a database, the results that a folder has are left alone: it may come back from a backup.
func TestLostDatabase(t *testing.T) {
	o := queue.Options{Folder: t.TempDir(), Keep: time.Nanosecond}
	q := open(t, o)
	a := add(t, q, "ann", "a")
	if err := os.MkdirAll(q.Folder(a.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	closed(t, q)
	if err := os.Remove(filepath.Join(o.Folder, "jobs.sqlite")); err != nil {
		t.Fatal(err)
	}
	q = open(t, o)
	if _, err := os.Stat(q.Folder(a.ID)); err != nil {
		t.Error(err)
	}
}

// With a full disk no job is taken, and none is lost: what can't be recorded is, as soon as there is room again.
func TestFullDisk(t *testing.T) {
	troubles := make(chan error, 100)
	q := open(t, queue.Options{Trouble: func(err error) { troubles <- err }})
	a := add(t, q, "ann", "a")
	began, finish := make(chan string, 9), make(chan struct{})
	work(q, func(_ context.Context, j queue.Job, _ func(queue.Progress)) error {
		began <- j.ID
		<-finish
		return errors.New(strings.Repeat("a long story ", 2000)) // that needs pages
	})
	<-began
	q.LimitPages(t, 0)
	long := json.RawMessage(`"` + strings.Repeat("b", 1<<16) + `"`)
	_, _, err := q.Add(t.Context(), queue.New{User: "ann", Request: long})
	if !errors.Is(err, queue.ErrStorage) {
		t.Errorf("adding: %v", err)
	}
	close(finish)
	if err := <-troubles; !errors.Is(err, queue.ErrStorage) {
		t.Errorf("recording: %v", err)
	}
	if j := get(t, q, a.ID); j.State != queue.Running {
		t.Errorf("%+v", j)
	}
	q.LimitPages(t, -1)
	if j := until(t, q, a.ID, ended); j.State != queue.Failed || len(began) != 0 {
		t.Errorf("%s, and it ran %d times more", j.State, len(began))
	}
}

// A state folder that can't be written is named.
func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folders := []string{filepath.Join(file, "state")}
	if os.Geteuid() != 0 { // root may write everywhere
		locked := t.TempDir()
		if err := os.Chmod(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, locked)
	}
	for _, folder := range folders {
		if _, err := queue.Open(t.Context(), queue.Options{Folder: folder}); err == nil ||
			!strings.Contains(err.Error(), "the state folder "+folder+" can't be written") {
			t.Errorf("%v", err)
		}
	}
}

// Names of folders may have any characters.
func TestNamesOfFolders(t *testing.T) {
	for _, name := range []string{"a b", "50%", "x?mode=ro", "c#d", "é", "+"} {
		o := queue.Options{Folder: filepath.Join(t.TempDir(), name)}
		q := open(t, o)
		a := add(t, q, "ann", "a")
		closed(t, q)
		if _, err := os.Stat(filepath.Join(o.Folder, "jobs.sqlite")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		get(t, open(t, o), a.ID)
	}
}

// The folder may have any name, and be relative to the one where the program runs.
func TestFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, folder := range []string{"state", "./x", "a?b#c%20 d"} {
		q := open(t, queue.Options{Folder: folder})
		job := add(t, q, "ann", "a")
		closed(t, q)
		q = open(t, queue.Options{Folder: folder})
		if again := get(t, q, job.ID); again.State != queue.Queued {
			t.Errorf("%s: %+v", folder, again)
		}
		closed(t, q)
		if _, err := os.Stat(filepath.Join(folder, "jobs.sqlite")); err != nil {
			t.Error(err)
		}
	}
}
