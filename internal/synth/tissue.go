package synth

import (
	"math"
	"math/rand/v2"
	"slices"
)

// tissue is the architecture: what lies where, before there are cells. Distances in µm, positive inside.
type tissue struct {
	patient patient
	noise   *noise
	field   float64    // side of the image in µm
	body    raster     // nests and glands with their lumens
	benign  raster     // > 0.5 where a body is benign
	lumen   raster     // holes in bodies
	fat     raster     // vacuoles of fat cells
	vessel  raster     // inside of vessels
	wall    raster     // vessels with their wall
	loose   raster     // 1: loose, 0: dense stroma
	lymph   raster     // density of lymphocytes, 0..1
	along   directions // of the fibres
}

const (
	margin     = 36.0 // µm of tissue around the image, so that nothing ends at its border
	tissueCell = 1.5  // µm between samples of the architecture
	tileArea   = 240. * 240.
)

func newTissue(p patient, f *noise, r *rand.Rand, field float64) *tissue {
	t := &tissue{patient: p, noise: f, field: field}
	grid := newRaster(field, margin, tissueCell)
	angle := between(r, 0, math.Pi)
	ox, oy := between(r, 0, 9999), between(r, 0, 9999)

	var glands, holes []blob
	benign := grid.like()
	if r.Float64() < 0.22+0.2*p.fatty {
		g, h := t.lobule(r)
		glands, holes = append(glands, g...), append(holes, h...)
	}
	body := grid.like()
	body.fill(func(x, y float64) float64 { return t.union(glands, x, y) })
	copy(benign.v, body.v)
	for i, v := range benign.v {
		benign.v[i] = float32(smoothstep(-6, -2, float64(v)))
	}

	// The tumour keeps clear of benign glands.
	nests := grid.like()
	switch p.pattern {
	case tubules:
		g, h := t.tubules(r, glands)
		holes = append(holes, h...)
		nests.fill(func(x, y float64) float64 { return t.union(g, x, y) })
	case inSitu:
		g, h := t.ducts(r, glands)
		holes = append(holes, h...)
		nests.fill(func(x, y float64) float64 { return t.union(g, x, y) })
	default:
		t.grow(nests, r, angle, ox, oy)
	}
	for i, v := range nests.v {
		if body.v[i] > -9 {
			v = -1
		}
		body.v[i] = max(body.v[i], v)
	}
	t.body, t.benign = body.signedDistance(), benign
	lumen := grid.like()
	lumen.fill(func(x, y float64) float64 { return t.union(holes, x, y) })
	t.lumen = lumen.signedDistance()

	t.fat = t.adipose(r, grid, ox, oy)
	t.vessels(r, grid)

	t.loose, t.lymph = grid.like(), grid.like()
	t.loose.fill(func(x, y float64) float64 {
		v := 0.9 - p.collagen + 0.32*f.rough(x+oy, y+ox, 130)
		return clamp01(max(v, 0.85*t.benign.at(x, y)))
	})
	t.lymph.fill(func(x, y float64) float64 {
		return smoothstep(1.5-1.7*p.inflamed, 2.6-1.5*p.inflamed, f.rough(x+3*ox, y-oy, 110))
	})
	t.along = t.orient(grid, angle, ox, oy)
	return t
}

// union is the greatest depth in any of the shapes, their edges wavy.
func (t *tissue) union(shapes []blob, x, y float64) float64 {
	x, y = x+2.2*t.noise.at(x, y, 24), y+2.2*t.noise.turned(x, y, 24)
	d := -far
	for i := range shapes {
		s := &shapes[i]
		if math.Abs(x-s.x) < s.reach()+20 && math.Abs(y-s.y) < s.reach()+20 {
			d = max(d, s.depth(x, y))
		}
	}
	return d
}

// clear reports whether a new shape keeps its distance from the others.
func clear(s blob, others []blob, gap float64) bool {
	for _, o := range others {
		if math.Hypot(s.x-o.x, s.y-o.y) < max(s.a, s.b)+max(o.a, o.b)+gap {
			return false
		}
	}
	return true
}

// lobule is a cluster of benign acini around a small duct, somewhere in the image.
func (t *tissue) lobule(r *rand.Rand) (glands, holes []blob) {
	return lobuleAt(r, between(r, 0, t.field), between(r, 0, t.field))
}

