package mosaic_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/stain"
)

func newPipeline(t *testing.T) *infer.Pipeline {
	t.Helper()
	m, err := model.Open(golden.Path(t, "tiny"), model.Options{Phikon: golden.Path(t, "tiny-phikon")})
	if err != nil {
		t.Fatal(err)
	}
	p := infer.New(m, infer.Options{Device: networktest.Open(t, "auto")})
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// pattern makes an image of blobs.
func pattern(width, height int) *imagefile.Image {
	m := imagefile.New(width, height)
	for i := range m.Pix {
		x, y := i/3%width, i/3/width
		m.Pix[i] = uint8(90 + (x*x/9+y*x/5+i%3*40)%120)
	}
	return m
}

// rows is a sink in memory.
type rows struct{ pix []uint8 }

func (r *rows) Write(_ context.Context, pix []uint8) error {
	r.pix = append(r.pix, pix...)
	return nil
}

// small is a translation of an image of nine windows of 24 pixels in four regions.
func small() mosaic.Request {
	r := mosaic.Request{
		Source:   mosaic.Memory{Image: pattern(54, 46)},
		Sampling: infer.DefaultSettings(), Settings: mosaic.DefaultSettings(),
		Origin: origin.Origin{Program: "test", Sources: map[string]string{"source": "x"}},
	}
	r.Sampling.StepsInversion, r.Sampling.StepsTranslation = 2, 2
	r.Settings.Window, r.Settings.Region, r.Settings.Overlap = 24, 48, 0.34
	return r
}

func translate(t *testing.T, p *infer.Pipeline, r mosaic.Request) ([]uint8, mosaic.Plan) {
	t.Helper()
	var sink rows
	plan, err := mosaic.Translate(t.Context(), p, r, &sink)
	if err != nil {
		t.Fatal(err)
	}
	return sink.pix, plan
}

// newMatch is a match between two laboratories.
func newMatch(t *testing.T) *stain.Match {
	t.Helper()
	m, err := stain.NewMatch(
		stain.Appearance{
			Haematoxylin: stain.Vector{0.65, 0.70, 0.29}, DAB: stain.Vector{0.27, 0.57, 0.78}, Density: [2]float64{0.5, 0.8},
		},
		stain.Appearance{
			Haematoxylin: stain.Vector{0.60, 0.68, 0.42}, DAB: stain.Vector{0.36, 0.60, 0.72}, Density: [2]float64{0.7, 0.6},
		})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A slide's colours are matched by one map for all of it, which its parts belong to.
func TestMatchedRegions(t *testing.T) {
	p := newPipeline(t)
	r := small()
	want, _ := translate(t, p, r)
	r.Match, r.Folder = newMatch(t), t.TempDir()
	got, plan := translate(t, p, r)
	r.Match.Apply(want)
	if plan.Regions < 2 || !slices.Equal(got, want) {
		t.Errorf("%d regions are not the stain with its colours matched", plan.Regions)
	}
	r.Match = nil
	if _, err := mosaic.Translate(t.Context(), p, r, &rows{}); !errors.Is(err, mosaic.ErrChanged) {
		t.Errorf("parts of a stain that was matched go on without: %v", err)
	}
}

// An image of one window is what the pipeline makes of it from the same noise, to the byte, for every solver and
// kind of standardisation.
func TestOneWindowIsThePipeline(t *testing.T) {
	p := newPipeline(t)
	m := pattern(45, 38) // not whole latents
	for name, change := range map[string]func(*infer.Settings){
		"the paper's": func(*infer.Settings) {},
		"multistep": func(s *infer.Settings) {
			s.SolverInversion, s.Solver = schedule.SolverDPM, schedule.SolverSA
		},
		"standardised in each step": func(s *infer.Settings) { s.Normalize = schedule.NormalizeSteps },
		"not standardised":          func(s *infer.Settings) { s.Normalize = schedule.NormalizeNone },
		"without inversion":         func(s *infer.Settings) { s.StepsInversion = 0 },
		"without concatenation":     func(s *infer.Settings) { s.Without = "tokens,concatenation" },
	} {
		r := small()
		r.Source, r.Settings.Window = mosaic.Memory{Image: m}, 64
		r.Sampling.Seed = 5
		change(&r.Sampling)
		for _, statistics := range []mosaic.Statistics{mosaic.StatisticsSlide, mosaic.StatisticsTile} {
			r.Settings.Statistics = statistics
			got, plan := translate(t, p, r)
			if plan.Windows != 1 || plan.Regions != 1 {
				t.Fatalf("%s: %+v", name, plan)
			}
			draws := []uint64{mosaic.DrawPosterior, mosaic.DrawTranslation, mosaic.DrawTranslation + 1}
			if r.Sampling.Inversions() == 0 {
				draws = slices.Insert(draws, 1, mosaic.DrawStart)
			}
			results, err := p.Translate(t.Context(), infer.Request{
				Images: []*imagefile.Image{m}, Settings: r.Sampling,
				Noise: []infer.Noise{func(dst []float32, h, w, c int) error {
					draw := draws[0]
					draws = draws[1:]
					return rng.Field{Seed: 5}.Fill(dst, draw, 0, 0, h, w, c)
				}},
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.Equal(got, results[0].Image.Pix) {
				t.Errorf("%s, statistics %s: another image than the pipeline's", name, statistics)
			}
		}
	}
}

// Batches change the rounding alone, the seed changes everything, and so do statistics and independence.
func TestWhatAResultDependsOn(t *testing.T) {
	p := newPipeline(t)
	want, plan := translate(t, p, small())
	if plan.Windows < 9 || plan.Regions < 4 || plan.Sampled == 0 {
		t.Fatalf("%+v: the test needs more windows and regions", plan)
	}
	for name, test := range map[string]struct {
		change func(*mosaic.Request)
		same   bool
	}{
		"folder":      {func(r *mosaic.Request) { r.Folder = filepath.Join(t.TempDir(), "work") }, true},
		"seed":        {func(r *mosaic.Request) { r.Sampling.Seed++ }, false},
		"statistics":  {func(r *mosaic.Request) { r.Settings.Statistics = mosaic.StatisticsTile }, false},
		"independent": {func(r *mosaic.Request) { r.Settings.Independent = true }, false},
		"shift":       {func(r *mosaic.Request) { r.Settings.Shift = 0.5 }, false},
	} {
		r := small()
		test.change(&r)
		got, _ := translate(t, p, r)
		if same := slices.Equal(got, want); len(got) != len(want) || same != test.same {
			t.Errorf("%s: %d values of %d, the same: %v, want %v", name, len(got), len(want), same, test.same)
		}
	}
	r := small()
	r.Batch = 5
	got, _ := translate(t, p, r)
	for i := range want { // kernels divide sums of larger batches otherwise
		if d := int(got[i]) - int(want[i]); d < -1 || d > 1 {
			t.Fatalf("in batches of 5 value %d is %d, one by one %d", i, got[i], want[i])
		}
	}
}

// A run goes on from whatever parts there are, in whatever order they were made, and makes the same bytes. Damaged
// parts are made again.
func TestResumesFromAnyParts(t *testing.T) {
	p := newPipeline(t)
	r := small()
	r.Folder = filepath.Join(t.TempDir(), "whole")
	want, plan := translate(t, p, r)
	entries, err := os.ReadDir(r.Folder)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, e := range entries {
		parts = append(parts, e.Name())
	}
	if len(parts) != 2*plan.Regions+2 {
		t.Fatalf("parts %v of %d regions", parts, plan.Regions)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		folder := filepath.Join(t.TempDir(), "part")
		if err := os.Mkdir(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, name := range parts {
			content, err := os.ReadFile(filepath.Join(r.Folder, name))
			if err != nil {
				t.Fatal(err)
			}
			states := []string{"kept", "kept", "kept", "missing", "cut", "changed", "unfinished"}
			what := states[random.IntN(len(states))]
			to := filepath.Join(folder, name)
			switch {
			case name == "plan.json" || what == "kept":
				kept++
			case what == "missing":
				continue
			case what == "cut":
				content = content[:random.IntN(len(content))]
			case what == "changed":
				content[random.IntN(len(content))] ^= 1
			case what == "unfinished":
				to, content = childtest.Abandon(t, to), content[:len(content)/2]
			}
			if err := os.WriteFile(to, content, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		again := r
		again.Folder = folder
		var last mosaic.Progress
		again.Observe = progress.On(func(e mosaic.Progress) error {
			last = e
			return nil
		})
		got, _ := translate(t, p, again)
		if !slices.Equal(got, want) {
			t.Errorf("other bytes with %d of %d parts", kept, len(parts))
		}
		if last.Calls != plan.Calls || last.Regions != plan.Regions {
			t.Errorf("progress ends with %d of %d calls and %d of %d regions",
				last.Calls, plan.Calls, last.Regions, plan.Regions)
		}
	}
}

// A run that is stopped again and again goes on and ends with the same bytes.
func TestStopsAnywhere(t *testing.T) {
	p := newPipeline(t)
	want, _ := translate(t, p, small())
	r := small()
	r.Folder = filepath.Join(t.TempDir(), "work")
	stop := errors.New("stop")
	for stops := 0; ; stops++ {
		events := 0
		r.Observe = progress.On(func(e mosaic.Progress) error {
			if events++; e.Rows == nil && events > 20+stops {
				return stop
			}
			return nil
		})
		var sink rows
		_, err := mosaic.Translate(t.Context(), p, r, &sink)
		if err == nil {
			if !slices.Equal(sink.pix, want) {
				t.Errorf("other bytes after %d stops", stops)
			}
			if stops < 3 {
				t.Errorf("the run was stopped only %d times", stops)
			}
			return
		}
		if !errors.Is(err, stop) || stops > 100 {
			t.Fatalf("after %d stops: %v", stops, err)
		}
	}
}

// What is outside the mask isn't computed unless a window needs it, and is replaced as the settings say.
func TestMask(t *testing.T) {
	p := newPipeline(t)
	r := small()
	he := pattern(54, 46)
	cells := make([]bool, 6*5)
	cells[0], cells[7], cells[29] = true, true, true
	r.Mask = mosaic.Mask{Cell: 10, Width: 6, Height: 5, Cells: cells}
	_, all := translate(t, p, small())
	for outside, want := range map[mosaic.Outside]func(i int) uint8{
		mosaic.OutsideWhite: func(int) uint8 { return 255 },
		mosaic.OutsideGrey:  func(int) uint8 { return 192 },
		mosaic.OutsideHE:    func(i int) uint8 { return he.Pix[i] },
	} {
		r.Settings.Outside = outside
		got, plan := translate(t, p, r)
		if plan.Windows >= all.Windows || plan.Tissue != 100+100+4*6 {
			t.Errorf("%d windows of %d, %d pixels", plan.Windows, all.Windows, plan.Tissue)
		}
		changed := 0
		for i, v := range got {
			x, y := i/3%54, i/3/54
			switch {
			case !cells[y/10*6+x/10] && v != want(i):
				t.Fatalf("%s: value %d outside is %d, want %d", outside, i, v, want(i))
			case cells[y/10*6+x/10] && v != want(i):
				changed++
			}
		}
		if changed < 200 {
			t.Errorf("%s: only %d values inside are translated", outside, changed)
		}
	}
	r.Mask.Cells = make([]bool, 30)
	if _, err := mosaic.Translate(t.Context(), p, r, &rows{}); err == nil {
		t.Error("a mask of nothing: no error")
	}
}

// Another setting, model or source is refused with what has changed, and nothing is lost.
func TestChangedSettingsAreRefused(t *testing.T) {
	p := newPipeline(t)
	r := small()
	r.Folder = filepath.Join(t.TempDir(), "work")
	want, _ := translate(t, p, r)
	for name, test := range map[string]struct {
		change func(*mosaic.Request)
		text   string
	}{
		"seed":    {func(r *mosaic.Request) { r.Sampling.Seed = 8 }, "seed 0, now 8"},
		"overlap": {func(r *mosaic.Request) { r.Settings.Overlap = 0.4 }, "overlap 0.34, now 0.4"},
		"source":  {func(r *mosaic.Request) { r.Origin.Sources = map[string]string{"source": "y"} }, "source has changed"},
		"program": {func(r *mosaic.Request) { r.Origin.Program = "next" }, "made by test"},
	} {
		other := r
		test.change(&other)
		_, err := mosaic.Translate(t.Context(), p, other, &rows{})
		if !errors.Is(err, mosaic.ErrChanged) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", name, err, test.text)
		}
	}
	got, _ := translate(t, p, r)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("the run is damaged by those that were refused")
	}
}

func TestRefuses(t *testing.T) {
	p := newPipeline(t)
	for name, change := range map[string]func(*mosaic.Request){
		"window between latents": func(r *mosaic.Request) { r.Settings.Window = 20 },
		"overlap":                func(r *mosaic.Request) { r.Settings.Overlap = 0.6 },
		"small mask":             func(r *mosaic.Request) { r.Mask = mosaic.Everything(40, 40) },
		"no image":               func(r *mosaic.Request) { r.Source = mosaic.Memory{Image: &imagefile.Image{}} },
	} {
		r := small()
		change(&r)
		if _, err := mosaic.Translate(t.Context(), p, r, &rows{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
