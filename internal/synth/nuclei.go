package synth

import (
	"math"
	"math/rand/v2"
)

// Kind is the kind of cell that a nucleus belongs to.
type Kind string

// The kinds.
const (
	Tumour        Kind = "tumour"
	Benign        Kind = "benign"        // luminal epithelium of benign glands
	Myoepithelial Kind = "myoepithelial" // flat, around benign glands
	Lymphocyte    Kind = "lymphocyte"
	Plasma        Kind = "plasma"
	Fibroblast    Kind = "fibroblast"
	Endothelial   Kind = "endothelial"
	Adipocyte     Kind = "adipocyte"
)

// Morphology is what the H&E shows of a nucleus. Expression depends on nothing else.
type Morphology struct {
	Kind      Kind    `json:"kind"`
	A         float64 `json:"a_um"`      // semi-major axis, µm
	B         float64 `json:"b_um"`      // semi-minor axis, µm
	Pallor    float64 `json:"pallor"`    // 0: dark and dense, 1: pale (vesicular) with a rim
	Nucleolus float64 `json:"nucleolus"` // radius of the nucleolus in µm, 0: none
	Chromatin float64 `json:"chromatin"` // 0: smooth, 1: coarse clumps
	Mitotic   bool    `json:"mitotic,omitempty"`
}

// nucleus is a nucleus as drawn; positions in µm.
type nucleus struct {
	Morphology
	x, y, angle float64
	density     float64 // of its haematoxylin, relative
	soft        float64 // width of its edge in µm: how far out of focus
	bend, blunt float64 // of spindles
	roughness   float64 // of its outline
	outline     outline
	ox, oy      float64 // where it cuts its chromatin out of the noise
	cytoplasm   [2]float64
	intensity   float64 // of the marker
}

// spindle reports whether the outline is pointed and bent, not round.
func (n *nucleus) spindle() bool {
	return n.Kind == Fibroblast || n.Kind == Endothelial || n.Kind == Adipocyte
}

// radiusTowards is the ellipse's radius in the direction (dx, dy).
func (n *nucleus) radiusTowards(dx, dy float64) float64 {
	s, c := math.Sincos(n.angle)
	u, v := dx*c+dy*s, dy*c-dx*s
	d := math.Hypot(u, v)
	if d < 1e-9 {
		return n.B
	}
	return n.A * n.B * d / math.Hypot(u*n.B, v*n.A)
}

type population struct {
	t            *tissue
	r            *rand.Rand
	x0, y0, side float64 // where there are cells, in µm
	nuclei       []nucleus
	index        buckets
	density      *density // nil: drawn for the place
}

// density is how many cells there are.
type density struct {
	crowd  float64 // how far nuclei of the tumour keep apart
	stroma float64 // how likely a place in the stroma has one
}

func drawCrowd(r *rand.Rand) float64          { return between(r, 0.88, 1.06) }
func drawStromalDensity(r *rand.Rand) float64 { return between(r, 0.012, 0.04) }

func populate(t *tissue, r *rand.Rand) []nucleus {
	p := &population{t: t, r: r, x0: -margin, y0: -margin, side: t.field + 2*margin}
	p.index = newBuckets(p.x0, p.y0, p.side)
	p.all()
	return p.nuclei
}

// all puts cells of every kind where they belong.
func (p *population) all() {
	p.benign()
	p.tumour()
	p.vessels()
	p.fat()
	p.inflammation()
	p.stroma()
}

// scatter visits places about pitch µm apart in random order.
func (p *population) scatter(pitch float64, visit func(x, y float64)) {
	n := int(math.Ceil(p.side / pitch))
	for _, k := range p.r.Perm(n * n) {
		x := p.x0 + (float64(k%n)+p.r.Float64())*pitch
		y := p.y0 + (float64(k/n)+p.r.Float64())*pitch
		visit(x, y)
	}
}

// add places a nucleus unless it comes closer to another than spread times the sum of their radii, plus gap µm. It
// draws what isn't needed for that.
func (p *population) add(n nucleus, spread, gap float64) {
	for id := range p.index.near(n.x, n.y, 1) {
		o := &p.nuclei[id]
		dx, dy := o.x-n.x, o.y-n.y
		if math.Hypot(dx, dy) < spread*(n.radiusTowards(dx, dy)+o.radiusTowards(dx, dy))+gap {
			return
		}
	}
	r := p.r
	n.A, n.B = quantise(n.A), quantise(n.B)
	n.Pallor, n.Chromatin = quantise(clamp01(n.Pallor)), quantise(clamp01(n.Chromatin))
	n.Nucleolus = quantise(max(0, n.Nucleolus))
	n.outline = newOutline(r, n.roughness)
	n.ox, n.oy = between(r, 0, 500), between(r, 0, 500)
	n.soft = 0.45 + 1.1*r.Float64()*r.Float64()*r.Float64()
	n.blunt = r.Float64()
	n.cytoplasm = [2]float64{normal(r, 0, 1), normal(r, 0, 1)}
	p.index.insert(len(p.nuclei), n.x, n.y)
	p.nuclei = append(p.nuclei, n)
}

