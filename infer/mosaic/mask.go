package mosaic

import (
	"errors"
	"fmt"
)

// Mask says which pixels of an image are translated, in square cells.
type Mask struct {
	Cell          int // side of a cell in pixels
	Width, Height int // in cells; the last ones of a row or column may reach beyond the image
	Cells         []bool
}

// Everything is the mask of a whole image.
func Everything(width, height int) Mask {
	side := max(width, height)
	return Mask{Cell: side, Width: 1, Height: 1, Cells: []bool{true}}
}

// check returns an error for a mask that doesn't cover an image.
func (m Mask) check(width, height int) error {
	switch {
	case m.Cell < 1 || m.Width < 1 || m.Height < 1 || len(m.Cells) != m.Width*m.Height:
		return fmt.Errorf("a mask of %d×%d cells of %d pixels has %d values", m.Width, m.Height, m.Cell, len(m.Cells))
	case m.Cell*m.Width < width || m.Cell*m.Height < height:
		return fmt.Errorf("a mask of %d×%d pixels for an image of %d×%d",
			m.Cell*m.Width, m.Cell*m.Height, width, height)
	}
	for _, c := range m.Cells {
		if c {
			return nil
		}
	}
	return errors.New("no tissue: nothing would be translated; --tissue all translates everything")
}

// At reports whether a pixel is translated.
func (m Mask) At(x, y int) bool { return m.Cells[y/m.Cell*m.Width+x/m.Cell] }

// runs calls f for the parts [from,to) of a row of pixels that are translated.
func (m Mask) runs(y, left, right int, f func(from, to int)) {
	for from := left; from < right; {
		to := min((from/m.Cell+1)*m.Cell, right)
		if m.At(from, y) {
			f(from, to)
		}
		from = to
	}
}

// touches reports whether any pixel of a rectangle is translated.
func (m Mask) touches(r Rect) bool {
	for y := r.Y / m.Cell; y <= (r.Y+r.Height-1)/m.Cell && y < m.Height; y++ {
		for x := r.X / m.Cell; x <= (r.X+r.Width-1)/m.Cell && x < m.Width; x++ {
			if m.Cells[y*m.Width+x] {
				return true
			}
		}
	}
	return false
}

// area is the number of pixels of an image that are translated.
func (m Mask) area(width, height int) (pixels int64) {
	for y := range m.Height {
		for x := range m.Width {
			if m.Cells[y*m.Width+x] {
				w, h := min(m.Cell, width-x*m.Cell), min(m.Cell, height-y*m.Cell)
				if w > 0 && h > 0 {
					pixels += int64(w) * int64(h)
				}
			}
		}
	}
	return pixels
}
