package synth

import "math"

// canvas holds the concentration of each dye in each pixel of the working grid.
type canvas struct {
	side     int
	res      float64 // µm per pixel
	x0, y0   float64 // µm of the first pixel's corner
	heH, heE []float32
	ihH, ihD []float32
}

// painter turns a tissue and its nuclei into concentrations.
type painter struct {
	*canvas
	t      *tissue
	nuclei []nucleus
	index  buckets // of the epithelial nuclei
	marker Marker
	bundle raster // strands of collagen
	fine   raster // its fibrils
	slits  raster // where strands come apart
	cracks raster // the same, finer
}

// newCanvas has side × side pixels of res µm from (x0, y0) on.
func newCanvas(x0, y0 float64, side int, res float64) *canvas {
	c := &canvas{side: side, res: res, x0: x0, y0: y0}
	for _, plane := range []*[]float32{&c.heH, &c.heE, &c.ihH, &c.ihD} {
		*plane = make([]float32, side*side)
	}
	return c
}

// paint renders side × side pixels of res µm, of which border lie outside the image on each side.
func paint(t *tissue, nuclei []nucleus, marker Marker, side, border int, res float64) *canvas {
	c := newCanvas(-float64(border)*res, -float64(border)*res, side, res)
	p := &painter{canvas: c, t: t, nuclei: nuclei, marker: marker, index: newBuckets(-margin, -margin, t.field+2*margin)}
	drawn := func(cell, length, grain float64) raster {
		return fibres(newRaster(t.field, 2-c.x0, cell), &t.along, t.noise, length, grain)
	}
	for i, g := range grains(res) {
		*p.strands(i) = drawn(g.cell, g.length, g.width)
	}
	p.all()
	return c
}

// grain is what fibres look like: the cell of their grid, the length of a strand and its width, in µm.
type grain struct{ cell, length, width float64 }

// grains are those of bundle, fine, slits and cracks.
func grains(res float64) [4]grain {
	return [4]grain{{1.2, 34, 3}, {max(res, 0.6), 13, 0.8}, {1.2, 60, 5.5}, {0.8, 30, 2}}
}

func (p *painter) strands(i int) *raster {
	return [4]*raster{&p.bundle, &p.fine, &p.slits, &p.cracks}[i]
}

// all paints the ground, then the nuclei in their order.
func (p *painter) all() {
	for i := range p.nuclei {
		if n := &p.nuclei[i]; n.Kind == Tumour || n.Kind == Benign {
			p.index.insert(i, n.x, n.y)
		}
	}
	p.ground()
	for i := range p.nuclei {
		p.nucleus(&p.nuclei[i])
	}
}

type dyes struct{ heH, heE, ihH, ihD float64 }

// mix covers d with o, whose opacity is alpha.
func (d dyes) mix(o dyes, alpha float64) dyes {
	return dyes{
		d.heH + (o.heH-d.heH)*alpha, d.heE + (o.heE-d.heE)*alpha,
		d.ihH + (o.ihH-d.ihH)*alpha, d.ihD + (o.ihD-d.ihD)*alpha,
	}
}

func (p *painter) ground() {
	t, f := p.t, p.t.noise
	for j := range p.side {
		for i := range p.side {
			x, y := p.x0+(float64(i)+0.5)*p.res, p.y0+(float64(j)+0.5)*p.res
			body := t.body.at(x, y)
			var d dyes
			if body < 4 {
				d = p.stroma(x, y, body)
			} else if t.lumen.at(x, y) > -1 {
				d = p.secretion(x, y)
			}
			if body > -4 {
				c, alpha := p.epithelium(x, y, body)
				d = d.mix(c, alpha)
			}
			// Sections vary in thickness.
			thick := 1 + 0.05*f.at(x+300, y+200, 140) + 0.035*f.turned(x, y, 9)
			p.put(j*p.side+i, dyes{d.heH * thick, d.heE * thick, d.ihH * thick, d.ihD})
		}
	}
}

func (p *painter) put(k int, d dyes) {
	p.heH[k], p.heE[k], p.ihH[k], p.ihD[k] = float32(d.heH), float32(d.heE), float32(d.ihH), float32(d.ihD)
}

