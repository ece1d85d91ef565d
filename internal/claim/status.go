package claim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/histdist/histdist/internal/lockfile"
)

// FolderName is the usual name of a folder of claims, in that of the outputs.
const FolderName = ".histdist"

// Status is how far shared work is.
type Status struct {
	Output    string     `json:"output"`
	Items     int        `json:"items"`
	Done      int        `json:"done"`
	Running   []Activity `json:"running"`
	Lost      []Activity `json:"lost"` // begun by processes that have ended or give no sign of life: others take them over
	Failed    []Failure  `json:"failed"`
	Remaining []string   `json:"remaining"` // not begun
	// Share is how much of the work is done, 0 to 1; Left how long the rest takes at the pace of the processes that run,
	// in seconds, and End when that is. They are absent where that is unknown.
	Share float64    `json:"share"`
	Left  *float64   `json:"left_seconds,omitempty"`
	End   *time.Time `json:"end,omitempty"`
}

// Activity is an item that a process has begun.
type Activity struct {
	Item  string    `json:"item"`
	Where string    `json:"where"` // process, host and task
	Part  Part      `json:"part"`
	Since time.Time `json:"since"`          // by the clock of its host
	Done  int64     `json:"done,omitempty"` // of Total
	Total int64     `json:"total,omitempty"`
	Age   float64   `json:"age_seconds"` // of its last sign of life
}

// Failure is an item that failed.
type Failure struct {
	Item  string `json:"item"`
	Where string `json:"where"`
	Error string `json:"error"`
}

// Find reads how far shared work on an output is: a folder, that of an evaluation's virtual stains in it, and slides in
// progress, whose claims are in the folders that parts names. A file that is there is done.
func Find(output string, parts func(output string) string) (found []*Status, err error) {
	add := func(output, folder string) (*Status, error) {
		s, err := ReadStatus(filepath.Join(folder, FolderName))
		if errors.Is(err, fs.ErrNotExist) { // not shared, or finished in the meantime
			return &Status{}, nil
		}
		if err != nil {
			return nil, err
		}
		s.Output = output
		found = append(found, s)
		return s, nil
	}
	if info, err := os.Stat(output); err == nil && !info.IsDir() {
		return []*Status{finished(output)}, nil
	}
	for _, folder := range []string{filepath.Join(output, "virtual"), output} {
		s, err := add(folder, folder)
		if err != nil {
			return nil, err
		}
		for _, a := range s.Running {
			if path := filepath.Join(folder, filepath.FromSlash(a.Item)); !contains(found, path) {
				if _, err := add(path, parts(path)); err != nil {
					return nil, err
				}
			}
		}
	}
	if _, err := add(output, parts(output)); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no shards have worked on it: want the output of a command with --shard", output)
	}
	return found, nil
}

func contains(found []*Status, output string) bool {
	return slices.ContainsFunc(found, func(s *Status) bool { return s.Output == output })
}

// finished is the status of an output that is there.
func finished(output string) *Status {
	s := none()
	s.Output, s.Items, s.Done, s.Share = output, 1, 1, 1
	return s
}

func none() *Status {
	return &Status{Running: []Activity{}, Lost: []Activity{}, Failed: []Failure{}, Remaining: []string{}}
}

// ReadStatus reads a folder of claims.
func ReadStatus(folder string) (*Status, error) {
	l, err := readList(filepath.Join(folder, itemsFile))
	if err != nil {
		return nil, err
	}
	now, err := serverTime(folder)
	if err != nil {
		return nil, err
	}
	workers, err := readWorkers(folder, now)
	if err != nil {
		return nil, err
	}
	s := none()
	s.Items = len(l.Items)
	b := &Board{folder: folder}
	var total, done, pace float64
	ended := map[string]bool{}
	for _, item := range l.Items {
		work := float64(max(item.Work, 1))
		total += work
		r, number, err := b.last(item.Name)
		if err != nil {
			return nil, err
		}
		w := workers[r.Worker]
		if w == nil {
			w = &watched{}
		}
		switch {
		case number == 0:
			s.Remaining = append(s.Remaining, item.Name)
		case r.Error != "":
			ended[item.Name] = true
			s.Failed = append(s.Failed, Failure{item.Name, w.Where(), r.Error})
			done += work
		case r.finished():
			ended[item.Name] = true
			s.Done++
			done += work
		default:
			r.Item = item.Name // that of a process that died while it wrote isn't said
			a := w.activity(r)
			if !w.runs {
				s.Lost = append(s.Lost, a)
				continue
			}
			s.Running = append(s.Running, a)
			part := work * float64(a.Done) / float64(max(a.Total, 1))
			done += part
			w.begun += part
		}
	}
	for _, w := range workers {
		if elapsed := w.Now.Sub(w.Since).Seconds(); w.runs && elapsed > 0 {
			pace += (float64(w.Work) + w.begun) / elapsed
		}
	}
	helping := workers.helping(s.Running, ended)
	s.Running = append(s.Running, helping...)
	for _, a := range helping {
		s.Lost = slices.DeleteFunc(s.Lost, func(lost Activity) bool { return lost.Item == a.Item })
	}
	s.Share = done / max(total, 1)
	if left := total - done; left <= 0 || pace > 0 {
		seconds := 0.0
		if left > 0 {
			seconds = left / pace
		}
		end := time.Now().Add(time.Duration(seconds * float64(time.Second))).Truncate(time.Second)
		s.Left, s.End = &seconds, &end
	}
	return s, nil
}

