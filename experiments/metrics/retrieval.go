package metrics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/histdist/histdist/internal/parallel"
)

// cosineEps is the smallest norm that torch.nn.CosineSimilarity(eps=1e-6) of the official evaluation divides by.
const cosineEps = 1e-6

// Retrieval tells whether generated images find their own real images among all, by the features of a pathology network.
type Retrieval struct {
	// Ranks has for each generated image the number of real ones that are strictly more similar than its own: 0 is found. A tie counts
	// as the better place.
	Ranks []int
}

// Retrieve ranks, for each generated image i, the real image i among all real images by cosine similarity, as compute_accuracy of the
// official evaluation does. The sets have as many rows, of as many finite numbers. Similarities are computed in float64 and, as
// the official ones are, compared in float32; equal real images have equal similarities to the bit.
func Retrieve(generated, real [][]float32) (Retrieval, error) {
	if len(generated) != len(real) || len(real) == 0 {
		return Retrieval{}, fmt.Errorf("retrieval: %d generated and %d real images: want as many, at least 1", len(generated), len(real))
	}
	g, err := unitRows(generated, len(real[0]))
	if err != nil {
		return Retrieval{}, fmt.Errorf("retrieval: generated: %w", err)
	}
	r, err := unitRows(real, len(real[0]))
	if err != nil {
		return Retrieval{}, fmt.Errorf("retrieval: real: %w", err)
	}
	ranks := make([]int, len(g))
	parallel.For(len(g), func(i int) {
		own := cosine(g[i], r[i])
		for _, other := range r {
			if cosine(g[i], other) > own {
				ranks[i]++
			}
		}
	})
	return Retrieval{Ranks: ranks}, nil
}

// cosine is the similarity of unit rows.
func cosine(a, b []float64) float32 { return float32(floats.Dot(a, b)) }

// unitRows divides each row by its norm, or by cosineEps if that is larger: a row of zeros stays one.
func unitRows(rows [][]float32, dim int) ([][]float64, error) {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		if err := checkRow(row, dim); err != nil {
			return nil, fmt.Errorf("feature row %d: %w", i, err)
		}
		out[i] = make([]float64, dim)
		squares := 0.0
		for j, v := range row {
			out[i][j] = float64(v)
			squares += float64(v) * float64(v)
		}
		norm := max(math.Sqrt(squares), cosineEps)
		for j := range out[i] {
			out[i][j] /= norm
		}
	}
	return out, nil
}

// Top is the part of images whose own partner is among the k most similar ones, 0 to 1: Top(1) and Top(3) are the official
// evaluation's "acc" and "accTop3".
func (r Retrieval) Top(k int) float64 {
	if len(r.Ranks) == 0 {
		return math.NaN()
	}
	found := 0
	for _, rank := range r.Ranks {
		if rank < k {
			found++
		}
	}
	return float64(found) / float64(len(r.Ranks))
}

// ChanceLevel is what Top(k) is expected to be for n images whose features say nothing: k/n, at most 1.
func ChanceLevel(n, k int) float64 {
	if n < 1 {
		return math.NaN()
	}
	return min(1, max(0, float64(k)/float64(n)))
}
