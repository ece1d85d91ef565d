package experiments

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/train"
)

// Plan is what a run would take.
type Plan struct {
	train.Cost
	Device      string
	Devices     int   // that share a step, each with the memory below
	Available   int64 // bytes that the run may take; 0 if unknown
	Networks    int64 // bytes of the networks that are not trained
	Pairs       string
	MicroSteps  int           // of an epoch
	Epochs      float64       // of the run
	Encode      time.Duration // of a step: its images through the networks that aren't trained
	BatchImages int
	Load        time.Duration // of a micro-step: reading, decoding and cropping its images ahead of the training
	LoadBytes   int64         // what the loader holds at most
}

// Plan measures a step of each task on the first pairs. It writes nothing, but the experiment can't run afterwards.
func (e *Experiment) Plan(ctx context.Context) (Plan, error) {
	c := e.Config.Train
	p := Plan{
		Device: e.device.Name(), Devices: 1 + len(e.device.Peers), Available: e.device.Available(),
		Pairs: e.describe(), MicroSteps: e.source.Len(),
		Epochs: e.epochs(), BatchImages: e.Config.Data.Batch,
	}
	if e.device.Group != nil {
		p.Devices = e.device.Group.Size()
	}
	if !e.device.HostMemory() && p.Available > 0 { // the state is there already, all of it
		p.Available += e.device.Allocated()
	}
	if err := e.measureLoader(ctx, &p); err != nil {
		return p, err
	}
	g := rng.NewTorch(c.Seed)
	tasks := c.Objective.Tasks()
	var examples []train.Example
	var draws []train.Draws
	for _, task := range tasks {
		at := train.Position{Index: min(int(task), p.MicroSteps-1)}
		if _, err := e.examples.Example(ctx, at, task, g); err != nil { // compiles
			return p, err
		}
		begin := time.Now()
		x, err := e.examples.Example(ctx, at, task, g)
		if err != nil {
			return p, err
		}
		p.Encode += time.Duration(c.Accumulate) * time.Since(begin) / time.Duration(len(tasks))
		d, err := e.trainer.Draw(g, x)
		if err != nil {
			return p, err
		}
		examples, draws = append(examples, x), append(draws, d)
	}
	var err error
	p.Cost, err = train.Measure(ctx, e.trainer, examples, draws)
	e.trainer = nil // closed
	if e.frozen != nil {
		p.Networks = e.frozen.Memory()
	}
	return p, err
}

// measureLoader times batches that are made ahead, as in a run, of images that are not in the cache.
func (e *Experiment) measureLoader(ctx context.Context, p *Plan) error {
	const batches = 4
	s := e.source.loader.Stream(ctx, 0)
	defer s.Close()
	begin := time.Now()
	for range batches {
		if _, err := s.Next(ctx); err != nil {
			return err
		}
	}
	p.Load, p.LoadBytes = time.Since(begin)/batches, int64(e.Config.Data.Memory)<<20
	return nil
}

// WriteText prints the plan.
func (p Plan) WriteText(w io.Writer, c Config) error {
	gib := func(n int64) string { return fmt.Sprintf("%.3f GiB", float64(n)/(1<<30)) }
	step, load := p.Step+p.Encode, time.Duration(c.Train.Accumulate)*p.Load
	total := time.Duration(c.Train.MaxSteps) * step
	on := p.Device
	if p.Devices > 1 {
		on = fmt.Sprintf("each of %d devices", p.Devices)
	}
	_, err := fmt.Fprintf(w, `data          %s
parameters    %d, of which %d are trained
memory        %s on %s, of %s that may be used
  weights     %s
  gradients   %s
  optimiser   %s
  average     %s
  activations %s
  kernels     %s
  networks    %s that are not trained
steps         %d, each of %d micro-steps of %d pairs: %.1f epochs of %d micro-steps
a step        %.3g TFLOP, %.2f s (%.3f TFLOP/s) and %.2f s to encode its images, measured now
loader        %.2f s for the images of a step, during the training: %.1f× as fast as needed; at most %s
the run       %s
`, p.Pairs, p.Parameters, p.Trained, gib(p.Memory()+p.Networks), on, gib(p.Available), gib(p.Weights),
		gib(p.Gradients), gib(p.Optimiser), gib(p.Average),
		gib(p.Activations), gib(p.Packed), gib(p.Networks+p.Guides), c.Train.MaxSteps, c.Train.Accumulate, p.BatchImages,
		p.Epochs, p.MicroSteps,
		float64(p.FLOP)/1e12, p.Step.Seconds(), float64(p.FLOP)/1e12/p.Step.Seconds(), p.Encode.Seconds(),
		load.Seconds(), step.Seconds()/load.Seconds(), gib(p.LoadBytes), total.Round(time.Second))
	return err
}
