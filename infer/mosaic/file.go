package mosaic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/progress"
)

// Geometry is the size in which a slide's stain is written.
type Geometry string

// The slide's own, so that viewers show both at the same place, or that of the pixels that the model made.
const (
	GeometrySlide Geometry = "slide"
	GeometryModel Geometry = "model"
)

// UnmarshalText takes one of the two names.
func (g *Geometry) UnmarshalText(text []byte) error {
	return option.OneOf(g, text, "geometry", GeometrySlide, GeometryModel)
}

// FileSettings say what of a slide is translated and how the stain is written. All of them change the result.
type FileSettings struct {
	MPP      float64  `json:"mpp" want:"0 or more" usage:"micrometres per pixel of a slide (default: as its file says)"`
	Tissue   string   `json:"tissue" usage:"what of a slide is translated: auto (tissue, found by its colour), all, or a GeoJSON file of areas, as QuPath exports them"`
	Part     Part     `json:"region,omitempty" usage:"part of a slide to translate: x,y,width,height in pixels of its full resolution"`
	Areas    string   `json:"annotations,omitempty" usage:"GeoJSON file with the areas of a slide to translate, of what tissue says"`
	Geometry Geometry `json:"geometry" want:"slide or model" usage:"size in which a slide's stain is written: slide (the H&E's own pixels) or model (those that the model made)"`
}

// DefaultFileSettings translates a whole slide.
func DefaultFileSettings() FileSettings {
	return FileSettings{Tissue: tissue.Auto, Geometry: GeometrySlide}
}

// Part is a rectangle as text: x,y,width,height; "" is the whole slide.
type Part string

// UnmarshalText checks a rectangle.
func (p *Part) UnmarshalText(text []byte) error {
	if len(text) > 0 {
		if _, err := Part(text).rect(); err != nil {
			return err
		}
	}
	*p = Part(text)
	return nil
}

func (p Part) rect() (r image.Rectangle, err error) {
	var x, y, w, h int
	var rest string
	n, _ := fmt.Sscanf(strings.ReplaceAll(string(p), ",", " ")+" .", "%d %d %d %d %s", &x, &y, &w, &h, &rest)
	if n != 5 || rest != "." || x < 0 || y < 0 || w < 1 || h < 1 || strings.Count(string(p), ",") != 3 {
		return r, fmt.Errorf("%q is no part of a slide: want x,y,width,height in pixels, such as 12000,8000,4096,4096", p)
	}
	return image.Rect(x, y, x+w, y+h), nil
}

// FileOptions say how a file is translated.
type FileOptions struct {
	Input, Output string // a slide or an image; an OME-TIFF
	// Slide opens the input as a slide, whatever its name; nil: the name says whether it is one. File.MPP and Read have
	// no say in it then.
	Slide     func() (*slide.Slide, error)
	Sampling  infer.Settings
	Settings  Settings
	File      FileSettings
	Read      imagefile.Options
	Batch     int
	Quality   int // of JPEG; 0 is lossless
	Overwrite bool
	Program   string // with its version
	Observe   progress.Observer
}

// stem is the path of a slide to write without .ome.tif or .ome.tiff, in which it ends.
func stem(path string) (_ string, ok bool) {
	name := strings.ToLower(path)
	for _, ending := range []string{".ome.tif", ".ome.tiff"} {
		if strings.HasSuffix(name, ending) {
			return path[:len(path)-len(ending)], true
		}
	}
	return path, false
}

// IsOutput reports whether a path is that of a slide to write: its name ends in .ome.tif or .ome.tiff.
func IsOutput(path string) bool {
	_, ok := stem(path)
	return ok
}

// PartsFolder is where finished parts of an output are kept until it is whole.
func PartsFolder(output string) string { return output + ".parts" }

// nextTo is the name of a file next to an output: a thumbnail of the stain, which fills up during the run, and the
// tissue as an image and for QuPath.
func nextTo(output, ending string) string {
	s, _ := stem(output)
	return s + ending
}

