package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
)

// speckled is an image whose pixels depend on its number.
func speckled(width, height, number int) *imagefile.Image {
	img := imagefile.New(width, height)
	for k := range img.Pix {
		img.Pix[k] = uint8(60 + (k*k*7+k*(11+number)+number*29)%180)
	}
	return img
}

// Images that are too small for SSIM's windows have a PSNR, nuclei and stains all the same, and each metric that is
// missing says why.
func TestPSNROfImagesTooSmallForSSIM(t *testing.T) {
	folder := t.TempDir()
	for i := range 6 {
		side := 5
		if i == 0 {
			side = 16
		}
		for k, set := range []string{"real", "fake", "he"} {
			save(t, filepath.Join(folder, set, fmt.Sprintf("p%d.png", i)), speckled(side, side, 3*i+k))
		}
	}
	o := options(t, folder, filepath.Join(folder, "fake"))
	for range 2 { // what failed is reported by a second run too
		r, table := run(t, o)
		for i, v := range table.Values("psnr") {
			if math.IsNaN(v) || math.IsNaN(table.Values("real_dab90")[i]) || math.IsNaN(table.Values("nuclei_dice")[i]) {
				t.Errorf("pair %d: PSNR %v, Dice %v, DAB90 %v", i, v, table.Values("nuclei_dice")[i], table.Values("real_dab90")[i])
			}
			if known := !math.IsNaN(table.Values("ssim")[i]); known != (i == 0) {
				t.Errorf("pair %d: SSIM %v", i, table.Values("ssim")[i])
			}
		}
		for id, n := range map[string]int{"psnr": 6, "ssim": 1, "nuclei_dice": 6, "dab90_bias": 6, "fid": 6} {
			if m := r.Metric(id); m.N != n || !m.Value.Known() {
				t.Errorf("%s: %v of %d pairs, want %d", id, m.Value, m.N, n)
			}
		}
		if len(r.Problems) != 10 || !strings.Contains(r.Problems[0].Where, "SSIM") ||
			strings.Contains(r.Problems[0].Where, "PSNR") {
			t.Errorf("problems: %v, want SSIM of five virtual and five H&E images", r.Problems)
		}
	}
}

// picky is a network that fails for narrow images.
type picky struct{ grid }

func (p *picky) Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error) {
	for _, img := range images {
		if img.Width < 30 {
			return nil, errors.New("the image is too narrow")
		}
	}
	return p.grid.Extract(ctx, images)
}

// An image that a network fails for takes no other with it.
func TestNetworkFailsForOneImage(t *testing.T) {
	folder := t.TempDir()
	for i := range 8 {
		for k, set := range []string{"real", "fake", "he"} {
			width := 40
			if i == 2 && set == "fake" {
				width = 20
			}
			save(t, filepath.Join(folder, set, fmt.Sprintf("p%d.png", i)), speckled(width, 40, 3*i+k))
		}
	}
	o := options(t, folder, filepath.Join(folder, "fake"))
	o.Networks = nil
	for _, kind := range features.Kinds() {
		o.Networks = append(o.Networks,
			evaluate.Network{
				Kind: kind,
				Open: func() (evaluate.Extractor, error) { return &picky{grid{name: string(kind)}}, nil },
			})
	}
	r, _ := run(t, o)
	for _, id := range []string{
		"fid", "kid", "kid_full", "phv_layer1", "retrieval_gigapath_top1",
		"retrieval_phikon_top3",
	} {
		if m := r.Metric(id); !m.Value.Known() || m.N != 7 || m.Floor == nil || m.Floor.N != 8 {
			t.Errorf("%s: %v of %d pairs (%s), floor %+v; want 7, and 8 for the floor", id, m.Value, m.N, m.Undefined, m.Floor)
		}
	}
	told := 0
	for _, p := range r.Problems {
		if strings.Contains(p.Where, "p2.png") && strings.Contains(p.Error, "too narrow") {
			told++
		}
	}
	if told != len(features.Kinds()) || len(r.NotComputed) > 0 {
		t.Errorf("problems %v, not computed %v; want the image named once for each network", r.Problems, r.NotComputed)
	}
}
