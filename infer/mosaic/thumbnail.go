package mosaic

import "github.com/histdist/histdist/data/imagefile"

// thumbnailSide is the longer side of a thumbnail in pixels.
const thumbnailSide = 1024

// thumbnail is a small image of a stain, a file that is written again whenever a region is finished.
type thumbnail struct {
	path   string
	mask   Mask
	image  *imagefile.Image
	step   int // pixels for each of its own
	sums   []uint32
	counts []uint32
}

func newThumbnail(s Source, mask Mask, path string) *thumbnail {
	width, height := s.Size()
	step := (max(width, height) + thumbnailSide - 1) / thumbnailSide
	m := imagefile.New((width+step-1)/step, (height+step-1)/step)
	fill(m.Pix, 255)
	return &thumbnail{
		path: path, mask: mask, image: m, step: step, sums: make([]uint32, len(m.Pix)), counts: make([]uint32, len(m.Pix)/3),
	}
}

// observe adds what a Progress paints.
func (t *thumbnail) observe(e Progress) error {
	for y := range len(e.Rows) / (3 * max(e.Area.Width, 1)) {
		row := e.Rows[y*3*e.Area.Width:][:3*e.Area.Width]
		line := (e.Area.Y + y) / t.step * t.image.Width
		for x := range e.Area.Width {
			if !t.mask.At(e.Area.X+x, e.Area.Y+y) {
				continue
			}
			at := line + (e.Area.X+x)/t.step
			t.counts[at]++
			for k := range 3 {
				t.sums[3*at+k] += uint32(row[3*x+k])
			}
		}
	}
	return nil
}

// write writes it as far as it is.
func (t *thumbnail) write() error {
	for at, n := range t.counts {
		if n > 0 {
			for k := range 3 {
				t.image.Pix[3*at+k] = uint8(t.sums[3*at+k] / n)
			}
		}
	}
	return imagefile.Write(t.path, t.image, imagefile.WriteOptions{})
}