// stroma is collagen, dense or loose, with slits, fat and vessels.
func (p *painter) stroma(x, y, body float64) dyes {
	t, f := p.t, p.t.noise
	loose := t.loose.at(x, y)
	bundle, fine, slits := p.bundle.at(x, y), p.fine.at(x, y), p.slits.at(x, y)
	grain := f.at(x, y, 1.7)
	cloud := f.rough(x, y, 45)
	strand := 0.12*bundle + 0.10*fine
	patch := f.at(x+31, y+77, 6)
	d := dyes{
		heE: 0.53 - 0.20*loose + (0.6+0.5*loose)*strand + 0.045*grain + 0.045*cloud + 0.03*patch,
		heH: 0.085 + 0.10*loose + 0.026*fine + 0.03*grain - 0.02*bundle + 0.035*patch,
		ihH: 0.108 - 0.02*loose + 0.016*bundle + 0.024*fine + 0.016*grain + 0.012*cloud,
	}
	// Loose ground substance is spongy.
	spongy := smoothstep(0.35, 1.5, f.rough(x+11, y+29, 9)+1.1*loose-0.75+0.25*fine)
	d = d.mix(dyes{0.05, 0.10, 0.035, 0}, 0.72*spongy*loose)
	// Slits where strands come apart, and a gap around nests where they shrank.
	open := slits + 0.35*f.at(x, y, 18) + 0.25*bundle + 0.9*loose
	slit := max(smoothstep(1.95, 2.2, open), smoothstep(1.75, 2.15, p.cracks.at(x, y)+0.3*cloud+0.5*loose+0.25*patch))
	if body > -3.2 {
		shrunk := f.rough(x+190, y+60, 38) + 0.25*bundle
		slit = max(slit, smoothstep(0.95, 1.15, shrunk)*smoothstep(-3.2, -2.4, body+0.5*grain))
	}
	// Torn edges stain a little deeper.
	edge := smoothstep(1.7, 1.95, open) * (1 - slit)
	d.heE += 0.07 * edge
	d.heH += 0.03 * edge
	d = d.mix(dyes{0.008, 0.02, 0.02, 0}, 0.97*slit)

	if wall := t.wall.at(x, y); wall > -0.8 {
		inner := t.vessel.at(x, y)
		ring := 0.06*f.at(x, y, 3.2) + 0.05*fine
		d = d.mix(dyes{0.13 + 0.2*ring, 0.60 + ring, 0.10 + 0.1*ring, 0}, 0.8*smoothstep(-0.8, 0.4, wall))
		if inner > -0.5 {
			d = d.mix(p.blood(x, y), smoothstep(-0.5, 0.5, inner))
		}
	}
	if fat := t.fat.at(x, y); fat > -0.7 {
		d = d.mix(dyes{0.006, 0.012 + 0.006*grain, 0.012, 0}, smoothstep(-0.7, 0.3, fat))
	}
	return d
}

// secretion is the inside of a gland: nothing, or thin and flaky.
func (p *painter) secretion(x, y float64) dyes {
	f := p.t.noise
	some := smoothstep(0.3, 1.2, f.at(x+700, y+300, 70))
	flake := smoothstep(-0.2, 1.4, f.rough(x+80, y+410, 14))
	return dyes{0.01 + 0.03*some*flake, 0.015 + 0.2*some*flake, 0.014 + 0.03*some*flake, 0}
}

// blood is the inside of a vessel: plasma, and red cells where there are some.
func (p *painter) blood(x, y float64) dyes {
	f := p.t.noise
	d := dyes{0.02, 0.05, 0.03, 0}
	if full := f.at(x+500, y+20, 90); full > -0.1 {
		const pitch = 6.2
		ci, cj := math.Floor(x/pitch), math.Floor(y/pitch)
		best := far
		for j := cj - 1; j <= cj+1; j++ {
			for i := ci - 1; i <= ci+1; i++ {
				cx := (i + 0.5 + 0.3*f.at(i*7.3, j*11.1, 5)) * pitch
				cy := (j + 0.5 + 0.3*f.turned(i*7.3, j*11.1, 5)) * pitch
				best = min(best, math.Hypot(x-cx, y-cy))
			}
		}
		d = d.mix(dyes{0.02, 0.62 - 0.12*smoothstep(1.6, 0, best), 0.09, 0.03}, smoothstep(3.1, 2.5, best))
	}
	return d
}

