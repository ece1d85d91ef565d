package stain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/walk"
)

// Appearance is how the IHC images of a laboratory look: the colours of its dyes, and how dark they are where there is
// some of them. How much of an image is stained doesn't count.
type Appearance struct {
	Haematoxylin Vector `json:"haematoxylin"` // of length 1, as Macenko estimates it
	DAB          Vector `json:"dab"`
	// Density has the optical densities of haematoxylin and DAB: the 95th percentile of those of at least 0.15.
	Density [2]float64 `json:"density"`
}

const (
	densityFloor      = 0.15 // below it a pixel shows nothing of a dye, as for Macenko
	densityPercentile = 95
	appearanceImages  = 32 // of a folder are read
)

// AppearanceOf measures IHC images. ErrEstimate is wrapped if they don't show enough of both dyes.
func AppearanceOf(images []*imagefile.Image) (Appearance, error) {
	s, err := Macenko(images, DAB, MacenkoOptions{})
	if err != nil {
		return Appearance{}, err
	}
	p, err := New(s)
	if err != nil {
		return Appearance{}, err
	}
	a := Appearance{Haematoxylin: s.Vectors[0].rounded(), DAB: s.Vectors[1].rounded()}
	for k, d := range []Dye{Haematoxylin, DAB} {
		t, err := p.Table(d)
		if err != nil {
			return Appearance{}, err
		}
		var dense []float64
		for _, img := range images {
			for i := 0; i+2 < len(img.Pix); i += 3 {
				if v := t.At(img.Pix[i], img.Pix[i+1], img.Pix[i+2]); v >= densityFloor {
					dense = append(dense, v)
				}
			}
		}
		if len(dense) < minPixels {
			return Appearance{}, fmt.Errorf("stain: %w: %d pixels have an optical density of %s of %g or more; want %d",
				ErrEstimate, len(dense), d, densityFloor, minPixels)
		}
		slices.Sort(dense)
		a.Density[k] = round(percentile(dense, densityPercentile))
	}
	return a, nil
}

// ReadAppearance measures an image, or up to 32 images of a folder, evenly spread over their names.
func ReadAppearance(ctx context.Context, path string, o imagefile.Options) (Appearance, error) {
	files := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return Appearance{}, walk.Plain(err)
	}
	if info.IsDir() {
		found, err := walk.Images(ctx, path, walk.Options{})
		if err != nil {
			return Appearance{}, err
		}
		n := min(appearanceImages, len(found.Files))
		if n == 0 {
			return Appearance{}, fmt.Errorf("%s: no images: want IHC images", path)
		}
		files = files[:0]
		for i := range n {
			files = append(files, found.Files[i*len(found.Files)/n].Path)
		}
	}
	var images []*imagefile.Image
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return Appearance{}, err
		}
		img, err := imagefile.Read(file, o)
		if err != nil {
			return Appearance{}, err
		}
		images = append(images, img)
	}
	a, err := AppearanceOf(images)
	if err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// Match turns images of one appearance into another. It is one linear map of optical densities: each dye gets the
// other's colour, and its concentration is multiplied by the quotient of the densities; what no dye explains stays. It
// is safe for concurrent use.
type Match struct {
	From Appearance `json:"from"`
	To   Appearance `json:"to"`

	densities [3][256][3]float32 // what a level of a channel adds to the densities of red, green and blue
	levels    []uint8            // of densities in steps of 1/levelSteps
}

const levelSteps = 8192 // of optical density 1: a fourteenth of a level of white light

// NewMatch returns the map between two appearances. Colours in one plane are an error.
func NewMatch(from, to Appearance) (*Match, error) {
	m := &Match{From: from, To: to}
	a, err := from.stains().normalised()
	if err != nil {
		return nil, err
	}
	b, err := to.stains().normalised()
	if err != nil {
		return nil, err
	}
	inverse, err := invert(a.Vectors)
	if err != nil {
		return nil, err
	}
	if _, err := invert(b.Vectors); err != nil {
		return nil, err
	}
	gain := Vector{to.Density[0] / from.Density[0], to.Density[1] / from.Density[1], 1}
	for _, g := range gain {
		if !(g > 0) || math.IsInf(g, 0) {
			return nil, errors.New("stain: the densities of an appearance must be above 0")
		}
	}
	for c := range 3 {
		for v := range 256 {
			od := -math.Log10(max(float64(v), 1) / 255)
			for out := range 3 {
				sum := 0.0
				for dye, g := range gain {
					sum += inverse[c][dye] * g * b.Vectors[dye][out]
				}
				m.densities[c][v][out] = float32(od * sum)
			}
		}
	}
	for i := 0; ; i++ {
		level := uint8(math.Round(255 * math.Pow(10, -float64(i)/levelSteps)))
		m.levels = append(m.levels, level)
		if level == 0 {
			return m, nil
		}
	}
}

func (a Appearance) stains() Stains {
	return Stains{Dyes: [3]Dye{Haematoxylin, DAB, Residual}, Vectors: [3]Vector{a.Haematoxylin, a.DAB}}
}

// Apply maps pixels, RGB, in place.
func (m *Match) Apply(pix []uint8) {
	for i := 0; i+2 < len(pix); i += 3 {
		p := pix[i : i+3 : i+3]
		r, g, b := &m.densities[0][p[0]], &m.densities[1][p[1]], &m.densities[2][p[2]]
		for c := range p {
			at := int((r[c]+g[c]+b[c])*levelSteps + 0.5)
			p[c] = m.levels[max(0, min(at, len(m.levels)-1))]
		}
	}
}

// String says what a match does, in a line.
func (m *Match) String() string {
	return fmt.Sprintf("optical densities of haematoxylin ×%.2f, of DAB ×%.2f; colours %.1f° and %.1f° apart",
		m.To.Density[0]/m.From.Density[0], m.To.Density[1]/m.From.Density[1],
		degrees(m.From.Haematoxylin, m.To.Haematoxylin), degrees(m.From.DAB, m.To.DAB))
}

// degrees is the angle between two vectors of length 1.
func degrees(a, b Vector) float64 { return math.Acos(max(-1, min(1, dot(a, b)))) * 180 / math.Pi }

// rounded has 4 decimals: as many as an estimate is worth, and the same on processors that round differently.
func (v Vector) rounded() Vector { return Vector{round(v[0]), round(v[1]), round(v[2])} }

func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }
