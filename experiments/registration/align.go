package registration

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"math/cmplx"
	"os"
	"path/filepath"
	"strconv"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/option"
)

// AlignOptions say what is aligned to where. Limits are in pixels; 0 is none.
type AlignOptions struct {
	Output      string  `key:"output" usage:"folder to write"`
	MaxShift    float64 `key:"max-shift" want:"0 or more" usage:"drop pairs with a larger shift, in pixels; 0 is no limit"`
	MaxResidual float64 `key:"max-residual" want:"0 or more" usage:"drop pairs whose parts lie further off than this after alignment, in pixels; 0 is no limit"`
	MinSize     int     `key:"min-size" want:"0 or more" usage:"drop pairs of which less is common to both images: the smaller side, in pixels"`

	Read    imagefile.Options
	Program string // with its version
	Observe progress.Observer
}

// DefaultAlign returns limits that keep what a training can use.
func DefaultAlign() AlignOptions { return AlignOptions{MaxResidual: 8, MinSize: 256} }

// Aligned is what became of a pair.
type Aligned struct {
	Registered
	Crop    image.Rectangle // of the H&E image: what both show
	Dropped string          // why nothing was written; "" if something was
}

// The files in a folder of aligned pairs, in addition to the images.
const (
	ListFile   = "pairs.csv"        // the pairs, for the layout CSV
	ReportFile = "registration.csv" // what became of each pair
)

// Align writes what the two images of each pair both show, the IHC moved onto the H&E, as PNG files in folders he and
// ihc of the pair's split, and the lists ListFile and ReportFile. An IHC that is only shifted keeps its pixels: it is
// moved by whole ones. Its input is never written to, and no file that it hasn't made. Images appear whole or not at
// all; pairs that are there, of the same input by the same program, are not registered again.
func Align(ctx context.Context, pairs []data.Pair, o AlignOptions) ([]Aligned, error) {
	targets, err := o.targets(pairs)
	if err != nil {
		return nil, err
	}
	list, err := each(ctx, targets, o.Observe, o.align)
	if err != nil {
		return nil, err
	}
	if err := writeReport(filepath.Join(o.Output, ReportFile), list); err != nil {
		return list, err
	}
	var written []data.Pair
	for i, a := range list {
		if a.Dropped == "" {
			p := pairs[i]
			p.HE, p.IHC = data.Source{Path: targets[i].he}, data.Source{Path: targets[i].ihc}
			written = append(written, p)
		}
	}
	if len(written) == 0 {
		return list, fmt.Errorf("all %d pairs were dropped: %s says why", len(pairs), filepath.Join(o.Output, ReportFile))
	}
	return list, data.WriteCSV(filepath.Join(o.Output, ListFile), written)
}

// target is where a pair is written to.
type target struct {
	data.Pair
	he, ihc string
}

// targets refuses to write onto the input, and two pairs to one place.
func (o AlignOptions) targets(pairs []data.Pair) ([]target, error) {
	if o.Output == "" {
		return nil, option.Wrong("output", "missing: want a folder")
	}
	inputs, outputs := map[string]bool{}, map[string]string{}
	for _, p := range pairs {
		for _, path := range []string{p.HE.Path, p.IHC.Path} {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				return nil, err
			}
			if real, err = filepath.Abs(real); err != nil {
				return nil, err
			}
			inputs[real] = true
		}
	}
	list := make([]target, len(pairs))
	for i, p := range pairs {
		name := filepath.FromSlash(p.Name) + ".png"
		if !filepath.IsLocal(name) { // a list may name files anywhere
			name = filepath.Base(name)
		}
		list[i] = target{
			p, filepath.Join(o.Output, p.Split, "he", name), filepath.Join(o.Output, p.Split, "ihc", name),
		}
		if other, twice := outputs[list[i].he]; twice {
			return nil, fmt.Errorf("%s and %s would both be written to %s: rename one", other, p.HE, list[i].he)
		}
		outputs[list[i].he] = p.HE.String()
		for _, path := range []string{list[i].he, list[i].ihc} {
			real, err := filepath.EvalSymlinks(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				real, err = filepath.Abs(real)
			}
			if err != nil {
				return nil, err
			}
			if inputs[real] {
				return nil, option.Wrong("output", "%s is an image of the data set itself: want another folder", path)
			}
		}
	}
	return list, nil
}

// record is what an aligned image states of itself.
type record struct {
	Program string            `json:"program"`
	HE      string            `json:"he"` // SHA-256 of the files
	IHC     string            `json:"ihc"`
	Read    imagefile.Options `json:"read"`
	Result
	Crop image.Rectangle `json:"crop"`
}

const keyRecord = "histdist.registration"

// align makes a pair's images, unless they are there.
func (o AlignOptions) align(t target) (a Aligned) {
	a.Registered.Pair = t.Pair
	r := record{Program: o.Program, Read: o.Read}
	if r.HE, a.Err = origin.Hash(t.HE.Path); a.Err == nil {
		r.IHC, a.Err = origin.Hash(t.IHC.Path)
	}
	var there bool
	if a.Err == nil {
		there, a.Err = r.find(t)
	}
	var he, ihc *imagefile.Image
	if a.Err == nil && !there {
		if he, ihc, a.Err = t.Read(o.Read); a.Err == nil {
			r.Result, a.Err = Register(he, ihc)
			r.Crop = common(t.Width, t.Height, r.whole(t.Width, t.Height))
		}
	}
	a.Result, a.Crop = r.Result, r.Crop
	if a.Dropped = o.reason(a); a.Dropped == "" && !there {
		if a.Err = r.write(t, he, ihc); a.Err != nil {
			a.Dropped = a.Err.Error()
		}
	}
	return a
}

