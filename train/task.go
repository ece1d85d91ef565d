package train

import "github.com/histdist/histdist/graph/rng"

// Task is what a micro-step learns.
type Task int

// The tasks.
const (
	Generation  Task = iota // H&E from a text, with an empty condition
	Translation             // IHC from the H&E: its latents are the condition, its vision transformer's states the context
)

// String returns the task's name in metrics.
func (t Task) String() string { return [...]string{"generation", "translation"}[t] }

// Position is where a run is in its data: the micro-step that comes next.
type Position struct {
	Epoch int `json:"epoch"`
	Index int `json:"index"` // of the micro-step in its epoch
}

// next is the position after p in epochs of so many micro-steps.
func (p Position) next(epoch int) Position {
	if p.Index++; p.Index >= epoch {
		return Position{Epoch: p.Epoch + 1}
	}
	return p
}

// taskAt chooses a micro-step's task. If tasks alternate, each epoch begins with a generation.
func (c Config) taskAt(p Position, g *rng.Torch) Task {
	if tasks := c.Objective.Tasks(); len(tasks) == 1 {
		return tasks[0]
	}
	if c.AlternateTasks {
		return Task(p.Index % 2)
	}
	var u [1]float64
	g.Rand64(u[:])
	if u[0] < c.TranslationFraction {
		return Translation
	}
	return Generation
}
