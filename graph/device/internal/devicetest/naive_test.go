package devicetest

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// Loops written from the definitions, in float64: what the oracle is compared with.

// eachTap visits every (output pixel, kernel tap, pixel of the source) of a convolution over h×w pixels of n images.
func eachTap(g op.Geometry, n, h, w int, visit func(out, tap, source int)) {
	oh, ow := g.Out(h, w)
	for b := range n {
		for oy := range oh {
			for ox := range ow {
				for ky := range g.KH {
					for kx := range g.KW {
						y, x := oy*g.Stride+ky-g.Pad.Top, ox*g.Stride+kx-g.Pad.Left
						if y >= 0 && y < h && x >= 0 && x < w {
							visit((b*oh+oy)*ow+ox, ky*g.KW+kx, (b*h+y)*w+x)
						}
					}
				}
			}
		}
	}
}

func naiveConv(s op.Conv2D, in []tensor.Shape, data [][]float64) []float64 {
	n, ci, co := in[0][0], in[1][2], in[1][3]
	h, w := s.Source(in[0])
	x := naiveResize(in[0], data[0], h, w)
	oh, ow := s.Out(h, w)
	out := make([]float64, n*oh*ow*co)
	eachTap(s.Geometry, n, h, w, func(o, tap, p int) {
		for i := range ci {
			for j := range co {
				out[o*co+j] += x[p*ci+i] * data[1][(tap*ci+i)*co+j]
			}
		}
	})
	finish(out, co, data[2:], s.Bias, s.Residual, s.Act)
	return out
}

// naiveResize resizes x [N,H,W,C] to h×w by nearest neighbour, choosing pixels in float32 as
// torch.nn.functional.interpolate does: a few pairs of sizes, such as 14 → 46, differ from the exact quotient.
func naiveResize(shape tensor.Shape, x []float64, h, w int) []float64 {
	n, hs, ws, c := shape[0], shape[1], shape[2], shape[3]
	from := func(i, size, source int) int {
		return min(int(float32(i)*(float32(source)/float32(size))), source-1)
	}
	var out []float64
	for b := range n {
		for y := range h {
			for z := range w {
				p := (b*hs+from(y, h, hs))*ws + from(z, w, ws)
				out = append(out, x[p*c:(p+1)*c]...)
			}
		}
	}
	return out
}

// finish adds bias and residual to rows of c channels and applies an activation.
func finish(out []float64, c int, more [][]float64, bias, residual bool, act op.Act) {
	for i := range out {
		m := more
		if bias {
			out[i] += m[0][i%c]
			m = m[1:]
		}
		if residual {
			out[i] += m[0][i]
		}
		out[i] = activate(out[i], act)
	}
}

func activate(x float64, act op.Act) float64 {
	switch act {
	case op.SiLU:
		return x / (1 + math.Exp(-x))
	case op.GELU:
		return x * (1 + math.Erf(x/math.Sqrt2)) / 2
	case op.QuickGELU:
		return x / (1 + math.Exp(-1.702*x))
	case op.ReLU:
		return max(x, 0)
	}
	return x
}

func naiveConvDataGrad(s op.ConvDataGrad, in []tensor.Shape, data [][]float64) []float64 {
	n, ci, co := in[0][0], in[1][2], in[1][3]
	out := make([]float64, n*s.H*s.W*ci)
	eachTap(s.Geometry, n, s.H, s.W, func(o, tap, p int) {
		for i := range ci {
			for j := range co {
				out[p*ci+i] += data[0][o*co+j] * data[1][(tap*ci+i)*co+j]
			}
		}
	})
	finish(out, ci, data[2:], false, s.Residual, op.NoAct)
	return out
}

func naiveConvWeightGrad(s op.ConvWeightGrad, in []tensor.Shape, data [][]float64) []float64 {
	x := in[0]
	ci, co := x[3], in[1][3]
	out := make([]float64, s.KH*s.KW*ci*co)
	eachTap(s.Geometry, x[0], x[1], x[2], func(o, tap, p int) {
		for i := range ci {
			for j := range co {
				out[(tap*ci+i)*co+j] += data[0][p*ci+i] * data[1][o*co+j]
			}
		}
	})
	return out
}

func naiveLinear(s op.Linear, in []tensor.Shape, data [][]float64) []float64 {
	o, k := in[1][0], in[1][1]
	rows := op.Size(in[0]) / k
	out := make([]float64, rows*o)
	for r := range rows {
		for j := range o {
			for i := range k {
				out[r*o+j] += data[0][r*k+i] * data[1][j*k+i]
			}
		}
	}
	finish(out, o, data[2:], s.Bias, s.Residual, s.Act)
	return out
}

func naiveLinearDataGrad(s op.LinearDataGrad, in []tensor.Shape, data [][]float64) []float64 {
	o, k := in[1][0], in[1][1]
	rows := op.Size(in[0]) / o
	out := make([]float64, rows*k)
	for r := range rows {
		for j := range o {
			for i := range k {
				out[r*k+i] += data[0][r*o+j] * data[1][j*k+i]
			}
		}
	}
	finish(out, k, data[2:], false, s.Residual, op.NoAct)
	return out
}

