package pillow_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/pillow"
)

// TestResizeMatchesPillow compares with the images that testdata/gen_resize.py made.
func TestResizeMatchesPillow(t *testing.T) {
	data, err := os.ReadFile("testdata/gen_resize.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct {
		Pillow string
		Cases  []struct {
			From, To      [2]int
			Channels      int
			BlackAndWhite bool `json:"black_and_white"`
			Filter        pillow.Filter
			SHA256        string
		}
	}
	if err := json.Unmarshal(data, &fixture); err != nil {
		t.Fatal(err)
	}
	if len(fixture.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range fixture.Cases {
		src := noise(c.From[0], c.From[1], c.Channels)
		if c.BlackAndWhite {
			for i, v := range src.Pix {
				src.Pix[i] = v >> 7 * 255
			}
		}
		before := slices.Clone(src.Pix)
		got, err := pillow.Resize(src, c.To[1], c.To[0], c.Filter)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(before, src.Pix) {
			t.Errorf("%v→%v %v: the source changed", c.From, c.To, c.Filter)
		}
		sum := sha256.Sum256(got.Pix)
		if hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf(
				"%v→%v, %d channels, black and white %v, %v: not Pillow %s's",
				c.From,
				c.To,
				c.Channels,
				c.BlackAndWhite,
				c.Filter,
				fixture.Pillow,
			)
		}
	}
}

// TestResizePartMatchesPillow compares with the images that testdata/gen_box.py made.
func TestResizePartMatchesPillow(t *testing.T) {
	data, err := os.ReadFile("testdata/gen_box.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct {
		Pillow string
		Cases  []struct {
			From, To [2]int
			Box      [4]float64
			Channels int
			Filter   pillow.Filter
			SHA256   string
		}
	}
	if err := json.Unmarshal(data, &fixture); err != nil {
		t.Fatal(err)
	}
	if len(fixture.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range fixture.Cases {
		box := pillow.Part{X0: c.Box[0], Y0: c.Box[1], X1: c.Box[2], Y1: c.Box[3]}
		got, err := pillow.ResizePart(noise(c.From[0], c.From[1], c.Channels), box, c.To[1], c.To[0], c.Filter)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(got.Pix)
		if hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("%v of %v→%v, %d channels, %v: not Pillow %s's", c.Box, c.From, c.To, c.Channels, c.Filter, fixture.Pillow)
		}
	}
}

func TestResizePartRefuses(t *testing.T) {
	src := noise(10, 10, 3)
	for _, box := range []pillow.Part{
		{X0: -1, X1: 5, Y1: 5},
		{X1: 11, Y1: 5},
		{X0: 5, X1: 5, Y1: 5},
		{Y0: 7, X1: 5, Y1: 6},
		{X0: math.NaN(), X1: 5, Y1: 5},
		{X1: 5, Y1: math.Inf(1)},
	} {
		if _, err := pillow.ResizePart(src, box, 3, 3, pillow.Bicubic); !errors.Is(err, pillow.ErrImage) {
			t.Errorf("%v: %v, want ErrImage", box, err)
		}
	}
	_, err := pillow.ResizePart(src, pillow.Part{X1: 5, Y1: 5}, 3, 3, pillow.Nearest)
	if !errors.Is(err, pillow.ErrImage) {
		t.Errorf("nearest: %v, want ErrImage", err)
	}
}

func TestResizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 60)
		src := drawImage(t, side.Draw(t, "height"), side.Draw(t, "width"), 3)
		height, width := side.Draw(t, "to height"), side.Draw(t, "to width")
		filter := pillow.Filter(rapid.IntRange(int(pillow.Nearest), int(pillow.Hamming)).Draw(t, "filter"))
		got := resize(t, src, width, height, filter)
		for c := range 3 {
			if diff := cmp.Diff(resize(t, channel(src, c), width, height, filter), channel(got, c)); diff != "" {
				t.Errorf("channel %d differs from that channel resized alone (-alone +together):\n%s", c, diff)
			}
		}
		wide := resize(t, src, width, src.Height, filter)
		if diff := cmp.Diff(transpose(wide), resize(t, transpose(src), src.Height, width, filter)); diff != "" {
			t.Errorf("a row resized differs from the same numbers as a column (-row +column):\n%s", diff)
		}
		if filter != pillow.Bicubic && filter != pillow.Lanczos { // those overshoot
			if lo, hi := slices.Min(got.Pix), slices.Max(got.Pix); lo < slices.Min(src.Pix) || hi > slices.Max(src.Pix) {
				t.Errorf("values %d to %d out of the source's range", lo, hi)
			}
		}
		flat := pillow.Image{
			Pix:      slices.Repeat(src.Pix[:1], 3*src.Height*src.Width),
			Height:   src.Height,
			Width:    src.Width,
			Channels: 3,
		}
		if v := resize(t, flat, width, height, filter).Pix; slices.Min(v) != src.Pix[0] || slices.Max(v) != src.Pix[0] {
			t.Errorf("a flat picture of %d has values %d to %d", src.Pix[0], slices.Min(v), slices.Max(v))
		}
	})
}

