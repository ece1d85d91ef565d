package tissue_test

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
)

// drawn is a slide of one level whose pixels a function draws.
type drawn struct {
	width, height int
	mpp           float64
	at            func(x, y int) [3]uint8
}

func (d drawn) Info() slide.Info {
	return slide.Info{
		MPP:    [2]float64{d.mpp, d.mpp},
		Levels: []slide.Level{{Width: d.width, Height: d.height, Downsample: [2]float64{1, 1}}},
	}
}

func (d drawn) Close() error { return nil }

func (d drawn) Associated(context.Context, string) (*imagefile.Image, error) {
	return nil, errors.New("none")
}

func (d drawn) Read(_ context.Context, pix []uint8, _ int, r image.Rectangle) error {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := d.at(x, y)
			copy(pix[3*((y-r.Min.Y)*r.Dx()+x-r.Min.X):], c[:])
		}
	}
	return nil
}

func opened(t interface{ Fatal(...any) }, d drawn) *slide.Slide {
	s, err := slide.New(d, slide.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	glass = [3]uint8{243, 241, 244}
	eosin = [3]uint8{225, 150, 190}
)

func circle(x, y, cx, cy, r int) bool { return (x-cx)*(x-cx)+(y-cy)*(y-cy) < r*r }

// Tissue is found with its hole; a speck, a gap between fibres, black surroundings and noise are no matter.
func TestDetect(t *testing.T) {
	s := opened(t, drawn{800, 600, 2, func(x, y int) [3]uint8 {
		switch {
		case x < 20: // not scanned
			return [3]uint8{uint8(x % 3), 0, uint8(y % 5)}
		case circle(x, y, 600, 100, 15): // 60 µm wide
			return eosin
		case circle(x, y, 300, 300, 60) || x%40 == 0 && circle(x, y, 300, 300, 200): // a hole; gaps
			return glass
		case circle(x, y, 300, 300, 200):
			return eosin
		}
		noisy := glass
		noisy[(x+y)%3] -= uint8((x*7 + y*13) % 9)
		return noisy
	}})
	m, err := tissue.Detect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := math.Pi * (200*200 - 60*60) / (800 * 600)
	if share := m.Share(); math.Abs(share-want) > 0.03*want {
		t.Errorf("%.4f of the slide is tissue, want %.4f", share, want)
	}
	polygons := m.Polygons()
	if len(polygons) != 1 || len(polygons[0]) != 2 {
		t.Errorf("%d polygons, want one with one hole", len(polygons))
	}
	for _, c := range []struct {
		r    image.Rectangle
		want float64
	}{
		{image.Rect(350, 150, 400, 180), 1},
		{image.Rect(280, 280, 320, 320), 0},
		{image.Rect(560, 60, 640, 140), 0},
		{image.Rect(-100, -100, -50, -50), 0},
		{image.Rectangle{}, 0},
	} {
		if got := m.ShareOf(c.r); got != c.want {
			t.Errorf("%v of %v is tissue, want %v", got, c.r, c.want)
		}
	}
}

func TestGlassHasNoTissue(t *testing.T) {
	s := opened(t, drawn{400, 400, 2, func(x, y int) [3]uint8 {
		noisy := glass
		noisy[(x+y)%3] -= uint8((x*7 + y*13) % 9)
		return noisy
	}})
	if _, err := tissue.Choose(t.Context(), s, tissue.Auto); !errors.Is(err, tissue.ErrNone) {
		t.Errorf("%v, want ErrNone", err)
	}
	m, err := tissue.Choose(t.Context(), s, tissue.Everything)
	if err != nil || m.Share() != 1 {
		t.Errorf("all: %v", err)
	}
}

// A mask is the same after its outlines went through a file.
func TestRoundTrip(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		width, height := rapid.IntRange(1, 300).Draw(r, "width"), rapid.IntRange(1, 300).Draw(r, "height")
		s := opened(r, drawn{width: width, height: height, mpp: rapid.Float64Range(0.3, 9).Draw(r, "mpp")})
		m := tissue.All(s)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
		share := rapid.Float64Range(0, 1).Draw(r, "share")
		for i := range m.In {
			m.In[i] = random.Float64() < share
		}
		if m.Share() == 0 {
			return
		}
		path := filepath.Join(folder, "x.geojson")
		if err := m.WriteGeoJSON(path); err != nil {
			r.Fatal(err)
		}
		again, err := tissue.Choose(t.Context(), s, path)
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			r.Fatalf("(-before +after):\n%s", diff)
		}
	})
}

