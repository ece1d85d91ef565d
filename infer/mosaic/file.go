package mosaic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/option"
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

// Compression is how the pixels of a slide's stain are compressed.
type Compression string

// JPEG, whose colours are not subsampled, or Deflate, without loss.
const (
	CompressionJPEG    Compression = "jpeg"
	CompressionDeflate Compression = "deflate"
)

// UnmarshalText takes one of the two names.
func (c *Compression) UnmarshalText(text []byte) error {
	return option.OneOf(c, text, "compression", CompressionJPEG, CompressionDeflate)
}

// DefaultQuality is the quality of JPEG in slides.
const DefaultQuality = 90

// FileSettings say what of a slide is translated and how the stain is written. All of them change the result.
type FileSettings struct {
	MPP      float64  `json:"mpp" want:"0 or more" usage:"micrometres per pixel of a slide (default: as its file says)"`
	Tissue   string   `json:"tissue" usage:"what of a slide is translated: auto (tissue, found by its colour), all, or a GeoJSON file of areas, as QuPath exports them"`
	Part     Part     `json:"region,omitempty" usage:"part of a slide to translate: x,y,width,height in pixels of its full resolution"`
	Areas    string   `json:"annotations,omitempty" usage:"GeoJSON file with the areas of a slide to translate, of what tissue says"`
	Geometry Geometry `json:"geometry" want:"slide or model" usage:"size in which a slide's stain is written: slide (the H&E's own pixels) or model (those that the model made)"`

	Compression Compression `json:"compression" want:"jpeg or deflate" usage:"how a slide's stain is compressed: jpeg (as good as quality says) or deflate (without loss, in a larger file)"`
}

// DefaultFileSettings translates a whole slide.
func DefaultFileSettings() FileSettings {
	return FileSettings{Tissue: tissue.Auto, Geometry: GeometrySlide, Compression: CompressionJPEG}
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
	// Slide opens the input as a slide, whatever its name; nil: the content says whether it is one. File.MPP and Read
	// have no say in it then.
	Slide func() (*slide.Slide, error)
	// Found is where a slide has tissue, if TissueOf has found it before: File.Tissue and File.Areas are not looked at.
	Found    *tissue.Mask
	Sampling infer.Settings
	Settings Settings
	File     FileSettings
	Read     imagefile.Options
	Batch    int
	Match    infer.Colours // see Request
	InMemory int           // up to how many pixels an image that is no slide is kept in memory; 0: 2²⁶, 201 MB
	Quality  int           // of JPEG, 1 to 100; 0: DefaultQuality
	// Preview also writes PreviewName, a smaller stain, before the work on the output begins.
	Preview   bool
	Overwrite bool
	// Shard shares the slide with other processes that have the same options: whoever comes last writes the output. One
	// that comes later still does nothing.
	Shard infer.Shard
	// Current says that an output that is there and would be the same is done. It is so for shards, too.
	Current bool
	Program string            // with its version
	Observe progress.Observer // receives notes, stages, the Plan, and Progress
}

// quality is that of JPEG; 0 is lossless.
func (o FileOptions) quality() int {
	if o.File.Compression == CompressionDeflate {
		return 0
	}
	return cmp.Or(o.Quality, DefaultQuality)
}

