package mosaic

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/infer"
)

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

// publish puts the file at its place if it is still this process's to write. Otherwise it may be begun again.
func (l *late) publish(held bool) error {
	if held {
		return l.sink.close()
	}
	l.discard()
	l.sink = nil
	return nil
}

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

// product is what becomes of a run's rows.
type product struct {
	path                 string
	kind                 imagefile.Kind
	description, channel string
	geometry             Geometry
}

// stain is the output itself.
func (o FileOptions) stain(p *infer.Pipeline) product {
	return product{
		o.Output, imagefile.VirtualStain, infer.DefaultDescription, "virtual " + cmp.Or(p.Marker(), "IHC"), o.File.Geometry,
	}
}

// sink begins a slide of an input's stain. from is the whole origin of the run.
func (o FileOptions) sink(in *input, from origin.Origin, out product) (*slideSink, error) {
	width, height := in.Size()
	mpp := in.slide.MPP
	so := tiff.SlideOptions{Width: in.slide.Width, Height: in.slide.Height, MPP: mpp, Quality: o.quality()}
	if out.geometry == GeometryModel {
		so.Width, so.Height = width, height
		so.MPP = [2]float64{mpp[0] * in.scale[0], mpp[1] * in.scale[1]}
	}
	statements, err := from.Statements()
	if err != nil {
		return nil, err
	}
	so.Description = tiff.Description{
		Image: filepath.Base(o.Input), Channel: out.channel, Magnification: in.slide.Info().Magnification,
		Provenance: []tiff.Entry{
			{Key: imagefile.KeyDescription, Value: out.description},
			{Key: imagefile.KeyKind, Value: string(out.kind)},
			{Key: infer.KeySource, Value: filepath.Base(o.Input)},
		},
	}
	for _, s := range statements {
		so.Description.Provenance = append(so.Description.Provenance, tiff.Entry{Key: s.Key, Value: s.Value})
	}
	w, err := tiff.CreateSlide(out.path, so)
	if err != nil {
		return nil, err
	}
	s := &slideSink{Sink: &tiled{w: w, width: so.Width, height: so.Height}, close: w.Close, discard: w.Discard}
	if so.Width != width || so.Height != height {
		s.Sink = &resized{to: s.Sink, width: width, height: height, toW: so.Width, toH: so.Height}
	}
	return s, nil
}
