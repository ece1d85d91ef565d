package infer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// e2eCase is an entry of e2e.json.
type e2eCase struct {
	Image            int                     `json:"image"`
	StepsInversion   int                     `json:"steps_inversion"`
	StepsTranslation int                     `json:"steps_translation"`
	Normalize        schedule.Normalize      `json:"normalize"`
	EtaInversion     schedule.Eta            `json:"eta_inversion"`
	EtaTranslation   schedule.Eta            `json:"eta_translation"`
	PredictionType   schedule.PredictionType `json:"prediction_type"`
	PromptInversion  string                  `json:"prompt_inversion"`
	Seed             int64                   `json:"seed"`
	// Differ is in how many values of the image the reference's own float32 and float64 runs differ.
	Differ int `json:"uint8_differ_f32_f64"`
}

func (c e2eCase) settings() infer.Settings {
	s := infer.DefaultSettings()
	s.StepsInversion, s.StepsTranslation = c.StepsInversion, c.StepsTranslation
	s.EtaInversion, s.EtaTranslation = c.EtaInversion, c.EtaTranslation
	s.Normalize, s.PromptInversion, s.Prediction, s.Seed = c.Normalize, c.PromptInversion, c.PredictionType, c.Seed
	return s
}

func readCases(t *testing.T) map[string]e2eCase {
	text, err := os.ReadFile(golden.Path(t, "e2e.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases map[string]e2eCase `json:"cases"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

func openModel(t *testing.T) *model.Model {
	m, err := model.Open(golden.Path(t, "tiny"), model.Options{Phikon: golden.Path(t, "tiny-phikon")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func newPipeline(t *testing.T, d device.Device) *infer.Pipeline {
	p := infer.New(openModel(t), infer.Options{Device: d})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func goldenImage(t *testing.T, f *golden.File, name string) *imagefile.Image {
	x := f.Uint8(t, name)
	return &imagefile.Image{Width: x.Shape[1], Height: x.Shape[0], Pix: x.Data}
}

// stored draws the noise that the file has for a case, in its order.
func stored(t *testing.T, f *golden.File, name string) infer.Noise {
	var draws [][]float32
	for _, part := range []string{"posterior_noise", "inversion_noise", "translation_noise"} {
		if !f.Has(name + "/" + part) {
			continue
		}
		x := golden.NHWC(f.Float32(t, name+"/"+part))
		draws = append(draws, slices.Collect(slices.Chunk(x.Data, len(x.Data)/x.Shape[0]))...)
	}
	return func(dst []float32, _, _, _ int) error {
		if len(draws) == 0 {
			return fmt.Errorf("more noise was drawn than is stored")
		}
		copy(dst, draws[0])
		draws = draws[1:]
		return nil
	}
}

func TestEqualsTheOfficialImplementation(t *testing.T) {
	f := golden.Open(t, "e2e.safetensors")
	cases := readCases(t)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		p := newPipeline(t, d)
		for name, c := range cases {
			if d.Name() == "ref" && c.StepsInversion+c.StepsTranslation > 60 && os.Getenv("HISTDIST_FULL") == "" {
				continue // minutes; make test-full runs it
			}
			for _, seeded := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s seeded %v", name, seeded), func(t *testing.T) {
					r := infer.Request{
						Images:   []*imagefile.Image{goldenImage(t, f, fmt.Sprintf("image/%d", c.Image))},
						Settings: c.settings(),
					}
					if !seeded {
						r.Noise = []infer.Noise{stored(t, f, name)}
					}
					compareCase(t, p, f, name, c, r)
				})
			}
		}
	})
}

// compareCase translates and compares everything that the file has.
func compareCase(t *testing.T, p *infer.Pipeline, f *golden.File, name string, c e2eCase, r infer.Request) {
	want := map[infer.Phase]map[int][]float32{}
	for _, phase := range []infer.Phase{infer.Inversion, infer.Translation} {
		want[phase] = map[int][]float32{}
		x := golden.NHWC(f.Float32(t, name+"/"+string(phase)))
		states := slices.Collect(slices.Chunk(x.Data, len(x.Data)/x.Shape[0]))
		for i, k := range f.Int64(t, name+"/"+string(phase)+"_kept").Data {
			want[phase][int(k)] = states[i]
		}
	}
	compared := 0
	r.Observe = progress.On(func(e infer.Step) error {
		if x := want[e.Phase][e.Index]; x != nil {
			compared++
			golden.Within(t, e.Latents, x, f.Tolerance(t, fmt.Sprintf("%s %s end", name, e.Phase)))
			if t.Failed() {
				return fmt.Errorf("%s differs before step %d", e.Phase, e.Index)
			}
		}
		return nil
	})
	results, err := p.Translate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(want[infer.Inversion]) + len(want[infer.Translation]); compared != n {
		t.Errorf("latents of %d steps were compared, want %d", compared, n)
	}
	got := results[0]
	for quantity, x := range map[string][]float32{
		"start": got.Start, "condition": got.Condition,
		"standardised": got.Standardised,
	} {
		golden.Within(t, x, golden.NHWC(f.Float32(t, name+"/"+quantity)).Data, f.Tolerance(t, name+" "+quantity))
	}
	equalImages(t, got.Image.Pix, f.Uint8(t, name+"/picture").Data, c.Differ)
}

// equalImages allows one level in one of a thousand values. Where the reference's own rounding moves more, as with
// epsilon prediction, whose latents grow to 30, it allows twice as many as differ between its float32 and float64 runs:
// two float32 implementations are each that far from the exact result.
func equalImages(t *testing.T, got, want []uint8, own int) {
	if len(got) != len(want) {
		t.Fatalf("image of %d values, want %d", len(got), len(want))
	}
	differ := 0
	for i, w := range want {
		switch d := int(got[i]) - int(w); {
		case d == 1 || d == -1:
			differ++
		case d != 0:
			t.Fatalf("value %d of the image is %d, want %d", i, got[i], w)
		}
	}
	if limit := max(len(want)/1000, 2*own); differ > limit {
		t.Errorf("%d of %d values of the image differ by 1, want at most %d", differ, len(want), limit)
	}
}
