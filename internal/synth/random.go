package synth

import (
	"math"
	"math/rand/v2"
)

// purpose separates the random numbers of different concerns, so that a change to one, such as more noise, leaves the
// rest of a tissue as it was.
type purpose uint64

const (
	forPatient purpose = iota + 1
	forStain
	forTexture
	forTissue
	forNuclei
	forRegistration
	forHESensor
	forIHCSensor
	forIslands
	forLobules
	forVessels
	forFat
	forCells
)

// random is the generator of one purpose for one pair or patient, independent of all others.
func random(seed uint64, index int, p purpose) *rand.Rand {
	return rand.New(rand.NewPCG(scramble(seed), scramble(uint64(index)<<8|uint64(p))))
}

// randomAt is the generator of one purpose for a square of a slide.
func randomAt(seed uint64, column, row int, p purpose) *rand.Rand {
	place := uint64(uint32(column))<<32 | uint64(uint32(row))
	return rand.New(rand.NewPCG(scramble(seed^scramble(uint64(p))), scramble(place)))
}

// scramble is SplitMix64's finaliser: PCG streams of neighbouring seeds are otherwise alike.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// normal has the given mean and standard deviation, cut off at 2.5 deviations.
func normal(r *rand.Rand, mean, sd float64) float64 {
	return mean + sd*max(-2.5, min(2.5, r.NormFloat64()))
}

// smoothstep rises from 0 at lo to 1 at hi.
func smoothstep(lo, hi, x float64) float64 {
	t := clamp01((x - lo) / (hi - lo))
	return t * t * (3 - 2*t)
}

func clamp01(x float64) float64 { return max(0, min(1, x)) }

// quantise rounds to a thousandth, the precision of the truth files.
func quantise(x float64) float64 { return math.Round(x*1000) / 1000 }
