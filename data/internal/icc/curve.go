package icc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// curve maps 0 to 1 to about 0 to 1.
type curve func(float64) float64

func identity(x float64) float64 { return x }

// clamp01 clamps to 0 … 1; NaN becomes 0.
func clamp01(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}

// sampled interpolates between n ≥ 2 values at equal distances, repeating the ends outside.
func sampled(n int, at func(i int) float64) curve {
	return func(x float64) float64 {
		place := clamp01(x) * float64(n-1)
		i := min(int(place), n-2)
		a := at(i)
		return a + (place-float64(i))*(at(i+1)-a)
	}
}

// bytes8 and words16 are curves of table entries.
func bytes8(b []byte) curve {
	return sampled(len(b), func(i int) float64 { return float64(b[i]) / 255 })
}

func words16(b []byte) curve {
	return sampled(len(b)/2, func(i int) float64 { return float64(binary.BigEndian.Uint16(b[2*i:])) / 65535 })
}

// parseCurve reads a curve and says how many bytes it has (ICC.1:2022, 10.6 and 10.18).
func parseCurve(b []byte) (curve, int, error) {
	if len(b) < 12 {
		return nil, 0, errors.New("is missing or damaged")
	}
	switch string(b[:4]) {
	case "curv":
		n := uint64(binary.BigEndian.Uint32(b[8:]))
		if uint64(len(b)) < 12+2*n {
			return nil, 0, errors.New("is damaged")
		}
		size := 12 + 2*int(n)
		switch n {
		case 0:
			return identity, size, nil
		case 1:
			gamma := float64(binary.BigEndian.Uint16(b[12:])) / 256
			return func(x float64) float64 { return math.Pow(x, gamma) }, size, nil
		}
		return words16(b[12:size]), size, nil
	case "para":
		kind := binary.BigEndian.Uint16(b[8:])
		counts := [5]int{1, 3, 4, 5, 7}
		if int(kind) >= len(counts) || len(b) < 12+4*counts[kind] {
			return nil, 0, errors.New("is damaged")
		}
		// y = (a x + b)^g + e where x ≥ d, else c x + f; the kinds leave out some of these.
		var v [7]float64
		for i := range counts[kind] {
			v[i] = fixed16(b[12+4*i:])
		}
		g, slope, shift, c, d, e, f := v[0], v[1], v[2], v[3], v[4], v[5], v[6]
		switch kind {
		case 0:
			slope, d = 1, math.Inf(-1)
		case 1:
			d = -shift / slope
		case 2:
			d, e, f, c = -shift/slope, c, c, 0
		}
		return func(x float64) float64 {
			if x >= d {
				return math.Pow(max(slope*x+shift, 0), g) + e
			}
			return c*x + f
		}, 12 + 4*counts[kind], nil
	}
	return nil, 0, fmt.Errorf("has the unknown type %q", b[:4])
}

// parseCurves reads n curves that follow each other at multiples of four bytes.
func parseCurves(b []byte, n int) ([]curve, error) {
	curves := make([]curve, n)
	for i := range curves {
		c, size, err := parseCurve(b)
		if err != nil {
			return nil, fmt.Errorf("a curve %w", err)
		}
		curves[i] = c
		b = b[min((size+3)&^3, len(b)):]
	}
	return curves, nil
}