// epithelium is cytoplasm: each pixel belongs to the nearest nucleus. alpha is how much of the pixel the cell covers.
func (p *painter) epithelium(x, y, body float64) (d dyes, alpha float64) {
	t, f := p.t, p.t.noise
	wx, wy := x+0.5*f.at(x, y, 5), y+0.5*f.turned(x, y, 5)
	first, second := far, far
	var own, other *nucleus
	for id := range p.index.near(wx, wy, 1) {
		n := &p.nuclei[id]
		d := n.cellDistance(wx, wy)
		if d < first {
			first, second, own, other = d, first, n, own
		} else if d < second {
			second, other = d, n
		}
	}
	if own == nil || first > 6.5 {
		return dyes{}, 0
	}
	lumen := t.lumen.at(x, y)
	benign := own.Kind == Benign
	reach := 4.2 + 0.5*own.cytoplasm[1]
	if benign {
		reach = 5.5
	}
	alpha = smoothstep(reach+0.6, reach-0.4, first) * smoothstep(-2.6, -1.4, body) * smoothstep(0.7, -0.5, lumen)
	grain := f.at(x, y, 1.5)
	cloud := f.turned(x, y, 5)
	d = dyes{
		heE: 0.39 + 0.05*own.cytoplasm[0] + 0.05*grain + 0.05*cloud,
		heH: 0.16 + 0.035*own.cytoplasm[1] + 0.035*grain + 0.04*cloud,
		ihH: 0.10 + 0.02*grain + 0.018*cloud,
	}
	if benign {
		d.heE += 0.05
	}
	// Some cells hold pale vacuoles.
	foam := smoothstep(0.5, 1.4, f.rough(x+61, y+13, 4.2)+0.5*own.cytoplasm[1]-0.9)
	d = d.mix(dyes{0.05, 0.12, 0.05, 0}, 0.65*foam)
	// Membranes, where two cells meet: a fine line, a gap here and there.
	meet := far
	if other != nil {
		meet = (second - first) / 2
	}
	line := math.Exp(-meet * meet / 0.22)
	part := smoothstep(0.5, 1.3, f.at(x+44, y+95, 28)) * smoothstep(0.55, 0.2, meet)
	d.heE += 0.06 * line
	d = d.mix(dyes{0.02, 0.06, 0.04, 0}, 0.75*part)

	if own.intensity > 0 || other != nil && other.intensity > 0 {
		d.ihD = p.cellDAB(own, other, meet, first, reach, lumen, grain)
	}
	return d, alpha
}

// cellDAB is the brown outside the nucleus: the membrane of HER2, a haze around positive nuclei of the others.
func (p *painter) cellDAB(own, other *nucleus, meet, first, reach, lumen, grain float64) float64 {
	if p.marker != HER2 {
		// DAB diffuses: over the border, the neighbour's haze shows.
		haze := own.intensity
		if other != nil {
			haze += (other.intensity - own.intensity) * 0.5 * smoothstep(2.2, 0, meet)
		}
		return haze * max(0, 0.28+0.24*math.Exp(-max(0, first-1.5)/1.2)+0.06*grain)
	}
	// The ring lies on the border with the next cell, or on the free edge.
	shared := own.intensity
	if other != nil {
		shared = max(shared, other.intensity)
	}
	free := min(math.Abs(reach-first), math.Abs(lumen)+0.3)
	ring := max(shared*math.Exp(-meet*meet/0.5), own.intensity*math.Exp(-free*free/0.6))
	return ring*max(0.2, 1.05+0.22*grain) + own.intensity*max(0, 0.12+0.04*grain)
}

// cellDistance grows from the nucleus outwards, rounder than it: about µm from the cell's centre, less its size.
func (n *nucleus) cellDistance(x, y float64) float64 {
	s, c := math.Sincos(n.angle)
	dx, dy := x-n.x, y-n.y
	a, b := n.A+2.2, n.B+2.2
	rho := math.Hypot((dx*c+dy*s)/a, (dy*c-dx*s)/b)
	return (rho-1)*(a+b)/2 + 2.2
}

