package queue

// Watch wakes who waits for changes of a job. Changes that come faster than they are looked at are one: whoever reads
// the job after each wake misses states in between, but never the last.
type Watch struct {
	queue   *Queue
	id      string
	changed chan struct{}
}

// Watch begins to watch a job, which need not exist. Read the job after this call, then after each change.
func (q *Queue) Watch(id string) *Watch {
	w := &Watch{queue: q, id: id, changed: make(chan struct{}, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watches[id] == nil {
		q.watches[id] = map[*Watch]bool{}
	}
	q.watches[id][w] = true
	return w
}

// Changed delivers a value after the job, or its place in the queue, has changed. It is never closed.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Close ends the watch.
func (w *Watch) Close() {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	delete(w.queue.watches[w.id], w)
	if len(w.queue.watches[w.id]) == 0 {
		delete(w.queue.watches, w.id)
	}
}

// wake marks the watches of a job as changed; of all jobs, if id is "". It doesn't wait. The caller holds mu.
func (q *Queue) wake(id string) {
	for of, watches := range q.watches {
		if id != "" && of != id {
			continue
		}
		for w := range watches {
			select {
			case w.changed <- struct{}{}:
			default: // it hasn't looked at the last change yet
			}
		}
	}
}
