package synth

import (
	"fmt"
	"math"
	"slices"
)

// world is the tissue of a whole slide. Everything in it is a function of the place, so any window of it can be made on
// its own, and windows fit together: shapes come from squares of the plane with random numbers of their own, and reach
// only so far; distances are cut off at worldReach.
type world struct {
	seed          uint64
	patient       patient
	noise         *noise
	width, height float64 // of the slide in µm
	islands       []blob
	angle, ox, oy float64 // of fibres and nests
	long, wide    float64 // of nests
	nestLevel     float64 // above which the noise of nests is a nest
	fatLevel      float64 // above which the noise of fat is fat
	density       density
	norms         [4][2]float64 // mean and deviation of the strands of collagen
}

const (
	worldReach   = 40.0 // µm at which distances end
	worldMargin  = 162  // µm of architecture around a window: what cells need, and worldReach
	lobuleSquare = 400.0
	vesselSquare = 110.0
	fatSquare    = 46.0
)

func newWorld(c SlideConfig) *world {
	person := newPatient(c.Seed, 0)
	if person.pattern == tubules || person.pattern == inSitu {
		person.pattern = solid // whose nests are a function of the place
	}
	r := random(c.Seed, 0, forTissue)
	w := &world{
		seed: c.Seed, patient: person, noise: newNoise(random(c.Seed, 0, forTexture)),
		width: float64(c.Width) * c.MPP, height: float64(c.Height) * c.MPP,
		angle: between(r, 0, math.Pi), ox: between(r, 0, 9999), oy: between(r, 0, 9999),
		density: density{drawCrowd(r), drawStromalDensity(r)},
	}
	w.noise.offset = 1 << 16 * noiseSide
	var share float64
	switch person.pattern {
	case cords:
		share, w.long, w.wide = between(r, 0.2, 0.4), 170, 46
	case singleFile:
		share, w.long, w.wide = between(r, 0.1, 0.24), 90, 26
	default:
		share, w.long, w.wide = between(r, 0.28, 0.66), between(r, 110, 190), between(r, 75, 110)
	}
	w.fatLevel = 1.9 - person.fatty
	sample := make([]float64, 20_000)
	for i := range sample {
		sample[i] = w.nest(between(r, 0, 20_000), between(r, 0, 20_000))
	}
	slices.Sort(sample)
	w.nestLevel = sample[int(float64(len(sample)-1)*(1-share))]
	w.placeIslands(c)
	w.measureStrands(c.MPP)
	return w
}

// placeIslands shares the area of tissue among islands that keep apart. Where there is no room there are fewer, or
// smaller ones: short says so.
func (w *world) placeIslands(c SlideConfig) {
	r := random(c.Seed, 0, forIslands)
	area := c.Tissue * w.width * w.height / float64(c.Islands)
	for range 400 * c.Islands {
		if len(w.islands) == c.Islands {
			break
		}
		flat := between(r, 0.6, 1)
		a := math.Sqrt(area / (math.Pi * flat))
		a = min(a, 0.46*min(w.width, w.height))
		s := newBlob(r, between(r, a, w.width-a), between(r, a, w.height-a), a, flat, flat, 0.07)
		if len(w.islands) == 0 || clear(s, w.islands, 0.05*a) {
			w.islands = append(w.islands, s)
		}
	}
}

// short says what of the islands that were asked for there was no room for; "" if there are all.
func (w *world) short(c SlideConfig) string {
	area := 0.0
	for _, s := range w.islands {
		area += math.Pi * s.a * s.b
	}
	share, n := area/(w.width*w.height), len(w.islands)
	if n == c.Islands && share > 0.95*c.Tissue {
		return ""
	}
	return fmt.Sprintf("the slide has room for %d of %d islands of that size: %.3g of it are tissue, not %.3g",
		n, c.Islands, share, c.Tissue)
}

// inside is positive in islands: about the distance to the edge in µm, which is ragged.
func (w *world) inside(x, y float64) float64 {
	d := -far
	for i := range w.islands {
		s := &w.islands[i]
		if reach := 1.3*s.reach() + 100; math.Abs(x-s.x) < reach && math.Abs(y-s.y) < reach {
			d = max(d, s.depth(x, y))
		}
	}
	if math.Abs(d) > 200 {
		return d
	}
	f := w.noise
	return d + 22*f.rough(x+5000, y+900, 420) + 5*f.rough(x+70, y+3000, 60) + 1.2*f.at(x, y+50, 9)
}

// nest is the noise whose highest parts are nests of tumour: see tissue.grow.
func (w *world) nest(x, y float64) float64 {
	f := w.noise
	sin, cos := math.Sincos(w.angle)
	bend := 22 * f.at(x+w.ox, y+w.oy, 160)
	u, v := x*cos+y*sin, y*cos-x*sin+bend
	return f.at(u/w.long+w.ox, v/w.wide+w.oy, 1) + 0.4*f.turned(u/w.wide+w.ox, v/w.long-w.oy, 0.5) + 0.12*f.at(x, y, 12)
}