// benign lines glands: a row of luminal cells upright on the edge, and flat myoepithelial cells under them.
func (p *population) benign() {
	r, t := p.r, p.t
	p.scatter(1.6, func(x, y float64) {
		d := t.body.at(x, y)
		if d < 0.4 || d > 7 || t.benign.at(x, y) < 0.5 || t.lumen.at(x, y) > -2.8 {
			return
		}
		gx, gy := t.body.slope(x, y)
		upright := math.Atan2(gy, gx)
		switch {
		case d < 1.9:
			p.add(nucleus{
				x: x, y: y, angle: upright + math.Pi/2 + normal(r, 0, 0.12), density: normal(r, 1.15, 0.1), roughness: 0.05,
				Morphology: Morphology{
					Kind: Myoepithelial, A: normal(r, 3.4, 0.4), B: normal(r, 1.4, 0.15),
					Pallor: between(r, 0, 0.15), Chromatin: between(r, 0, 0.3),
				},
			}, 0.95, 2.5)
		case d > 4.6:
			b := normal(r, 2.8, 0.22)
			p.add(nucleus{
				x: x, y: y, angle: upright + normal(r, 0, 0.25), density: normal(r, 1, 0.09), roughness: 0.04,
				Morphology: Morphology{
					Kind: Benign, A: b * between(r, 1.15, 1.5), B: b,
					Pallor: between(r, 0.1, 0.38), Chromatin: between(r, 0.05, 0.4), Nucleolus: max(0, between(r, -0.4, 0.4)),
				},
			}, 0.93, 0.3)
		}
	})
}

// tumour fills nests and lines tubules. How vesicular nuclei are varies from clone to clone and from cell to cell.
func (p *population) tumour() {
	r, t := p.r, p.t
	var crowd float64
	if p.density != nil {
		crowd = p.density.crowd
	} else {
		crowd = drawCrowd(r)
	}
	p.scatter(2.2, func(x, y float64) {
		d := t.body.at(x, y)
		if d < 2.4 || t.benign.at(x, y) > 0.5 || t.lumen.at(x, y) > -3.4 {
			return
		}
		vesicular := t.patient.vesicular + 0.28*t.noise.at(x+77, y-31, 120) + normal(r, 0, 0.2)
		// Crowded here, loose there.
		room := 1.3*t.noise.at(x+400, y+40, 50) + 0.5
		p.add(tumourNucleus(r, t, x, y, vesicular), crowd, max(-0.4, room)+1.1*r.Float64())
	})
}

func tumourNucleus(r *rand.Rand, t *tissue, x, y, vesicular float64) nucleus {
	// Cells are mostly of one sort or the other, rarely in between.
	v := smoothstep(0.3, 0.7, vesicular)
	b := (2.75 + 1.05*v + normal(r, 0, 0.18+0.3*t.patient.pleomorphic)) * t.patient.nuclearSize
	n := nucleus{
		x: x, y: y, density: normal(r, 1.28-0.28*v, 0.12), roughness: 0.055 + 0.04*t.patient.pleomorphic,
		Morphology: Morphology{
			Kind: Tumour, B: max(2, b), A: max(2, b) * (1.05 + 0.5*math.Abs(normal(r, 0, 0.6))),
			Pallor:    0.12 + 0.7*v + normal(r, 0, 0.08),
			Chromatin: clamp01(0.5*r.Float64() + 0.65*r.Float64()*r.Float64()),
		},
	}
	if v > 0.4 && r.Float64() < 0.85 {
		n.Nucleolus = 0.45 + 0.75*v*r.Float64()
	}
	// Upright at a lumen or an edge, else along the fibres, loosely.
	c, s := t.along.at(x, y)
	n.angle = math.Atan2(s, c) + normal(r, 0, 0.7)
	if t.patient.pattern == tubules && t.lumen.at(x, y) > -14 {
		gx, gy := t.lumen.slope(x, y)
		n.angle = math.Atan2(gy, gx) + normal(r, 0, 0.3)
	}
	if r.Float64() < t.patient.mitotic {
		n.Mitotic = true
		n.A, n.B, n.Pallor, n.Nucleolus, n.Chromatin, n.density = normal(r, 3.6, 0.4), normal(r, 1.7, 0.2), 0, 0, 1, 1.8
		n.roughness = 0.16
	} else if r.Float64() < 0.03 { // shrunken and dark: dying
		n.A, n.B, n.Pallor, n.Nucleolus, n.density = n.A*0.8, n.B*0.65, 0, 0, 1.7
		n.roughness = 0.1
	}
	return n
}

