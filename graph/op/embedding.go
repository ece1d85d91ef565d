package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Embedding looks rows of a table up: ids […] int32 in [0,V), table [V,C] → […,C].
type Embedding struct{}

// Apply returns the rows of table [V,C] that ids […] name: […,C]. A run ends with an error if an id is not in [0,V).
func (e Embedding) Apply(s *Scope, ids, table *gorgonia.Node) *gorgonia.Node {
	return s.apply(e, ids, table)
}

// Name returns "Embedding".
func (Embedding) Name() string { return "Embedding" }

// Infer returns […,C].
func (Embedding) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if len(in[0]) < 1 || len(in[1]) != 2 {
		return nil, errorf("ids %v and table %v: want […] and [V,C]", in[0], in[1])
	}
	return append(in[0].Clone(), in[1][1]), nil
}

// Kinds returns an index, an exact table and an exact output: the stream of a text encoder begins here.
func (Embedding) Kinds(int) ([]Kind, Kind) { return []Kind{Index, Exact}, Exact }

// Diff is true for the table.
func (Embedding) Diff(int) []bool { return []bool{false, true} }

// Grad returns the gradient of the table.
func (Embedding) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{nil, s.apply(EmbeddingGrad{Rows: in[1].Shape()[0]}, in[0], dy)}
}

// EmbeddingGrad is ids […], dy […,C] → [Rows,C], the sum of dy over the places where a row was looked up.
type EmbeddingGrad struct{ Rows int }

// Name returns "EmbeddingGrad".
func (e EmbeddingGrad) Name() string { return "EmbeddingGrad" }

// Infer returns [Rows,C].
func (e EmbeddingGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	dy := in[1]
	if e.Rows < 1 {
		return nil, errorf("table of %d rows: want at least 1", e.Rows)
	}
	if len(dy) < 2 || !equal(in[0], dy[:len(dy)-1]) {
		return nil, errorf("ids %v and gradient %v: want […] and […,C]", in[0], dy)
	}
	return tensor.Shape{e.Rows, lastDim(dy)}, nil
}

// Kinds returns an index and exact values.
func (e EmbeddingGrad) Kinds(int) ([]Kind, Kind) { return []Kind{Index, Exact}, Exact }
