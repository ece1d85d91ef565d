package server

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"sync"

	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/atomicfile"
)

// thumbnailSide is the longer side of a job's small image in pixels.
const thumbnailSide = 1024

// thumbnail is how a small image shows a part of a slide.
type thumbnail struct {
	area mosaic.Area
	part image.Rectangle // of the mask's pixels
	step int             // of those, for each of its own
}

// newThumbnail is that of a part of a slide, in pixels of its full resolution.
func newThumbnail(area mosaic.Area, shown image.Rectangle) thumbnail {
	t := thumbnail{area: area, part: area.Pixels(shown)}
	t.step = max(1, (max(t.part.Dx(), t.part.Dy())+thumbnailSide-1)/thumbnailSide)
	return t
}

func (t thumbnail) width() int  { return (t.part.Dx() + t.step - 1) / t.step }
func (t thumbnail) height() int { return (t.part.Dy() + t.step - 1) / t.step }

// preview is a small image of a stain that is being made: transparent where nothing is yet.
type preview struct {
	thumbnail

	lock   sync.Mutex
	sums   []uint32 // [height,width,3]
	counts []uint32 // [height,width]
	png    []byte   // of what is there; nil after a change
}

// newPreview makes the preview of a part of a slide, in pixels of its full resolution.
func newPreview(area mosaic.Area, shown image.Rectangle) *preview {
	p := &preview{thumbnail: newThumbnail(area, shown)}
	n := p.width() * p.height()
	p.sums, p.counts = make([]uint32, 3*n), make([]uint32, n)
	return p
}

// add adds the rows that were painted.
func (p *preview) add(e mosaic.Progress) {
	rows := image.Rect(e.Area.X, e.Area.Y, e.Area.X+e.Area.Width, e.Area.Y+e.Area.Height)
	inside := rows.Intersect(p.part)
	if len(e.Rows) == 0 || inside.Empty() {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.png = nil
	for y := inside.Min.Y; y < inside.Max.Y; y++ {
		row := e.Rows[(y-rows.Min.Y)*3*rows.Dx():][:3*rows.Dx()]
		line := (y - p.part.Min.Y) / p.step * p.width()
		for x := inside.Min.X; x < inside.Max.X; x++ {
			if !p.area.At(x, y) {
				continue
			}
			at := line + (x-p.part.Min.X)/p.step
			p.counts[at]++
			for k := range 3 {
				p.sums[3*at+k] += uint32(row[3*(x-rows.Min.X)+k])
			}
		}
	}
}

// encode returns the preview as a PNG file; nil while it is empty.
func (p *preview) encode() ([]byte, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.png != nil {
		return p.png, nil
	}
	m := image.NewNRGBA(image.Rect(0, 0, p.width(), p.height()))
	some := false
	for at, n := range p.counts {
		if n > 0 {
			some = true
			for k := range 3 {
				m.Pix[4*at+k] = uint8((p.sums[3*at+k] + n/2) / n)
			}
			m.Pix[4*at+3] = 255
		}
	}
	if !some {
		return nil, nil
	}
	var err error
	p.png, err = encodePNG(m)
	return p.png, err
}

func encodePNG(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m)
	return b.Bytes(), err
}

// writeThumbnail writes a small image of a part of a finished stain, in pixels of the slide's full resolution:
// transparent where nothing was translated.
func writeThumbnail(
	ctx context.Context, path string, stain *slide.Slide, area mosaic.Area, shown image.Rectangle,
) error {
	t := newThumbnail(area, shown)
	part, width, height := t.part, t.width(), t.height()
	small, err := stain.ReadRegion(ctx, shown, width, height)
	if err != nil {
		return err
	}
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			at := image.Pt(part.Min.X+x*part.Dx()/width, part.Min.Y+y*part.Dy()/height)
			if i := y*width + x; area.At(at.X, at.Y) {
				copy(m.Pix[4*i:4*i+3], small.Pix[3*i:3*i+3])
				m.Pix[4*i+3] = 255
			}
		}
	}
	data, err := encodePNG(m)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, data)
}
