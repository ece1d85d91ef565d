package experiments

import (
	"fmt"
	"io"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/train"
)

// WriteHeader describes a run that is about to start.
func (e *Experiment) WriteHeader(w io.Writer) error {
	c := e.Config
	images := "whole images"
	if c.Data.Crop > 0 {
		images = fmt.Sprintf("crops of %d pixels", c.Data.Crop)
	}
	if c.Data.Augment {
		images += ", augmented"
	}
	network := fmt.Sprintf("U-Net of %d parameters, %s", e.trainer.Parameters(), c.Train.Prediction)
	switch c.Train.Objective {
	case train.Autoencoder:
		network = fmt.Sprintf("autoencoder of %d parameters", e.trainer.Parameters())
	case train.EndToEnd:
		network += ", trained end to end for 1 step"
	}
	if c.Train.Adapter.Kind != "" {
		network += fmt.Sprintf(", of which the %d of an adapter are trained (rank %d: %s)", e.trainer.Trained(),
			c.Train.Adapter.Rank, c.Train.Adapter.Layers)
	}
	if c.Train.EMA {
		network += ", with its moving average"
	}
	on := e.device.Name()
	for _, d := range e.device.Peers {
		on += ", " + d.Name()
	}
	if e.job != nil {
		on = fmt.Sprintf("%d GPUs, one for each process", e.job.Size())
	}
	if d, ok := e.device.Device.(device.Threader); ok {
		on += ", " + plural(d.Threads(), "thread")
	}
	each := c.Data.Batch * c.Train.Accumulate
	_, err := fmt.Fprintf(w, `data        %s; %s
model       %s: %s
device      %s, %s
training    %d steps of %s of %s: effective batch %d, %.1f epochs; learning rate %g, %s
validation  %s
output      %s
`, e.describe(), images, c.Model.Base, network, on, c.Train.Precision,
		c.Train.MaxSteps, plural(c.Train.Accumulate, "micro-step"), plural(c.Data.Batch, "pair"),
		each, e.epochs(), c.Train.Base,
		warmup(c.Train), e.describeValidation(), c.Run.Output)
	return err
}

// epochs is the number of times that a run sees every pair.
func (e *Experiment) epochs() float64 {
	c := e.Config.Train
	updates := (e.source.Len() + c.Accumulate - 1) / c.Accumulate // the last of an epoch may have fewer micro-steps
	return float64(c.MaxSteps) / float64(updates)
}

func warmup(c train.Config) string {
	text := string(c.Schedule)
	if c.Schedule != train.Constant && c.Warmup > 0 {
		text += fmt.Sprintf(" after %d steps of warm-up", c.Warmup)
	}
	if c.Schedule != train.Constant && c.Warmup >= c.MaxSteps {
		text += ", longer than the run"
	}
	return text
}

func (e *Experiment) describeValidation() string {
	c := e.Config
	if c.Train.ValidateEvery == 0 {
		return "none"
	}
	when := fmt.Sprintf("every %s", plural(c.Train.ValidateEvery, "step"))
	if c.Validation.AtStart {
		when += " and before the first"
	}
	n := len(e.Pairs.Validation)
	return fmt.Sprintf("%s: loss of %s, %s",
		when, plural(min(c.Validation.Pairs, n), "pair"), e.shownAs(min(c.Validation.Translations, n)))
}

func (e *Experiment) shownAs(n int) string {
	if e.Config.Train.Objective == train.Autoencoder {
		return "reconstructions of " + plural(n, "pair")
	}
	s := e.sampler
	text := fmt.Sprintf("%s of %d + %d steps", plural(n, "translation"), s.StepsInversion, s.StepsTranslation)
	if p := e.Config.Validation.Preset; p != "" {
		text += ", preset " + p
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
