package report

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"math"
	"slices"

	"golang.org/x/image/draw"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
)

// thumbSide is the longer side of images in the page, in pixels.
const thumbSide = 288

// panelsEach is how many pairs are shown of the worst, the median and the best.
const panelsEach = 2

type gallery struct {
	Title  string
	Panels []panel
}

type panel struct {
	Rank     string // worst, median, best
	Name     string
	Caption  string
	Pictures []thumb
}

// thumb is a small image in the page itself.
type thumb struct {
	Label string
	URI   template.URL
	Error string
}

// galleries shows the worst, median and best pairs by SSIM, and by how far the strongest DAB is off.
func galleries(t *evaluate.Table, read imagefile.Options) []gallery {
	off := make([]float64, len(t.Rows))
	x, y := t.Values("real_dab90"), t.Values("virtual_dab90")
	for i := range off {
		off[i] = math.NaN()
		if x != nil && y != nil {
			off[i] = math.Abs(y[i] - x[i])
		}
	}
	var list []gallery
	for _, g := range []struct {
		title  string
		values []float64
		higher bool // is better
	}{{"By SSIM", t.Values("ssim"), true}, {"By the error of DAB90, |virtual − real|", off, false}} {
		if panels := choose(t, read, g.values, g.higher); len(panels) > 0 {
			list = append(list, gallery{g.title, panels})
		}
	}
	return list
}

// choose makes the panels of the pairs at the ends and in the middle of an order.
func choose(t *evaluate.Table, read imagefile.Options, values []float64, higher bool) []panel {
	var order []int
	for i, v := range values {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if higher {
			return cmp.Compare(values[a], values[b])
		}
		return cmp.Compare(values[b], values[a])
	})
	n := len(order)
	var panels []panel
	shown := map[int]bool{}
	add := func(rank string, from, to int) {
		for k := max(from, 0); k < min(to, n); k++ {
			if !shown[k] {
				shown[k] = true
				panels = append(panels, newPanel(t, read, order[k], fmt.Sprintf("%s (%d of %d)", rank, k+1, n)))
			}
		}
	}
	add("worst", 0, panelsEach)
	add("median", (n-panelsEach)/2, (n-panelsEach)/2+panelsEach)
	add("best", n-panelsEach, n)
	return panels
}

func newPanel(t *evaluate.Table, read imagefile.Options, i int, rank string) panel {
	p := t.Rows[i]
	out := panel{Rank: rank, Name: p.Name}
	value := func(id string, decimals int) string {
		if v := t.Values(id); v != nil {
			return evaluate.Number(v[i]).Text(decimals)
		}
		return "–"
	}
	out.Caption = fmt.Sprintf(
		"SSIM %s · PSNR %s dB · DAB90 real %s, virtual %s OD · positive nuclei real %s, virtual %s %%",
		value("ssim", 3), value("psnr", 2), value("real_dab90", 3), value("virtual_dab90", 3),
		value("real_ki67_index", 1), value("virtual_ki67_index", 1))
	for _, s := range []struct{ label, path string }{{"H&E", p.HE}, {"virtual", p.Virtual}, {"real", p.Real}} {
		if s.path != "" {
			out.Pictures = append(out.Pictures, newThumb(s.label, s.path, read))
		}
	}
	return out
}

func newThumb(label, path string, read imagefile.Options) thumb {
	t := thumb{Label: label}
	uri, width, height, err := small(path, read)
	if err != nil {
		t.Error = err.Error()
		return t
	}
	t.URI = template.URL(uri)
	t.Label = fmt.Sprintf("%s, %d×%d px", label, width, height)
	return t
}

// small is an image as a data URI.
func small(path string, read imagefile.Options) (uri string, width, height int, err error) {
	img, err := imagefile.Read(path, read)
	if err != nil {
		return "", 0, 0, err
	}
	src := image.NewNRGBA(image.Rect(0, 0, img.Width, img.Height))
	for i := range img.Width * img.Height {
		copy(src.Pix[4*i:4*i+3], img.Pix[3*i:3*i+3])
		src.Pix[4*i+3] = 255
	}
	var out image.Image = src
	if scale := float64(thumbSide) / float64(max(img.Width, img.Height)); scale < 1 {
		side := func(n int) int { return max(1, int(scale*float64(n)+0.5)) }
		dst := image.NewNRGBA(image.Rect(0, 0, side(img.Width), side(img.Height)))
		draw.CatmullRom.Scale(dst, dst.Bounds(), src, src.Bounds(), draw.Src, nil)
		out = dst
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, out, &jpeg.Options{Quality: 88}); err != nil {
		return "", 0, 0, err
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), img.Width, img.Height, nil
}