func TestResizeToTheSameSizeCopies(t *testing.T) {
	for f := pillow.Nearest; f <= pillow.Hamming; f++ {
		src := noise(5, 7, 3)
		got := resize(t, src, 7, 5, f)
		if diff := cmp.Diff(src, got); diff != "" {
			t.Errorf("%v (-source +result):\n%s", f, diff)
		}
		if &got.Pix[0] == &src.Pix[0] {
			t.Errorf("%v: the result is the source's memory", f)
		}
	}
}

func TestResizeRefuses(t *testing.T) {
	good := noise(4, 4, 3)
	for _, c := range []struct {
		name          string
		src           pillow.Image
		width, height int
		filter        pillow.Filter
		image         bool // whether the error is ErrImage
		want          string
	}{
		{"channels", noise(4, 4, 4), 2, 2, pillow.Box, true, "pillow: resize: bad image: 4 channels, want 1 (L) or 3 (RGB)"},
		{"empty", pillow.Image{Channels: 1}, 2, 2, pillow.Box, true, "pillow: resize: bad image: 0×0 pixels, want sides of 1 to 16777216"},
		{"short", pillow.Image{Pix: good.Pix[1:], Height: 4, Width: 4, Channels: 3}, 2, 2, pillow.Box, true, "pillow: resize: bad image: 47 bytes, want 48 for 4×4 pixels of 3 channels"},
		{"no width", good, 0, 2, pillow.Box, true, "pillow: resize to 0×2: bad image: want sides of 1 to 16777216"},
		{"high", good, 1, 1<<24 + 1, pillow.Box, true, "pillow: resize to 1×16777217: bad image: want sides of 1 to 16777216"},
		{"filter", good, 2, 2, 6, false, "pillow: resize: unknown filter 6, want 0 (nearest) to 5 (hamming)"},
		{"negative filter", good, 4, 4, -1, false, "pillow: resize: unknown filter -1, want 0 (nearest) to 5 (hamming)"},
	} {
		_, err := pillow.Resize(c.src, c.width, c.height, c.filter)
		if err == nil || err.Error() != c.want || errors.Is(err, pillow.ErrImage) != c.image {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

type fataler interface{ Fatal(...any) }

func resize(t fataler, src pillow.Image, width, height int, f pillow.Filter) pillow.Image {
	got, err := pillow.Resize(src, width, height, f)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// drawImage draws images of any values and such of few, whose edges overshoot most.
func drawImage(t *rapid.T, height, width, channels int) pillow.Image {
	value := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 255})).Draw(t, "a value")
	m := noise(height, width, channels)
	hard := rapid.Bool().Draw(t, "hard")
	for i, v := range m.Pix {
		if hard {
			v = v >> 7 * 255
		}
		m.Pix[i] = v ^ value
	}
	return m
}

// channel returns an image of one channel.
func channel(m pillow.Image, c int) pillow.Image {
	one := pillow.Image{Height: m.Height, Width: m.Width, Channels: 1}
	for i := c; i < len(m.Pix); i += m.Channels {
		one.Pix = append(one.Pix, m.Pix[i])
	}
	return one
}

// transpose returns the image with rows as columns.
func transpose(m pillow.Image) pillow.Image {
	out := pillow.Image{Height: m.Width, Width: m.Height, Channels: m.Channels}
	for x := range m.Width {
		for y := range m.Height {
			at := (y*m.Width + x) * m.Channels
			out.Pix = append(out.Pix, m.Pix[at:at+m.Channels]...)
		}
	}
	return out
}
