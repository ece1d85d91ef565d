package icc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Profile is a parsed colour profile.
type Profile struct {
	Name string // its description
	// Channels are 1 for grey, 3 for RGB and 4 for CMYK.
	Channels int

	version int // 2 or 4
	pcs     pcs
	tags    map[string][]byte
}

// ErrDamaged says that a profile can't be read.
var ErrDamaged = errors.New("the colour profile is damaged")

// Parse reads the header and finds the tags. It refuses what is no profile of grey, RGB or CMYK colours.
func Parse(raw []byte) (*Profile, error) {
	tags, err := tagsOf(raw)
	if err != nil {
		return nil, err
	}
	p := &Profile{Name: name(tags["desc"]), version: int(raw[8]), tags: tags}
	space, class := string(raw[16:20]), string(raw[12:16])
	p.Channels = map[string]int{"GRAY": 1, "RGB ": 3, "CMYK": 4}[space]
	connection := string(raw[20:24])
	switch {
	case class == "link" || class == "abst" || class == "nmcl":
		return nil, fmt.Errorf("the colour profile %q is of the class %q, not of an image", p.Name, class)
	case p.Channels == 0:
		return nil, fmt.Errorf("the colour profile %q is for %q; grey, RGB and CMYK can be converted",
			p.Name, strings.TrimSpace(space))
	case connection == "XYZ ":
		p.pcs = xyz16
	case connection == "Lab ":
		p.pcs = lab
	default:
		return nil, fmt.Errorf("the colour profile %q leads to %q; XYZ and Lab can be converted",
			p.Name, strings.TrimSpace(connection))
	}
	return p, nil
}

// tagsOf checks the header and returns the data of the tags by their signature.
func tagsOf(raw []byte) (map[string][]byte, error) {
	if len(raw) < 132 || string(raw[36:40]) != "acsp" {
		return nil, ErrDamaged
	}
	n := binary.BigEndian.Uint32(raw[128:])
	if uint64(len(raw)) < 132+12*uint64(n) {
		return nil, ErrDamaged
	}
	tags := make(map[string][]byte, n)
	for i := range int(n) {
		entry := raw[132+12*i:]
		data, ok := part(raw, binary.BigEndian.Uint32(entry[4:]), uint64(binary.BigEndian.Uint32(entry[8:])))
		if !ok {
			return nil, ErrDamaged
		}
		tags[string(entry[:4])] = data
	}
	return tags, nil
}

// part is size bytes from an offset on.
func part(b []byte, offset uint32, size uint64) ([]byte, bool) {
	if uint64(offset)+size > uint64(len(b)) {
		return nil, false
	}
	return b[offset : uint64(offset)+size], true
}

// name reads a description of version 2 (desc) or 4 (mluc).
func name(b []byte) string {
	switch {
	case len(b) >= 12 && string(b[:4]) == "desc":
		n := uint64(binary.BigEndian.Uint32(b[8:]))
		return strings.TrimRight(string(b[12:12+min(n, uint64(len(b)-12))]), "\x00")
	case len(b) >= 28 && string(b[:4]) == "mluc":
		text, ok := part(b, binary.BigEndian.Uint32(b[24:]), uint64(binary.BigEndian.Uint32(b[20:])))
		if !ok {
			break
		}
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(text[2*i:])
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00")
	}
	return "without a name"
}

func fixed16(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

// colorant reads a tag of the type XYZ.
func colorant(b []byte) (v [3]float64, err error) {
	if len(b) < 20 || string(b[:4]) != "XYZ " {
		return v, errors.New("is missing or damaged")
	}
	return [3]float64{fixed16(b[8:]), fixed16(b[12:]), fixed16(b[16:])}, nil
}
