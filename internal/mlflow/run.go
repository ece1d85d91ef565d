package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/histdist/histdist/internal/atomicfile"
)

// Options say which run is written to.
type Options struct {
	Server     string              // its address, such as http://localhost:5000
	Env        func(string) string // os.Getenv, for credentials and MLFLOW_EXPERIMENT_NAME
	Experiment string              // the name, unless the environment has one
	Name       string              // of a new run
	Params     map[string]string   // of a new run
	Tags       map[string]string   // likewise
	// File keeps which run this is. With Continue the run that it names is continued, if the server knows it.
	File     string
	Continue bool

	// Pause is how long a request that failed waits before it is made again, at first; doubled up to a minute. 0 is a
	// second. Linger is how long Close waits for what is left; 0 is ten seconds.
	Pause, Linger time.Duration
}

// Run is a run on an MLflow server. Its methods don't wait for the server, except for Close.
type Run struct {
	o      Options
	client *client
	queue  queue
	info   runInfo // of the goroutine
	old    bool    // the run was there before

	ctx     context.Context // ends a while after Close is called
	cancel  context.CancelFunc
	closing chan struct{}
	done    chan struct{}
	status  Status
	trouble chan error // the first failure; at most one
}

// Status is how a run ended, in MLflow's words.
type Status string

// The ways in which runs end.
const (
	Finished Status = "FINISHED"
	Failed   Status = "FAILED"
	Killed   Status = "KILLED"
	running  Status = "RUNNING"
)

// Start begins a run, or continues one. A server that can't be reached is no error: it is tried again until Close.
func Start(o Options) (*Run, error) {
	c, err := newClient(o.Server, o.Env)
	if err != nil {
		return nil, err
	}
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	if o.Linger == 0 {
		o.Linger = 10 * time.Second
	}
	r := &Run{
		o: o, client: c, queue: queue{wake: make(chan struct{}, 1)},
		closing: make(chan struct{}), done: make(chan struct{}), trouble: make(chan error, 1),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.work()
	return r, nil
}

// Log adds metrics. Numbers that are not finite, which the API can't take, are left out.
func (r *Run) Log(metrics []Metric) {
	var finite []Metric
	for _, m := range metrics {
		if !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0) {
			finite = append(finite, m)
		}
	}
	r.queue.addMetrics(finite)
}

// Upload adds an artifact, of a media type such as image/png.
func (r *Run) Upload(name, kind string, content []byte) { r.queue.addFile(file{name, kind, content}) }

// Trouble returns the first failure since the last call, nil if there was none.
func (r *Run) Trouble() error {
	select {
	case err := <-r.trouble:
		return err
	default:
		return nil
	}
}

// Close sends what is left, for Options.Linger at most, and how the run ended. The error says what the server didn't
// get.
func (r *Run) Close(status Status) error {
	r.status = status
	timer := time.AfterFunc(r.o.Linger, r.cancel)
	defer timer.Stop()
	close(r.closing)
	<-r.done
	r.cancel()
	r.client.http.CloseIdleConnections()
	lost := r.queue.losses()
	if lost.reason == nil {
		return nil
	}
	if lost.metrics+lost.files == 0 {
		return fmt.Errorf("%s: %w", r.o.Server, lost.reason)
	}
	return fmt.Errorf("%s did not get %s: %w", r.o.Server, lost, lost.reason)
}

// work is the goroutine: it begins the run, sends what is in the queue, and ends it.
func (r *Run) work() {
	defer close(r.done)
	if err := r.insist(r.begin); err != nil {
		r.fail(err)
		return
	}
	for {
		b, ok := r.queue.next()
		if !ok {
			select {
			case <-r.queue.wake:
				r.wait(r.o.Pause) // more is likely to follow
				continue
			case <-r.closing:
			}
			if b, ok = r.queue.next(); !ok { // added in between
				break
			}
		}
		err := r.insist(func(ctx context.Context) error { return r.send(ctx, b) })
		if err != nil {
			r.queue.lose(b, err)
		}
		if refused(err) || r.ctx.Err() != nil {
			r.fail(err)
			return
		}
	}
	if err := r.insist(func(ctx context.Context) error { return r.update(ctx, r.status, time.Now()) }); err != nil {
		r.fail(err)
	}
}

// fail gives up: all that waits, and will, is lost.
func (r *Run) fail(err error) {
	<-r.closing
	r.queue.loseAll(err)
	r.queue.lose(batch{}, err)
}

