package icc

import (
	"encoding/binary"
	"math"
	"unicode/utf16"
)

// SRGB returns a profile of sRGB (IEC 61966-2-1), of version 4 with a matrix and one parametric curve.
func SRGB() []byte {
	d50 := xyzTag(0.9642, 1, 0.8249)
	// The curve's linear part ends at 0.04045; the exponent is 2.4.
	curve := tag("para", 3<<16, fixed(2.4), fixed(1/1.055), fixed(0.055/1.055), fixed(1/12.92), fixed(0.04045))
	// Primaries adapted to D50 by Bradford's method, and that adaptation.
	tags := []struct{ signature, data string }{
		{"desc", textTag("sRGB IEC61966-2.1")},
		{"cprt", textTag("No copyright, use freely")},
		{"wtpt", d50},
		{"chad", tag("sf32",
			fixed(1.04788), fixed(0.02292), fixed(-0.05022),
			fixed(0.02959), fixed(0.99048), fixed(-0.01707),
			fixed(-0.00925), fixed(0.01508), fixed(0.75168))},
		{"rXYZ", xyzTag(0.43607, 0.22249, 0.01392)},
		{"gXYZ", xyzTag(0.38515, 0.71687, 0.09708)},
		{"bXYZ", xyzTag(0.14307, 0.06061, 0.71410)},
		{"rTRC", curve},
		{"gTRC", curve},
		{"bTRC", curve},
	}
	table, data := word(uint32(len(tags))), ""
	start := 128 + 4 + 12*len(tags)
	placed := map[string]int{}
	for _, t := range tags {
		at, ok := placed[t.data]
		if !ok {
			at = start + len(data)
			placed[t.data] = at
			data += t.data + "\x00\x00\x00"[:-len(t.data)&3]
		}
		table += t.signature + word(uint32(at)) + word(uint32(len(t.data)))
	}
	header := word(uint32(start+len(data))) + word(0) + word(0x04300000) + "mntrRGB XYZ " +
		"\x07\xea\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00" + // 1 January 2026
		"acsp"
	header += string(make([]byte, 68-len(header))) + d50[8:] // the illuminant
	header += string(make([]byte, 128-len(header)))
	return []byte(header + table + data)
}

func word(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }

func fixed(v float64) uint32 { return uint32(int32(math.Round(v * 65536))) }

func tag(kind string, words ...uint32) string {
	out := kind + word(0)
	for _, w := range words {
		out += word(w)
	}
	return out
}

func xyzTag(x, y, z float64) string { return tag("XYZ ", fixed(x), fixed(y), fixed(z)) }

// textTag is a text in American English.
func textTag(text string) string {
	units := utf16.Encode([]rune(text))
	out := tag("mluc", 1, 12) + "enUS" + word(uint32(2*len(units))) + word(28)
	for _, u := range units {
		out += string([]byte{byte(u >> 8), byte(u)})
	}
	return out
}
