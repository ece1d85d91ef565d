package metrics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/histdist/histdist/internal/parallel"
)

// cosineEps is the smallest norm that torch.nn.CosineSimilarity(eps=1e-6) of the official evaluation divides by.
const cosineEps = 1e-6

// Retrieve ranks each generated image's real image among all real images by cosine similarity of features, as the
// official evaluation's compute_accuracy: ranks[i] is how many real images are strictly more similar to generated image
// i than real image i is, so 0 is found. The sets have equally many rows of equally many finite numbers. Similarities
// are computed in float64 and compared in float32, as there; equal real images have equal similarities to the bit.
func Retrieve(generated, real [][]float32) (ranks []int, err error) {
	if len(generated) != len(real) || len(real) == 0 {
		return nil, fmt.Errorf("retrieval: %d generated and %d real images: want equally many, at least 1",
			len(generated), len(real))
	}
	g, err := unitRows(generated, len(real[0]))
	if err != nil {
		return nil, fmt.Errorf("retrieval: generated: %w", err)
	}
	r, err := unitRows(real, len(real[0]))
	if err != nil {
		return nil, fmt.Errorf("retrieval: real: %w", err)
	}
	ranks = make([]int, len(g))
	parallel.For(len(g), func(i int) {
		own := cosine(g[i], r[i])
		for _, other := range r {
			if cosine(g[i], other) > own {
				ranks[i]++
			}
		}
	})
	return ranks, nil
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

// ChanceLevel is the expected part of n images with a rank below k if features say nothing: k/n, at most 1.
func ChanceLevel(n, k int) float64 {
	if n < 1 {
		return math.NaN()
	}
	return min(1, max(0, float64(k)/float64(n)))
}
