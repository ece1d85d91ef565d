package features

import (
	"context"
	"errors"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
)

// keptPrograms is how many compiled networks an extractor keeps: for whole batches, for what is left over, and for another size.
const keptPrograms = 3

// size is what a network is compiled for.
type size struct{ batch, height, width int }

// program is a compiled network.
type program struct {
	*vm.Program
	size    size
	network network
	store   *weights.Store
}

// run computes the rows of pixels [N,H,W,3]: [N,Dim], valid until the next run.
func (p *program) run(ctx context.Context, pixels []float32) ([]float32, error) {
	x := tensor.New(tensor.WithShape(p.size.batch, p.size.height, p.size.width, 3), tensor.WithBacking(pixels))
	out, err := p.Run(ctx, vm.Feeds{p.network.in: x})
	if err != nil {
		return nil, err
	}
	return out[0].Float32s(), nil
}

// close gives back the program's memory, and that of weights which no other program reads.
func (p *program) close() error {
	return errors.Join(p.Close(), p.store.Release(p.network.scope.Params()))
}
