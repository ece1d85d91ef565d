package icc

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Transform converts 8-bit values of a profile's device to 8-bit sRGB. Colours beyond sRGB are clipped.
type Transform struct {
	channels int
	shaper   *shaper   // or
	tables   *pipeline // with
	matrix   [3][3]float64
	offset   [3]float64 // XYZ → linear light of sRGB
	encode   []uint8    // sRGB's curve at i/(len−1)
}

// Transform returns the conversion to sRGB. It is nil without an error if the profile changes next to nothing: its name
// is sRGB, or no colour of a grid changes by more than a level. Tables take precedence over a matrix, as in LittleCMS.
func (p *Profile) Transform() (*Transform, error) {
	if strings.HasPrefix(p.Name, "sRGB") {
		return nil, nil // such as the ICC's own, whose tables are no identity
	}
	t := &Transform{channels: p.Channels, encode: sRGBTable()}
	var err error
	switch table := p.table(); {
	case table != "":
		if t.tables, err = parseLUT(p.tags[table], p.Channels, p.pcs); err != nil {
			return nil, fmt.Errorf("the colour profile %q: %s %w", p.Name, table, err)
		}
		t.matrix, t.offset = compensated(t.black(p))
	case p.Channels == 4:
		return nil, fmt.Errorf("the colour profile %q has no table from CMYK to colours (A2B0)", p.Name)
	default:
		if t.shaper, err = p.newShaper(); err != nil {
			return nil, fmt.Errorf("the colour profile %q: %w", p.Name, err)
		}
	}
	if t.channels != 4 && t.changesLittle() {
		return nil, nil
	}
	return t, nil
}

// table is the tag of the perceptual table, or of the colorimetric one where that is the only one; "" without any.
func (p *Profile) table() string {
	switch {
	case p.tags["A2B0"] != nil:
		return "A2B0"
	case p.tags["A2B1"] != nil && !p.isShaper():
		return "A2B1"
	}
	return ""
}

// isShaper reports whether there are a matrix and curves, or a grey curve.
func (p *Profile) isShaper() bool {
	tags := []string{"rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"}
	switch p.Channels {
	case 1:
		tags = []string{"kTRC"}
	case 4:
		return false
	}
	return !slices.ContainsFunc(tags, func(tag string) bool { return p.tags[tag] == nil })
}

// black is the colour of the tables' black: of the darkest device value, or what version 4 says that it is.
func (t *Transform) black(p *Profile) [3]float64 {
	switch {
	case p.version >= 4 && !p.isShaper():
		return perceptualBlack
	case p.Channels == 4:
		return t.tables.xyz([]uint8{255, 255, 255, 255})
	}
	return t.tables.xyz(make([]uint8, p.Channels))
}

// Convert writes to dst [n,3] the sRGB colours of the device values src [n,channels]. dst may be src.
func (t *Transform) Convert(dst, src []uint8) {
	var last []uint8 // pixels are often equal to the one before
	var rgb [3]uint8
	for at, to := 0, 0; at+t.channels <= len(src) && to+3 <= len(dst); at, to = at+t.channels, to+3 {
		if device := src[at : at+t.channels]; last == nil || !bytes.Equal(device, last) {
			last = append(last[:0], device...)
			rgb = t.color(device)
		}
		dst[to], dst[to+1], dst[to+2] = rgb[0], rgb[1], rgb[2]
	}
}

func (t *Transform) color(device []uint8) (rgb [3]uint8) {
	if t.shaper != nil {
		for k, v := range t.shaper.rgb(device[0], device[(t.channels-1)/2], device[t.channels-1]) {
			rgb[k] = t.level(v)
		}
		return rgb
	}
	xyz := t.tables.xyz(device)
	for k := range rgb {
		m := &t.matrix[k]
		rgb[k] = t.level(float32(m[0]*xyz[0] + m[1]*xyz[1] + m[2]*xyz[2] + t.offset[k]))
	}
	return rgb
}

// level is the nearest of 256 levels of linear light.
func (t *Transform) level(v float32) uint8 {
	switch {
	case v >= 1:
		v = 1
	case !(v > 0): // NaN too
		v = 0
	}
	return t.encode[int(v*float32(len(t.encode)-1)+0.5)]
}

// changesLittle reports whether no colour of a grid changes by more than one level.
func (t *Transform) changesLittle() bool {
	const step = 15
	n := 256/step + 1
	var device, want []uint8
	for i := range n * n * n {
		r, g, b := uint8(step*(i%n)), uint8(step*(i/n%n)), uint8(step*(i/n/n))
		if t.channels == 1 {
			g, b = r, r
			device = append(device, r)
		} else {
			device = append(device, r, g, b)
		}
		want = append(want, r, g, b)
	}
	got := make([]uint8, len(want))
	t.Convert(got, device)
	for i := range want {
		if d := int(want[i]) - int(got[i]); d < -1 || d > 1 {
			return false
		}
	}
	return true
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