// input is an opened file.
type input struct {
	Source
	width, height int        // of the file in pixels
	mpp           [2]float64 // of the file; 0 if it is unknown
	magnification float64
	notes         []string
	scale         [2]float64   // pixels of the file for each of the source
	slide         *slide.Slide // nil for other images
	close         func() error
}

// viewed is a slide at the model's resolution.
type viewed struct{ slide.View }

func (v viewed) Size() (width, height int) { return v.Width, v.Height }

func (v viewed) Read(ctx context.Context, r Rect) (*imagefile.Image, error) {
	return v.View.Read(ctx, image.Rect(r.X, r.Y, r.X+r.Width, r.Y+r.Height))
}

// defaultMPP is taken for models that don't say theirs: that of MIST's images.
const defaultMPP = 0.5

// open opens a slide at the model's resolution, or another image as it is.
func (o FileOptions) open(p *infer.Pipeline) (*input, error) {
	opened := o.Slide
	if opened == nil && !slide.Named(o.Input) {
		m, err := imagefile.Read(o.Input, o.Read)
		if err != nil {
			return nil, err
		}
		return &input{
			Source: Memory{m}, width: m.Width, height: m.Height, mpp: [2]float64{o.File.MPP, o.File.MPP}, notes: m.Notes,
			scale: [2]float64{1, 1}, close: func() error { return nil },
		}, nil
	}
	if opened == nil {
		opened = func() (*slide.Slide, error) {
			return slide.Open(o.Input, slide.Options{MPP: o.File.MPP, ICC: o.Read.ICC})
		}
	}
	s, err := opened()
	if err != nil {
		return nil, err
	}
	v, err := s.At(cmp.Or(p.MPP(), defaultMPP))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	in := &input{
		Source: viewed{v}, width: s.Width, height: s.Height, mpp: s.MPP, magnification: s.Info().Magnification,
		notes: s.Notes, slide: s, close: s.Close,
	}
	in.scale[0], in.scale[1] = v.Scale()
	return in, nil
}

// mask is what of an input is translated, and where a slide's tissue is; nil for other images.
func (o FileOptions) mask(ctx context.Context, in *input) (m Mask, found *tissue.Mask, err error) {
	width, height := in.Size()
	m = Everything(width, height)
	if in.slide == nil {
		if o.File.Areas != "" || o.File.Tissue != tissue.Auto && o.File.Tissue != tissue.Everything {
			return m, nil, fmt.Errorf("%s is no slide: areas of a GeoJSON file are for slides", o.Input)
		}
	} else {
		if found, err = tissue.Choose(ctx, in.slide, o.File.Tissue); err != nil {
			return m, nil, err
		}
		if o.File.Areas != "" {
			areas, err := tissue.Choose(ctx, in.slide, o.File.Areas)
			if err != nil {
				return m, nil, err
			}
			for i, in := range areas.In {
				found.In[i] = found.In[i] && in
			}
		}
		m = coarse(found, width, height)
	}
	if o.File.Part == "" {
		return m, found, nil
	}
	r, err := o.File.Part.rect()
	if err != nil {
		return m, nil, option.Wrong("region", "%w", err)
	}
	if !r.In(image.Rect(0, 0, in.width, in.height)) {
		return m, nil, option.Wrong("region", "%s is not in the slide of %d×%d pixels", o.File.Part, in.width, in.height)
	}
	return m.within(r, in.scale, width, height), found, nil
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
	part := cells(width, height)
	x0, y0 := int(float64(r.Min.X)/scale[0]), int(float64(r.Min.Y)/scale[1])
	x1 := min(int(math.Ceil(float64(r.Max.X)/scale[0])), width)
	y1 := min(int(math.Ceil(float64(r.Max.Y)/scale[1])), height)
	for y := y0 / cellSide; y*cellSide < y1; y++ {
		for x := x0 / cellSide; x*cellSide < x1; x++ {
			part.Cells[y*part.Width+x] = m.At(x*cellSide, y*cellSide)
		}
	}
	return part
}

