package infer_test

import (
	"slices"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
)

// TestAblations: without all three parts nothing of the H&E is left in a result; without one of them the result is
// another.
func TestAblations(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	latents := func(without infer.Without, m *imagefile.Image) []float32 {
		s := quick()
		s.Without = without
		r, err := p.Translate(t.Context(), infer.Request{Images: []*imagefile.Image{m}, Settings: s})
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Latents
	}
	a, b := pattern(16, 16, 3), pattern(16, 16, 5)
	if !slices.Equal(latents("tokens,concatenation,inversion", a), latents("tokens,concatenation,inversion", b)) {
		t.Error("two images, of which nothing is used, give two results")
	}
	whole := latents("", a)
	random := quick()
	random.StepsInversion = 0
	r, err := p.Translate(t.Context(), infer.Request{Images: []*imagefile.Image{a}, Settings: random})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r[0].Latents, latents("inversion", a)) {
		t.Error("0 steps of inversion and none differ")
	}
	for _, part := range []infer.Without{"tokens", "concatenation", "inversion"} {
		if slices.Equal(latents(part, a), whole) {
			t.Errorf("without %s the result is the same", part)
		}
	}
}
