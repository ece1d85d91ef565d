package mosaic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/option"
)

// DefaultMPP is the µm per pixel of models that don't say theirs: that of MIST's images.
const DefaultMPP = 0.5

// wholePixels is up to how many pixels an image that is no slide is kept in memory: 201 MB, and as much while it is
// decoded. Larger ones are unpacked into a file.
const wholePixels = 1 << 26

// input is an opened H&E, at the resolution in which it is translated.
type input struct {
	Source
	path  string
	slide *slide.Slide
	mpp   float64 // of the Source; 0: that of the file
	scale [2]float64
	// glass says that the input is a slide, on which there is tissue and glass; other images are translated as a whole.
	glass bool
	// packed says that the pixels of the file can't be read in parts: unpack comes first.
	packed bool
	read   imagefile.Options
	notes  []string
}

// viewed is a slide at some resolution.
type viewed struct{ slide.View }

func (v viewed) Size() (width, height int) { return v.Width, v.Height }

func (v viewed) Read(ctx context.Context, r Rect) (*imagefile.Image, error) {
	return v.View.Read(ctx, image.Rect(r.X, r.Y, r.X+r.Width, r.Y+r.Height))
}

// open opens a slide, or another image of any size, at the model's resolution, where that of the file is known.
func (o FileOptions) open(p *infer.Pipeline) (*input, error) {
	if kind := imagefile.KindOf(o.Input); kind != imagefile.NotOurs {
		return nil, fmt.Errorf("%s is a %s that this program made: name the H&E image", o.Input, kind)
	}
	in := &input{path: o.Input, read: o.Read, glass: o.Slide != nil}
	var err error
	if !in.glass {
		if in.glass, err = slide.Is(o.Input); err != nil {
			return nil, err
		}
	}
	if in.glass || o.File.MPP > 0 {
		in.mpp = cmp.Or(p.MPP(), DefaultMPP)
	}
	var s *slide.Slide
	switch {
	case o.Slide != nil:
		s, err = o.Slide()
	case in.glass:
		s, err = slide.Open(o.Input, slide.Options{MPP: o.File.MPP, ICC: o.Read.ICC})
	default:
		s, err = in.openImage(o.File.MPP, cmp.Or(o.InMemory, wholePixels))
	}
	if err != nil {
		return nil, err
	}
	in.notes = append(in.notes, s.Notes...)
	if err := in.use(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return in, nil
}

// openImage opens an image that is no slide: in memory, or without its pixels if they are more than most.
func (in *input) openImage(mpp float64, most int) (*slide.Slide, error) {
	width, height, err := imagefile.Size(in.path)
	if err != nil {
		return nil, err
	}
	r := &pixels{image: &imagefile.Image{Width: width, Height: height}}
	if in.packed = height > most/width && imagefile.HasRows(in.path); !in.packed {
		r.image, err = imagefile.Read(in.path, in.read)
		if errors.Is(err, imagefile.ErrTooLarge) {
			err = fmt.Errorf("%w for this format or layout: save it as PNG, not interlaced, as JPEG, not progressive, or as "+
				"TIFF with tiles", err)
		}
		if err != nil {
			return nil, err
		}
		in.notes = r.image.Notes
	}
	s, err := slide.New(r, slide.Options{MPP: mpp, AnyMPP: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.path, err)
	}
	return s, nil
}

// sameMPP is the share by which a slide's pixels may differ from the model's and are taken as they are: resampling them
// would blur more than the difference matters. Scanners' 0.499 µm for 0.5 is the common case.
const sameMPP = 0.01

// use takes the pixels of a slide.
func (in *input) use(s *slide.Slide) error {
	v := s.Whole()
	switch differs := func(mpp float64) bool { return math.Abs(mpp/in.mpp-1) > sameMPP }; {
	case in.mpp == 0:
	case differs(s.MPP[0]) || differs(s.MPP[1]):
		var err error
		if v, err = s.At(in.mpp); err != nil {
			return err
		}
	default:
		in.mpp = s.MPP[0]
	}
	in.slide, in.Source = s, viewed{v}
	in.scale[0], in.scale[1] = v.Scale()
	return nil
}

// reduced is the input with n times larger pixels.
func (in *input) reduced(n int) *input {
	small := *in
	width, height := in.Size()
	v := in.slide.Fit((max(width, height) + n - 1) / n)
	small.Source = viewed{v}
	small.scale[0], small.scale[1] = v.Scale()
	return &small
}

// sourceMPP are the micrometres of a pixel that is translated, 0 if they are unknown.
func (in *input) sourceMPP() [2]float64 {
	return [2]float64{in.slide.MPP[0] * in.scale[0], in.slide.MPP[1] * in.scale[1]}
}

func (in *input) close() error { return in.slide.Close() }

// unpackedFile is an image whose pixels can't be read in parts, as a slide in the folder of parts.
const unpackedFile = "unpacked.ome.tiff"

// unpack makes the pixels of an image readable in parts: it is decoded row by row into a file in a folder, once.
func (in *input) unpack(ctx context.Context, folder string, observe progress.Observer) error {
	if !in.packed {
		return nil
	}
	path := filepath.Join(folder, unpackedFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := in.unpackInto(ctx, path, observe); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	s, err := slide.Open(path, slide.Options{
		MPP: in.slide.MPP[0], AnyMPP: true, ICC: imagefile.IgnoreICC, Library: slide.NoLibrary,
	})
	if err != nil {
		return err
	}
	before := in.slide
	if err := in.use(s); err != nil {
		return errors.Join(err, s.Close())
	}
	in.packed = false
	return before.Close()
}

// unpackInto decodes the image into a slide without loss.
func (in *input) unpackInto(ctx context.Context, path string, observe progress.Observer) error {
	notes, err := Unpack(ctx, in.path, path, in.read, tiff.SlideOptions{}, func(done, of int) error {
		return observe.Report(progress.Stage{Name: "unpacking, rows", Done: done, Total: of})
	})
	for _, n := range notes {
		if err := observe.Report(progress.Note(n)); err != nil {
			return err
		}
	}
	return err
}

// Unpack writes an image that is no slide as one: row by row where imagefile.HasRows, in a few megabytes and rows, else
// as a whole. It may take the image's place. The slide's size is the image's, whatever the options say; observe is told
// how many rows of all are done. The notes are those of reading the image.
func Unpack(
	ctx context.Context, from, to string, read imagefile.Options, o tiff.SlideOptions, observe func(done, of int) error,
) (notes []string, err error) {
	if o.Width, o.Height, err = imagefile.Size(from); err != nil {
		return nil, err
	}
	w, err := tiff.CreateSlide(to, o)
	if err != nil {
		return nil, err
	}
	defer w.Discard()
	sink, done := &tiled{w: w, width: o.Width, height: o.Height}, 0
	add := func(rows []uint8) error {
		done += len(rows) / (3 * o.Width)
		if err := sink.Write(ctx, rows); err != nil {
			return err
		}
		return observe(done, o.Height)
	}
	if imagefile.HasRows(from) {
		notes, err = imagefile.ReadRows(from, read, add)
	} else {
		var m *imagefile.Image
		if m, err = imagefile.Read(from, read); err == nil {
			notes, err = m.Notes, add(m.Pix)
		}
	}
	if err != nil {
		return nil, err
	}
	return notes, w.Close()
}

// pixels are an image as a slide of one level.
type pixels struct{ image *imagefile.Image }

// Info has the size alone.
func (p *pixels) Info() slide.Info {
	level := slide.Level{Width: p.image.Width, Height: p.image.Height, Downsample: [2]float64{1, 1}}
	return slide.Info{Reader: "histdist", Vendor: "image", Levels: []slide.Level{level}}
}

// Read copies a part.
func (p *pixels) Read(ctx context.Context, pix []uint8, _ int, r image.Rectangle) error {
	part, err := Memory{p.image}.Read(ctx, Rect{r.Min.X, r.Min.Y, r.Dx(), r.Dy()})
	if err != nil {
		return err
	}
	copy(pix, part.Pix)
	return nil
}

// Associated finds none.
func (p *pixels) Associated(_ context.Context, name string) (*imagefile.Image, error) {
	return nil, fmt.Errorf("the image has no other image %q", name)
}

// Close does nothing.
func (p *pixels) Close() error { return nil }

// tissue is where an input has tissue; nil if it is no slide.
func (o FileOptions) tissue(ctx context.Context, in *input) (*tissue.Mask, error) {
	if !in.glass {
		if o.File.Areas != "" || o.File.Tissue != tissue.Auto && o.File.Tissue != tissue.Everything {
			return nil, fmt.Errorf("%s is no slide: areas of a GeoJSON file are for slides", o.Input)
		}
		return nil, nil
	}
	if o.Found != nil {
		if o.Found.SlideWidth != in.slide.Width || o.Found.SlideHeight != in.slide.Height {
			return nil, fmt.Errorf("%s has %d×%d pixels; its tissue was found in %d×%d", o.Input, in.slide.Width,
				in.slide.Height, o.Found.SlideWidth, o.Found.SlideHeight)
		}
		return o.Found, nil
	}
	found, err := tissue.Choose(ctx, in.slide, o.File.Tissue)
	if err != nil || o.File.Areas == "" {
		return found, err
	}
	areas, err := tissue.Choose(ctx, in.slide, o.File.Areas)
	if err != nil {
		return nil, err
	}
	for i, in := range areas.In {
		found.In[i] = found.In[i] && in
	}
	return found, nil
}

// mask is what of an input is translated, given where its tissue is.
func (o FileOptions) mask(in *input, found *tissue.Mask) (Mask, error) {
	width, height := in.Size()
	m := Everything(width, height)
	if found != nil {
		m = coarse(found, width, height)
	}
	if o.File.Part == "" {
		return m, nil
	}
	r, err := o.File.Part.rect()
	if err != nil {
		return m, option.Wrong("region", "%w", err)
	}
	if !r.In(in.slide.Bounds()) {
		return m, option.Wrong("region", "%s is not in the slide of %d×%d pixels",
			o.File.Part, in.slide.Width, in.slide.Height)
	}
	return m.within(r, in.scale, width, height), nil
}

// cellSide is the side of a mask's cells: half a micrometre times 16, about a nucleus.
const cellSide = 16

// coarse is a tissue mask in cells of the model's pixels: those whose middle is tissue.
func coarse(t *tissue.Mask, width, height int) Mask {
	m := cells(width, height)
	for y := range m.Height {
		row := min((y*cellSide+cellSide/2)*t.Height/height, t.Height-1) * t.Width
		for x := range m.Width {
			m.Cells[y*m.Width+x] = t.In[row+min((x*cellSide+cellSide/2)*t.Width/width, t.Width-1)]
		}
	}
	return m
}

// cells is an empty mask.
func cells(width, height int) Mask {
	up := func(n int) int { return (n + cellSide - 1) / cellSide }
	m := Mask{Cell: cellSide, Width: up(width), Height: up(height)}
	m.Cells = make([]bool, m.Width*m.Height)
	return m
}

// within keeps of a mask the cells that a rectangle of the file touches.
func (m Mask) within(r image.Rectangle, scale [2]float64, width, height int) Mask {
	part, r := cells(width, height), scaled(r, scale, width, height)
	for y := r.Min.Y / cellSide; y*cellSide < r.Max.Y; y++ {
		for x := r.Min.X / cellSide; x*cellSide < r.Max.X; x++ {
			part.Cells[y*part.Width+x] = m.At(x*cellSide, y*cellSide)
		}
	}
	return part
}
