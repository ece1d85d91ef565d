package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
)

// Objective names what is trained.
type Objective string

// The objectives.
const (
	Diffusion   Objective = "diffusion"   // the U-Net: both tasks, see diffusion.go
	EndToEnd    Objective = "end-to-end"  // the U-Net's translation in one step, by its image: see endtoend.go
	Autoencoder Objective = "autoencoder" // the autoencoder between images and latents: see autoencoder.go
)

// Tasks are what the micro-steps of an objective learn.
func (o Objective) Tasks() []Task {
	switch o {
	case EndToEnd:
		return []Task{Translation}
	case Autoencoder:
		return []Task{Generation} // which means nothing to it
	}
	return []Task{Generation, Translation}
}

// folder is the network's name in a checkpoint.
func (o Objective) folder() string {
	if o == Autoencoder {
		return "vae"
	}
	return "unet"
}

// folder is the folder of what is trained in a checkpoint.
func (c Config) folder() string {
	if c.Adapter.lora() {
		return "adapter"
	}
	return c.Objective.folder()
}

// objective is everything in which training differs between kinds of networks. The loop, the optimiser and the
// checkpoints know nothing else of the network.
type objective interface {
	// params makes the network's parameters, in a graph of the smallest size.
	params() (gorgonia.Nodes, error)
	// size is the size of the graph for an example and its draws. They must fit each other and the network.
	size(e Example, d Draws) (size, error)
	// lossGraph makes the graph of network and loss for a size. The loss is multiplied by share.
	lossGraph(s size, share float64) (*lossGraph, error)
	// trains reports whether a parameter is trained. The others stay as they are.
	trains(name string) bool
	// draw draws a micro-step's random numbers.
	draw(g *rng.Torch, e Example) (Draws, error)
	// skip passes over what draw would draw, for an example of which only the shape is known.
	skip(g *rng.Torch, e Example)
	// title names what a micro-step learns in errors.
	title(t Task) string
	// losses names the graph's values for metrics; the first is the loss.
	losses(t Task, values []float64) map[string]float64
}

// params are the parameters of the network under training.
func (l *lossGraph) params() gorgonia.Nodes {
	if l.network != nil {
		return l.network
	}
	return l.scope.Params()
}

// guiding is an objective whose targets come from further programs.
type guiding interface {
	// programs are those, as far as they are compiled. The trainer closes them.
	programs() []*vm.Program
}

// holding is an objective that holds weights, until close.
type holding interface{ close() error }

// size is what a graph is built for. Tokens is 0 where there is no context.
type size struct{ batch, height, width, tokens int }

// lossGraph is the graph of a micro-step's forward pass.
type lossGraph struct {
	scope   *op.Scope
	network gorgonia.Nodes // parameters of the network under training; nil if the scope has no others
	values  gorgonia.Nodes // scalars: the loss, multiplied by share, then its parts to report
	feed    func(ctx context.Context, e Example, d Draws) (vm.Feeds, error)
}

// newObjective reads the configuration of a trainer's network, and returns its text, too.
func newObjective(t *Trainer) (made objective, configJSON []byte, err error) {
	c, o := t.config, t.options
	network := o.network(c.Objective)
	if network == "" {
		return nil, nil, fmt.Errorf("no folder of a network for the objective %s", c.Objective)
	}
	if configJSON, err = os.ReadFile(filepath.Join(network, configFile)); err != nil {
		return nil, nil, err
	}
	switch c.Objective {
	case Diffusion:
		made, err = newDiffusion(c, network, o.Schedule)
	case EndToEnd:
		made, err = newEndToEnd(t)
	case Autoencoder:
		made, err = newAutoencoder(t, network)
	default:
		err = errors.New("no objective") // Config.Validate has seen it
	}
	if err != nil {
		return nil, nil, err
	}
	return made, configJSON, nil
}
