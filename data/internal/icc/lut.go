package icc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// pipeline leads from device values to the connection space.
type pipeline struct {
	device [4][256]float64 // of each channel's 8-bit values
	stages []func(v *[4]float64)
	pcs    pcs
}

// xyz is the colour of device values, of which p.device has as many as the profile has channels.
func (p *pipeline) xyz(device []uint8) [3]float64 {
	var v [4]float64
	for i, d := range device {
		v[i] = p.device[i][d]
	}
	for _, stage := range p.stages {
		stage(&v)
	}
	return p.pcs.xyz(&v)
}

// setDevice tabulates the first curves.
func (p *pipeline) setDevice(curves []curve) {
	for i, c := range curves {
		for d := range p.device[i] {
			p.device[i][d] = c(float64(d) / 255)
		}
	}
}

func (p *pipeline) curves(curves []curve) {
	p.stages = append(p.stages, func(v *[4]float64) {
		for i, c := range curves {
			v[i] = c(v[i])
		}
	})
}

// matrix adds a stage of three channels: nine factors row by row, three offsets.
func (p *pipeline) matrix(m [12]float64) {
	p.stages = append(p.stages, func(v *[4]float64) {
		var out [3]float64
		for k := range out {
			out[k] = m[3*k]*v[0] + m[3*k+1]*v[1] + m[3*k+2]*v[2] + m[9+k]
		}
		v[0], v[1], v[2] = out[0], out[1], out[2]
	})
}

// parseLUT reads a table of the types lut8 (mft1), lut16 (mft2) and lutAToB (mAB).
func parseLUT(b []byte, channels int, space pcs) (*pipeline, error) {
	if len(b) < 32 {
		return nil, errors.New("is cut off")
	}
	if in, out := int(b[8]), int(b[9]); in != channels || out != 3 {
		return nil, fmt.Errorf("leads from %d to %d values, want from %d to 3", in, out, channels)
	}
	p := &pipeline{pcs: space}
	switch string(b[:4]) {
	case "mft1":
		return p, p.parseLUT8or16(b, channels, 1)
	case "mft2":
		if space == lab {
			p.pcs = labV2
		}
		return p, p.parseLUT8or16(b, channels, 2)
	case "mAB ":
		return p, p.parseLUTAToB(b, channels)
	}
	return nil, fmt.Errorf("has the unknown type %q", b[:4])
}

// parseLUT8or16 reads the types of version 2 (ICC.1:2022, 10.10 and 10.11): a matrix, curves, the table, curves.
func (p *pipeline) parseLUT8or16(b []byte, channels, bytes int) error {
	const head = 48
	if len(b) < head+4 {
		return errors.New("is cut off")
	}
	entries, rest := [2]int{256, 256}, b[head:]
	if bytes == 2 {
		entries = [2]int{int(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))}
		rest = rest[4:]
	}
	tables := func(n, entries int) ([]curve, error) {
		if entries < 2 || entries > 4096 || len(rest) < n*entries*bytes {
			return nil, errors.New("has damaged curves")
		}
		curves := make([]curve, n)
		for i := range curves {
			if bytes == 1 {
				curves[i] = bytes8(rest[:entries])
			} else {
				curves[i] = words16(rest[:2*entries])
			}
			rest = rest[entries*bytes:]
		}
		return curves, nil
	}
	first, err := tables(channels, entries[0])
	if err != nil {
		return err
	}
	var m [12]float64
	for i := range 9 {
		m[i] = fixed16(b[12+4*i:])
	}
	if channels == 3 && m != ([12]float64{0: 1, 4: 1, 8: 1}) { // like LittleCMS, not only for XYZ
		p.setDevice([]curve{identity, identity, identity})
		p.matrix(m)
		p.curves(first)
	} else {
		p.setDevice(first)
	}
	if grid := int(b[10]); grid != 0 {
		table, size, err := newClut(rest, slices.Repeat([]int{grid}, channels), bytes)
		if err != nil {
			return err
		}
		p.stages = append(p.stages, table.apply)
		rest = rest[size:]
	} else if channels != 3 {
		return errors.New("has no table")
	}
	last, err := tables(3, entries[1])
	if err != nil {
		return err
	}
	p.curves(last)
	return nil
}

// parseLUTAToB reads the type of version 4 (ICC.1:2022, 10.12): A curves, table, M curves, matrix, B curves; all but
// the last are optional.
func (p *pipeline) parseLUTAToB(b []byte, channels int) error {
	at := func(field int) ([]byte, bool) { // from an offset on; there is none where it is 0
		offset := binary.BigEndian.Uint32(b[field:])
		rest, _ := part(b, offset, uint64(len(b))-min(uint64(offset), uint64(len(b))))
		return rest, offset != 0
	}
	device := []curve{identity, identity, identity, identity}[:channels]
	if rest, ok := at(28); ok {
		var err error
		if device, err = parseCurves(rest, channels); err != nil {
			return fmt.Errorf("has a damaged A curve: %w", err)
		}
	}
	p.setDevice(device)
	if rest, ok := at(24); ok {
		if len(rest) < 20 {
			return errors.New("has a table that is cut off")
		}
		grid := make([]int, channels)
		for i := range grid {
			grid[i] = int(rest[i])
		}
		table, _, err := newClut(rest[20:], grid, int(rest[16]))
		if err != nil {
			return err
		}
		p.stages = append(p.stages, table.apply)
	} else if channels != 3 {
		return errors.New("has no table")
	}
	curves := func(field int, name string) error {
		rest, ok := at(field)
		if !ok {
			return nil
		}
		curves, err := parseCurves(rest, 3)
		if err != nil {
			return fmt.Errorf("has a damaged %s curve: %w", name, err)
		}
		p.curves(curves)
		return nil
	}
	if err := curves(20, "M"); err != nil {
		return err
	}
	if rest, ok := at(16); ok {
		if len(rest) < 48 {
			return errors.New("has a matrix that is cut off")
		}
		var m [12]float64
		for i := range m {
			m[i] = fixed16(rest[4*i:])
		}
		p.matrix(m)
	}
	return curves(12, "B")
}
