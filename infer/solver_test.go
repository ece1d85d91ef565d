package infer_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/option"
)

// A multistep solver's history is one image's: neither its neighbours in a batch nor the images before it matter.
func TestSolversTreatImagesAlone(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	a, b := pattern(16, 16, 3), pattern(16, 16, 5)
	var last []uint8
	for _, test := range []struct {
		inversion, translation schedule.Solver
		eta                    schedule.Eta
	}{
		{schedule.SolverDDIM, schedule.SolverDDIM, schedule.EtaZero()},
		{schedule.SolverDPM, schedule.SolverDDIM, schedule.EtaCosineMin20()},
		{schedule.SolverDPM, schedule.SolverDPM, schedule.EtaZero()},
		{schedule.SolverDPM, schedule.SolverSA, schedule.EtaCosineMin20()},
		{schedule.SolverDDIM, schedule.SolverSA, schedule.EtaZero()},
	} {
		s := quick()
		s.StepsInversion, s.StepsTranslation = 3, 4
		s.SolverInversion, s.Solver, s.EtaTranslation = test.inversion, test.translation, test.eta
		translate := func(images ...*imagefile.Image) (pix [][]uint8) {
			results, err := p.Translate(t.Context(), infer.Request{Images: images, Settings: s})
			if err != nil {
				t.Fatalf("%+v: %v", test, err)
			}
			for _, r := range results {
				pix = append(pix, r.Image.Pix)
			}
			return pix
		}
		alone := [][]uint8{translate(a)[0], translate(b)[0]}
		if !slices.Equal(translate(a)[0], alone[0]) {
			t.Errorf("%+v: the image before changes a stain", test)
		}
		if diff := cmp.Diff(alone, translate(a, b)); diff != "" {
			t.Errorf("%+v: the batch changes a stain: %s", test, diff)
		}
		if slices.Equal(alone[0], last) {
			t.Errorf("%+v: the same stain as before", test)
		}
		last = alone[0]
	}
}

// One step, from the inversion's noise or from random noise, is a run like any other.
func TestFewestSteps(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	m := pattern(16, 16, 3)
	for _, solver := range []schedule.Solver{
		schedule.SolverDDIM, schedule.SolverDPM, schedule.SolverSA, schedule.SolverConsistency,
	} {
		for inversion := range 2 {
			s := quick()
			s.StepsInversion, s.StepsTranslation, s.Solver = inversion, 1, solver
			s.EtaTranslation = schedule.EtaZero()
			phases := map[infer.Phase]int{}
			r, err := p.Translate(t.Context(), infer.Request{
				Images: []*imagefile.Image{m}, Settings: s,
				Observe: func(event any) error {
					if e := event.(infer.Step); e.Index < e.Count {
						phases[e.Phase]++
					}
					return nil
				},
			})
			if err != nil {
				t.Fatalf("%d + 1 steps of %s: %v", inversion, solver, err)
			}
			want := map[infer.Phase]int{infer.Encoding: 1, infer.Translation: 1, infer.Decoding: 1}
			if inversion > 0 {
				want[infer.Inversion] = inversion
			}
			if diff := cmp.Diff(want, phases); diff != "" || s.Calls() != inversion+1 {
				t.Errorf("%d + 1 steps of %s: %d calls, steps %s", inversion, solver, s.Calls(), diff)
			}
			if slices.Equal(r[0].Latents, r[0].Standardised) {
				t.Errorf("%d + 1 steps of %s: nothing is done", inversion, solver)
			}
		}
	}
}

// Combinations of solvers, noise and standardisation that don't exist are refused, each with the key to change.
func TestSolversThatTakeNoNoise(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*infer.Settings)
		want   []string
	}{
		"dpm with noise": {func(s *infer.Settings) { s.Solver = schedule.SolverDPM }, []string{"eta"}},
		"dpm without": {func(s *infer.Settings) {
			s.Solver, s.EtaTranslation = schedule.SolverDPM, schedule.EtaZero()
		}, nil},
		"inversion with noise in each step": {func(s *infer.Settings) {
			s.SolverInversion, s.EtaInversion = schedule.SolverDPM, schedule.EtaCosineMin20()
			s.Normalize = schedule.NormalizeSteps
		}, []string{"eta-inversion", "normalize"}},
		"inversion by sa": {func(s *infer.Settings) { s.SolverInversion = schedule.SolverSA }, []string{"solver-inversion"}},
	} {
		s := infer.DefaultSettings()
		test.change(&s)
		var keys []string
		for _, err := range option.Split(s.Validate()) {
			k := (*option.KeyError)(nil)
			if !errors.As(err, &k) {
				t.Fatal(err)
			}
			keys = append(keys, k.Key)
		}
		if diff := cmp.Diff(test.want, keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
