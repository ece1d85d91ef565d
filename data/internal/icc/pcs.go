package icc

import "math"

// pcs is how three values from 0 to 1 encode a colour of the profile connection space.
type pcs int

const (
	xyz16 pcs = iota // XYZ by 1 + 32767/32768
	lab              // L* by 100, a* and b* plus 128 by 255: 8 bits, and 16 bits of version 4
	labV2            // the same of 16 bits in version 2, by 65280/65535
)

// d50 is the white of the profile connection space.
var d50 = [3]float64{0.9642, 1, 0.8249}

func (p pcs) xyz(v *[4]float64) (out [3]float64) {
	switch p {
	case xyz16:
		for k := range out {
			out[k] = v[k] * (1 + 32767.0/32768)
		}
		return out
	case labV2:
		return fromLab(v[0]*65535/65280*100, v[1]*65535/256-128, v[2]*65535/256-128)
	}
	return fromLab(v[0]*100, v[1]*255-128, v[2]*255-128)
}

func fromLab(l, a, b float64) (xyz [3]float64) {
	y := (l + 16) / 116
	for k, root := range [3]float64{y + 0.002*a, y, y - 0.005*b} {
		if root <= 24.0/116 {
			xyz[k] = d50[k] * 108 / 841 * (root - 16.0/116)
		} else {
			xyz[k] = d50[k] * root * root * root
		}
	}
	return xyz
}

func toLab(xyz [3]float64) (l, a, b float64) {
	var root [3]float64
	for k, v := range xyz {
		if v /= d50[k]; v <= 24.0/116*24/116*24/116 {
			root[k] = v*841/108 + 16.0/116
		} else {
			root[k] = math.Cbrt(v)
		}
	}
	return 116*root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])
}

// fromXYZ is the inverse of the primaries of IEC 61966-2-1, adapted to D50 by Bradford's method, as in every sRGB
// profile: 0.43607 0.38515 0.14307 / 0.22249 0.71687 0.06061 / 0.01392 0.09708 0.71410.
var fromXYZ = [3][3]float64{
	{3.13409566, -1.61740041, -0.49063776},
	{-0.97879269, 1.91629490, 0.03345363},
	{0.07197113, -0.22898711, 1.40538020},
}

// perceptualBlack is the black of the perceptual intent in version 4 (ICC.1:2022, 6.3.4.3).
var perceptualBlack = [3]float64{0.00336, 0.0034731, 0.00287}

// compensated maps XYZ to sRGB's linear light so that the darkest colour becomes black and white stays white. As in
// LittleCMS, black is at most L* = 50.
func compensated(darkest [3]float64) (matrix [3][3]float64, offset [3]float64) {
	l, a, b := toLab(darkest)
	black := fromLab(min(max(l, 0), 50), a, b)
	for k := range 3 {
		for c, white := range d50 {
			scale := white / (white - black[c])
			matrix[k][c] = fromXYZ[k][c] * scale
			offset[k] -= fromXYZ[k][c] * scale * black[c]
		}
	}
	return matrix, offset
}
