package mosaic_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// Each marker's slide has its name; one marker keeps the name that was given.
func TestByMarker(t *testing.T) {
	for _, c := range []struct {
		output  string
		markers infer.Markers
		want    []string
	}{
		{"a.ome.tiff", nil, []string{"a.ome.tiff"}},
		{"a.ome.tiff", infer.Markers{"ER"}, []string{"a.ome.tiff"}},
		{"a.b.OME.TIF", infer.Markers{"ER", "HER2"}, []string{"a.b-er.OME.TIF", "a.b-her2.OME.TIF"}},
	} {
		o := mosaic.FileOptions{Output: c.output}
		o.Sampling.Marker = c.markers
		var got []string
		for i, one := range o.ByMarker() {
			got = append(got, one.Output)
			if len(c.markers) > 0 && (len(one.Sampling.Marker) != 1 || one.Sampling.Marker[0] != c.markers[i]) {
				t.Errorf("%s is for %v", one.Output, one.Sampling.Marker)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s for %v (-want +got):\n%s", c.output, c.markers, diff)
		}
	}
}
