package synth

import (
	"math"
	"math/rand/v2"
)

// outline makes a round shape irregular: the radius in each of 64 directions, around 1.
type outline [outlineSides + 1]float32

const outlineSides = 64

// newOutline adds waves to a circle: 1 + Σ amp·cos(kφ + phase) for k = 2…6, the faster the lower.
func newOutline(r *rand.Rand, roughness float64) outline {
	var o outline
	for i := range o {
		o[i] = 1
	}
	for k := range 5 {
		amp, phase := normal(r, 0, roughness/float64(k+1)), between(r, 0, 2*math.Pi)
		for i := range o {
			o[i] += float32(amp * math.Cos(float64(k+2)*2*math.Pi*float64(i)/outlineSides+phase))
		}
	}
	for i := range o {
		o[i] = max(0.3, o[i])
	}
	return o
}

// radius in the direction phi, which is in [−π, π].
func (o *outline) radius(phi float64) float64 {
	if phi < 0 {
		phi += 2 * math.Pi
	}
	t := phi * (outlineSides / (2 * math.Pi))
	i := min(outlineSides-1, int(t))
	return float64(o[i] + (o[i+1]-o[i])*float32(t-float64(i)))
}

// blob is a closed shape in the tissue: a gland, a lumen, a vessel. Lengths in µm.
type blob struct {
	x, y, a, b, angle float64 // a and b: semi-axes
	outline           outline
}

// newBlob has semi-axes a and between flat and round times a, and a random direction and outline.
func newBlob(r *rand.Rand, x, y, a, flat, round, roughness float64) blob {
	return blob{x, y, a, a * between(r, flat, round), between(r, 0, math.Pi), newOutline(r, roughness)}
}

// depth is positive inside: about the distance to the edge.
func (s *blob) depth(x, y float64) float64 {
	sin, cos := math.Sincos(s.angle)
	dx, dy := x-s.x, y-s.y
	u, v := (dx*cos+dy*sin)/s.a, (dy*cos-dx*sin)/s.b
	rho := math.Hypot(u, v)
	return (s.outline.radius(math.Atan2(v, u)) - rho) * min(s.a, s.b)
}

// shrunk has its edge t further inside.
func (s blob) shrunk(t float64) blob {
	s.a, s.b = max(1, s.a-t), max(1, s.b-t)
	return s
}

func (s *blob) reach() float64 { return 1.5 * max(s.a, s.b) }