// request is the translation of an opened input.
func (o FileOptions) request(ctx context.Context, p *infer.Pipeline, in *input, mask Mask) (r Request, err error) {
	r = Request{
		Source: in, Mask: mask, Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch, Folder: PartsFolder(o.Output),
		Observe: o.Observe, Origin: origin.Origin{Program: o.Program},
	}
	if r.Origin.Model, err = p.Fingerprint(); err != nil {
		return r, err
	}
	hash, err := origin.HashContext(ctx, o.Input)
	if err != nil {
		return r, err
	}
	r.Origin.Sources = map[string]string{"source": hash}
	file := o.File // files of areas count by their content: their folder is nobody's business
	for role, path := range map[string]*string{"tissue": &file.Tissue, "annotations": &file.Areas} {
		if *path == "" || *path == tissue.Auto || *path == tissue.Everything {
			continue
		}
		if r.Origin.Sources[role], err = origin.HashContext(ctx, *path); err != nil {
			return r, err
		}
		*path = filepath.Base(*path)
	}
	r.Origin.Settings, err = origin.NewSettings(file, o.Read, struct {
		Precision string `json:"precision"`
		Batch     int    `json:"batch"` // changes the rounding: one run has one
	}{p.Precision().String(), max(o.Batch, 1)})
	return r, err
}

// PlanFile returns what translating a file will take, without doing anything.
func PlanFile(ctx context.Context, p *infer.Pipeline, o FileOptions) (plan Plan, err error) {
	in, err := o.open(p)
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	mask, _, err := o.mask(ctx, in)
	if err != nil {
		return Plan{}, err
	}
	return PlanFor(p, Request{Source: in, Mask: mask, Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch})
}

// TranslateFile translates a slide, or an image of any size, to an OME-TIFF. Finished parts are kept in PartsFolder
// until the output is whole; a run that ended early goes on from there. The output appears with one rename.
func TranslateFile(ctx context.Context, p *infer.Pipeline, o FileOptions) (plan Plan, err error) {
	if !IsOutput(o.Output) {
		return Plan{}, fmt.Errorf("%s: a slide's stain is written as .ome.tiff", o.Output)
	}
	if _, err := os.Lstat(o.Output); err == nil && !o.Overwrite {
		return Plan{}, fmt.Errorf("%s exists: --overwrite replaces it, or name another output", o.Output)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Plan{}, err
	}
	var notes []string
	if o.Sampling, notes, err = p.Resolve(o.Sampling); err != nil {
		return Plan{}, err
	}
	in, err := o.open(p)
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	for _, n := range slices.Concat(notes, in.notes) {
		if err := o.Observe.Report(progress.Note(n)); err != nil {
			return Plan{}, err
		}
	}
	mask, found, err := o.mask(ctx, in)
	if err != nil {
		return Plan{}, err
	}
	r, err := o.request(ctx, p, in, mask)
	if err != nil {
		return Plan{}, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Output), 0o777); err != nil {
		return Plan{}, err
	}
	if found != nil {
		if err := errors.Join(
			imagefile.Write(nextTo(o.Output, "-tissue.png"), found.Image(), imagefile.WriteOptions{}),
			found.WriteGeoJSON(nextTo(o.Output, "-tissue.geojson")),
		); err != nil {
			return Plan{}, err
		}
	}
	small := newThumbnail(in, mask, nextTo(o.Output, "-thumbnail.png"))
	r.Observe = progress.All(o.Observe, progress.On(small.observe))
	sink := &late{begin: func() (*slideSink, error) { return o.sink(p, in, r.Origin) }}
	defer sink.discard()
	if plan, err = Translate(ctx, p, r, sink); err != nil {
		return plan, err
	}
	if err := sink.close(); err != nil {
		return plan, err
	}
	return plan, os.RemoveAll(r.Folder)
}

// late is a Sink that begins its file with the first rows: a run that is killed before leaves none.
type late struct {
	begin func() (*slideSink, error)
	sink  *slideSink
}

