package devicetest

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// eachGroup visits every group of x [N,…,C] with the indices of its elements.
func eachGroup(groups int, shape tensor.Shape, visit func(sample, group int, elements []int)) {
	n, c := shape[0], last(shape)
	pixels := op.Size(shape) / n / c
	size := c / groups
	for b := range n {
		for g := range groups {
			var elements []int
			for p := range pixels {
				for i := range size {
					elements = append(elements, (b*pixels+p)*c+g*size+i)
				}
			}
			visit(b, g, elements)
		}
	}
}

func naiveGroupNormStats(s op.GroupNormStats, shape tensor.Shape, x []float64) []float64 {
	out := make([]float64, shape[0]*s.Groups*2)
	eachGroup(s.Groups, shape, func(b, g int, elements []int) {
		var values []float64
		for _, e := range elements {
			values = append(values, x[e])
		}
		out[(b*s.Groups+g)*2], out[(b*s.Groups+g)*2+1] = moments(values, s.Eps)
	})
	return out
}

// normalized returns x̂ and dz, the gradient before the SiLU, of x, stats, gamma, beta, dy.
func normalized(s op.GroupNorm, shape tensor.Shape, data [][]float64) (xhat, dz []float64) {
	x, stats, gamma, beta, dy := data[0], data[1], data[2], data[3], data[4]
	c := last(shape)
	xhat, dz = make([]float64, len(x)), make([]float64, len(x))
	eachGroup(s.Groups, shape, func(b, g int, elements []int) {
		st := stats[(b*s.Groups+g)*2:]
		for _, e := range elements {
			xhat[e] = (x[e] - st[0]) * st[1]
			dz[e] = dy[e]
			if s.SiLU {
				z := xhat[e]*gamma[e%c] + beta[e%c]
				sigmoid := 1 / (1 + math.Exp(-z))
				dz[e] *= sigmoid * (1 + z*(1-sigmoid))
			}
		}
	})
	return xhat, dz
}

func naiveGroupNormGradSums(s op.GroupNormGradSums, shape tensor.Shape, data [][]float64) []float64 {
	xhat, dz := normalized(op.GroupNorm(s), shape, data)
	n, c := shape[0], last(shape)
	out := make([]float64, n*2*c)
	for e := range dz {
		b := e / (len(dz) / n)
		out[b*2*c+e%c] += dz[e]
		out[b*2*c+c+e%c] += dz[e] * xhat[e]
	}
	return out
}
