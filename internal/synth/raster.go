package synth

import "math"

// raster is a sampled scalar field over the tissue. Sample (i, j) lies at (x0 + i·cell, y0 + j·cell) µm.
type raster struct {
	w, h         int
	x0, y0, cell float64
	v            []float32
}

// newRaster covers [-margin, field+margin]² µm.
func newRaster(field, margin, cell float64) raster {
	return newRasterAt(-margin, -margin, field+2*margin, cell)
}

// newRasterAt covers side × side µm from (x0, y0) on.
func newRasterAt(x0, y0, side, cell float64) raster {
	n := int(math.Ceil(side/cell)) + 2
	return raster{w: n, h: n, x0: x0, y0: y0, cell: cell, v: make([]float32, n*n)}
}

func (r raster) like() raster {
	r.v = make([]float32, r.w*r.h)
	return r
}

func (r raster) fill(f func(x, y float64) float64) {
	for j := range r.h {
		for i := range r.w {
			r.v[j*r.w+i] = float32(f(r.x0+float64(i)*r.cell, r.y0+float64(j)*r.cell))
		}
	}
}

// at interpolates between samples, and repeats the border outside.
func (r raster) at(x, y float64) float64 {
	x = max(0, min(float64(r.w-2), (x-r.x0)/r.cell))
	y = max(0, min(float64(r.h-2), (y-r.y0)/r.cell))
	i, j := int(x), int(y)
	fx, fy := float32(x-float64(i)), float32(y-float64(j))
	p := r.v[j*r.w+i:]
	q := r.v[(j+1)*r.w+i:]
	a := p[0] + (p[1]-p[0])*fx
	b := q[0] + (q[1]-q[0])*fx
	return float64(a + (b-a)*fy)
}

// slope is the unit vector of steepest rise.
func (r raster) slope(x, y float64) (dx, dy float64) {
	h := r.cell * 1.5
	dx, dy = r.at(x+h, y)-r.at(x-h, y), r.at(x, y+h)-r.at(x, y-h)
	n := math.Hypot(dx, dy)
	if n < 1e-9 {
		return 1, 0
	}
	return dx / n, dy / n
}

// signedDistance turns an indicator (inside where > 0) into the distance to its edge in µm, positive inside.
func (r raster) signedDistance() raster {
	in, out := r.like(), r.like()
	for i, v := range r.v {
		if v > 0 {
			in.v[i] = far
		} else {
			out.v[i] = far
		}
	}
	in.squaredDistance()
	out.squaredDistance()
	for i := range in.v {
		in.v[i] = (sqrt32(in.v[i]) - sqrt32(out.v[i])) * float32(r.cell)
		if in.v[i] > 0 {
			in.v[i] -= float32(r.cell / 2)
		} else {
			in.v[i] += float32(r.cell / 2)
		}
	}
	return in.smoothed()
}

const far = 1e10

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// squaredDistance replaces each sample, 0 or far, by the squared distance in cells to the nearest 0: the lower envelope
// of parabolas, in rows, then columns (Felzenszwalb and Huttenlocher, Theory of Computing 2012).
func (r raster) squaredDistance() {
	n := max(r.w, r.h)
	f, d := make([]float64, n), make([]float64, n)
	at, edge := make([]int, n), make([]float64, n+1)
	line := func(start, step, n int) {
		for i := range n {
			f[i] = float64(r.v[start+i*step])
		}
		k := 0
		at[0], edge[0], edge[1] = 0, math.Inf(-1), math.Inf(1)
		meet := func(q, p int) float64 {
			return (f[q] + float64(q*q) - f[p] - float64(p*p)) / float64(2*(q-p))
		}
		for q := 1; q < n; q++ {
			s := meet(q, at[k])
			for s <= edge[k] {
				k--
				s = meet(q, at[k])
			}
			k++
			at[k], edge[k], edge[k+1] = q, s, math.Inf(1)
		}
		k = 0
		for q := range n {
			for edge[k+1] < float64(q) {
				k++
			}
			d[q] = float64((q-at[k])*(q-at[k])) + f[at[k]]
		}
		for i := range n {
			r.v[start+i*step] = float32(min(d[i], far))
		}
	}
	for j := range r.h {
		line(j*r.w, 1, r.w)
	}
	for i := range r.w {
		line(i, r.w, r.h)
	}
}

// smoothed takes the steps of the grid out of a distance: a 3×3 binomial mean, the border left as it is.
func (r raster) smoothed() raster {
	out := r.like()
	copy(out.v, r.v)
	for j := 1; j < r.h-1; j++ {
		for i := 1; i < r.w-1; i++ {
			p := j*r.w + i
			a := r.v[p-r.w-1] + 2*r.v[p-r.w] + r.v[p-r.w+1]
			b := r.v[p-1] + 2*r.v[p] + r.v[p+1]
			c := r.v[p+r.w-1] + 2*r.v[p+r.w] + r.v[p+r.w+1]
			out.v[p] = (a + 2*b + c) / 16
		}
	}
	return out
}

// directions is a field of unsigned directions: fibres run along them.
type directions struct {
	c, s raster // cosine and sine of the direction
}

func (d *directions) at(x, y float64) (c, s float64) {
	// The nearest sample does: neighbours differ little, and this is the inner loop of fibres.
	r := &d.c
	i := max(0, min(r.w-1, int((x-r.x0)/r.cell+0.5)))
	j := max(0, min(r.h-1, int((y-r.y0)/r.cell+0.5)))
	return float64(d.c.v[j*r.w+i]), float64(d.s.v[j*r.w+i])
}
