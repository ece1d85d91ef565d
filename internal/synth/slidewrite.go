package synth

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	mask "github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/parallel"
)

// The files of WriteSlide.
const (
	SlideHE       = "he.ome.tiff"
	SlideIHC      = "ihc.ome.tiff"
	SlideIslands  = "islands.geojson"
	SlideNuclei   = "nuclei.geojson"
	SlideSettings = "slide.json"
)

// ErrOtherSlide is wrapped by the error of a folder with a slide of other settings.
var ErrOtherSlide = errors.New("other settings")

// slideGeneration is the version of the slides' tissue model.
const slideGeneration = 1

// slideSettings is slide.json, which is written last.
type slideSettings struct {
	Description string `json:"description"`
	Generation  int    `json:"generation"`
	SlideConfig
}

// WriteSlide makes two slides of the same synthetic tissue, and its truth, in pixels of level 0:
//
//	dir/he.ome.tiff       H&E: islands of tissue on glass
//	dir/ihc.ome.tiff      the marker's stain of the same section, aligned to the pixel
//	dir/islands.geojson   outlines of the tissue, of the class "Tissue"
//	dir/nuclei.geojson    outlines of all nuclei, with their kind and the marker's intensity
//	dir/slide.json        the settings
//
// Files appear whole or not at all. A second call with the same settings does nothing; a folder of other settings is
// refused. Memory doesn't depend on the size of the slide. observe receives a progress.Stage for each row of parts, and
// a progress.Note if there is no room for all of the islands.
func WriteSlide(ctx context.Context, dir string, c SlideConfig, observe progress.Observer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	want := slideSettings{"synthetic slides of H&E and IHC, made by histdist", slideGeneration, c}
	switch done, err := slideThere(dir, want); {
	case err != nil:
		return fmt.Errorf("synth: %w", err)
	case done:
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	if err := writeSlide(ctx, dir, c, observe); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	return writeJSON(filepath.Join(dir, SlideSettings), want)
}

// slideThere reports whether the folder has the slide; it is an error that it has another one.
func slideThere(dir string, want slideSettings) (bool, error) {
	path := filepath.Join(dir, SlideSettings)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wanted, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		return false, err
	}
	if !bytes.Equal(bytes.TrimSpace(text), wanted) {
		return false, fmt.Errorf("%s has %w; choose another folder", path, ErrOtherSlide)
	}
	for _, name := range []string{SlideHE, SlideIHC, SlideIslands, SlideNuclei} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	return true, nil
}

// partSide is what is made at once: four tiles.
const partSide = 2 * tiff.SlideTile

// slideFiles are what is written part by part.
type slideFiles struct {
	he, ihc *tiff.SlideWriter
	nuclei  *nucleiFile
}

func writeSlide(ctx context.Context, dir string, c SlideConfig, observe progress.Observer) error {
	w := newWorld(c)
	if text := w.short(c); text != "" {
		if err := observe.Report(progress.Note(text)); err != nil {
			return err
		}
	}
	out, err := createSlide(dir, c)
	if err != nil {
		return err
	}
	defer out.discard()
	columns, rows := (c.Width+partSide-1)/partSide, (c.Height+partSide-1)/partSide
	workers := cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	he, ihc := w.glass()
	parts := make([]part, workers)
	for row := range rows {
		for first := 0; first < columns; first += workers {
			n := min(workers, columns-first)
			err := parallel.Each(ctx, n, workers, func(i int) error {
				parts[i], _ = w.render(c, c.part(first+i, row))
				return nil
			})
			for i := 0; i < n && err == nil; i++ {
				err = out.write(c.part(first+i, row), parts[i], he, ihc)
			}
			if err != nil {
				return err
			}
		}
		if err := observe.Report(progress.Stage{Name: "rows of tiles", Done: row + 1, Total: rows}); err != nil {
			return err
		}
	}
	if err := w.writeIslands(filepath.Join(dir, SlideIslands), c); err != nil {
		return err
	}
	return out.close()
}

// part is the rectangle of a part.
func (c SlideConfig) part(column, row int) image.Rectangle {
	r := image.Rect(0, 0, partSide, partSide).Add(image.Pt(column*partSide, row*partSide))
	return r.Intersect(image.Rect(0, 0, c.Width, c.Height))
}

func createSlide(dir string, c SlideConfig) (*slideFiles, error) {
	out := &slideFiles{}
	create := func(name, channel string) (*tiff.SlideWriter, error) {
		return tiff.CreateSlide(filepath.Join(dir, name), tiff.SlideOptions{
			Width: c.Width, Height: c.Height, MPP: [2]float64{c.MPP, c.MPP}, Quality: c.Quality,
			Description: tiff.Description{
				Image: "synthetic tissue", Channel: channel,
				Provenance: []tiff.Entry{
					{Key: "origin", Value: "synthetic tissue, made by histdist"},
					{Key: "seed", Value: fmt.Sprint(c.Seed)},
				},
			},
		})
	}
	var err error
	if out.he, err = create(SlideHE, "H&E"); err == nil {
		if out.ihc, err = create(SlideIHC, strings.ToUpper(string(c.Marker))); err == nil {
			out.nuclei, err = createNuclei(filepath.Join(dir, SlideNuclei), c.MPP)
		}
	}
	if err != nil {
		out.discard()
		return nil, err
	}
	return out, nil
}

