package mosaic

import (
	"context"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/pillow"
)

// Rows that arrive in any portions are resized to what the whole image would be, horizontally first.
func TestResizedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 90)
		w, h, toW, toH := side.Draw(t, "w"), side.Draw(t, "h"), side.Draw(t, "toW"), rapid.IntRange(1, 300).Draw(t, "toH")
		m := drawing(w, h)
		var got rowsOf
		sink := &resized{to: &got, width: w, height: h, toW: toW, toH: toH}
		for y := 0; y < h; {
			n := min(rapid.IntRange(1, 40).Draw(t, "rows"), h-y)
			if err := sink.Write(context.Background(), m.Pix[y*3*w:(y+n)*3*w]); err != nil {
				t.Fatal(err)
			}
			y += n
		}
		src := pillow.Image{Pix: m.Pix, Width: w, Height: h, Channels: 3}
		wide, err := pillow.Resize(src, toW, h, resizedFilter)
		if err != nil {
			t.Fatal(err)
		}
		want, err := pillow.Resize(wide, toW, toH, resizedFilter)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.pix) != len(want.Pix) {
			t.Fatalf("%d values, want %d", len(got.pix), len(want.Pix))
		}
		for i, v := range want.Pix { // places between pixels are rounded differently
			if d := int(got.pix[i]) - int(v); d < -1 || d > 1 {
				t.Fatalf("value %d is %d, want %d", i, got.pix[i], v)
			}
		}
	})
}

// Strips return what was put into them, whatever the portions.
func TestStripsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 20).Draw(t, "width"), rapid.IntRange(1, 200).Draw(t, "height")
		m, store := drawing(width, height), memory{}
		write := func(s *strips) {
			for y := 0; y < height; {
				n := min(rapid.IntRange(1, 100).Draw(t, "rows"), height-y)
				if err := s.add(m.Pix[y*3*width : (y+n)*3*width]); err != nil {
					t.Fatal(err)
				}
				y += n
			}
		}
		err := store.put("x", func(w io.Writer) error {
			s, err := newStrips(w, width)
			if err != nil {
				return err
			}
			write(s)
			return s.end()
		})
		if err != nil {
			t.Fatal(err)
		}
		in, err := store.get("x")
		if err != nil {
			t.Fatal(err)
		}
		r, err := newStripReader(in, width)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint8
		row := make([]uint8, 3*width)
		for range height {
			if err := r.next(row); err != nil {
				t.Fatal(err)
			}
			got = append(got, row...)
		}
		if err := r.next(row); err == nil {
			t.Error("a row more than there are")
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, m.Pix) {
			t.Error("other rows")
		}
	})
}
