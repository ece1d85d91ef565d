package stain_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// laboratory paints an image by the Beer–Lambert law: the same concentrations for all, nuclei with and without DAB.
func laboratory(h, dab stain.Vector, gainH, gainDAB float64) *imagefile.Image {
	r := rand.New(rand.NewPCG(5, 6))
	m := imagefile.New(96, 96)
	for i := 0; i < len(m.Pix); i += 3 {
		a, b := 0.05*r.Float64(), 0.0
		switch r.IntN(4) {
		case 0:
			a = 0.2 + 0.6*r.Float64()
		case 1:
			b = 0.2 + 0.6*r.Float64()
		}
		for c := range 3 {
			m.Pix[i+c] = uint8(math.Round(255 * math.Pow(10, -gainH*a*h[c]-gainDAB*b*dab[c])))
		}
	}
	return m
}

func unit(v stain.Vector) stain.Vector {
	n := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	return stain.Vector{v[0] / n, v[1] / n, v[2] / n}
}

// An image of one laboratory becomes what the other would have made of the same tissue.
func TestMatchMakesTheOtherLaboratorysImage(t *testing.T) {
	ours := laboratory(unit(stain.Vector{0.65, 0.70, 0.29}), unit(stain.Vector{0.27, 0.57, 0.78}), 1, 1)
	theirs := laboratory(unit(stain.Vector{0.60, 0.68, 0.42}), unit(stain.Vector{0.36, 0.60, 0.72}), 1.3, 0.7)
	from, err := stain.AppearanceOf([]*imagefile.Image{ours})
	if err != nil {
		t.Fatal(err)
	}
	to, err := stain.AppearanceOf([]*imagefile.Image{theirs})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stain.NewMatch(from, to)
	if err != nil {
		t.Fatal(err)
	}
	before := difference(ours.Pix, theirs.Pix)
	m.Apply(ours.Pix)
	after := difference(ours.Pix, theirs.Pix)
	// What is left is the estimate's: vectors at the 1st percentile of the angles, which the noise of 8 bits widens.
	if after > 2 || before < 5*after {
		t.Errorf("levels differ by %.2f on average, before the match by %.2f", after, before)
	}
}

func difference(a, b []uint8) float64 {
	sum := 0.0
	for i := range a {
		sum += math.Abs(float64(a[i]) - float64(b[i]))
	}
	return sum / float64(len(a))
}

// A match with itself changes nothing: it can only hurt where laboratories differ.
func TestMatchWithItselfIsTheIdentity(t *testing.T) {
	m := laboratory(unit(stain.Vector{0.65, 0.70, 0.29}), unit(stain.Vector{0.27, 0.57, 0.78}), 1, 1)
	a, err := stain.AppearanceOf([]*imagefile.Image{m})
	if err != nil {
		t.Fatal(err)
	}
	same, err := stain.NewMatch(a, a)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]uint8, 0, 3*256*16)
	for v := range 256 {
		for k := range 16 {
			all = append(all, uint8(max(v, 1)), uint8(max(1, 255-v)), uint8(max(1, v*k%256))) // 0 has the density of 1
		}
	}
	pix := slices.Clone(all)
	if same.Apply(pix); !slices.Equal(pix, all) {
		t.Errorf("levels differ by %.3f on average", difference(pix, all))
	}
}

// How much of an image is stained has no say in a match, or a negative case would become a positive one.
func TestAppearanceDoesNotDependOnTheStainedArea(t *testing.T) {
	m := laboratory(unit(stain.Vector{0.65, 0.70, 0.29}), unit(stain.Vector{0.27, 0.57, 0.78}), 1, 1)
	glass := imagefile.New(96, 960)
	for i := range glass.Pix {
		glass.Pix[i] = 250
	}
	a, err := stain.AppearanceOf([]*imagefile.Image{m})
	if err != nil {
		t.Fatal(err)
	}
	b, err := stain.AppearanceOf([]*imagefile.Image{m, glass})
	if err != nil || a != b {
		t.Errorf("%+v and, with glass, %+v, error %v", a, b, err)
	}
}

func TestAppearanceOfTooLittleStain(t *testing.T) {
	one := laboratory(unit(stain.Vector{0.65, 0.70, 0.29}), unit(stain.Vector{0.65, 0.70, 0.29}), 1, 1)
	if _, err := stain.AppearanceOf([]*imagefile.Image{one}); !errors.Is(err, stain.ErrEstimate) {
		t.Errorf("one dye: %v", err)
	}
	if _, err := stain.NewMatch(stain.Appearance{}, stain.Appearance{}); err == nil {
		t.Error("a match of nothing")
	}
}

func TestReadAppearance(t *testing.T) {
	dir := t.TempDir()
	m := laboratory(unit(stain.Vector{0.65, 0.70, 0.29}), unit(stain.Vector{0.27, 0.57, 0.78}), 1, 1)
	path := filepath.Join(dir, "a.png")
	if err := imagefile.Write(path, m, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	file, err := stain.ReadAppearance(t.Context(), path, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := stain.ReadAppearance(t.Context(), dir, imagefile.Options{})
	if err != nil || folder != file {
		t.Errorf("file %+v, folder %+v, error %v", file, folder, err)
	}
	for _, wrong := range []string{t.TempDir(), filepath.Join(dir, "b.png")} {
		if _, err := stain.ReadAppearance(t.Context(), wrong, imagefile.Options{}); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
	// The statement in outputs is all that a match depends on.
	match, err := stain.NewMatch(file, folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(match)
	if err != nil {
		t.Fatal(err)
	}
	var read stain.Match
	if err := json.Unmarshal(text, &read); err != nil || read.From != match.From || read.To != match.To {
		t.Errorf("%s: %+v, %v", text, read.From, err)
	}
}
