package icc

import "fmt"

// shaper converts by curves and a matrix to sRGB's linear light, for profiles with a matrix and curves (ICC.1:2022,
// 8.3.3 and 8.4.3) or a grey curve (8.3.4).
type shaper struct {
	linear [3][256]float32 // linear light of each value
	matrix [3][3]float32   // linear light → linear light of sRGB
	offset [3]float32      // from the compensation of the black point
}

// newShaper makes the curves and the matrix of three equal channels of grey, or of RGB.
func (p *Profile) newShaper() (*shaper, error) {
	s := &shaper{}
	curves := [3]string{"rTRC", "gTRC", "bTRC"}
	var toXYZ [3][3]float64 // columns: the primaries
	if p.Channels == 1 {
		curves = [3]string{"kTRC", "kTRC", "kTRC"}
		for row := range 3 {
			toXYZ[row][0] = d50[row]
		}
	} else {
		for i, name := range [3]string{"rXYZ", "gXYZ", "bXYZ"} {
			column, err := colorant(p.tags[name])
			if err != nil {
				return nil, fmt.Errorf("%s %w", name, err)
			}
			for row := range 3 {
				toXYZ[row][i] = column[row]
			}
		}
	}
	for i, name := range curves {
		c, _, err := parseCurve(p.tags[name])
		if err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
		for v := range s.linear[i] {
			y := c(float64(v) / 255)
			if p.Channels == 1 && p.pcs == lab { // the curve leads to L*
				y = fromLab(100*clamp01(y), 0, 0)[1]
			}
			s.linear[i][v] = float32(y)
		}
	}
	var black [3]float64
	for row := range black {
		for i := range 3 {
			black[row] += toXYZ[row][i] * float64(s.linear[i][0])
		}
	}
	matrix, offset := compensated(black)
	for i := range 3 {
		s.offset[i] = float32(offset[i])
		for j := range 3 {
			var sum float64
			for k := range 3 {
				sum += matrix[i][k] * toXYZ[k][j]
			}
			s.matrix[i][j] = float32(sum)
		}
	}
	return s, nil
}

// rgb is sRGB's linear light.
func (s *shaper) rgb(r, g, b uint8) (out [3]float32) {
	x, y, z := s.linear[0][r], s.linear[1][g], s.linear[2][b]
	for k := range out {
		row := &s.matrix[k]
		out[k] = row[0]*x + row[1]*y + row[2]*z + s.offset[k]
	}
	return out
}
