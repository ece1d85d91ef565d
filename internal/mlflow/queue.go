package mlflow

import (
	"fmt"
	"strings"
	"sync"
)

// Metric is a number of a step.
type Metric struct {
	Key   string  `json:"key"`
	Value float64 `json:"value"`
	Time  int64   `json:"timestamp"` // milliseconds since 1970
	Step  int64   `json:"step"`
}

// file is an artifact.
type file struct {
	name, kind string
	content    []byte
}

// The limits of a queue: a day of a training's metrics, a minute apart, and some panels. What exceeds them is dropped.
const (
	maxMetrics   = 100_000
	maxFileBytes = 64 << 20
)

// queue keeps what waits to be sent.
type queue struct {
	lock    sync.Mutex
	metrics []Metric
	files   []file
	bytes   int // of files
	lost    loss
	wake    chan struct{} // something was added
}

// loss is what could not be sent.
type loss struct {
	metrics, files int
	reason         error // the first
}

func (l *loss) add(metrics, files int, reason error) {
	l.metrics, l.files = l.metrics+metrics, l.files+files
	if l.reason == nil {
		l.reason = reason
	}
}

func (l loss) String() string {
	var what []string
	if l.metrics > 0 {
		what = append(what, fmt.Sprintf("%d metrics", l.metrics))
	}
	if l.files > 0 {
		what = append(what, fmt.Sprintf("%d images", l.files))
	}
	return strings.Join(what, " and ")
}

var errFull = fmt.Errorf("the queue is full, at %d metrics or %d MiB of images", maxMetrics, maxFileBytes>>20)

func (q *queue) addMetrics(list []Metric) {
	q.lock.Lock()
	defer q.lock.Unlock()
	if len(q.metrics)+len(list) > maxMetrics {
		q.lost.add(len(list), 0, errFull)
		return
	}
	q.metrics = append(q.metrics, list...)
	q.notify()
}

func (q *queue) addFile(f file) {
	q.lock.Lock()
	defer q.lock.Unlock()
	if q.bytes+len(f.content) > maxFileBytes {
		q.lost.add(0, 1, errFull)
		return
	}
	q.files, q.bytes = append(q.files, f), q.bytes+len(f.content)
	q.notify()
}

func (q *queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// batch is what is sent at once: metrics, or a file.
type batch struct {
	metrics []Metric
	file    *file
}

// maxBatch is the server's limit of metrics in a request.
const maxBatch = 1000

// next takes a batch, metrics first; ok is false if nothing waits.
func (q *queue) next() (b batch, ok bool) {
	q.lock.Lock()
	defer q.lock.Unlock()
	switch n := min(len(q.metrics), maxBatch); {
	case n > 0:
		b.metrics, q.metrics = q.metrics[:n:n], q.metrics[n:]
	case len(q.files) > 0:
		b.file, q.files = &q.files[0], q.files[1:]
		q.bytes -= len(b.file.content)
	default:
		return b, false
	}
	return b, true
}

// lose counts a batch as lost.
func (q *queue) lose(b batch, reason error) {
	files := 0
	if b.file != nil {
		files = 1
	}
	q.lock.Lock()
	defer q.lock.Unlock()
	q.lost.add(len(b.metrics), files, reason)
}

// loseAll counts all that waits as lost.
func (q *queue) loseAll(reason error) {
	for b, ok := q.next(); ok; b, ok = q.next() {
		q.lose(b, reason)
	}
}

func (q *queue) losses() loss {
	q.lock.Lock()
	defer q.lock.Unlock()
	return q.lost
}
