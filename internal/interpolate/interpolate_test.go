package interpolate_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/interpolate"
)

// greys are the grey values themselves.
func greys() *[256]float32 {
	var v [256]float32
	for i := range v {
		v[i] = float32(i)
	}
	return &v
}

// TestBilinearByHand: torch.nn.functional.interpolate(torch.tensor([[[0., 4.]]]), size=4, mode="linear") is 0 1 3 4,
// and of [0, 4, 8, 12, 16] at size 2 it is 3 13: four pixels of the source are never read.
func TestBilinearByHand(t *testing.T) {
	grey := func(values ...uint8) []uint8 {
		var rgb []uint8
		for _, v := range values {
			rgb = append(rgb, v, v, v)
		}
		return rgb
	}
	for _, c := range []struct {
		in       []uint8
		w, h, ow int
		oh       int
		want     []float32
	}{
		{[]uint8{0, 4}, 2, 1, 4, 1, []float32{0, 1, 3, 4}},
		{[]uint8{0, 4}, 1, 2, 1, 4, []float32{0, 1, 3, 4}},
		{[]uint8{0, 4, 8, 12, 16}, 5, 1, 2, 1, []float32{3, 13}},
		{[]uint8{7}, 1, 1, 2, 2, []float32{7, 7, 7, 7}},
	} {
		got, err := interpolate.Bilinear(grey(c.in...), c.w, c.h, c.ow, c.oh, greys())
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		for _, v := range c.want {
			want = append(want, v, v, v)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v from %d×%d to %d×%d (-want +got):\n%s", c.in, c.w, c.h, c.ow, c.oh, diff)
		}
	}
}

// TestBilinearStaysBetween: an image of its own size stays, and no value leaves the range of the source.
func TestBilinearStaysBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 9).Draw(t, "w"), rapid.IntRange(1, 9).Draw(t, "h")
		rgb := rapid.SliceOfN(rapid.Byte(), 3*w*h, 3*w*h).Draw(t, "rgb")
		same, err := interpolate.Bilinear(rgb, w, h, w, h, greys())
		if err != nil {
			t.Fatal(err)
		}
		low, high := float32(math.MaxFloat32), float32(0)
		for i, v := range same {
			if v != float32(rgb[i]) {
				t.Fatalf("value %d is %v, want %d", i, v, rgb[i])
			}
			low, high = min(low, v), max(high, v)
		}
		other, err := interpolate.Bilinear(
			rgb, w, h, rapid.IntRange(1, 20).Draw(t, "ow"), rapid.IntRange(1, 20).Draw(t, "oh"), greys(),
		)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range other {
			if v < low-1e-4 || v > high+1e-4 {
				t.Fatalf("value %d is %v, want %v to %v", i, v, low, high)
			}
		}
	})
}

func TestBilinearRefuses(t *testing.T) {
	for _, c := range [][5]int{{11, 2, 2, 3, 3}, {12, 2, 2, 0, 3}, {0, 0, 2, 3, 3}, {12, 2, 2, 3, 1 << 25}} {
		if _, err := interpolate.Bilinear(make([]uint8, c[0]), c[1], c[2], c[3], c[4], greys()); !errors.Is(
			err, interpolate.ErrImage,
		) {
			t.Errorf("%v: %v, want ErrImage", c, err)
		}
	}
}
