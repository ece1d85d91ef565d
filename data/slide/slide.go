package slide

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/internal/icc"
)

// Options say how slides are read; the zero value is right for most.
type Options struct {
	MPP     float64       // µm per pixel of level 0, instead of what the file says; 0: the file decides
	AnyMPP  bool          // a slide whose µm per pixel are not known is opened nevertheless: At fails then
	ICC     imagefile.ICC // what becomes of colour profiles
	Library Library       // whether OpenSlide is used

	// CacheBytes is the memory for decoded tiles that are kept; 0: 128 MB, or 32 where OpenSlide reads the file.
	CacheBytes int
}

// Slide is an opened slide.
type Slide struct {
	Path          string
	Width, Height int        // of level 0
	MPP           [2]float64 // µm a pixel of level 0, in x and y; 0 with AnyMPP
	Notes         []string   // what a user may want to know, such as a converted colour profile

	info    Info
	reader  Reader
	unsized error          // why MPP is 0
	colours *icc.Transform // to sRGB; nil where nothing is to be done
}

// New makes a slide of a reader, which Close closes. It is an error that the sizes are impossible, that the micrometres
// per pixel are not known, not believable (0.05 to 10) or different in x and y by more than 1 % (ErrMPP), or that the
// colour profile can't be used.
func New(reader Reader, o Options) (*Slide, error) {
	info := reader.Info()
	if err := checkLevels(info.Levels); err != nil {
		return nil, err
	}
	s := &Slide{
		Width: info.Levels[0].Width, Height: info.Levels[0].Height, MPP: info.MPP, Notes: info.Notes,
		info: info, reader: reader,
	}
	if o.MPP != 0 {
		if !believable(o.MPP) {
			return nil, fmt.Errorf("%g µm per pixel; slides have %g to %g", o.MPP, minMPP, float64(maxMPP))
		}
		s.MPP = [2]float64{o.MPP, o.MPP}
	} else if err := checkMPP(info.MPP); err != nil {
		if !o.AnyMPP {
			return nil, err
		}
		s.MPP, s.unsized = [2]float64{}, err
	}
	if info.ICC != nil && o.ICC == imagefile.ApplyICC {
		if err := s.useProfile(info.ICC); err != nil {
			return nil, fmt.Errorf("%w; ignore the slide's colour profile: --icc ignore, in YAML icc: ignore", err)
		}
	}
	return s, nil
}

func (s *Slide) useProfile(raw []byte) error {
	profile, err := icc.Parse(raw)
	if err != nil {
		return err
	}
	if profile.Channels != 3 {
		return fmt.Errorf("the colour profile %q is not for RGB", profile.Name)
	}
	if s.colours, err = profile.Transform(); err == nil && s.colours != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("colours converted to sRGB from the profile %q", profile.Name))
	}
	return err
}

func checkLevels(levels []Level) error {
	if len(levels) == 0 {
		return errors.New("the file has no level of a slide")
	}
	for i, l := range levels {
		switch {
		case l.Width < 1 || l.Height < 1 || l.Width > math.MaxInt32 || l.Height > math.MaxInt32:
			return fmt.Errorf("level %d has the impossible size of %d×%d pixels", i, l.Width, l.Height)
		case !(l.Downsample[0] >= 0.5) || !(l.Downsample[1] >= 0.5):
			return fmt.Errorf("level %d has the impossible factor %g × %g", i, l.Downsample[0], l.Downsample[1])
		}
	}
	return nil
}

// Info returns what the file says; the micrometres per pixel in use are those of the Slide.
func (s *Slide) Info() Info { return s.info }

// Bounds returns the pixels of level 0.
func (s *Slide) Bounds() image.Rectangle { return image.Rect(0, 0, s.Width, s.Height) }

// Associated reads an image that belongs to the slide, one of Info's names.
func (s *Slide) Associated(ctx context.Context, name string) (*imagefile.Image, error) {
	img, err := s.reader.Associated(ctx, name)
	if err != nil {
		return nil, s.named(err)
	}
	return img, nil
}

// Close closes the file.
func (s *Slide) Close() error { return s.reader.Close() }

// named adds the slide's path to an error.
func (s *Slide) named(err error) error {
	if err == nil || s.Path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", s.Path, err)
}

// factors are the downsamples of levels of these sizes, largest first. Where a side is that of level 0 divided by a
// whole number, rounded in whatever way, the factor is that number: the pixels that don't fill one are left out or
// padded, and the others are not stretched.
func factors(levels []Level) {
	for i := range levels {
		l, first := &levels[i], &levels[0]
		l.Downsample = [2]float64{factor(first.Width, l.Width), factor(first.Height, l.Height)}
	}
}

func factor(whole, part int) float64 {
	ratio := float64(whole) / float64(part)
	n := math.Round(ratio)
	if math.Abs(float64(whole)/n-float64(part)) < 1 {
		return n
	}
	return ratio
}
