package evaluate_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
)

// The H&E as its own stain has no seams. Tiles of other brightness have, and nothing is measured without the option.
func TestSeams(t *testing.T) {
	folder, names := tissue(t, 4, 128)
	o := options(t, folder, filepath.Join(folder, "he"))
	o.HE, o.Networks = filepath.Join(folder, "he"), nil
	r, _ := run(t, o)
	for _, m := range r.Metrics {
		if strings.HasPrefix(m.ID, "seam_") {
			t.Errorf("%s was measured", m.ID)
		}
	}
	o.Settings.Seams = 64
	r, _ = run(t, o)
	for _, id := range []string{"seam_intensity", "seam_gradient", "seam_step", "seam_dab"} {
		if m := r.Metric(id); m == nil || math.Abs(float64(m.Value)-1) > 1e-9 || m.N != len(names) {
			t.Errorf("%s of the H&E: %+v", id, m)
		}
	}
	tiled := filepath.Join(folder, "tiled")
	for _, name := range names {
		m, err := imagefile.Read(filepath.Join(folder, "he", name+".png"), imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range m.Pix {
			if x, y := i/3%m.Width, i/3/m.Width; x/64 == y/64 {
				m.Pix[i] = v / 2
			}
		}
		copyFile(t, filepath.Join(tiled, name+".png"), filepath.Join(folder, "he", name+".png"))
		if err := imagefile.Write(filepath.Join(tiled, name+".png"), m, imagefile.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	o.Virtual = tiled
	r, _ = run(t, o)
	for _, id := range []string{"seam_intensity", "seam_gradient", "seam_step"} {
		if m := r.Metric(id); m == nil || m.Value < 1.5 {
			t.Errorf("%s of tiles: %+v", id, m)
		}
	}
}
