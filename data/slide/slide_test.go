package slide_test

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/pillow"
)

// memory is a slide in memory.
type memory struct {
	info   slide.Info
	levels []*imagefile.Image
}

// newMemory makes levels of noise over a gradient.
func newMemory(width, height int, factors ...int) *memory {
	m := &memory{info: slide.Info{MPP: [2]float64{0.25, 0.25}}}
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range factors {
		img := imagefile.New(width/f, height/f)
		for i := range img.Pix {
			img.Pix[i] = uint8(f + i%3*40 + i/3%img.Width/3 + r.IntN(60))
		}
		m.levels = append(m.levels, img)
		m.info.Levels = append(m.info.Levels,
			slide.Level{Width: img.Width, Height: img.Height, Downsample: [2]float64{float64(f), float64(f)}})
	}
	return m
}

func (m *memory) Info() slide.Info { return m.info }
func (m *memory) Close() error     { return nil }

func (m *memory) Read(_ context.Context, pix []uint8, level int, r image.Rectangle) error {
	copy(pix, crop(m.levels[level], r).Pix)
	return nil
}

func (m *memory) Associated(context.Context, string) (*imagefile.Image, error) {
	return nil, errors.New("none")
}

func crop(img *imagefile.Image, r image.Rectangle) *imagefile.Image {
	part := &imagefile.Image{Width: r.Dx(), Height: r.Dy()}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		part.Pix = append(part.Pix, img.Pix[3*(y*img.Width+r.Min.X):][:3*r.Dx()]...)
	}
	return part
}

