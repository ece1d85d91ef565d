package infer

import (
	"fmt"

	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// ErrNotFinite is what every *NotFiniteError wraps.
var ErrNotFinite = finite.Err

// network is a network's name in errors.
type network string

const (
	encoderNet network = "VAE encoder"
	decoderNet network = "VAE decoder"
	unetNet    network = "U-Net"
	textNet    network = "text encoder"
	vitNet     network = "vision transformer"
)

// NotFiniteError is the error of a translation in which a network's output was not finite or too large. No image is
// made.
type NotFiniteError struct {
	Image  int    // of the batch
	Reason string // the likely cause
	Err    error  // which value; wraps ErrNotFinite
}

// Error names the value and the likely cause.
func (e *NotFiniteError) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Reason) }

// Unwrap returns which value it is.
func (e *NotFiniteError) Unwrap() error { return e.Err }

// finite checks a network's output [N,…], image by image.
func (t *translation) finite(what string, values []float32, limit int) error {
	for i := range t.Images {
		if err := finite.Check(what, t.one(values, i), limit); err != nil {
			return t.pipeline.notFinite(i, err)
		}
	}
	return nil
}

// notFinite adds the likely cause of values that are not finite. The weights are finite, or binding them would have
// failed.
func (p *Pipeline) notFinite(image int, err error) error {
	reason := "the training that made the weights failed, or the model was trained for other settings"
	if p.options.Precision == vm.BFloat16 {
		reason = fmt.Sprintf("the precision %s may be too low for this model: try float32", p.options.Precision)
	}
	return &NotFiniteError{Image: image, Reason: reason, Err: err}
}