// reason says why a pair is dropped.
func (o AlignOptions) reason(a Aligned) string {
	switch side := min(a.Crop.Dx(), a.Crop.Dy()); {
	case a.Err != nil:
		return a.Err.Error()
	case o.MaxShift > 0 && a.Shift() > o.MaxShift:
		return fmt.Sprintf("shift %.1f px, limit %g", a.Shift(), o.MaxShift)
	case o.MaxResidual > 0 && a.Residual > o.MaxResidual:
		return fmt.Sprintf("residual %.1f px, limit %g", a.Residual, o.MaxResidual)
	case side < max(o.MinSize, 1):
		return fmt.Sprintf("%d×%d pixels are common to both images, want %d", max(a.Crop.Dx(), 0), max(a.Crop.Dy(), 0),
			max(o.MinSize, 1))
	}
	return ""
}

// find reports whether both images of a target are there and of the same origin, and takes the rest of the record from
// them. A file that Align hasn't made is an error.
func (r *record) find(t target) (bool, error) {
	there := true
	for _, path := range []string{t.he, t.ihc} {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			there = false
			continue
		}
		pairs, err := imagefile.ReadProvenance(path)
		if err != nil {
			return false, err
		}
		var earlier *record
		for _, p := range pairs {
			if p.Key == keyRecord && json.Unmarshal([]byte(p.Value), &earlier) != nil {
				earlier = nil
			}
		}
		if earlier == nil {
			return false, fmt.Errorf("%s exists and is no image that was aligned: name another folder, or remove it", path)
		}
		same := *earlier
		same.Result, same.Crop = r.Result, r.Crop
		if there = there && same == *r; there {
			r.Result, r.Crop = earlier.Result, earlier.Crop
		}
	}
	return there, nil
}

// write writes the images of a target.
func (r *record) write(t target, he, ihc *imagefile.Image) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	o := imagefile.WriteOptions{Provenance: []imagefile.Pair{
		{Key: imagefile.KeyDescription, Value: "part of a pair, aligned"},
		{Key: imagefile.KeySoftware, Value: r.Program},
		{Key: keyRecord, Value: string(text)},
	}}
	still := Identity().mapping(t.Width, t.Height)
	for _, m := range []struct {
		path string
		img  *imagefile.Image
	}{{t.he, resampled(he, still, r.Crop)}, {t.ihc, resampled(ihc, r.whole(t.Width, t.Height), r.Crop)}} {
		if err := os.MkdirAll(filepath.Dir(m.path), 0o777); err != nil {
			return err
		}
		if err := imagefile.Write(m.path, m.img, o); err != nil {
			return err
		}
	}
	return nil
}

// whole is the mapping of a result, in whole pixels if it is hardly more than a shift: if its rotation and scale move
// no corner by half a pixel.
func (r Result) whole(width, height int) mapping {
	m := r.mapping(width, height)
	if corner := math.Hypot(float64(width), float64(height)) / 2; cmplx.Abs(m.turn-1)*corner < 0.5 {
		m.turn, m.shift = 1, complex(math.Round(r.DX), math.Round(r.DY))
	}
	return m
}

// common is the part of an H&E image whose places the IHC image has, too.
func common(width, height int, m mapping) image.Rectangle {
	r := image.Rect(0, 0, width, height)
	for !r.Empty() {
		var out [4]float64 // how far beyond the left, top, right and bottom edge the IHC is needed
		for _, x := range []int{r.Min.X, r.Max.X - 1} {
			for _, y := range []int{r.Min.Y, r.Max.Y - 1} {
				at := m.of(complex(float64(x), float64(y)))
				out[0], out[1] = max(out[0], -real(at)), max(out[1], -imag(at))
				out[2], out[3] = max(out[2], real(at)-float64(width-1)), max(out[3], imag(at)-float64(height-1))
			}
		}
		const enough = 1e-6
		if max(out[0], out[1], out[2], out[3]) < enough {
			break
		}
		cut := func(beyond float64) int { return int(math.Ceil(beyond - enough)) }
		r = image.Rect(r.Min.X+cut(out[0]), r.Min.Y+cut(out[1]), r.Max.X-cut(out[2]), r.Max.Y-cut(out[3])).Intersect(r)
		if r.Dx() <= 0 || r.Dy() <= 0 {
			break
		}
	}
	return r
}

// writeReport writes what became of each pair.
func writeReport(path string, list []Aligned) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{
		"he", "ihc", "split", "dx", "dy", "angle", "scale", "residual", "parts", "x", "y", "width", "height", "dropped",
	}}
	for _, a := range list {
		p := a.Registered.Pair
		row := []string{p.HE.String(), p.IHC.String(), p.Split}
		if a.Err == nil {
			for _, v := range []float64{a.DX, a.DY, a.Angle, a.Scale, a.Residual} {
				row = append(row, strconv.FormatFloat(v, 'f', 4, 64))
			}
			for _, v := range []int{a.Parts, a.Crop.Min.X, a.Crop.Min.Y, a.Crop.Dx(), a.Crop.Dy()} {
				row = append(row, strconv.Itoa(v))
			}
		} else {
			row = append(row, make([]string, 10)...)
		}
		rows = append(rows, append(row, a.Dropped))
	}
	if err := errors.Join(w.WriteAll(rows), os.MkdirAll(filepath.Dir(path), 0o777)); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}