func (f *slideFiles) discard() {
	if f.he != nil {
		f.he.Discard()
	}
	if f.ihc != nil {
		f.ihc.Discard()
	}
	if f.nuclei != nil {
		f.nuclei.file.Discard()
	}
}

func (f *slideFiles) close() error {
	return cmp.Or(f.nuclei.close(), f.he.Close(), f.ihc.Close())
}

// write cuts a part into tiles.
func (f *slideFiles) write(r image.Rectangle, p part, he, ihc [3]uint8) error {
	for y := r.Min.Y; y < r.Max.Y; y += tiff.SlideTile {
		for x := r.Min.X; x < r.Max.X; x += tiff.SlideTile {
			column, row := x/tiff.SlideTile, y/tiff.SlideTile
			tile := f.he.Tile(column, row)
			err := errors.Join(writeTile(f.he, column, row, tile, r, p.he, he),
				writeTile(f.ihc, column, row, tile, r, p.ihc, ihc))
			if err != nil {
				return err
			}
		}
	}
	return f.nuclei.add(p.nuclei)
}

// writeTile writes a tile out of a part's pixels; of glass if there are none.
func writeTile(w *tiff.SlideWriter, column, row int, tile, r image.Rectangle, pix []uint8, glass [3]uint8) error {
	if pix == nil {
		return w.FillTile(column, row, glass)
	}
	var out []uint8
	for y := tile.Min.Y; y < tile.Max.Y; y++ {
		out = append(out, pix[3*((y-r.Min.Y)*r.Dx()+tile.Min.X-r.Min.X):][:3*tile.Dx()]...)
	}
	return w.WriteTile(column, row, out)
}

// writeIslands writes the outlines of the tissue, in steps of a pixel of at most 4096 a side.
func (w *world) writeIslands(path string, c SlideConfig) error {
	step := max(1, (max(c.Width, c.Height)+4095)/4096)
	m := mask.Mask{
		Width: (c.Width + step - 1) / step, Height: (c.Height + step - 1) / step,
		SlideWidth: c.Width, SlideHeight: c.Height,
	}
	m.In = make([]bool, m.Width*m.Height)
	scaleX, scaleY := w.width/float64(m.Width), w.height/float64(m.Height)
	parallel.For(m.Height, func(y int) {
		for x := range m.Width {
			m.In[y*m.Width+x] = w.inside((float64(x)+0.5)*scaleX, (float64(y)+0.5)*scaleY) > 0
		}
	})
	return m.WriteGeoJSON(path)
}

// nucleiFile is a FeatureCollection that is written nucleus by nucleus.
type nucleiFile struct {
	file *atomicfile.File
	out  *bufio.Writer
	mpp  float64
	some bool
}

func createNuclei(path string, mpp float64) (*nucleiFile, error) {
	file, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	f := &nucleiFile{file: file, out: bufio.NewWriter(file), mpp: mpp}
	_, err = f.out.WriteString(`{"type":"FeatureCollection","features":[`)
	return f, err
}

// nucleusFeature is a nucleus for QuPath: a detection, and what the truth of pairs says of it.
type nucleusFeature struct {
	Type     string `json:"type"`
	Geometry struct {
		Type        string          `json:"type"`
		Coordinates [1][][2]float64 `json:"coordinates"`
	} `json:"geometry"`
	Properties struct {
		ObjectType     string `json:"objectType"`
		Classification struct {
			Name string `json:"name"`
		} `json:"classification"`
		Nucleus Nucleus `json:"nucleus"`
	} `json:"properties"`
}

func (f *nucleiFile) add(nuclei []nucleus) error {
	for i := range nuclei {
		n := &nuclei[i]
		x, y := quantise(n.x/f.mpp), quantise(n.y/f.mpp)
		v := nucleusFeature{Type: "Feature"}
		v.Geometry.Type = "Polygon"
		const corners = 16
		sin, cos := math.Sincos(n.angle)
		for k := range corners + 1 {
			s, c := math.Sincos(2 * math.Pi * float64(k%corners) / corners)
			u, w := n.A*c/f.mpp, n.B*s/f.mpp
			v.Geometry.Coordinates[0] = append(v.Geometry.Coordinates[0],
				[2]float64{quantise(x + u*cos - w*sin), quantise(y + u*sin + w*cos)})
		}
		v.Properties.ObjectType = "detection"
		v.Properties.Classification.Name = string(n.Kind)
		if n.Kind == Tumour {
			v.Properties.Classification.Name += map[bool]string{true: ": positive", false: ": negative"}[n.intensity > 0]
		}
		v.Properties.Nucleus = Nucleus{
			X: x, Y: y, IHCX: x, IHCY: y, Angle: quantise(n.angle), Morphology: n.Morphology,
			Positive: n.intensity > 0, Intensity: quantise(n.intensity),
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if f.some {
			text = append([]byte(",\n"), text...)
		}
		f.some = true
		if _, err := f.out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func (f *nucleiFile) close() error {
	if _, err := f.out.WriteString("\n]}\n"); err != nil {
		return err
	}
	if err := f.out.Flush(); err != nil {
		return err
	}
	return f.file.Commit()
}
