package jpeg

import "errors"

// unitsAtOnce is how many rows of units DecodeRows decodes before it gives their pixels.
const unitsAtOnce = 16

// DecodeRows decodes a file of which Header.Rows says that it can be, from top to bottom: emit gets rows RGB [n,W,3],
// or with inks those of CMYK [n,W,4], at a time, which are valid during the call; all together they are Decode's, or
// DecodeInks's. Memory is some rows besides data.
func DecodeRows(data []byte, inks bool, emit func(pix []uint8) error) error {
	d := decoder{data: data}
	if err := d.segments(true); err != nil {
		return err
	}
	f := d.frame
	if f.progressive || len(d.scan.components) != len(f.components) {
		return errors.New("jpeg: the file has its pixels in several scans: it can't be decoded row by row")
	}
	if err := d.checkLength(); err != nil {
		return err
	}
	for i := range f.components {
		c := &f.components[i]
		// One row of units before those at once, whose last samples are neighbours of the next.
		c.plane = make([]uint8, min((unitsAtOnce+1)*8*c.v, c.rows)*c.stride)
	}
	channels, row := 3, d.rgbRows()
	if inks && len(f.components) == 4 {
		channels, row = 4, d.inkRows()
	}
	unit := 8 * f.vMax // rows of pixels in a row of units
	rows := f.mcusY
	if len(f.components) == 1 { // whose scan has only the blocks that are visible
		unit, rows = 8*f.vMax/f.components[0].v, ceilDiv(f.components[0].height, 8)
	}
	pix := make([]uint8, 0, channels*f.width*(unitsAtOnce+1)*unit)
	given := 0
	d.rowOfUnits = func(y int) error {
		if (y+1)%unitsAtOnce != 0 && y != rows-1 {
			return nil
		}
		ready := (y+1)*unit - f.vMax // those whose neighbours below are there
		if y == rows-1 {
			ready = f.height
		}
		n := channels * f.width
		pix = pix[:0]
		for ; given < min(ready, f.height); given++ {
			pix = pix[:len(pix)+n]
			row(pix[len(pix)-n:], given)
		}
		if err := emit(pix); err != nil {
			return err
		}
		for i := range f.components {
			f.components[i].keep(8 * f.components[i].v * unit / (8 * f.vMax))
		}
		return nil
	}
	return d.decodeScan()
}

// keep moves the last of the rows that are decoded, as many as are given, to the beginning of the plane.
func (c *component) keep(rows int) {
	held := len(c.plane) / c.stride
	if c.base+held >= c.rows {
		return
	}
	decoded := unitsAtOnce * rows
	if c.base > 0 {
		decoded += rows
	}
	copy(c.plane, c.plane[(decoded-rows)*c.stride:decoded*c.stride])
	c.base += decoded - rows
}