// watched is a worker and what is known of it.
type watched struct {
	Worker
	runs  bool
	age   time.Duration
	begun float64 // work of the item that it is doing
}

type crew map[string]*watched

// readWorkers reads who has joined. now is the time of the folder's server.
func readWorkers(folder string, now time.Time) (crew, error) {
	entries, err := os.ReadDir(filepath.Join(folder, workersFolder))
	if err != nil {
		return nil, err
	}
	me, all := lockfile.ThisProcess(), crew{}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		path := filepath.Join(folder, workersFolder, e.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		w := &watched{age: max(now.Sub(info.ModTime()), 0)}
		if json.Unmarshal(text, &w.Worker) == nil {
			w.runs = !w.Ended && !w.Died(me) && w.age < w.Silence
		}
		all[id] = w
	}
	return all, nil
}

// Active returns a process that works in a folder with claims; nil if there is none.
func Active(folder string) (*Worker, error) {
	now, err := serverTime(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	workers, err := readWorkers(folder, now)
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		if w.runs {
			return &w.Worker, nil
		}
	}
	return nil, nil
}

func (w *watched) activity(r Record) Activity {
	a := Activity{Item: r.Item, Where: w.Where(), Part: w.Part, Since: r.Since, Age: w.age.Seconds()}
	if w.Item == r.Item {
		a.Done, a.Total = w.Done, w.Total
	}
	return a
}

// helping are what workers do of the items of others that haven't ended.
func (c crew) helping(running []Activity, ended map[string]bool) (all []Activity) {
	for _, w := range c {
		if !w.runs || w.Item == "" || ended[w.Item] {
			continue
		}
		where := w.Where()
		if !slices.ContainsFunc(running, func(a Activity) bool { return a.Where == where && a.Item == w.Item }) {
			all = append(all, w.activity(Record{Item: w.Item, Since: w.Since}))
		}
	}
	slices.SortFunc(all, func(a, b Activity) int {
		return cmp.Or(cmp.Compare(a.Item, b.Item), cmp.Compare(a.Where, b.Where))
	})
	return all
}

// serverTime is the time by the clock that gives files theirs; where nothing may be written, this machine's.
func serverTime(folder string) (time.Time, error) {
	f, err := os.CreateTemp(folder, ".now")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errReadOnly) {
		return time.Now(), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// Text is the status as text, with at most so many items of each kind; 0: all.
func (s *Status) Text(most int) string {
	var b strings.Builder
	running := map[string]bool{}
	for _, a := range s.Running {
		running[a.Item] = true
	}
	fmt.Fprintf(&b, "done: %d of %d (%.0f %% of the work), running: %d, failed: %d, remaining: %d",
		s.Done, s.Items, 100*s.Share, len(running), len(s.Failed), len(s.Remaining)+len(s.Lost))
	switch {
	case s.Done+len(s.Failed) == s.Items:
		b.WriteString("; finished")
	case s.Left == nil:
		b.WriteString("; end: unknown")
	default:
		left := time.Duration(*s.Left * float64(time.Second)).Round(time.Second)
		fmt.Fprintf(&b, "; end: in %s, at %s", left, s.End.Format("2006-01-02 15:04:05 MST"))
	}
	b.WriteByte('\n')
	listed(&b, "running", s.Running, most, Activity.String)
	listed(&b, "to be taken over", s.Lost, most, Activity.String)
	listed(&b, "failed", s.Failed, most, func(f Failure) string { return f.Item + ": " + f.Error + " (" + f.Where + ")" })
	listed(&b, "remaining", s.Remaining, most, func(name string) string { return name })
	return b.String()
}

// listed writes a line for each of some values, at most so many.
func listed[T any](b *strings.Builder, title string, values []T, most int, text func(T) string) {
	for i, v := range values {
		if most > 0 && i == most {
			fmt.Fprintf(b, "%s: %d more\n", title, len(values)-most)
			return
		}
		fmt.Fprintf(b, "%s: %s\n", title, text(v))
	}
}

func (a Activity) String() string {
	text := a.Item
	if a.Total > 0 {
		text += fmt.Sprintf(", %d %%", 100*a.Done/a.Total)
	}
	text += ", " + a.Where
	if a.Part.N > 0 {
		text += ", shard " + a.Part.String()
	}
	return fmt.Sprintf("%s, since %s, last sign of life %s ago", text, a.Since.Local().Format("2006-01-02 15:04:05"),
		time.Duration(a.Age*float64(time.Second)).Round(time.Second))
}