// insist makes a request until it succeeds, fails for good, or the time is up.
func (r *Run) insist(request func(ctx context.Context) error) error {
	pause := r.o.Pause
	for {
		err := request(r.ctx)
		if err == nil {
			return nil
		}
		select {
		case r.trouble <- err:
		default:
		}
		if !passes(err) || r.ctx.Err() != nil {
			return err
		}
		r.wait(pause)
		if r.ctx.Err() != nil {
			return err
		}
		const longest = time.Minute
		pause = min(2*pause, longest)
	}
}

// wait waits, while the run is being closed only a little.
func (r *Run) wait(d time.Duration) {
	select {
	case <-r.closing:
		const little = 250 * time.Millisecond
		select {
		case <-time.After(min(d, little)):
		case <-r.ctx.Done():
		}
	case <-time.After(d):
	}
}

// known is the content of Options.File.
type known struct {
	Server string `json:"server"`
	Run    string `json:"run"`
}

// begin makes the run, or finds the one to continue.
func (r *Run) begin(ctx context.Context) error {
	if r.info.ID == "" && r.o.Continue {
		if err := r.resume(ctx); err != nil {
			return err
		}
		r.old = r.info.ID != ""
	}
	if r.old {
		return r.update(ctx, running, time.Time{})
	}
	if r.info.ID == "" {
		if err := r.create(ctx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(known{r.o.Server, r.info.ID})
	if err != nil {
		return err
	}
	return errors.Join(atomicfile.Write(r.o.File, append(text, '\n')), r.describe(ctx))
}

// resume finds the run to continue, if the server still has it.
func (r *Run) resume(ctx context.Context) error {
	text, err := os.ReadFile(r.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var k known
	if json.Unmarshal(text, &k) != nil || k.Server != r.o.Server {
		return nil // another server's
	}
	var found runAnswer
	err = r.client.get(ctx, "runs/get", url.Values{"run_id": {k.Run}}, &found)
	if hasCode(err, codeMissing) || err == nil && found.Run.Info.Stage == stageDeleted {
		return nil
	}
	r.info = found.Run.Info
	return err
}

func (r *Run) create(ctx context.Context) error {
	name := r.o.Env("MLFLOW_EXPERIMENT_NAME")
	if name == "" {
		name = r.o.Experiment
	}
	id, err := r.client.experiment(ctx, name)
	if err != nil {
		return err
	}
	message := map[string]any{
		"experiment_id": id, "start_time": time.Now().UnixMilli(), "run_name": r.o.Name, "tags": pairsOf(r.o.Tags, 0),
	}
	var made runAnswer
	if err := r.client.call(ctx, "runs/create", message, &made); err != nil {
		return err
	}
	r.info = made.Run.Info
	return nil
}

// describe logs the parameters of a new run, as many at a time as the server takes.
func (r *Run) describe(ctx context.Context) error {
	const (
		most    = 100
		longest = 500 // characters, of the oldest servers
	)
	all := pairsOf(r.o.Params, longest)
	for len(all) > 0 {
		n := min(len(all), most)
		batch := map[string]any{"run_id": r.info.ID, "params": all[:n]}
		if err := r.client.call(ctx, "runs/log-batch", batch, nil); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// pair is a parameter or a tag.
type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// pairsOf returns sorted pairs, whose values are cut off after some characters; 0 is no limit.
func pairsOf(m map[string]string, longest int) []pair {
	list := []pair{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := []rune(m[key])
		if longest > 0 && len(value) > longest {
			value = append(value[:longest-1], '…')
		}
		list = append(list, pair{key, string(value)})
	}
	return list
}

// send sends a batch.
func (r *Run) send(ctx context.Context, b batch) error {
	if b.file != nil {
		return r.client.upload(ctx, r.info, b.file.name, b.file.kind, b.file.content)
	}
	return r.client.call(ctx, "runs/log-batch", map[string]any{"run_id": r.info.ID, "metrics": b.metrics}, nil)
}

// update says how the run is.
func (r *Run) update(ctx context.Context, s Status, end time.Time) error {
	message := map[string]any{"run_id": r.info.ID, "status": s}
	if !end.IsZero() {
		message["end_time"] = end.UnixMilli()
	}
	return r.client.call(ctx, "runs/update", message, nil)
}
