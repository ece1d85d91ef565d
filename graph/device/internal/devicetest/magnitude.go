package devicetest

import (
	"math"

	"github.com/histdist/histdist/graph/op"
)

// magnitudes estimates for each part of the output the size (root mean square) of what is added and subtracted on the
// way to an element: rounding errors are relative to it, however much of it cancels. want are the exact parts.
func (c testCase) magnitudes(in, want [][]float64) []float64 {
	r := make([]float64, len(in))
	for i, x := range in {
		r[i] = rms(x)
	}
	root := math.Sqrt(float64(c.terms()))
	switch s := c.spec.(type) {
	case op.Conv2D, op.Linear, op.ConvDataGrad, op.LinearDataGrad:
		return []float64{root*r[0]*r[1] + total(r[2:])}
	case op.ConvWeightGrad, op.LinearWeightGrad:
		return []float64{root * r[0] * r[1]}
	case op.AvgPool2D:
		return []float64{root * r[0] / float64(s.KH*s.KW)}
	case op.SumRows, op.SumPixels, op.SumBatch, op.UpsampleGrad:
		return []float64{root * r[len(r)-1]}
	case op.Activation, op.Add, op.AddChannels, op.AddBatch:
		return []float64{total(r)}
	case op.Accumulate: // of the total alone: before, it may not be a number
		return []float64{r[1] + rms(want[0])}
	case op.MovingAverage:
		return []float64{r[0] + r[1]}
	case op.ActivationGrad, op.GEGLUGrad:
		return []float64{(1 + r[0]) * r[1]}
	case op.GEGLU:
		return []float64{r[0] * r[0]}
	case op.Mul:
		return []float64{r[0] * r[1]}
	case op.MSE:
		return []float64{r[0]*r[0] + r[1]*r[1]}
	case op.MSEGrad:
		size := 2 * (r[0] + r[1]) * r[2] / float64(op.Size(c.in[0]))
		if s.Weighted {
			size *= r[3]
		}
		return []float64{size}
	case op.PosteriorSample:
		return []float64{rms(interleaved(in[0], last(c.in[1]))[0])}
	case op.KLDivergence: // exp(logvar) − 1 − logvar
		return []float64{root * (r[0]*r[0] + 1) / float64(c.in[0][0])}
	case op.KLDivergenceGrad: // exp(logvar) − 1
		return []float64{0, r[1] / float64(c.in[0][0])}
	case op.TimestepEmbedding:
		return []float64{1}
	case op.GroupNormStats:
		return []float64{r[0], 0}
	case op.GroupNorm:
		return []float64{r[2]*scaled(r[0], in[1]) + r[3]}
	case op.GroupNormGradSums:
		x := scaled(r[0], in[1])
		return []float64{root * r[4] * (1 + x), root * r[4] * x * (1 + x)}
	case op.GroupNormGradInput:
		x := scaled(r[0], in[1])
		return []float64{r[2] * r[4] * rms(interleaved(in[1], 1)[1]) * (1 + x)}
	case op.LayerNorm:
		return []float64{r[1]*r[0]*rms(inverseDeviations(in[0], last(c.in[0]), s.Eps)) + r[2]}
	case op.LayerNormGradInput:
		d := rms(inverseDeviations(in[0], last(c.in[0]), s.Eps))
		return []float64{r[1] * r[2] * d * (1 + r[0]*d)}
	case op.LayerNormGradParams:
		d := rms(inverseDeviations(in[0], last(c.in[0]), s.Eps))
		return []float64{root * r[1], root * r[1] * r[0] * d}
	case op.Attention:
		logits := r[0] * r[1]
		return []float64{max(rms(want[0]), r[2]/math.Sqrt(float64(c.in[1][1]))) * (1 + logits)}
	case op.AttentionGrad:
		lq, lk := float64(c.in[0][1]), float64(c.in[1][1])
		q, k, v, dy := r[0], r[1], r[2], r[3]
		sizes := []float64{dy * v * k / math.Sqrt(lk), dy * v * q * math.Sqrt(lq) / lk, dy * math.Sqrt(lq) / lk}
		for i := range sizes {
			sizes[i] = max(sizes[i], rms(want[i])) * (1 + q*k)
		}
		return sizes
	}
	return make([]float64, len(want))
}

// scaled is the size of x over its deviation, from [mean, 1/deviation] pairs.
func scaled(x float64, stats []float64) float64 { return x * rms(interleaved(stats, 1)[1]) }

func total(x []float64) (sum float64) {
	for _, v := range x {
		sum += v
	}
	return sum
}

// inverseDeviations are the 1/sqrt(variance + eps) of rows of n elements.
func inverseDeviations(x []float64, n int, eps float64) []float64 {
	var out []float64
	for ; len(x) > 0; x = x[n:] {
		_, d := moments(x[:n], eps)
		out = append(out, d)
	}
	return out
}

// moments are the mean and 1/sqrt(variance + eps).
func moments(x []float64, eps float64) (mean, inverse float64) {
	mean = total(x) / float64(len(x))
	sum := 0.0
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return mean, 1 / math.Sqrt(sum/float64(len(x))+eps)
}