func TestParseGeoJSON(t *testing.T) {
	square := tissue.Polygon{{{0, 0}, {10, 0}, {10, 10}, {0, 10}}}
	hole := append(square[:1:1], []tissue.Point{{2, 2}, {4, 2}, {4, 4}})
	const ring, inner = "[[0,0],[10,0],[10,10],[0,10],[0,0]]", "[[2,2],[4,2],[4,4],[2,2]]"
	const named = `{"type":"Feature","id":"a",` +
		`"properties":{"objectType":"annotation","classification":{"name":"Tumor"}},` +
		`"geometry":{"type":"Polygon","coordinates":[` + ring + "," + inner + `]}}`
	for _, c := range []struct {
		name, text string
		want       []tissue.Area
	}{
		{"a geometry", `{"type":"Polygon","coordinates":[` + ring + `]}`, []tissue.Area{{"", square}}},
		{"a feature with a hole", named, []tissue.Area{{"Tumor", hole}}},
		{
			"a collection", `{"type":"FeatureCollection","features":[` + named + "," + named + `]}`,
			[]tissue.Area{{"Tumor", hole}, {"Tumor", hole}},
		},
		{"a list", "\uFEFF [" + named + "]", []tissue.Area{{"Tumor", hole}}},
		{
			"several polygons", `{"type":"MultiPolygon","coordinates":[[` + ring + `],[` + ring + `]]}`,
			[]tissue.Area{{"", square}, {"", square}},
		},
		{
			"a derived class", strings.Replace(named, `"name":"Tumor"`, `"names":["Tumor","Positive"]`, 1),
			[]tissue.Area{{"Tumor: Positive", hole}},
		},
		{"a collection of geometries, in three dimensions", `{"type":"GeometryCollection","geometries":[
			{"type":"Polygon","coordinates":[[[0,0,1],[10,0,1],[10,10,1],[0,10,1]]]}]}`, []tissue.Area{{"", square}}},
	} {
		got, err := tissue.ParseGeoJSON([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	for _, text := range []string{
		"", "[]", "{}", "null", `{"type":"FeatureCollection"}`, `{"type":"Feature","geometry":null}`, `{"type":"Circle"}`,
		`{"type":"Point","coordinates":[1,2]}`, `{"type":"Polygon"}`, `{"type":"Polygon","coordinates":[]}`,
		`{"type":"Polygon","coordinates":[[]]}`, `{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,0]]]}`,
		`{"type":"Polygon","coordinates":[[[0,0],[1],[1,1]]]}`, `{"type":"Polygon","coordinates":[[[0,0],[1,1e12],[1,1]]]}`,
		`{"type":"Polygon","coordinates":[[["0","0"]]]}`, `{"type":"Polygon","coordinates":[1,2]}`,
	} {
		if _, err := tissue.ParseGeoJSON([]byte(text)); !errors.Is(err, tissue.ErrGeoJSON) {
			t.Errorf("%s: %v, want ErrGeoJSON", text, err)
		}
	}
}

// What is read can be written and read again.
func FuzzParseGeoJSON(f *testing.F) {
	f.Add([]byte(`{"type":"Polygon","coordinates":[[[0,0],[10.5,0],[10,10],[0,0]]]}`))
	f.Add([]byte(`[{"type":"Feature","geometry":{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1]]]]},` +
		`"properties":{"classification":{"names":["a","b"]}}}]`))
	f.Add([]byte(`{"type":"FeatureCollection","features":[{"type":"GeometryCollection","geometries":[]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		areas, err := tissue.ParseGeoJSON(text)
		if err != nil {
			return
		}
		written, err := tissue.GeoJSON(areas)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tissue.ParseGeoJSON(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(areas, again); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
	})
}

func TestFill(t *testing.T) {
	s := opened(t, drawn{width: 400, height: 200, mpp: 1}) // a mask of 100×50
	square := func(x0, y0, x1, y1 float64) tissue.Polygon {
		return tissue.Polygon{{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}}
	}
	for _, c := range []struct {
		name  string
		areas []tissue.Area
		want  float64 // of 5000 pixels
	}{
		{"a square", []tissue.Area{{"", square(40, 40, 80, 80)}}, 100},
		{"two that overlap", []tissue.Area{{"", square(40, 40, 80, 80)}, {"", square(60, 40, 100, 80)}}, 150},
		{"beyond the slide", []tissue.Area{{"", square(-1000, 160, 1e6, 1e6)}}, 1000},
		{"less an ignored one", []tissue.Area{{"Ignore*", square(40, 40, 60, 80)}, {"", square(40, 40, 80, 80)}}, 50},
	} {
		m, err := tissue.Fill(t.Context(), s, c.areas)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Share() * 5000; got != c.want {
			t.Errorf("%s: %v pixels, want %v", c.name, got, c.want)
		}
	}
	_, err := tissue.Fill(t.Context(), s, []tissue.Area{{"Tumor", square(500, 0, 600, 100)}})
	if !errors.Is(err, tissue.ErrOutside) || !strings.Contains(err.Error(), "Tumor") {
		t.Errorf("%v, want ErrOutside with the class", err)
	}
}

func TestChooseSaysWhatIsWrong(t *testing.T) {
	s := opened(t, drawn{width: 400, height: 200, mpp: 1})
	path := filepath.Join(t.TempDir(), "x.geojson")
	if err := os.WriteFile(path, []byte(`{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := tissue.Choose(t.Context(), s, path)
	if !errors.Is(err, tissue.ErrNone) || !strings.Contains(err.Error(), path) {
		t.Errorf("a tiny area: %v, want ErrNone with the file", err)
	}
	if _, err := tissue.Choose(t.Context(), s, "autp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
