package synth

import (
	"math"
	"math/rand/v2"
)

// registration is how the IHC section lies off the H&E section: a shift, and a smooth warp on top.
type registration struct {
	dx, dy float64    // shift in pixels of the image
	warp   float64    // greatest warp in pixels
	waves  [2][3]wave // of the warp in x and in y
}

type wave struct{ kx, ky, phase float64 }

// newRegistration shares the limit between shift and warp.
func newRegistration(r *rand.Rand, limit float64, side int) registration {
	share := between(r, 0.4, 0.8)
	phi := between(r, 0, 2*math.Pi)
	length := limit * share * math.Sqrt(r.Float64())
	g := registration{dx: length * math.Cos(phi), dy: length * math.Sin(phi), warp: limit * (1 - share)}
	for axis := range g.waves {
		for k := range g.waves[axis] {
			// Half a wave to two waves over the image.
			f, a := 2*math.Pi*between(r, 0.5, 2)/float64(side), between(r, 0, 2*math.Pi)
			g.waves[axis][k] = wave{f * math.Cos(a), f * math.Sin(a), between(r, 0, 2*math.Pi)}
		}
	}
	return g
}

// offset is the displacement, in pixels, from a place of the IHC image to its origin, at most the limit.
func (g *registration) offset(x, y float64) (dx, dy float64) {
	var w [2]float64
	for axis, waves := range g.waves {
		for _, v := range waves {
			w[axis] += math.Sin(v.kx*x+v.ky*y+v.phase) / 3
		}
	}
	return g.dx + g.warp*w[0]/math.Sqrt2, g.dy + g.warp*w[1]/math.Sqrt2
}

// target is where a place of the H&E image lies in the IHC image.
func (g *registration) target(x, y float64) (tx, ty float64) {
	tx, ty = x, y
	for range 12 { // the warp is gentle: this converges by far
		dx, dy := g.offset(tx, ty)
		tx, ty = x-dx, y-dy
	}
	return tx, ty
}

// moved takes each pixel from where the registration says, scale pixels of the plane for one of the image. The plane is
// larger than the result by border pixels of the image on each side.
func (g *registration) moved(l light, scale, border int) light {
	out := newLight(l.side - 2*border*scale)
	s := float64(scale)
	for j := range out.side {
		for i := range out.side {
			dx, dy := g.offset((float64(i)+0.5)/s, (float64(j)+0.5)/s)
			x := float64(i) + s*(dx+float64(border))
			y := float64(j) + s*(dy+float64(border))
			u, v := int(x), int(y)
			u, v = max(0, min(l.side-2, u)), max(0, min(l.side-2, v))
			fx, fy := float32(x-float64(u)), float32(y-float64(v))
			for k, c := range l.ch {
				p, q := c[v*l.side+u:], c[(v+1)*l.side+u:]
				a := p[0] + (p[1]-p[0])*fx
				b := q[0] + (q[1]-q[0])*fx
				out.ch[k][j*out.side+i] = a + (b-a)*fy
			}
		}
	}
	return out
}
