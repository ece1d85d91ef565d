package train

import (
	"image"

	"github.com/histdist/histdist/graph/progress"
)

// Observer receives the events of a run: those of this file, and Metrics after every optimisation step. Its error ends
// the run.
type Observer = progress.Observer

// Note is something a user should know, in a line.
type Note = progress.Note

// Start is reported when a run has its folder and is about to begin or to continue.
type Start struct {
	Step     int      // the run continues after it; entries after that step must be discarded. 0 is a new run: discard all
	Accepted []string // the changes that Resume.AcceptChanges accepted
}

// Skip is reported when a step is left out because it isn't finite.
type Skip struct {
	Step   int
	Reason error
}

// Scores are the results of a validation.
type Scores struct {
	Step   int
	Values []Scalar
}

// Panel is an image that shows a validation's results.
type Panel struct {
	Step  int
	Name  string
	Image image.Image
}

// Saved is reported when a checkpoint is complete.
type Saved struct{ Path string }

// Unsaved is reported when a checkpoint could not be written and the run continues without it.
type Unsaved struct{ Reason error }

// Scalar is a number with its name, such as train/loss.
type Scalar struct {
	Name  string
	Value float64
}