// lobuleAt is a lobule around a place, within 140 µm.
func lobuleAt(r *rand.Rand, cx, cy float64) (glands, holes []blob) {
	count := 3 + r.IntN(9)
	for range 60 {
		if len(glands) == count {
			break
		}
		a := between(r, 13, 22)
		if len(glands) == 0 {
			a = between(r, 22, 34)
		}
		phi, d := between(r, 0, 2*math.Pi), between(r, 0, 85)
		s := newBlob(r, cx+d*math.Cos(phi), cy+d*math.Sin(phi), a, 0.65, 1, 0.1)
		if !clear(s, glands, -1) {
			continue
		}
		glands = append(glands, s)
		if h := s.shrunk(between(r, 9.5, 12.5)); h.b > 1.5 {
			holes = append(holes, h)
		}
	}
	return glands, holes
}

// tubules are tumour glands, lined by one or two rows of cells, some without a lumen in this plane.
func (t *tissue) tubules(r *rand.Rand, others []blob) (glands, holes []blob) {
	span := t.field + 2*margin
	count := int(between(r, 6, 17) * span * span / tileArea / 2)
	for range 30 * count {
		if len(glands) >= count {
			break
		}
		a := between(r, 16, 42)
		x, y := between(r, -margin, t.field+margin), between(r, -margin, t.field+margin)
		s := newBlob(r, x, y, a, 0.45, 0.95, 0.16)
		if !clear(s, glands, between(r, -6, 10)) || !clear(s, others, 12) {
			continue
		}
		glands = append(glands, s)
		if h := s.shrunk(between(r, 11, 16)); h.b > 2 {
			h.outline = newOutline(r, 0.2)
			holes = append(holes, h)
		}
	}
	return glands, holes
}

// ducts are widened by tumour, which leaves round holes.
func (t *tissue) ducts(r *rand.Rand, others []blob) (glands, holes []blob) {
	span := t.field + 2*margin
	count := 1 + int(between(r, 0.6, 2)*span*span/tileArea/1.5)
	for range 40 * count {
		if len(glands) >= count {
			break
		}
		a := between(r, 55, 110)
		x, y := between(r, 0, t.field), between(r, 0, t.field)
		s := newBlob(r, x, y, a, 0.6, 1, 0.09)
		if !clear(s, glands, 0) || !clear(s, others, 12) {
			continue
		}
		glands = append(glands, s)
		sieve := r.IntN(14)
		var own []blob
		for range 10 * sieve {
			b := between(r, 5, 17)
			x, y := s.x+between(r, -a, a), s.y+between(r, -a, a)
			h := newBlob(r, x, y, b, 0.7, 1, 0.12)
			if len(own) < sieve && s.depth(h.x, h.y) > b+13 && clear(h, own, 11) {
				own = append(own, h)
			}
		}
		holes = append(holes, own...)
	}
	return glands, holes
}

// grow fills nests with positive values: the highest parts of a noise, as much as the pattern asks for.
func (t *tissue) grow(nests raster, r *rand.Rand, angle, ox, oy float64) {
	var share, long, wide float64
	switch t.patient.pattern {
	case cords:
		share, long, wide = between(r, 0.2, 0.4), 170, 46
	case singleFile:
		share, long, wide = between(r, 0.1, 0.24), 90, 26
	default:
		share, long, wide = between(r, 0.28, 0.66), between(r, 110, 190), between(r, 75, 110)
	}
	sin, cos := math.Sincos(angle)
	nests.fill(func(x, y float64) float64 {
		// A bent frame makes cords run with the fibres.
		bend := 22 * t.noise.at(x+ox, y+oy, 160)
		u, v := x*cos+y*sin, y*cos-x*sin+bend
		return t.noise.at(u/long+ox, v/wide+oy, 1) + 0.4*t.noise.turned(u/wide+ox, v/wide-oy, 0.5) + 0.12*t.noise.at(x, y, 12)
	})
	sorted := slices.Clone(nests.v)
	slices.Sort(sorted)
	level := sorted[int(float64(len(sorted)-1)*(1-share))]
	for i := range nests.v {
		nests.v[i] -= level
	}
}