func naiveLinearWeightGrad(in []tensor.Shape, data [][]float64) []float64 {
	k, o := last(in[0]), last(in[1])
	out := make([]float64, o*k)
	for r := range op.Size(in[0]) / k {
		for j := range o {
			for i := range k {
				out[j*k+i] += data[1][r*o+j] * data[0][r*k+i]
			}
		}
	}
	return out
}

// head is one head of one image: q(i,c), k(j,c), v(j,c) and the probabilities p [lq][lk].
type head struct {
	lq, lk, d int
	at        func(row, length, c int) int // index of row, channel c in a tensor of length rows
	p         [][]float64
}

// eachHead computes the probabilities of every head.
func eachHead(s op.Attention, in []tensor.Shape, q, k []float64, visit func(head)) {
	n, lq, lk, c := in[0][0], in[0][1], in[1][1], in[0][2]
	d := c / s.Heads
	for b := range n {
		for h := range s.Heads {
			hd := head{lq: lq, lk: lk, d: d, at: func(row, length, i int) int { return (b*length+row)*c + h*d + i }}
			for i := range lq {
				p := make([]float64, lk)
				sum := 0.0
				for j := range lk {
					if s.Causal && j > i {
						continue
					}
					dot := 0.0
					for e := range d {
						dot += q[hd.at(i, lq, e)] * k[hd.at(j, lk, e)]
					}
					p[j] = math.Exp(dot / math.Sqrt(float64(d)))
					sum += p[j]
				}
				for j := range p {
					p[j] /= sum
				}
				hd.p = append(hd.p, p)
			}
			visit(hd)
		}
	}
}

func naiveAttention(s op.Attention, in []tensor.Shape, data [][]float64) []float64 {
	out := make([]float64, op.Size(in[0]))
	eachHead(s, in, data[0], data[1], func(h head) {
		for i := range h.lq {
			for j := range h.lk {
				for e := range h.d {
					out[h.at(i, h.lq, e)] += h.p[i][j] * data[2][h.at(j, h.lk, e)]
				}
			}
		}
	})
	return out
}

// naiveAttentionGrad: dV = PᵀdO, dP = dO·Vᵀ, dS = P∘(dP − rowsum(P∘dP)), dQ = dS·K/√d, dK = dSᵀ·Q/√d.
func naiveAttentionGrad(s op.AttentionGrad, in []tensor.Shape, data [][]float64) []float64 {
	q, k, v, dy := data[0], data[1], data[2], data[3]
	out := make([]float64, len(q)+2*len(k))
	dq, dk, dv := out[:len(q)], out[len(q):len(q)+len(k)], out[len(q)+len(k):]
	eachHead(op.Attention(s), in, q, k, func(h head) {
		for i := range h.lq {
			dp := make([]float64, h.lk)
			mean := 0.0
			for j := range h.lk {
				for e := range h.d {
					dp[j] += dy[h.at(i, h.lq, e)] * v[h.at(j, h.lk, e)]
					dv[h.at(j, h.lk, e)] += h.p[i][j] * dy[h.at(i, h.lq, e)]
				}
				mean += h.p[i][j] * dp[j]
			}
			for j := range h.lk {
				ds := h.p[i][j] * (dp[j] - mean) / math.Sqrt(float64(h.d))
				for e := range h.d {
					dq[h.at(i, h.lq, e)] += ds * k[h.at(j, h.lk, e)]
					dk[h.at(j, h.lk, e)] += ds * q[h.at(i, h.lq, e)]
				}
			}
		}
	})
	return out
}

func naiveGroupNorm(s op.GroupNorm, shape tensor.Shape, data [][]float64) []float64 {
	x, stats, gamma, beta := data[0], data[1], data[2], data[3]
	c := last(shape)
	act := op.NoAct
	if s.SiLU {
		act = op.SiLU
	}
	out := make([]float64, len(x))
	eachGroup(s.Groups, shape, func(b, g int, elements []int) {
		st := stats[(b*s.Groups+g)*2:]
		for _, e := range elements {
			out[e] = activate((x[e]-st[0])*st[1]*gamma[e%c]+beta[e%c], act)
		}
	})
	return out
}

// naiveGroupNormGradInput: dx = (γ·dz − mean(γ·dz) − x̂·mean(γ·dz·x̂))/deviation, the means over the group, taken from
// the given sums.
func naiveGroupNormGradInput(s op.GroupNormGradInput, shape tensor.Shape, data [][]float64) []float64 {
	stats, gamma, sums := data[1], data[2], data[5]
	xhat, dz := normalized(op.GroupNorm(s), shape, data)
	c := last(shape)
	size := c / s.Groups
	out := make([]float64, len(dz))
	eachGroup(s.Groups, shape, func(b, g int, elements []int) {
		var mean, slope float64
		for i := g * size; i < (g+1)*size; i++ {
			mean += gamma[i] * sums[b*2*c+i] / float64(len(elements))
			slope += gamma[i] * sums[b*2*c+c+i] / float64(len(elements))
		}
		for _, e := range elements {
			out[e] = (gamma[e%c]*dz[e] - mean - xhat[e]*slope) * stats[(b*s.Groups+g)*2+1]
		}
	})
	return out
}
