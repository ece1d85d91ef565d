package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Embedding looks up rows of a table: ids […] int32, table [V,C] → […,C]. A run fails if an id is not in [0,V). It has
// no gradient: the text encoder is not trained. Rows has one.
type Embedding struct{}

// Apply returns the rows of table [V,C] for ids […]: […,C].
func (e Embedding) Apply(s *Scope, ids, table *gorgonia.Node) *gorgonia.Node {
	return s.apply(e, ids, table)
}

func (Embedding) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 || len(in[1]) != 2 {
		return nil, errorf("ids %v and table %v: want […] and [V,C]", in[0], in[1])
	}
	return append(in[0].Clone(), in[1][1]), nil
}

// The stream of a text encoder begins here: the output is exact.
func (Embedding) Kinds(int) ([]Kind, Kind) { return []Kind{Index, Exact}, Exact }

// Rows returns weighted sums of a table's rows: weights […,V], table [V,C] → […,C]. Weights of 0 and a single 1 pick a
// row, as torch.nn.Embedding does; unlike Embedding it has a gradient, for small tables that are trained.
func Rows(s *Scope, weights, table *gorgonia.Node) *gorgonia.Node {
	return s.apply(LinearDataGrad{}, weights, table)
}