// fatty is positive in adipose tissue.
func (w *world) fatty(x, y float64) float64 {
	return w.noise.rough(x-w.ox, y+2*w.oy, 900) - w.fatLevel
}

// squares calls f for the squares of the plane that come within reach of a window.
func squares(x0, y0, side, square, reach float64, f func(column, row int)) {
	first := func(v float64) int { return int(math.Floor((v - reach) / square)) }
	last := func(v float64) int { return int(math.Floor((v + side + reach) / square)) }
	for row := first(y0); row <= last(y0); row++ {
		for column := first(x0); column <= last(x0); column++ {
			f(column, row)
		}
	}
}

// window is the architecture of a square of the slide, with worldMargin around it.
func (w *world) window(x0, y0, side float64) *tissue {
	snap := func(v float64) float64 { return math.Floor(v/tissueCell) * tissueCell }
	t := &tissue{patient: w.patient, noise: w.noise, field: side}
	grid := newRasterAt(snap(x0-worldMargin), snap(y0-worldMargin), side+2*worldMargin+2*tissueCell, tissueCell)
	extent := float64(grid.w) * grid.cell

	var glands, holes []blob
	squares(grid.x0, grid.y0, extent, lobuleSquare, 200, func(column, row int) {
		r := randomAt(w.seed, column, row, forLobules)
		x, y := (float64(column)+r.Float64())*lobuleSquare, (float64(row)+r.Float64())*lobuleSquare
		if r.Float64() < 0.2+0.1*w.patient.fatty && w.fatty(x, y) < -0.3 {
			g, h := lobuleAt(r, x, y)
			glands, holes = append(glands, g...), append(holes, h...)
		}
	})
	body := grid.like()
	body.fill(func(x, y float64) float64 { return t.union(glands, x, y) })
	benign := grid.like()
	for i, v := range body.v {
		benign.v[i] = float32(smoothstep(-6, -2, float64(v)))
	}
	nests := grid.like()
	nests.fill(func(x, y float64) float64 {
		return w.nest(x, y) - w.nestLevel - 4*smoothstep(-0.25, 0.1, w.fatty(x, y))
	})
	for i, v := range nests.v {
		if body.v[i] > -9 {
			v = -1
		}
		body.v[i] = max(body.v[i], v)
	}
	t.body, t.benign = body.signedDistance().within(), benign
	lumen := grid.like()
	lumen.fill(func(x, y float64) float64 { return t.union(holes, x, y) })
	t.lumen = lumen.signedDistance().within()
	t.fat = w.adipose(t, grid).within()
	w.vessels(t, grid)

	t.loose, t.lymph = grid.like(), grid.like()
	t.loose.fill(func(x, y float64) float64 {
		v := 0.9 - w.patient.collagen + 0.32*w.noise.rough(x+w.oy, y+w.ox, 130)
		return clamp01(max(v, 0.85*t.benign.at(x, y)))
	})
	inflamed := w.patient.inflamed
	t.lymph.fill(func(x, y float64) float64 {
		return smoothstep(1.5-1.7*inflamed, 2.6-1.5*inflamed, w.noise.rough(x+3*w.ox, y-w.oy, 110))
	})
	t.along = t.orient(grid, w.angle, w.ox, w.oy)
	return t
}

// within cuts a raster's values off at ±worldReach.
func (r raster) within() raster {
	for i, v := range r.v {
		r.v[i] = max(-worldReach, min(worldReach, v))
	}
	return r
}

// adipose is a lobe of fat cells, one for each square: see tissue.adipose.
func (w *world) adipose(t *tissue, grid raster) raster {
	left, top, extent := grid.x0, grid.y0, float64(grid.w)*grid.cell
	var cells []fatCell
	columns := int(extent/fatSquare) + 8
	index := make([][]fatCell, columns*columns)
	at := func(x, y float64) (i, j int) {
		return max(0, min(columns-1, int((x-left)/fatSquare)+3)), max(0, min(columns-1, int((y-top)/fatSquare)+3))
	}
	squares(left, top, extent, fatSquare, fatReach, func(column, row int) {
		r := randomAt(w.seed, column, row, forFat)
		c := fatCell{
			(float64(column) + between(r, 0.2, 0.8)) * fatSquare, (float64(row) + between(r, 0.2, 0.8)) * fatSquare,
			between(r, 20, 30),
		}
		if w.fatty(c.x, c.y) > 0 {
			cells = append(cells, c)
			i, j := at(c.x, c.y)
			index[j*columns+i] = append(index[j*columns+i], c)
		}
	})
	out := grid.like()
	if len(cells) == 0 {
		for i := range out.v {
			out.v[i] = -far
		}
		return out
	}
	f := w.noise
	out.fill(func(x, y float64) float64 {
		wx, wy := x+2*f.at(x, y, 30), y+2*f.turned(x, y, 30)
		near := nearest{far, far}
		ci, cj := at(wx, wy)
		for j := max(0, cj-2); j <= min(columns-1, cj+2); j++ {
			for i := max(0, ci-2); i <= min(columns-1, ci+2); i++ {
				for _, c := range index[j*columns+i] {
					near.add(c, wx, wy)
				}
			}
		}
		return near.depth(t.body.at(x, y))
	})
	return out
}

