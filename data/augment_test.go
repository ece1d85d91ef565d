package data_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/internal/golden"
)

// goldenAugment is augment.json.
type goldenAugment struct {
	Combinations []struct {
		Name            string
		Top, Left, Size int
		Flip, Angle     int
	}
	Batch struct {
		Top, Left, Angle int
		Flip             bool
	}
}

func openGolden(t *testing.T) (*golden.File, goldenAugment) {
	t.Helper()
	file := golden.Open(t, "augment.safetensors")
	text, err := os.ReadFile(golden.Path(t, "augment.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g goldenAugment
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return file, g
}

func picture(t golden.Tensor[uint8]) *imagefile.Image {
	return &imagefile.Image{Height: t.Shape[0], Width: t.Shape[1], Pix: t.Data}
}

// augmented applies an augmentation and gives what the networks take.
func augmented(t *testing.T, a data.Augmentation, img *imagefile.Image) []float32 {
	t.Helper()
	pix := make([]uint8, 3*a.Size*a.Size)
	if err := a.Apply(pix, img); err != nil {
		t.Fatal(err)
	}
	return vae.Signed(pix)
}

// fromCHW turns one image [3,S,S] into [S,S,3].
func fromCHW(x []float32) []float32 {
	out := make([]float32, len(x))
	plane := len(x) / 3
	for i := range plane {
		for c := range 3 {
			out[3*i+c] = x[c*plane+i]
		}
	}
	return out
}

// torchvision's crop, hflip and rotate, in training.py's order.
func TestApplyEqualsTorchvision(t *testing.T) {
	file, g := openGolden(t)
	if len(g.Combinations) == 0 {
		t.Fatal("no combinations")
	}
	for _, c := range g.Combinations {
		a := data.Augmentation{Top: c.Top, Left: c.Left, Size: c.Size, Flip: c.Flip == 1, Quarters: c.Angle / 90}
		compared := 0
		for _, side := range []string{"he", "ihc"} {
			if !file.Has(c.Name + "/" + side) {
				continue
			}
			compared++
			got := augmented(t, a, picture(file.Uint8(t, side)))
			if diff := cmp.Diff(fromCHW(file.Float32(t, c.Name+"/"+side).Data), got); diff != "" {
				t.Errorf("%s/%s differs:\n%.500s", c.Name, side, diff)
			}
		}
		if compared == 0 {
			t.Errorf("%s has no picture", c.Name)
		}
	}
}

// A batch of the official training, whose pairs share an augmentation.
func TestOfficialBatch(t *testing.T) {
	file, g := openGolden(t)
	source, want := file.Uint8(t, "batch/source"), g.Batch
	crop := file.Shape(t, "batch/he")[2]
	height, width := source.Shape[1], source.Shape[2]
	a := data.Augmentation{Top: want.Top, Left: want.Left, Size: crop, Flip: want.Flip, Quarters: want.Angle / 90}
	n := source.Shape[0] / 2
	for side, name := range []string{"batch/he", "batch/ihc"} {
		wanted := file.Float32(t, name).Data
		for i := range n {
			size := 3 * height * width
			img := &imagefile.Image{Height: height, Width: width, Pix: source.Data[(side*n+i)*size:][:size]}
			values := 3 * crop * crop
			if diff := cmp.Diff(fromCHW(wanted[i*values:][:values]), augmented(t, a, img)); diff != "" {
				t.Errorf("%s %d differs:\n%.500s", name, i, diff)
			}
		}
	}
}

// Four quarter turns are none, and a quarter moves the right column to the upper row.
func TestQuarters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 6).Draw(t, "size")
		img := imagefile.New(size, size)
		for i := range img.Pix {
			img.Pix[i] = rapid.Uint8().Draw(t, "value")
		}
		quarter := data.Augmentation{Size: size, Quarters: 1}
		turned := imagefile.New(size, size)
		now := img
		for turn := range 4 {
			next := imagefile.New(size, size)
			if err := quarter.Apply(next.Pix, now); err != nil {
				t.Fatal(err)
			}
			now = next
			whole := data.Augmentation{Size: size, Quarters: (turn + 1) % 4}
			if err := whole.Apply(turned.Pix, img); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(turned.Pix, now.Pix); diff != "" {
				t.Fatalf("%d quarters are not %d times one:\n%s", turn+1, turn+1, diff)
			}
		}
	})
}

func TestApplyRefuses(t *testing.T) {
	img := imagefile.New(8, 6)
	for _, a := range []data.Augmentation{
		{Size: 7}, {Size: 6, Left: 3}, {Size: 2, Top: -1}, {Size: 0}, {Size: 2, Quarters: 4},
	} {
		if err := a.Apply(make([]uint8, 3*a.Size*a.Size), img); err == nil {
			t.Errorf("%+v of 8×6 pixels is no error", a)
		}
	}
	if err := (data.Augmentation{Size: 2}).Apply(make([]uint8, 11), img); err == nil {
		t.Error("a short destination is no error")
	}
}