// Write begins the file, if need be, and writes rows.
func (l *late) Write(ctx context.Context, rows []uint8) (err error) {
	if l.sink == nil {
		if l.sink, err = l.begin(); err != nil {
			return err
		}
	}
	return l.sink.Write(ctx, rows)
}

func (l *late) close() error { return l.sink.close() }

func (l *late) discard() {
	if l.sink != nil {
		l.sink.discard()
	}
}

// slideSink writes an output.
type slideSink struct {
	Sink
	close   func() error
	discard func()
}

// sink begins the output.
func (o FileOptions) sink(p *infer.Pipeline, in *input, from origin.Origin) (*slideSink, error) {
	width, height := in.Size()
	so := tiff.SlideOptions{Width: in.width, Height: in.height, MPP: in.mpp, Quality: o.Quality}
	if o.File.Geometry == GeometryModel {
		so.Width, so.Height = width, height
		so.MPP = [2]float64{in.mpp[0] * in.scale[0], in.mpp[1] * in.scale[1]}
	}
	settings, err := origin.NewSettings(o.Sampling, o.Settings)
	if err != nil {
		return nil, err
	}
	maps.Copy(settings, from.Settings)
	from.Settings = settings
	statements, err := from.Statements()
	if err != nil {
		return nil, err
	}
	marker := cmp.Or(p.Marker(), "IHC")
	so.Description = tiff.Description{
		Image: filepath.Base(o.Input), Channel: "virtual " + marker, Magnification: in.magnification,
		Provenance: []tiff.Entry{
			{Key: imagefile.KeyDescription, Value: infer.DefaultDescription},
			{Key: imagefile.KeyKind, Value: string(imagefile.VirtualStain)},
			{Key: infer.KeySource, Value: filepath.Base(o.Input)},
		},
	}
	for _, s := range statements {
		so.Description.Provenance = append(so.Description.Provenance, tiff.Entry{Key: s.Key, Value: s.Value})
	}
	w, err := tiff.CreateSlide(o.Output, so)
	if err != nil {
		return nil, err
	}
	s := &slideSink{Sink: &tiled{w: w, width: so.Width, height: so.Height}, close: w.Close, discard: w.Discard}
	if so.Width != width || so.Height != height {
		s.Sink = &resized{to: s.Sink, width: width, height: height, toW: so.Width, toH: so.Height}
	}
	return s, nil
}

// Image translates an image in memory, window by window: the latents are one region.
func Image(ctx context.Context, p *infer.Pipeline, m *imagefile.Image, sampling infer.Settings, s Settings,
) (*imagefile.Image, error) {
	sink := &collected{imagefile.Image{Width: m.Width, Height: m.Height}}
	if _, err := Translate(ctx, p, Request{Source: Memory{m}, Sampling: sampling, Settings: s}, sink); err != nil {
		return nil, err
	}
	return &sink.Image, nil
}

// collected is a Sink in memory.
type collected struct{ imagefile.Image }

// Write appends rows.
func (c *collected) Write(_ context.Context, rows []uint8) error {
	c.Pix = append(c.Pix, rows...)
	return nil
}

// Measure returns how long a call of the U-Net takes for one window of a file.
func Measure(ctx context.Context, p *infer.Pipeline, o FileOptions) (_ time.Duration, err error) {
	in, err := o.open(p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	v, err := Request{Source: in, Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch}.prepare(modelOf(p))
	if err != nil {
		return 0, err
	}
	l := &v.layout
	w, err := p.Windows(ctx, o.Sampling, v.Batch, l.rows.window*l.factor, l.cols.window*l.factor)
	if err != nil {
		return 0, err
	}
	latents := make([]float32, v.Batch*w.LatentHeight*w.LatentWidth*w.Channels)
	tokens := make([]float32, v.Batch*w.TokenValues)
	const warm, timed = 1, 3
	var begin time.Time
	for i := range warm + timed {
		if i == warm {
			begin = time.Now()
		}
		if _, err := w.Denoise(ctx, 500, v.Batch, latents, latents, tokens); err != nil {
			return 0, err
		}
	}
	return time.Since(begin) / time.Duration(timed*v.Batch), nil
}