// vessels lie in the stroma, at most one in a square: see tissue.vessels.
func (w *world) vessels(t *tissue, grid raster) {
	var inner, outer []blob
	squares(grid.x0, grid.y0, float64(grid.w)*grid.cell, vesselSquare, 60, func(column, row int) {
		r := randomAt(w.seed, column, row, forVessels)
		x, y := (float64(column)+r.Float64())*vesselSquare, (float64(row)+r.Float64())*vesselSquare
		a, wall, thin := between(r, 4, 12), between(r, 1.2, 2.4), between(r, 0.25, 0.7)
		if r.Float64() < 0.13 {
			a, wall, thin = between(r, 9, 16), between(r, 8, 15), between(r, 0.5, 0.9)
		}
		s := blob{x, y, a, max(2.2, a*thin), between(r, 0, math.Pi), newOutline(r, 0.09)}
		if r.Float64() < 0.5 && w.nest(x, y) < w.nestLevel-0.35 && w.fatty(x, y) < -0.2 {
			inner, outer = append(inner, s), append(outer, s.shrunk(-wall))
		}
	})
	vessel, wall := grid.like(), grid.like()
	clear := func(x, y float64) float64 { return -2 - t.body.at(x, y) } // not in nests and glands
	vessel.fill(func(x, y float64) float64 { return min(t.union(inner, x, y), clear(x, y)) })
	wall.fill(func(x, y float64) float64 { return min(t.union(outer, x, y), clear(x, y)) })
	t.vessel = vessel.signedDistance().within()
	t.wall = wall.signedDistance().within()
}

// measureStrands finds how strands vary, in a window like others.
func (w *world) measureStrands(res float64) {
	const side = 240
	t := w.window(1000, 1000, side)
	for i, g := range grains(res) {
		r := strands(newRasterAt(1000, 1000, side, g.cell), &t.along, w.noise, g.length, g.width)
		var sum, sq float64
		for _, v := range r.v {
			sum += float64(v)
			sq += float64(v) * float64(v)
		}
		mean := sum / float64(len(r.v))
		w.norms[i] = [2]float64{mean, math.Sqrt(max(sq/float64(len(r.v))-mean*mean, 1e-12))}
	}
}

// bucketsAround covers a window and its margin. Buckets lie in the same places whatever the window.
func bucketsAround(x0, y0, side float64) buckets {
	snap := func(v float64) float64 { return math.Floor((v-worldMargin)/bucketSide) * bucketSide }
	return newBuckets(snap(x0), snap(y0), side+2*worldMargin+bucketSide)
}

const cellSquare = 24.0 // µm: wider than what keeps nuclei apart reaches (population.add looks 20 µm far)

// cells puts nuclei into a window and around it. Squares of the plane get theirs in four rounds, each square after
// those of its neighbours that belong to earlier rounds, so that what a square holds depends on three squares around
// it.
func (w *world) cells(t *tissue, x0, y0, side float64, marker Marker) []nucleus {
	const around = 20.0 // as far as a nucleus and its cell reach into the window
	p := &population{t: t, side: cellSquare, density: &w.density}
	p.index = bucketsAround(x0, y0, side)
	type square struct{ column, row, round int }
	var all []square
	squares(x0, y0, side, cellSquare, around+3*cellSquare, func(column, row int) {
		x, y := (float64(column)+0.5)*cellSquare, (float64(row)+0.5)*cellSquare
		if w.inside(x, y) > -1.5*cellSquare {
			all = append(all, square{column, row, column&1 | row&1<<1})
		}
	})
	slices.SortStableFunc(all, func(a, b square) int { return a.round - b.round })
	for _, s := range all {
		p.r = randomAt(w.seed, s.column, s.row, forCells)
		p.x0, p.y0 = float64(s.column)*cellSquare, float64(s.row)*cellSquare
		p.all()
	}
	nuclei := slices.DeleteFunc(p.nuclei, func(n nucleus) bool {
		return n.x < x0-around || n.y < y0-around || n.x > x0+side+around || n.y > y0+side+around || w.inside(n.x, n.y) < n.A
	})
	for i := range nuclei {
		nuclei[i].intensity = marker.Express(nuclei[i].Morphology)
	}
	return nuclei
}
