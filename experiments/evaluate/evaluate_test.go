package evaluate_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/synth"
)

// grid is a network without weights: the means of a 4×4 grid of cells, each channel on its own. It tells images apart
// as a network does.
type grid struct {
	name   string
	images atomic.Int64
	fail   error
	after  int64 // fail after this many images
}

const gridSide = 4

// gridLayers divides the grid's 48 features into four layers, for PHV.
var gridLayers = []int{3, 9, 12, 24}

func (g *grid) Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error) {
	var rows [][]float32
	for _, img := range images {
		if n := g.images.Add(1); g.fail != nil && n > g.after {
			return nil, g.fail
		}
		row := make([]float32, 0, 3*gridSide*gridSide)
		for cy := range gridSide {
			for cx := range gridSide {
				var sum [3]float64
				n := 0
				for y := cy * img.Height / gridSide; y < (cy+1)*img.Height/gridSide; y++ {
					for x := cx * img.Width / gridSide; x < (cx+1)*img.Width/gridSide; x++ {
						for c := range sum {
							sum[c] += float64(img.Pix[(y*img.Width+x)*3+c])
						}
						n++
					}
				}
				for _, s := range sum {
					row = append(row, float32(s/float64(n)/255-0.7))
				}
			}
		}
		rows = append(rows, row)
	}
	return rows, ctx.Err()
}

func (g *grid) Fingerprint() string { return "grid " + g.name }
func (g *grid) Layers() []int       { return gridLayers }
func (g *grid) Close() error        { return nil }

// grids stand for all networks.
func grids() ([]evaluate.Network, map[features.Kind]*grid) {
	var networks []evaluate.Network
	byKind := map[features.Kind]*grid{}
	for _, k := range features.Kinds() {
		g := &grid{name: string(k)}
		byKind[k] = g
		networks = append(networks, evaluate.Network{Kind: k, Open: func() (evaluate.Extractor, error) { return g, nil }})
	}
	return networks, byKind
}

