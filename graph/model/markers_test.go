package model_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/golden"
)

func TestLabel(t *testing.T) {
	several := model.Purpose{Markers: []string{"ER", "HER2"}}
	for name, c := range map[string]struct {
		p      model.Purpose
		marker string
		label  int
		want   string
		says   string // of the error
	}{
		"the first":                  {several, "ER", 1, "ER", ""},
		"in other letters":           {several, "her2", 2, "HER2", ""},
		"not learnt":                 {several, "PR", 0, "", "want ER, HER2"},
		"none of several":            {several, "", 0, "", "want one or more of them"},
		"none of one":                {model.Purpose{Markers: []string{"ER"}}, "", 1, "ER", ""},
		"none without labels":        {model.Purpose{Marker: "ER"}, "", 0, "", ""},
		"one without labels":         {model.Purpose{Marker: "ER"}, "ER", 0, "", "for ER alone"},
		"one of an unknown marker's": {model.Purpose{}, "ER", 0, "", "for one marker"},
	} {
		label, got, err := c.p.Label(c.marker)
		if label != c.label || got != c.want || (err != nil) != (c.says != "") {
			t.Errorf("%s: %d, %q, %v", name, label, got, err)
		}
		if err != nil && (!errors.Is(err, model.ErrMarker) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

func TestCheckMarkers(t *testing.T) {
	for _, c := range []struct{ names, says string }{
		{"ER,HER2,Ki67,PR", ""}, {"ER,er", "one marker"}, {"ER,", "want a name"}, {" ER", "want a name"},
	} {
		err := model.CheckMarkers(strings.Split(c.names, ","))
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.names, err)
		}
	}
}

// A U-Net with class labels is opened with the names of its markers, as many as it has labels, and not without.
func TestMarkersAreThoseOfTheUNet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := model.Extend(t.Context(), golden.Path(t, "tiny"), dir, model.Extension{Classes: 3},
		model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	o := model.Options{Phikon: golden.Path(t, "tiny-phikon")}
	var prints []string
	for _, c := range []struct{ markers, says string }{
		{"ER,HER2", ""},
		{"HER2,ER", ""},
		{"ER,HER2,PR", "markers in histdist.json has 3"},
		{"", "markers in histdist.json has 0"},
	} {
		var p model.Purpose
		if c.markers != "" {
			p.Markers = strings.Split(c.markers, ",")
		}
		if err := model.WritePurpose(dir, p); err != nil {
			t.Fatal(err)
		}
		m, err := model.Open(dir, o)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.markers, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := model.Inspect(dir, o)
		if want := "markers of histdist.json: " + strings.ReplaceAll(c.markers, ",", ", "); err != nil ||
			!slices.Contains(r.Notes, want) {
			t.Errorf("%s: notes %q, %v: want %q", c.markers, r.Notes, err, want)
		}
		id, err := m.Fingerprint()
		if err := errors.Join(err, m.Close()); err != nil {
			t.Fatal(err)
		}
		prints = append(prints, id)
	}
	if len(prints) != 2 || prints[0] == prints[1] {
		t.Errorf("markers in another order are the same model: %v", prints)
	}
	for _, bad := range []model.Purpose{{Marker: "ER", Markers: []string{"ER"}}, {Markers: []string{"ER", "er"}}} {
		if err := model.WritePurpose(dir, bad); err == nil {
			t.Errorf("%+v is written", bad)
		}
	}
}
