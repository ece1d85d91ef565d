package claim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/lockfile"
)

// Worker is a process that does items, as its file says.
type Worker struct {
	lockfile.Owner
	Task    string        `json:"task,omitempty"` // of a cluster's job, such as "Slurm job 12_3"
	Tag     string        `json:"tag"`            // of the machine: see atomicfile.Host
	Part    Part          `json:"part"`
	Silence time.Duration `json:"silence"` // see Options
	Beat    int           `json:"beat"`    // goes up
	Now     time.Time     `json:"now"`     // by the worker's clock, as Since
	Item    string        `json:"item"`    // that it is doing, and how far that is
	Done    int64         `json:"done"`
	Total   int64         `json:"total"`
	Work    int64         `json:"work"` // of the items that it has finished
	Ended   bool          `json:"ended"`
}

// Where says where a worker is: its host, process and task.
func (w Worker) Where() string {
	if w.PID == 0 {
		return "unknown"
	}
	where := fmt.Sprintf("process %d on %s", w.PID, w.Host)
	if w.Task != "" {
		where += " (" + w.Task + ")"
	}
	return where
}

// task names this process's task of a cluster's job; "" if it is none.
func task() string {
	job := cmp.Or(os.Getenv("SLURM_ARRAY_JOB_ID"), os.Getenv("SLURM_JOB_ID"))
	switch index := cmp.Or(os.Getenv("SLURM_ARRAY_TASK_ID"), os.Getenv("JOB_COMPLETION_INDEX")); {
	case job != "" && index != "":
		return "Slurm task " + job + "_" + index
	case job != "":
		return "Slurm job " + job
	case index != "":
		return "task " + index
	}
	return ""
}

// beat writes this process's file again and again, until it leaves.
func (b *Board) beat() {
	defer close(b.stopped)
	t := time.NewTicker(b.silence / beats)
	defer t.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-t.C:
			b.mu.Lock()
			// An error may pass. If it lasts, others take over.
			_ = b.sign()
			b.mu.Unlock()
		}
	}
}

// beats is how often a process gives a sign of life in the time after which it is taken for dead. NFS clients may see
// a change a minute late.
const beats = 12

// sign writes this process's file.
func (b *Board) sign() error {
	b.self.Beat++
	b.self.Now = time.Now().UTC()
	text, err := json.Marshal(b.self)
	if err != nil {
		return err
	}
	return atomicfile.WriteSoon(b.workerFile(b.id), append(text, '\n'))
}

func (b *Board) workerFile(id string) string {
	return filepath.Join(b.folder, workersFolder, id+".json")
}

// sight is what was last seen of a worker.
type sight struct {
	text    []byte
	at      time.Time // when it was first seen so, by this process's clock
	changed bool      // since this process came, or the worker came later
	worker  Worker
}

// look looks at a worker again.
func (b *Board) look(id string) (*sight, error) {
	text, err := os.ReadFile(b.workerFile(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s := b.seen[id]
	switch {
	case s == nil:
		s = &sight{text: text, at: b.now(), changed: b.came}
		b.seen[id] = s
	case !bytes.Equal(text, s.text):
		s.text, s.at, s.changed = text, b.now(), true
	default:
		return s, nil
	}
	var w Worker
	if json.Unmarshal(text, &w) == nil {
		s.worker = w
	}
	return s, nil
}

// runs reports whether a worker may still run. If it is silent, that is found out only by watching it.
func (b *Board) runs(id string) (bool, error) {
	if id == b.id {
		return true, nil
	}
	s, err := b.look(id)
	if err != nil {
		return false, err
	}
	return !s.worker.Ended && !s.worker.Died(b.self.Owner) && b.now().Sub(s.at) < b.silence, nil
}

// earlier reports whether a worker that doesn't run had ended when this process came.
func (b *Board) earlier(id string) bool {
	s := b.seen[id]
	return s != nil && !s.changed
}

// deserted are the tags of the machines of which no worker runs any more.
func (b *Board) deserted() (tags []string, err error) {
	if err := b.workers(); err != nil && !errors.Is(err, fs.ErrNotExist) { // it went with the work
		return nil, err
	}
	running := map[string]bool{}
	for id, s := range b.seen {
		runs, err := b.runs(id)
		if err != nil {
			return nil, err
		}
		running[s.worker.Tag] = running[s.worker.Tag] || runs
	}
	for tag, runs := range running {
		if !runs && tag != "" { // a file that can't be read has none
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// workers looks at all workers.
func (b *Board) workers() error {
	entries, err := os.ReadDir(filepath.Join(b.folder, workersFolder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		if _, err := b.look(id); err != nil {
			return err
		}
	}
	return nil
}
