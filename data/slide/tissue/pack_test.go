package tissue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/slide/tissue"
)

// A packed mask is unpacked to the same, and one that is cut off is an error.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 40)
		m := tissue.Mask{Width: side.Draw(t, "width"), Height: side.Draw(t, "height")}
		m.SlideWidth, m.SlideHeight = 9*m.Width, 9*m.Height+1
		m.In = rapid.SliceOfN(rapid.Bool(), m.Width*m.Height, m.Width*m.Height).Draw(t, "in")
		packed, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got tissue.Mask
		if err := got.UnmarshalBinary(packed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		if err := got.UnmarshalBinary(packed[:rapid.IntRange(0, 5).Draw(t, "cut")]); err == nil {
			t.Fatal("one that is cut off is unpacked")
		}
	})
}
