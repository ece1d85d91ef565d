package mosaic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
)

// previewReduction is how many of the model's pixels one of a preview is wide and high: it takes a sixteenth of the
// work. The model was not trained for it, nor for other factors: with the demonstration's, on a slide of 1536×1024
// pixels, DAB in squares of 16 µm had r = 0.45, 0.26 and 0.46 with that of the output for 2, 4 and 8, and a mean of
// 0.13, 0.29 and 0.38 instead of 0.19.
const previewReduction = 4

// PreviewName is the name of an output's preview: a slide of its own, which shows the same place as the H&E in viewers
// that go by micrometres.
func PreviewName(output string) string { return nextTo(output, "-preview.ome.tiff") }

// smaller is an input for a preview, and its request.
type smaller struct {
	Request
	input *input
}

// smaller returns what a preview of a request is made of, nil if it is made of so little that there is none.
func (o FileOptions) smaller(in *input, found *tissue.Mask, r Request) (*smaller, error) {
	s := &smaller{r, in.reduced(previewReduction)}
	var err error
	if s.Mask, err = o.mask(s.input, found); err != nil {
		return nil, err
	}
	s.Source, s.MPP = s.input, s.input.sourceMPP()
	if width, height := s.input.Size(); s.Mask.area(width, height) == 0 {
		return nil, nil
	}
	return s, nil
}

// preview writes the preview of a run, unless there is one of the same origin.
func (o FileOptions) preview(ctx context.Context, p *infer.Pipeline, in *input, found *tissue.Mask, r Request) error {
	s, err := o.smaller(in, found, r)
	if err != nil {
		return err
	}
	if s == nil {
		return o.Observe.Report(progress.Note("no preview: what is translated is too small for one"))
	}
	s.Folder = filepath.Join(PartsFolder(o.Output), "preview")
	s.Observe = func(event any) error {
		if e, ok := event.(Progress); ok {
			e.Preview = true
			event = e
		}
		return o.Observe.Report(event)
	}
	reduction, err := origin.NewSettings(struct {
		Reduction int `json:"preview"`
	}{previewReduction})
	if err != nil {
		return err
	}
	maps.Copy(reduction, s.Origin.Settings)
	s.Origin.Settings = reduction
	from, err := s.origin()
	if err != nil {
		return err
	}
	out := o.stain(p)
	out.path, out.kind, out.geometry = PreviewName(o.Output), imagefile.Preview, GeometryModel
	out.channel += " (preview)"
	out.description = fmt.Sprintf("preview of a virtual stain, made of the H&E %d times smaller than for the model, "+
		"which stains it differently; research use only", previewReduction)
	if isCurrent(out.path, from) {
		return nil
	}
	v, err := begin(ctx, p, s.Request)
	if err != nil {
		return err
	}
	if isCurrent(out.path, from) { // another process was faster
		return removeParts(s.Folder)
	}
	sink := &late{begin: func() (*slideSink, error) { return o.sink(s.input, from, out) }}
	defer sink.discard()
	v.path, v.publish = out.path, sink.publish
	if err := v.finish(ctx, p, sink); err != nil && (!errors.Is(err, errGone) || !isCurrent(out.path, from)) {
		return err
	}
	return errors.Join(removeParts(s.Folder), o.Observe.Report(progress.Note("the preview is there: "+out.path)))
}

// isCurrent reports whether a file is the preview of an origin.
func isCurrent(path string, from origin.Origin) bool {
	if imagefile.KindOf(path) != imagefile.Preview {
		return false
	}
	earlier, err := origin.Read(path)
	return err == nil && len(from.Since(earlier)) == 0
}