// tissue writes n synthetic pairs of side pixels as he/NAME.png and real/NAME.png.
func tissue(t *testing.T, n, side int) (folder string, names []string) {
	t.Helper()
	folder = t.TempDir()
	c := synth.Default()
	c.Size, c.PatientPairs = side, 4
	for i := range n {
		p, err := synth.Generate(t.Context(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		name := p.Truth.Name
		names = append(names, name)
		save(t, filepath.Join(folder, "he", name+".png"), p.HE)
		save(t, filepath.Join(folder, "real", name+".png"), p.IHC)
	}
	slices.Sort(names)
	return folder, names
}

func save(t *testing.T, path string, img *imagefile.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := imagefile.Write(path, img, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, dst, src string) {
	t.Helper()
	data, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dst, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// options evaluate real against fake, with all networks.
func options(t *testing.T, folder, fake string) evaluate.Options {
	networks, _ := grids()
	s := evaluate.DefaultSettings()
	s.Resamples, s.Flips = 200, 500
	return evaluate.Options{
		Real: filepath.Join(folder, "real"), Virtual: fake, HE: filepath.Join(folder, "he"), Output: t.TempDir(),
		PatientPattern: evaluate.SlidePattern, Settings: s, Networks: networks, Software: "histdist test",
	}
}

func run(t *testing.T, o evaluate.Options) (*evaluate.Results, *evaluate.Table) {
	t.Helper()
	r, table, err := evaluate.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r, table
}

// ok fails the test where something could not be computed.
func ok(t *testing.T, r *evaluate.Results) {
	t.Helper()
	if r.Failed() || len(r.NotComputed) > 0 {
		t.Fatalf("problems %v, not computed %v", r.Problems, r.NotComputed)
	}
}

// Real images against themselves are perfect.
func TestItself(t *testing.T) {
	folder, names := tissue(t, 40, 64)
	r, table := run(t, options(t, folder, filepath.Join(folder, "real")))
	ok(t, r)
	if diff := cmp.Diff(evaluate.Units{By: "patient", Count: 10}, r.Units); diff != "" {
		t.Error(diff)
	}
	perfect(t, r)
	if len(table.Rows) != len(names) {
		t.Errorf("%d rows for %d pairs", len(table.Rows), len(names))
	}
	if !slices.ContainsFunc(r.Warnings,
		func(w string) bool { return strings.Contains(w, "40 of 40 virtual images are the real images") }) {
		t.Errorf("warnings %q do not tell that all images are the real ones", r.Warnings)
	}
}

// perfect tests that metrics are what equal images get.
// Membranes are measured where nuclei are looked for as in their stains, and kept apart from the measures without.
func TestMembranes(t *testing.T) {
	folder, _ := tissue(t, 3, 96)
	o := options(t, folder, filepath.Join(folder, "real"))
	_, table := run(t, o)
	if table.Values("real_membrane_share") != nil {
		t.Error("membranes of a nuclear stain")
	}
	o.Settings.NucleiSignal = nuclei.HaematoxylinDensity
	for range 2 { // the second time from the cache
		r, table := run(t, o)
		ok(t, r)
		for _, id := range []string{"membrane_share", "membrane_score"} {
			real, virtual := table.Values("real_"+id), table.Values("virtual_"+id)
			if diff := cmp.Diff(real, virtual, cmpopts.EquateNaNs()); diff != "" || len(real) != 3 {
				t.Errorf("%s of the same images: %s", id, diff)
			}
			if m := r.Metric(id + "_mae"); m == nil || m.Value != 0 || m.Definition == "" {
				t.Errorf("%s: %+v", id, m)
			}
		}
	}
}

func perfect(t *testing.T, r *evaluate.Results) {
	t.Helper()
	for _, m := range r.Metrics {
		want, tolerance := 0.0, 0.0
		switch {
		case m.ID == "ssim" || m.ID == "nuclei_dice" || strings.HasSuffix(m.ID, "_pearson") ||
			strings.HasSuffix(m.ID, "_ratio") || strings.HasPrefix(m.ID, "retrieval"):
			want, tolerance = 1, 1e-12
		case m.ID == "psnr":
			want = math.Inf(1)
		case m.ID == "fid":
			tolerance = 1e-6 * max(1, float64(m.Floor.Value)) // rounding of a sum of singular values, most of them near 0
		case m.ID == "kid_full" || m.ID == "kid":
			// Unbiased estimates leave k(x,x) out within the sets but not between them, so that equal sets lie below 0, by less
			// than different sets lie above.
			if m.Value > 0 || -m.Value > m.Floor.Value {
				t.Errorf("%s: %v with a floor of %v", m.ID, m.Value, m.Floor.Value)
			}
			continue
		}
		if !cmp.Equal(want, float64(m.Value), cmpopts.EquateApprox(0, tolerance)) {
			t.Errorf("%s of images with themselves is %v: want %v", m.ID, m.Value, want)
		}
	}
}

// A copy of the H&E gets what the floor says, in every metric that has one.
func TestCopyIsTheFloor(t *testing.T) {
	folder, _ := tissue(t, 24, 64)
	r, _ := run(t, options(t, folder, filepath.Join(folder, "he")))
	ok(t, r)
	floor(t, r)
	if ssim := r.Metric("ssim"); ssim.Value > 0.9 {
		t.Errorf("SSIM of the H&E is %v: this test shows nothing", ssim.Value)
	}
}

// floor tests that every metric that has a floor is equal to it.
func floor(t *testing.T, r *evaluate.Results) {
	t.Helper()
	for _, m := range r.Metrics {
		if m.Floor == nil {
			if m.Value.Known() {
				t.Errorf("%s has no floor", m.ID)
			}
			continue
		}
		got := evaluate.Reference{Value: m.Value, Interval: m.Interval, Std: m.Std}
		if diff := cmp.Diff(*m.Floor, got, cmpopts.IgnoreFields(evaluate.Reference{}, "N")); diff != "" {
			t.Errorf("%s: floor and value differ:\n%s", m.ID, diff)
		}
	}
}

// Images that were given to other pairs find their partners by chance.
func TestShuffledIsChance(t *testing.T) {
	folder, names := tissue(t, 48, 64)
	shuffled := slices.Clone(names)
	rand.New(rand.NewPCG(3, 0)).Shuffle(len(names), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	fake := filepath.Join(folder, "shuffled")
	for i, name := range names {
		copyFile(t, filepath.Join(fake, name+".png"), filepath.Join(folder, "real", shuffled[i]+".png"))
	}
	r, _ := run(t, options(t, folder, fake))
	ok(t, r)
	for _, id := range []string{
		"retrieval_gigapath_top1", "retrieval_gigapath_top3", "retrieval_phikon_top1",
		"retrieval_phikon_top3",
	} {
		m := r.Metric(id)
		if v := m.Value; v < m.Chance.Interval.Low || v > m.Chance.Interval.High {
			t.Errorf("%s is %v: want between %v and %v", id, v, m.Chance.Interval.Low, m.Chance.Interval.High)
		}
		if m.Interval.Low > m.Chance.Value || m.Interval.High < m.Chance.Value {
			t.Errorf("%s: its interval %v to %v does not hold chance, %v", id, m.Interval.Low, m.Interval.High, m.Chance.Value)
		}
	}
	// The same images in another order are the same distribution, and pool to the same histogram.
	if fid := r.Metric("fid").Value; math.Abs(float64(fid)) > 1e-6 {
		t.Errorf("FID of the same images is %v", fid)
	}
	if jsd := r.Metric("dab_jsd_pooled").Value; jsd != 0 {
		t.Errorf("JSD of the same pixels is %v", jsd)
	}
}

// A run that was stopped goes on where it was, and a second one computes nothing.
func TestGoesOn(t *testing.T) {
	folder, _ := tissue(t, 12, 64)
	o := options(t, folder, filepath.Join(folder, "he"))
	o.Batch = 2
	networks, byKind := grids()
	o.Networks = networks
	ctx, stop := context.WithCancel(t.Context())
	o.Observe = progress.On(func(s progress.Stage) error {
		if s.Name == "features of resnet50" && s.Done >= 10 {
			stop()
		}
		return nil
	})
	if _, _, err := evaluate.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("a run that was stopped: %v", err)
	}
	first := byKind[features.ResNet50].images.Load()
	if first < 10 || first > 12 {
		t.Fatalf("%d images went through the network before the run was stopped", first)
	}
	o.Observe = nil
	r, _ := run(t, o)
	ok(t, r)
	for kind, g := range byKind { // 12 real and 12 H&E images, the latter as virtual ones too
		n, most := g.images.Load(), int64(24)
		if kind == features.ResNet50 {
			most += 2 // a batch was under way
		}
		if n < 24 || n > most {
			t.Errorf("%s: %d images: want 24 to %d", kind, n, most)
		}
	}
	before := byKind[features.FIDInception].images.Load()
	again, _ := run(t, o)
	if after := byKind[features.FIDInception].images.Load(); after != before {
		t.Errorf("a second run computed the features of %d images", after-before)
	}
	if diff := cmp.Diff(r.Metrics, again.Metrics); diff != "" {
		t.Errorf("a second run differs:\n%s", diff)
	}
}

// Slides that the training had are told.
func TestSharedSlides(t *testing.T) {
	folder, names := tissue(t, 8, 64)
	train := filepath.Join(folder, "set", "trainB")
	slide := names[0][:strings.Index(names[0], "_")]
	save(t, filepath.Join(train, slide+"_9_999.png"), imagefile.New(8, 8))
	o := options(t, folder, filepath.Join(folder, "he"))
	o.Train = filepath.Join(folder, "set")
	r, _ := run(t, o)
	if !slices.ContainsFunc(r.Warnings,
		func(w string) bool { return strings.Contains(w, "4 of 8 pairs are from 1 patients") }) {
		t.Errorf("warnings %q", r.Warnings)
	}
	o.Train = filepath.Join(folder, "he")
	r, _ = run(t, o)
	if !slices.ContainsFunc(r.Warnings,
		func(w string) bool { return strings.Contains(w, "8 of 8 pairs have the names of training images") }) {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// Results that are better on every pair are better by the test; the same results are not.
func TestAgainst(t *testing.T) {
	folder, names := tissue(t, 32, 64)
	worse := options(t, folder, filepath.Join(folder, "he"))
	run(t, worse)
	fake := filepath.Join(folder, "better")
	for _, name := range names {
		img, err := imagefile.Read(filepath.Join(folder, "real", name+".png"), imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range img.Pix {
			img.Pix[i] = img.Pix[i]/8*8 + 3
		}
		save(t, filepath.Join(fake, name+".png"), img)
	}
	better := options(t, folder, fake)
	better.Against = worse.Output
	r, _ := run(t, better)
	ok(t, r)
	c := r.Comparison
	if c == nil || c.Pairs != 32 || c.Against != worse.Output {
		t.Fatalf("comparison %+v", c)
	}
	for _, test := range c.Tests {
		if test.ID == "ssim" && (test.P > 0.02 || test.Difference < 0 ||
			!test.Exact) { // 8 patients: 2 of 2⁸ combinations of signs at best
			t.Errorf("a clear difference: %+v", test)
		}
	}
	// With one image of each patient, each has a sign of its own.
	alone := better
	alone.PatientPattern = "^(.*)$"
	r, _ = run(t, alone)
	if c := r.Comparison; r.Units.By != "image" || c.Smallest != nil {
		t.Errorf("one image of each patient: by %s, smallest p %v", r.Units.By, c.Smallest)
	}
	for _, test := range r.Comparison.Tests {
		if test.ID == "ssim" && test.P >= 2.0/256 { // 8 patients could give no less
			t.Errorf("one image of each patient: %+v", test)
		}
	}
	better.Against = better.Output
	r, _ = run(t, better)
	for _, test := range r.Comparison.Tests {
		if test.P != 1 || test.Difference != 0 {
			t.Errorf("the same results: %+v", test)
		}
	}
	// Stains that were measured otherwise are left out, and that is told.
	other := better
	other.Output, other.Settings.PositiveDAB = t.TempDir(), 0.2
	r, _ = run(t, other)
	if slices.ContainsFunc(r.Comparison.Tests,
		func(t evaluate.PairTest) bool { return strings.HasPrefix(t.ID, "error_") || t.ID == "nuclei_dice" }) {
		t.Errorf("stains measured with another threshold were compared: %+v", r.Comparison.Tests)
	}
	if !slices.ContainsFunc(r.Warnings,
		func(w string) bool { return strings.Contains(w, "stains and nuclei are not compared") }) {
		t.Errorf("warnings %q", r.Warnings)
	}
	// Other real images can't be compared.
	save(t, filepath.Join(folder, "real", names[0]+".png"), imagefile.New(64, 64))
	better.Against = worse.Output
	r, _ = run(t, better)
	if r.Comparison != nil || !r.Failed() {
		t.Errorf("other real images were compared: %+v", r.Comparison)
	}
}
