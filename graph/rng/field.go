package rng

import (
	"fmt"
	"math"
)

// Field has normal numbers for every point of an unbounded plane, in as many draws as are wanted: each is a function of
// the seed, the draw, the point and the channel alone. Parts of the plane can be filled in any order, on any machine,
// and agree where they overlap. It reproduces nothing of PyTorch's.
type Field struct{ Seed int64 }

// Fill fills dst [h,w,c] with the numbers of one draw for the rows y … y+h−1 and columns x … x+w−1 of the plane.
func (f Field) Fill(dst []float32, draw uint64, y, x, h, w, c int) error {
	if h < 0 || w < 0 || c < 0 || len(dst) != h*w*c {
		return fmt.Errorf("noise: %d values for [%d %d %d]", len(dst), h, w, c)
	}
	plane := scatter(splitmix(uint64(f.Seed)), draw)
	for i := range h {
		row := scatter(plane, uint64(int64(y+i)))
		for j := range w {
			at := dst[(i*w+j)*c : (i*w+j+1)*c]
			point := scatter(row, uint64(int64(x+j)))
			for k := 0; k < c; k += 2 { // a pair of normals at a time
				a, b := normalPair(scatter(point, uint64(k)))
				at[k] = a
				if k+1 < c {
					at[k+1] = b
				}
			}
		}
	}
	return nil
}

// normalPair turns 64 random bits into two independent normal numbers of magnitude up to 6.8 (Box & Muller 1958).
func normalPair(bits uint64) (a, b float32) {
	const unit = 1.0 / (1 << 32)
	u, v := (float64(bits>>32)+0.5)*unit, float64(uint32(bits))*unit
	radius := math.Sqrt(-2 * math.Log(u))
	sin, cos := math.Sincos(2 * math.Pi * v)
	return float32(radius * cos), float32(radius * sin)
}

// scatter mixes a value into a hash with the finaliser of SplitMix64 (Steele et al. 2014, variant 13 of Stafford).
func scatter(h, value uint64) uint64 { return splitmix(h ^ splitmix(value)) }

func splitmix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