func (p *population) vessels() {
	r, t := p.r, p.t
	p.scatter(2, func(x, y float64) {
		d := t.vessel.at(x, y)
		muscle := t.wall.at(x, y) > 2.5 && d < -5
		if !(d < -0.3 && d > -1.9) && !muscle || r.Float64() < 0.55 {
			return
		}
		gx, gy := t.vessel.slope(x, y)
		gap := 4.0
		if muscle {
			gap = 6
		}
		p.add(nucleus{
			x: x, y: y, angle: math.Atan2(gx, -gy), density: normal(r, 1.2, 0.1), bend: normal(r, 0, 0.1), roughness: 0.04,
			Morphology: Morphology{
				Kind: Endothelial, A: normal(r, 4.6, 0.8), B: normal(r, 1.3, 0.2),
				Pallor: between(r, 0, 0.3), Chromatin: between(r, 0, 0.4),
			},
		}, 1, gap)
	})
}

// fat presses few thin nuclei against the membrane of fat cells.
func (p *population) fat() {
	r, t := p.r, p.t
	p.scatter(2.5, func(x, y float64) {
		d := t.fat.at(x, y)
		if d < -1 || d > 1 || r.Float64() < 0.8 {
			return
		}
		gx, gy := t.fat.slope(x, y)
		p.add(nucleus{
			x: x, y: y, angle: math.Atan2(gx, -gy), density: normal(r, 1.2, 0.1), bend: normal(r, 0, 0.15), roughness: 0.04,
			Morphology: Morphology{
				Kind: Adipocyte, A: normal(r, 4, 0.7), B: normal(r, 1.1, 0.15),
				Chromatin: between(r, 0, 0.3),
			},
		}, 1, 20)
	})
}

// free reports whether a place is stroma, at least gap µm from anything else.
func (t *tissue) free(x, y, gap float64) bool {
	return t.body.at(x, y) < -gap && t.fat.at(x, y) < -gap && t.wall.at(x, y) < -gap
}

// inflammation scatters lymphocytes and plasma cells, in swarms and alone.
func (p *population) inflammation() {
	r, t := p.r, p.t
	p.scatter(3.2, func(x, y float64) {
		swarm := t.lymph.at(x, y)
		inside := t.body.at(x, y) > 0
		if r.Float64() > 0.006+0.3*swarm*swarm || inside && (r.Float64() < 0.93 || t.lumen.at(x, y) > -2) {
			return
		}
		if !inside && !t.free(x, y, 1.5) {
			return
		}
		if r.Float64() < 0.2 {
			b := normal(r, 2.6, 0.2)
			p.add(nucleus{
				x: x, y: y, angle: between(r, 0, math.Pi), density: normal(r, 1.3, 0.1), roughness: 0.04,
				Morphology: Morphology{Kind: Plasma, A: b * 1.12, B: b, Pallor: 0.1, Chromatin: between(r, 0.6, 1)},
			}, 1.15, 0.8)
			return
		}
		b := normal(r, 2.35, 0.22)
		p.add(nucleus{
			x: x, y: y, angle: between(r, 0, math.Pi), density: normal(r, 1.5, 0.13), roughness: 0.05,
			Morphology: Morphology{
				Kind: Lymphocyte, A: b * between(r, 1, 1.25), B: b,
				Pallor: between(r, 0, 0.1), Chromatin: between(r, 0.1, 0.7),
			},
		}, 1, 0.3)
	})
}

func (p *population) stroma() {
	r, t := p.r, p.t
	var level float64
	if p.density != nil {
		level = p.density.stroma
	} else {
		level = drawStromalDensity(r)
	}
	p.scatter(3.4, func(x, y float64) {
		cellular := level * math.Exp(1.1*t.noise.rough(x-9, y+5, 60)) * (1 + 0.6*t.loose.at(x, y))
		if r.Float64() > cellular || !t.free(x, y, 1.6) {
			return
		}
		c, s := t.along.at(x, y)
		plump := r.Float64() * r.Float64()
		p.add(nucleus{
			x: x, y: y, angle: math.Atan2(s, c) + normal(r, 0, 0.16), density: normal(r, 1.25-0.45*plump, 0.25),
			bend: normal(r, 0, 0.16), roughness: 0.035,
			Morphology: Morphology{
				Kind: Fibroblast, A: min(8, 2.6+5.5*r.Float64()*r.Float64()+1.2*r.Float64()), B: 0.8 + 0.7*r.Float64() + 1.2*plump,
				Pallor: 0.5 * plump, Chromatin: between(r, 0.1, 0.6),
			},
		}, 0.85, 0.2)
	})
}
