package experiments

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/device/catalog"
)

// leads reports whether this process is alone, or the first of its job.
func (e *Experiment) leads() bool { return e.job == nil || e.job.Rank() == 0 }

func (e *Experiment) place(ctx context.Context) catalog.Place {
	return catalog.Place{
		Rank: e.job.Rank(), Size: e.job.Size(), Local: e.job.Local(),
		Share: func(id []byte) ([]byte, error) { return e.job.FromFirst(ctx, "NCCL's identifier", id) },
	}
}

func (e *Experiment) openDevice() (err error) {
	if e.job == nil {
		e.device, err = catalog.OpenSet(e.Config.Run.Device, e.Config.Run.Threads)
		return err
	}
	e.device.Device, err = catalog.OpenAt(e.Config.Run.Device, e.place(context.Background()))
	return err
}

// openModelOnce is openModel, in the first process before the others, since it may make files.
func (e *Experiment) openModelOnce(ctx context.Context) (unet string, err error) {
	if !e.leads() {
		if _, err := e.job.FromFirst(ctx, "the model", nil); err != nil {
			return "", err
		}
	}
	unet, err = e.openModel(ctx)
	if err == nil && e.job != nil && e.leads() {
		_, err = e.job.FromFirst(ctx, "the model", nil)
	}
	return unet, err
}

// joinRanks joins the GPUs of all processes, if these are set up alike.
func (e *Experiment) joinRanks(ctx context.Context) error {
	if e.job == nil {
		return nil
	}
	if err := e.job.Agree(ctx, "the configuration", e.facts()); err != nil {
		return err
	}
	var err error
	e.device.Group, err = catalog.Join(e.device.Device, e.place(ctx))
	return err
}

// facts are what all processes must have in common: the configuration, except for where a machine has its files and
// what it may take, and the content of model and images.
func (e *Experiment) facts() map[string]string {
	own := []string{
		"data.dir", "data.he", "data.ihc", "data.sets", "data.workers", "data.read-ahead", "data.memory-mib",
		"data.cache-mib", "model.base", "model.phikon", "run.device", "run.threads",
	}
	facts := map[string]string{}
	for _, v := range e.values {
		if !slices.Contains(own, v.Key) {
			facts[v.Key] = fmt.Sprint(v.Value)
		}
	}
	for key, value := range e.inputs() {
		facts[key] = value
	}
	facts["images"] = fmt.Sprintf("%d, content %x", len(e.contents), sha256.Sum256(e.contents.Record()))[:40]
	return facts
}
