package infer

import (
	"fmt"

	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// ErrNotFinite is what every *NotFiniteError wraps.
var ErrNotFinite = finite.Err

// network is one of the networks as errors call it.
type network string

const (
	encoderNet network = "VAE encoder"
	decoderNet network = "VAE decoder"
	unetNet    network = "U-Net"
	textNet    network = "text encoder"
	vitNet     network = "vision transformer"
)

// NotFiniteError is the error of a translation in which a network made values that are no numbers, or too large. No image is made then.
type NotFiniteError struct {
	Image  int    // of the batch
	Reason string // what may be the matter
	Err    error  // which value; wraps ErrNotFinite
}

// Error says what came out and why that may be.
func (e *NotFiniteError) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Reason) }

// Unwrap returns which value it is.
func (e *NotFiniteError) Unwrap() error { return e.Err }

// finite checks what a network made of each image, [N,…].
func (t *translation) finite(what string, values []float32, limit int) error {
	for i := range t.Images {
		if err := finite.Check(what, t.one(values, i), limit); err != nil {
			return t.pipeline.notFinite(i, err)
		}
	}
	return nil
}

// notFinite says what may be the reason of values that are not finite. The weights are numbers, or binding them would have failed.
func (p *Pipeline) notFinite(image int, err error) error {
	reason := "the weights are of a training that went wrong, or the settings are not those that the model was trained for"
	if p.options.Precision == vm.BFloat16 {
		reason = fmt.Sprintf("the precision %s may not do for this model: try float32", p.options.Precision)
	}
	return &NotFiniteError{Image: image, Reason: reason, Err: err}
}
