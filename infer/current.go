package infer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/walk"
)

// ErrSkipped is the error of a job whose output is current.
var ErrSkipped = errors.New("already done")

// The roles of the files that outputs and panels are made of.
const (
	roleSource    = "source"    // the H&E
	roleReference = "reference" // the true stain
	roleStain     = "stain"     // the output, in its panel
)

// loaded is a job before its translation.
type loaded struct {
	Job
	claim  *claim.Claim
	origin origin.Origin    // of the output
	image  *imagefile.Image // nil if only the panel is out of date
	large  bool             // the image was translated by FileOptions.Large
	why    string           // an existing output is made anew; "" if there is none
	err    error            // ErrSkipped, or what is wrong with the job
}

// source is an input, which the jobs of several markers share.
type source struct {
	path, hash string
	image      *imagefile.Image
	err        error
}

func (s *source) read(o imagefile.Options) (*imagefile.Image, error) {
	if s.image == nil && s.err == nil {
		s.image, s.err = imagefile.Read(s.path, o)
	}
	return s.image, s.err
}

// load decides what a job needs, and reads its image if it is to be translated.
func (r *run) load(j Job) loaded {
	l := loaded{Job: j}
	// Hash before reading: if the file changes in between, the next run finds another hash and translates it again.
	if r.source.path != j.Input {
		hash, err := origin.Hash(j.Input)
		if err != nil {
			l.err = err
			return l
		}
		r.source = source{path: j.Input, hash: hash}
	}
	if l.origin, l.err = r.origin(j, r.source.hash); l.err != nil {
		return l
	}
	if l.why, l.err = r.due(j.Output, l.origin); r.o.Samples > 1 {
		l.why, l.err = r.samplesDue(l)
	}
	switch {
	case l.err == nil:
		l.image, l.err = r.source.read(r.o.Read)
		if errors.Is(l.err, imagefile.ErrTooLarge) {
			l.err = fmt.Errorf("%w: with an output that ends in .ome.tiff it is translated in parts", l.err)
		}
	case errors.Is(l.err, ErrSkipped) && r.o.Panel:
		l.why, l.err = r.panelDue(l)
	}
	return l
}

// panelDue is due for the panel of a current output.
func (r *run) panelDue(l loaded) (why string, err error) {
	want, err := r.panelOrigin(l)
	if err != nil {
		return "", err
	}
	why, err = r.due(PanelName(l.Output), want)
	return "panel: " + cmp.Or(why, "was missing"), err
}

// origin is the origin of a job's output. hash is the input's.
func (r *run) origin(j Job, hash string) (origin.Origin, error) {
	extra := struct {
		Precision string   `json:"precision"`
		Quality   int      `json:"quality,omitempty"`
		Match     Colours  `json:"match,omitempty"`
		Samples   int      `json:"samples,omitempty"`
		Reach     float64  `json:"calibration,omitempty"` // of the true area's interval
		Adapters  Adapters `json:"adapters,omitempty"`
	}{Precision: r.p.options.Precision.String(), Match: r.o.Match, Adapters: r.p.Adapters()}
	if r.o.Samples > 1 {
		extra.Samples, extra.Reach = r.o.Samples, r.reach
	}
	if format, err := imagefile.FormatByName(j.Output); err == nil && format == imagefile.JPEG {
		extra.Quality = cmp.Or(r.o.Quality, imagefile.DefaultQuality)
	}
	settings, err := origin.NewSettings(r.settingsOf(j), r.o.Read, extra)
	sources := map[string]string{roleSource: hash}
	return origin.Origin{Program: r.o.Program, Model: r.model, Settings: settings, Sources: sources}, err
}

// panelOrigin is the origin of a job's panel, when the output exists.
func (r *run) panelOrigin(l loaded) (origin.Origin, error) {
	o := origin.Origin{Program: r.o.Program, Sources: map[string]string{roleSource: l.origin.Sources[roleSource]}}
	var err error
	if o.Settings, err = origin.NewSettings(r.o.Read); err != nil {
		return o, err
	}
	for role, path := range map[string]string{roleStain: l.Output, roleReference: l.Reference} {
		if path == "" {
			continue
		}
		if o.Sources[role], err = origin.Hash(path); err != nil {
			return o, err
		}
	}
	return o, nil
}

// due decides about an output. It returns nil if it is to be made, and why if it exists; ErrSkipped if it is current;
// or why it must not be replaced.
func (r *run) due(path string, want origin.Origin) (why string, err error) {
	_, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", walk.Plain(err)
	case r.o.Overwrite:
		return "", nil
	case imagefile.KindOf(path) == imagefile.NotOurs:
		return "", fmt.Errorf("%s: the file exists and was not made by this program: --overwrite replaces it, "+
			"or name another output", path)
	}
	earlier, err := origin.Read(path)
	if err != nil {
		return "", err
	}
	changes := want.Since(earlier)
	if len(changes) == 0 && r.o.Latents == "" {
		return "", ErrSkipped
	}
	for _, c := range changes {
		if c.Kind == origin.Chosen && !r.o.ReplaceOthers {
			return "", fmt.Errorf("%s: the output exists, %s: --overwrite replaces it, or name another",
				path, origin.Text(changes))
		}
	}
	return cmp.Or(origin.Text(changes), "its latents are asked for"), nil
}