func (p *painter) nucleus(n *nucleus) {
	reach := 1.35*max(n.A, n.B) + 2
	lo := func(v, from float64) int { return max(0, int((v-reach-from)/p.res)) }
	hi := func(v, from float64) int { return min(p.side-1, int((v+reach-from)/p.res)+1) }
	sin, cos := math.Sincos(n.angle)
	spots := n.nucleoli()
	for j := lo(n.y, p.y0); j <= hi(n.y, p.y0); j++ {
		for i := lo(n.x, p.x0); i <= hi(n.x, p.x0); i++ {
			x, y := p.x0+(float64(i)+0.5)*p.res-n.x, p.y0+(float64(j)+0.5)*p.res-n.y
			u, v := x*cos+y*sin, y*cos-x*sin
			if math.Abs(v) > 2.2*n.B+2 { // most of the square around a spindle
				continue
			}
			depth, dome := n.depth(u, v, p.t.noise)
			if depth < -n.soft {
				continue
			}
			alpha := smoothstep(-n.soft, n.soft, depth)
			k := j*p.side + i
			below := dyes{float64(p.heH[k]), float64(p.heE[k]), float64(p.ihH[k]), float64(p.ihD[k])}
			p.put(k, below.mix(n.chromatin(x, y, depth, dome, p.t.noise, spots, p.marker), alpha))
		}
	}
}

// depth is the distance to the outline in µm, positive inside; dome falls from 1 in the middle to 0 on the outline.
// u and v are µm along the axes.
func (n *nucleus) depth(u, v float64, f *noise) (depth, dome float64) {
	dist := math.Hypot(u, v)
	ragged := 0.045 * f.at(u+n.ox, v+n.oy, 2.6)
	var rho float64
	if n.spindle() {
		s := u / n.A
		w := (v - n.bend*n.B*2*(s*s-0.3)) / n.B
		rho = n.blunt*math.Hypot(s, w) + (1-n.blunt)*(math.Abs(w)*0.85+s*s)
		rho /= n.outline.radius(math.Atan2(w, s))
	} else {
		s, w := u/n.A, v/n.B
		rho = math.Hypot(s, w) / n.outline.radius(math.Atan2(w, s))
	}
	rho += ragged
	if dist < 1e-6 || rho < 1e-6 {
		return n.B, 1
	}
	return min(dist*(1/rho-1), (1-rho)*(n.A+n.B)/2), math.Sqrt(max(0, 1-rho*rho))
}

// spot is a nucleolus: place in µm from the nucleus's middle, radius.
type spot struct{ x, y, r float64 }

func (n *nucleus) nucleoli() []spot {
	if n.Nucleolus < 0.3 {
		return nil
	}
	s, c := math.Sincos(n.ox * 40)
	spots := []spot{{0.32 * n.B * c, 0.32 * n.B * s, n.Nucleolus}}
	if n.Nucleolus < 0.75 && n.oy > 250 {
		spots = append(spots, spot{-0.4 * n.B * s, 0.4 * n.B * c, n.Nucleolus * 0.8})
	}
	return spots
}

// chromatin is the inside of a nucleus: a pale or dense ground, clumps, a rim, nucleoli.
func (n *nucleus) chromatin(x, y, depth, dome float64, f *noise, spots []spot, marker Marker) dyes {
	x0, y0 := x+n.ox, y+n.oy
	sharp := clamp01(1.5 - n.soft)
	fine := f.at(x0, y0, 1.5) * sharp
	coarse := f.turned(x0, y0, 2.7) * sharp
	rim := math.Exp(-(depth-0.35)*(depth-0.35)/0.35) * sharp
	clumps := smoothstep(0.1, 1.3, coarse+0.25*fine)
	h := 0.92 - 0.46*n.Pallor + (0.05+0.05*n.Pallor)*fine
	h += n.Chromatin * ((0.30+0.14*n.Pallor)*clumps - 0.10 - 0.05*n.Pallor)
	h += (0.08 + 0.34*n.Pallor) * rim
	h += 0.10 * (dome - 0.6) * (1 - n.Pallor)
	e := 0.20 + 0.10*n.Pallor + 0.02*coarse
	for _, s := range spots {
		d := math.Hypot(x-s.x, y-s.y)
		in := smoothstep(s.r+0.25, s.r-0.25, d)
		h += 0.42 * in
		e += 0.22 * in
	}
	h *= 0.88 * n.density
	d := dyes{heH: max(0.1, h), heE: e, ihH: 0.1 + 0.62*max(0.15, h) + 0.03*fine}
	if marker != HER2 && n.intensity > 0 {
		d.ihD = max(0, n.intensity*(1.55+0.16*fine+0.10*coarse+0.12*rim))
		d.ihH = 0.12 + 0.45*h
	}
	return d
}