func opened(t *testing.T, m *memory) *slide.Slide {
	t.Helper()
	s, err := slide.New(m, slide.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func resized(t *testing.T, img *imagefile.Image, width, height int, f pillow.Filter) *imagefile.Image {
	t.Helper()
	from := pillow.Image{Pix: img.Pix, Width: img.Width, Height: img.Height, Channels: 3}
	to, err := pillow.Resize(from, width, height, f)
	if err != nil {
		t.Fatal(err)
	}
	return &imagefile.Image{Width: width, Height: height, Pix: to.Pix}
}

// A view is what Pillow's bicubic resize makes of the level (package pillow is compared with Pillow itself), even where
// it is made in several pieces.
func TestViewIsPillowsResize(t *testing.T) {
	m := newMemory(1700, 1300, 1)
	s := opened(t, m)
	for _, mpp := range []float64{0.2, 0.25, 0.3, 0.5, 0.77, 1.4} {
		v, err := s.At(mpp)
		if err != nil {
			t.Fatal(err)
		}
		if w, h := math.Round(1700*0.25/mpp), math.Round(1300*0.25/mpp); v.Width != int(w) || v.Height != int(h) {
			t.Errorf("at %g µm: %d×%d, want %g×%g", mpp, v.Width, v.Height, w, h)
		}
		got, err := v.Read(t.Context(), v.Bounds())
		if err != nil {
			t.Fatal(err)
		}
		want := resized(t, m.levels[0], v.Width, v.Height, pillow.Bicubic)
		if d := difference(got, want); d > 0 {
			t.Errorf("at %g µm: pixels differ by up to %d from Pillow's", mpp, d)
		}
	}
}

// Where pixels shrink by six or more, means of n×n are taken first, as Pillow does with reducing_gap=3.
func TestViewReducesFirst(t *testing.T) {
	m := newMemory(2400, 1800, 1)
	s := opened(t, m)
	v := s.Fit(200) // a pixel is 12×12
	got, err := v.Read(t.Context(), v.Bounds())
	if err != nil {
		t.Fatal(err)
	}
	means := imagefile.New(600, 450)
	for i := range means.Pix {
		sum := 0
		for j := range 16 {
			x, y := i/3%600*4+j%4, i/3/600*4+j/4
			sum += int(m.levels[0].Pix[3*(y*2400+x)+i%3])
		}
		means.Pix[i] = uint8((sum + 8) / 16)
	}
	if d := difference(got, resized(t, means, 200, 150, pillow.Bicubic)); d > 0 {
		t.Errorf("pixels differ by up to %d from the means, resized", d)
	}
}

func difference(a, b *imagefile.Image) int {
	if a.Width != b.Width || a.Height != b.Height {
		return 256
	}
	most := 0
	for i, v := range a.Pix {
		most = max(most, int(v)-int(b.Pix[i]), int(b.Pix[i])-int(v))
	}
	return most
}

// Parts of a view are parts of the whole, at any scale and from any level; outside it is white.
func TestPartsFitTogether(t *testing.T) {
	m := newMemory(403, 307, 1, 2, 4, 8)
	s := opened(t, m)
	rapid.Check(t, func(r *rapid.T) {
		mpp := rapid.Float64Range(0.1, 12).Draw(r, "mpp")
		v, err := s.At(mpp)
		if err != nil {
			r.Fatal(err)
		}
		whole, err := v.Read(t.Context(), v.Bounds())
		if err != nil {
			r.Fatal(err)
		}
		at := func(name string, side int) int { return rapid.IntRange(-20, side+20).Draw(r, name) }
		part := image.Rect(at("x0", v.Width), at("y0", v.Height), at("x1", v.Width), at("y1", v.Height))
		if part.Empty() {
			return
		}
		got, err := v.Read(t.Context(), part)
		if err != nil {
			r.Fatal(err)
		}
		for y := range got.Height {
			for x := range got.Width {
				p, have := image.Pt(x, y).Add(part.Min), [3]uint8(got.Pix[3*(y*got.Width+x):])
				want := [3]uint8{255, 255, 255}
				if p.In(v.Bounds()) {
					want = [3]uint8(whole.Pix[3*(p.Y*whole.Width+p.X):])
				}
				if have != want {
					r.Fatalf("%v of %v at %g µm is %v, want %v", p, part, mpp, have, want)
				}
			}
		}
	})
}

func TestReadRegion(t *testing.T) {
	m := newMemory(400, 300, 1, 4)
	s := opened(t, m)
	for _, c := range []struct {
		name          string
		r             image.Rectangle
		width, height int
		want          *imagefile.Image
	}{
		{"level 0", image.Rect(30, 40, 130, 90), 100, 50, crop(m.levels[0], image.Rect(30, 40, 130, 90))},
		{"level 1", image.Rect(40, 80, 240, 280), 50, 50, crop(m.levels[1], image.Rect(10, 20, 60, 70))},
		{"outside", image.Rect(400, 0, 440, 30), 2, 2, &imagefile.Image{Width: 2, Height: 2, Pix: white(4)}},
		{"over a corner", image.Rect(-2, -1, 2, 1), 4, 2, &imagefile.Image{
			Width: 4, Height: 2, Pix: append(white(6), m.levels[0].Pix[:6]...),
		}},
	} {
		got, err := s.ReadRegion(t.Context(), c.r, c.width, c.height)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if _, err := s.ReadRegion(t.Context(), image.Rect(0, 0, 10, 10), 1<<16, 1<<16); err == nil {
		t.Error("a region of 2³² pixels is read")
	}
	if _, err := s.ReadRegion(t.Context(), image.Rectangle{}, 1, 1); err == nil {
		t.Error("an empty region is read")
	}
}

func white(pixels int) []uint8 {
	pix := make([]uint8, 3*pixels)
	for i := range pix {
		pix[i] = 255
	}
	return pix
}

func TestNewChecks(t *testing.T) {
	for _, c := range []struct {
		name   string
		mpp    [2]float64
		given  float64
		levels []slide.Level
		want   error // nil: none; else ErrMPP, or any
	}{
		{"as it should be", [2]float64{0.25, 0.2502}, 0, nil, nil},
		{"unknown", [2]float64{}, 0, nil, slide.ErrMPP},
		{"unknown but given", [2]float64{}, 0.5, nil, nil},
		{"72 dpi", [2]float64{352.8, 352.8}, 0, nil, slide.ErrMPP},
		{"not square", [2]float64{0.25, 0.26}, 0, nil, slide.ErrMPP},
		{"given nonsense", [2]float64{0.25, 0.25}, 100, nil, errors.New("any")},
		{"not a number", [2]float64{math.NaN(), 0.25}, 0, nil, slide.ErrMPP},
		{"no level", [2]float64{0.25, 0.25}, 0, []slide.Level{}, errors.New("any")},
		{"no width", [2]float64{0.25, 0.25}, 0, []slide.Level{{Height: 3, Downsample: [2]float64{1, 1}}}, errors.New("any")},
	} {
		m := newMemory(10, 10, 1)
		m.info.MPP = c.mpp
		if c.levels != nil {
			m.info.Levels = c.levels
		}
		_, err := slide.New(m, slide.Options{MPP: c.given})
		if (err == nil) != (c.want == nil) || errors.Is(c.want, slide.ErrMPP) != errors.Is(err, slide.ErrMPP) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	m := newMemory(10, 10, 1)
	m.info.MPP = [2]float64{}
	s, err := slide.New(m, slide.Options{AnyMPP: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.At(0.5); !errors.Is(err, slide.ErrMPP) {
		t.Errorf("At without known pixels: %v, want ErrMPP", err)
	}
}