// adipose is a lobe of fat cells: large round-cornered vacuoles with hardly anything between them.
func (t *tissue) adipose(r *rand.Rand, grid raster, ox, oy float64) raster {
	out := grid.like()
	for i := range out.v {
		out.v[i] = -far
	}
	if r.Float64() > 0.15+0.7*t.patient.fatty {
		return out
	}
	level := between(r, 0.1, 1.1)
	var cells []fatCell
	lo, hi := -margin, t.field+margin
	for range int(60 * (hi - lo) * (hi - lo) / tileArea) {
		c := fatCell{between(r, lo, hi), between(r, lo, hi), between(r, 20, 36)}
		if t.noise.at(c.x-ox, c.y+2*oy, 300) < level || t.body.at(c.x, c.y) > -c.r-4 {
			continue
		}
		free := true
		for _, o := range cells {
			if math.Hypot(c.x-o.x, c.y-o.y) < 0.86*(c.r+o.r) {
				free = false
				break
			}
		}
		if free {
			cells = append(cells, c)
		}
	}
	out.fill(func(x, y float64) float64 {
		wx, wy := x+2*t.noise.at(x, y, 30), y+2*t.noise.turned(x, y, 30)
		near := nearest{far, far}
		for _, c := range cells {
			near.add(c, wx, wy)
		}
		return near.depth(t.body.at(x, y))
	})
	return out
}

// fatCell is a fat cell: its middle and radius in µm.
type fatCell struct{ x, y, r float64 }

// fatReach is how far from its middle a cell counts, in µm.
const fatReach = 90.0

// nearest are the distances from a place to the edges of the two nearest cells.
type nearest struct{ first, second float64 }

func (n *nearest) add(c fatCell, x, y float64) {
	if math.Abs(x-c.x) > fatReach || math.Abs(y-c.y) > fatReach {
		return
	}
	d := math.Hypot(x-c.x, y-c.y) - c.r
	if d < n.first {
		n.first, n.second = d, n.first
	} else if d < n.second {
		n.second = d
	}
}

// depth is how deep in fat the place is, below 0 outside, where body is its depth in epithelium. A smooth minimum
// rounds the corners.
func (n nearest) depth(body float64) float64 {
	return smoothMin(smoothMin((n.second-n.first)/2-0.7, 7-n.first, 5), 2-body, 4)
}

// smoothMin is the lesser of two numbers, rounded where they are within k of each other.
func smoothMin(a, b, k float64) float64 {
	h := max(k-math.Abs(a-b), 0) / k
	return min(a, b) - h*h*k/4
}

// vessels puts capillaries and a few arterioles into the stroma.
func (t *tissue) vessels(r *rand.Rand, grid raster) {
	lo, hi := -margin, t.field+margin
	var inner, outer []blob
	for range int(between(r, 1, 7) * (hi - lo) * (hi - lo) / tileArea) {
		a, wall := between(r, 4, 12), between(r, 1.2, 2.4)
		thin := between(r, 0.25, 0.7)
		if r.Float64() < 0.13 {
			a, wall, thin = between(r, 9, 16), between(r, 8, 15), between(r, 0.5, 0.9)
		}
		s := blob{between(r, lo, hi), between(r, lo, hi), a, max(2.2, a*thin), between(r, 0, math.Pi), newOutline(r, 0.09)}
		if t.body.at(s.x, s.y) > -a-wall-3 || t.fat.at(s.x, s.y) > -a-wall-3 {
			continue
		}
		inner, outer = append(inner, s), append(outer, s.shrunk(-wall))
	}
	vessel, wall := grid.like(), grid.like()
	vessel.fill(func(x, y float64) float64 { return t.union(inner, x, y) })
	wall.fill(func(x, y float64) float64 { return t.union(outer, x, y) })
	t.vessel, t.wall = vessel.signedDistance(), wall.signedDistance()
}

// orient lays the fibres: one main direction, bent and wavy, and around obstacles.
func (t *tissue) orient(grid raster, angle, ox, oy float64) directions {
	solid := grid.like()
	solid.fill(func(x, y float64) float64 { return max(t.body.at(x, y), t.wall.at(x, y), t.fat.at(x, y)) })
	d := directions{grid.like(), grid.like()}
	for j := range grid.h {
		for i := range grid.w {
			x, y := grid.x0+float64(i)*grid.cell, grid.y0+float64(j)*grid.cell
			theta := angle + 0.55*t.noise.at(x+ox, y+oy, 260) + 0.3*t.noise.at(x-oy, y+ox, 75) + 0.17*t.noise.turned(x, y, 26)
			gx, gy := solid.slope(x, y)
			w := math.Exp(-math.Abs(solid.at(x, y))/13) * 0.92
			// Directions have no sign: mix them at the double angle.
			s2, c2 := math.Sincos(2 * theta)
			c2, s2 = (1-w)*c2+w*(gy*gy-gx*gx), (1-w)*s2-w*2*gx*gy
			s, c := math.Sincos(math.Atan2(s2, c2) / 2)
			p := j*grid.w + i
			d.c.v[p], d.s.v[p] = float32(c), float32(s)
		}
	}
	return d
}
