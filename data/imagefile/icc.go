package imagefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf16"
)

// profile converts colours to sRGB: curves to linear light, a matrix, sRGB's curve. It stands for an ICC profile of versions 2
// and 4 that consists of a matrix and curves (ICC.1:2022, 8.3.3 and 8.4.3) or of a grey curve (8.3.4).
type profile struct {
	name   string
	linear [3][256]float32 // linear light of each value
	matrix [3][3]float32   // linear light → linear light of sRGB
	encode []uint8         // sRGB's curve at i/(len−1)
}

// parseProfile reads a profile; nil without an error stands for one that changes nothing.
func parseProfile(raw []byte, m metadata) (*profile, error) {
	tags, err := profileTags(raw)
	if err != nil {
		return nil, err
	}
	p := &profile{name: profileName(tags["desc"])}
	if strings.HasPrefix(p.name, "sRGB") {
		return nil, nil // such as the ICC's own, which has tables instead of a matrix
	}
	space := string(raw[16:20])
	switch {
	case m.ink:
		return nil, fmt.Errorf("the picture is CMYK with the colour profile %q, which can't be converted", p.name)
	case string(raw[20:24]) != "XYZ " && space == "RGB " || space != "RGB " && space != "GRAY":
		return nil, fmt.Errorf("the colour profile %q (%s) consists of tables; a matrix and curves can be converted", p.name, strings.TrimSpace(space))
	case space == "GRAY" && !m.grey:
		return nil, fmt.Errorf("the colour profile %q is for grey pictures", p.name)
	}
	curves := [3]string{"rTRC", "gTRC", "bTRC"}
	p.matrix = [3][3]float32{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	if space == "GRAY" {
		curves = [3]string{"kTRC", "kTRC", "kTRC"}
	} else {
		var toXYZ [3][3]float64 // columns: the primaries
		for i, name := range [3]string{"rXYZ", "gXYZ", "bXYZ"} {
			column, err := xyz(tags[name])
			if err != nil {
				return nil, fmt.Errorf("the colour profile %q: %s %w", p.name, name, err)
			}
			for row := range 3 {
				toXYZ[row][i] = column[row]
			}
		}
		p.matrix = toSRGB(toXYZ)
	}
	for i, name := range curves {
		curve, err := parseCurve(tags[name])
		if err != nil {
			return nil, fmt.Errorf("the colour profile %q: %s %w", p.name, name, err)
		}
		for v := range p.linear[i] {
			p.linear[i][v] = float32(min(max(curve(float64(v)/255), 0), 1)) // NaN stays: apply takes it for 0
		}
	}
	p.encode = sRGBTable()
	if p.changesLittle() {
		return nil, nil
	}
	return p, nil
}

// profileTags checks the header and returns the data of the tags by their signature.
func profileTags(raw []byte) (map[string][]byte, error) {
	damaged := errors.New("the colour profile is damaged")
	if len(raw) < 132 || string(raw[36:40]) != "acsp" {
		return nil, damaged
	}
	n := binary.BigEndian.Uint32(raw[128:])
	if uint64(len(raw)) < 132+12*uint64(n) {
		return nil, damaged
	}
	tags := make(map[string][]byte, n)
	for i := range int(n) {
		entry := raw[132+12*i:]
		offset, size := uint64(binary.BigEndian.Uint32(entry[4:])), uint64(binary.BigEndian.Uint32(entry[8:]))
		if offset+size > uint64(len(raw)) {
			return nil, damaged
		}
		tags[string(entry[:4])] = raw[offset : offset+size]
	}
	return tags, nil
}

// profileName reads a description of version 2 (desc) or 4 (mluc).
func profileName(b []byte) string {
	switch {
	case len(b) >= 12 && string(b[:4]) == "desc":
		n := uint64(binary.BigEndian.Uint32(b[8:]))
		return strings.TrimRight(string(b[12:12+min(n, uint64(len(b)-12))]), "\x00")
	case len(b) >= 28 && string(b[:4]) == "mluc":
		size, offset := uint64(binary.BigEndian.Uint32(b[20:])), uint64(binary.BigEndian.Uint32(b[24:]))
		if offset+size > uint64(len(b)) {
			break
		}
		units := make([]uint16, size/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(b[offset+2*uint64(i):])
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00")
	}
	return "without a name"
}

func fixed16(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

func xyz(b []byte) (v [3]float64, err error) {
	if len(b) < 20 || string(b[:4]) != "XYZ " {
		return v, errors.New("is missing or damaged")
	}
	return [3]float64{fixed16(b[8:]), fixed16(b[12:]), fixed16(b[16:])}, nil
}

// parseCurve reads a curve from values to linear light, both 0 to 1 (ICC.1:2022, 10.6 and 10.18).
func parseCurve(b []byte) (func(float64) float64, error) {
	if len(b) < 12 {
		return nil, errors.New("is missing or damaged")
	}
	switch string(b[:4]) {
	case "curv":
		n := uint64(binary.BigEndian.Uint32(b[8:]))
		if uint64(len(b)) < 12+2*n {
			return nil, errors.New("is damaged")
		}
		point := func(i int) float64 { return float64(binary.BigEndian.Uint16(b[12+2*i:])) }
		switch n {
		case 0:
			return func(x float64) float64 { return x }, nil
		case 1:
			gamma := point(0) / 256
			return func(x float64) float64 { return math.Pow(x, gamma) }, nil
		}
		return func(x float64) float64 {
			at := x * float64(n-1)
			i := min(int(at), int(n)-2)
			return (point(i) + (at-float64(i))*(point(i+1)-point(i))) / 65535
		}, nil
	case "para":
		kind := binary.BigEndian.Uint16(b[8:])
		counts := [5]int{1, 3, 4, 5, 7}
		if int(kind) >= len(counts) || len(b) < 12+4*counts[kind] {
			return nil, errors.New("is damaged")
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
		}, nil
	}
	return nil, fmt.Errorf("has the unknown type %q", b[:4])
}

// toSRGB returns inverse(sRGB → XYZ) · toXYZ; XYZ is that of the profiles' D50.
func toSRGB(toXYZ [3][3]float64) (m [3][3]float32) {
	// The inverse of the primaries of IEC 61966-2-1 adapted to D50 by Bradford's method, the columns of every sRGB profile:
	// 0.43607 0.38515 0.14307 / 0.22249 0.71687 0.06061 / 0.01392 0.09708 0.71410.
	fromXYZ := [3][3]float64{
		{3.13409566, -1.61740041, -0.49063776},
		{-0.97879269, 1.91629490, 0.03345363},
		{0.07197113, -0.22898711, 1.40538020},
	}
	for i := range 3 {
		for j := range 3 {
			var sum float64
			for k := range 3 {
				sum += fromXYZ[i][k] * toXYZ[k][j]
			}
			m[i][j] = float32(sum)
		}
	}
	return m
}

// sRGBTable tabulates sRGB's curve, rounded to 8 bits: fine enough that the steepest part takes 20 entries for a level.
func sRGBTable() []uint8 {
	// The linear light from which on a level is the nearest one.
	from := func(level int) float64 {
		v := (float64(level) - 0.5) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	table := make([]uint8, 1<<16)
	level, next := 0, from(1)
	for i := range table {
		for level < 255 && float64(i)/float64(len(table)-1) >= next {
			level++
			next = from(level + 1)
		}
		table[i] = uint8(level)
	}
	return table
}

// changesLittle reports whether no colour of a grid changes by more than one level.
func (p *profile) changesLittle() bool {
	var grid []uint8
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 15 {
			for b := 0; b < 256; b += 15 {
				grid = append(grid, uint8(r), uint8(g), uint8(b))
			}
		}
	}
	converted := append([]uint8(nil), grid...)
	p.apply(converted)
	for i := range grid {
		if d := int(grid[i]) - int(converted[i]); d < -1 || d > 1 {
			return false
		}
	}
	return true
}

// apply converts RGB values in place. Colours beyond sRGB are clipped.
func (p *profile) apply(pix []uint8) {
	top := float32(len(p.encode) - 1)
	for i := 0; i+2 < len(pix); i += 3 {
		r, g, b := p.linear[0][pix[i]], p.linear[1][pix[i+1]], p.linear[2][pix[i+2]]
		for k := range 3 {
			row := &p.matrix[k]
			v := row[0]*r + row[1]*g + row[2]*b
			switch {
			case v >= 1:
				v = 1
			case !(v > 0): // NaN too
				v = 0
			}
			pix[i+k] = p.encode[int(v*top+0.5)]
		}
	}
}
