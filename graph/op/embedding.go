package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Embedding looks up rows of a table: ids […] int32, table [V,C] → […,C]. A run fails if an id is not in [0,V). It has
// no gradient: the text encoder is not trained.
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
