package ranks

import (
	"fmt"
	"time"
)

// Doing is what a rank does.
type Doing = string

// What ranks do.
const (
	Starting   Doing = ""
	Learning   Doing = "its micro-steps"
	Summing    Doing = "the sum over all ranks"
	Validating Doing = "validation" // may take any time, as Saving
	Saving     Doing = "a checkpoint"
)

// state is what a rank does, since when.
type state struct {
	Doing Doing         `json:"doing,omitempty"`
	Step  int           `json:"step,omitempty"`
	For   time.Duration `json:"for,omitempty"`
}

// At notes what this rank does. A sum for which the others wait longer than Options.Timeout ends the job.
func (j *Job) At(step int, doing Doing) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now, j.since = state{Doing: doing, Step: step}, time.Now()
}

func (j *Job) state() state {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.now
	s.For = time.Since(j.since)
	return s
}

// beats sends signs of life, and at rank 0 looks for ranks that hang.
func (j *Job) beats() {
	ticker := time.NewTicker(j.o.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-j.done:
			return
		case <-j.failed:
			return
		case <-ticker.C:
		}
		for _, m := range j.others() {
			if err := m.wire.send(message{Kind: beat, Now: j.state()}); err != nil {
				j.lost(m, err)
			}
		}
		if j.launch.Rank == 0 {
			j.watch()
		}
	}
}

// watch ends the job if a sum takes too long: because of the ranks that have not come to it, or of the network.
func (j *Job) watch() {
	all := []state{j.state()}
	j.mu.Lock()
	for i := 1; i < len(j.members); i++ {
		all = append(all, j.members[i].now)
	}
	j.mu.Unlock()
	if text := j.hang(all); text != "" {
		j.fail(text)
	}
}

// hang says who keeps the others waiting in a sum; "" if nobody does, or for good reasons.
func (j *Job) hang(all []state) string {
	step, late := 0, false
	for _, s := range all {
		if s.Doing == Summing && s.For > j.o.Timeout {
			step, late = max(step, s.Step), true
		}
	}
	if !late {
		return ""
	}
	var behind []int
	for rank, s := range all {
		switch {
		case s.Doing == Validating || s.Doing == Saving:
			return ""
		case s.Step < step || s.Step == step && s.Doing != Summing:
			behind = append(behind, rank)
		}
	}
	if len(behind) == 0 {
		return fmt.Sprintf("step %d: the sum over all ranks has not ended in %s though all have come to it: the network "+
			"or a GPU hangs; NCCL_DEBUG=INFO says more", step, j.o.Timeout)
	}
	return fmt.Sprintf("step %d: the other ranks have waited %s for %s, at %s of step %d", step, j.o.Timeout,
		j.names(behind), all[behind[0]].Doing, all[behind[0]].Step)
}