// ByMarker returns the options for each marker of the sampling, whose name is then in that of the output, such as
// slide-er.ome.tiff. With one marker or none they stay as they are.
func (o FileOptions) ByMarker() []FileOptions {
	if len(o.Sampling.Marker) < 2 {
		return []FileOptions{o}
	}
	name, _ := stem(o.Output)
	var list []FileOptions
	for _, marker := range o.Sampling.Marker {
		one := o
		one.Sampling.Marker = infer.Markers{marker}
		one.Output = name + infer.MarkerSuffix(marker) + o.Output[len(name):]
		list = append(list, one)
	}
	return list
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

// request is the translation of an opened input.
func (o FileOptions) request(ctx context.Context, p *infer.Pipeline, in *input, mask Mask) (r Request, err error) {
	r = Request{
		Source: in, Mask: mask, MPP: in.sourceMPP(), Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch,
		Match: o.Match, Folder: PartsFolder(o.Output), Shard: o.Shard, Observe: o.Observe,
		Origin: origin.Origin{Program: o.Program},
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
	r.Origin.Settings, err = o.chosen(p, file)
	return r, err
}

// chosen is what a user can choose of a file's translation, besides the sampler's settings.
func (o FileOptions) chosen(p *infer.Pipeline, file FileSettings) (origin.Settings, error) {
	return origin.NewSettings(file, o.Read, struct {
		Precision string         `json:"precision"`
		Batch     int            `json:"batch"` // changes the rounding: one run has one
		Quality   int            `json:"quality,omitempty"`
		Adapters  infer.Adapters `json:"adapters,omitempty"`
	}{p.Precision().String(), max(o.Batch, 1), o.quality(), p.Adapters()})
}

// PlanFile returns what translating a file will take, without doing anything.
func PlanFile(ctx context.Context, p *infer.Pipeline, o FileOptions) (plan Plan, err error) {
	if plan, err = o.planFile(ctx, p); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

func (o FileOptions) planFile(ctx context.Context, p *infer.Pipeline) (plan Plan, err error) {
	in, err := o.open(p)
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	found, err := o.tissue(ctx, in)
	if err != nil {
		return Plan{}, err
	}
	mask, err := o.mask(in, found)
	if err != nil {
		return Plan{}, err
	}
	r := Request{
		Source: in, Mask: mask, MPP: in.sourceMPP(), Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch,
	}
	if plan, err = PlanFor(p, r); err != nil {
		return Plan{}, err
	}
	return o.completed(p, in, found, r, plan)
}

// completed adds to a plan what a file takes besides.
func (o FileOptions) completed(p *infer.Pipeline, in *input, found *tissue.Mask, r Request, plan Plan) (Plan, error) {
	if in.packed {
		plan.Disk += 3 * int64(in.slide.Width) * int64(in.slide.Height)
	}
	if !o.Preview {
		return plan, nil
	}
	small, err := o.smaller(in, found, r)
	if err != nil || small == nil {
		return plan, err
	}
	of, err := PlanFor(p, small.Request)
	plan.Preview = of.Calls
	return plan, err
}

// TranslateFile translates a slide, or an image of any size, to an OME-TIFF. Finished parts are kept in PartsFolder
// until the output is whole; a run that ended early goes on from there. The output appears with one rename. Where a run
// is refused, because its output exists or its parts have other settings, nothing is written.
func TranslateFile(ctx context.Context, p *infer.Pipeline, o FileOptions) (Plan, error) {
	plan, err := o.translate(ctx, p)
	if errors.Is(err, infer.ErrSkipped) {
		err = o.Observe.Report(progress.Note(o.Output + " is done"))
	}
	return plan, err
}

// translate is TranslateFile; infer.ErrSkipped is the error where the output was there.
func (o FileOptions) translate(ctx context.Context, p *infer.Pipeline) (plan Plan, err error) {
	if err := o.check(); err != nil {
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
	found, err := o.tissue(ctx, in)
	if err != nil {
		return Plan{}, err
	}
	mask, err := o.mask(in, found)
	if err != nil {
		return Plan{}, err
	}
	r, err := o.request(ctx, p, in, mask)
	if err != nil {
		return Plan{}, err
	}
	v, err := accept(ctx, p, r)
	if err != nil {
		return Plan{}, err
	}
	if err := o.done(v); err != nil {
		return v.plan, err
	}
	if v.store, err = v.open(); err != nil {
		return Plan{}, err
	}
	if err := o.done(v); err != nil { // before its parts were looked for
		return v.plan, err
	}
	if plan, err = o.completed(p, in, found, r, v.plan); err != nil {
		return plan, err
	}
	if err := o.Observe.Report(plan); err != nil {
		return plan, err
	}
	if found != nil {
		if err := errors.Join(
			imagefile.Write(nextTo(o.Output, "-tissue.png"), found.Image(), imagefile.WriteOptions{}),
			found.WriteGeoJSON(nextTo(o.Output, "-tissue.geojson")),
		); err != nil {
			return plan, err
		}
	}
	if err := in.unpack(ctx, r.Folder, o.Observe); err != nil {
		return plan, err
	}
	if o.Preview {
		if err := o.preview(ctx, p, in, found, r); err != nil {
			return plan, fmt.Errorf("preview: %w", err)
		}
	}
	small := newThumbnail(in, mask, nextTo(o.Output, "-thumbnail.png"))
	v.Observe, v.shown = progress.All(o.Observe, progress.On(small.observe)), small.write
	sink := &late{begin: func() (*slideSink, error) {
		from, err := v.origin()
		if err != nil {
			return nil, err
		}
		return o.sink(in, from, o.stain(p))
	}}
	defer sink.discard()
	v.path, v.publish = o.Output, sink.publish
	if err := v.finish(ctx, p, sink); errors.Is(err, errGone) {
		return plan, cmp.Or(o.done(v), err)
	} else if err != nil {
		return plan, err
	}
	return plan, removeParts(r.Folder)
}

func (o FileOptions) current() bool { return (o.Current || o.Shard.Count > 0) && !o.Overwrite }

// done returns infer.ErrSkipped if the output is there.
func (o FileOptions) done(v *run) error {
	if !o.current() {
		return nil
	}
	atomicfile.Revisit(filepath.Dir(o.Output))
	if _, err := os.Lstat(o.Output); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	from, err := v.origin()
	if err != nil {
		return err
	}
	earlier, err := origin.Read(o.Output)
	if err != nil {
		return err
	}
	if changes := from.Since(earlier); len(changes) > 0 {
		return fmt.Errorf("%s exists, %s: name another output", o.Output, origin.Text(changes))
	}
	return cmp.Or(removeParts(v.Folder), infer.ErrSkipped)
}

// check refuses outputs that can't be written, or that are there.
func (o FileOptions) check() error {
	if !IsOutput(o.Output) {
		return fmt.Errorf("%s: a slide's stain is written as .ome.tiff", o.Output)
	}
	except := imagefile.NotOurs
	if o.current() { // done compares it
		except = imagefile.VirtualStain
	}
	if err := o.free(o.Output, except); err != nil {
		return err
	}
	if !o.Preview {
		return nil
	}
	return o.free(PreviewName(o.Output), imagefile.Preview)
}

// free refuses a path where there is a file, except of a kind of this program's.
func (o FileOptions) free(path string, except imagefile.Kind) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), o.Overwrite && err == nil:
		return nil
	case err != nil:
		return err
	case except != imagefile.NotOurs && imagefile.KindOf(path) == except:
		return nil
	}
	return fmt.Errorf("%s exists: --overwrite replaces it, or name another output", path)
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
