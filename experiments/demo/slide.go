package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/synth"
)

// SlideFiles are two slides of one section of synthetic tissue, aligned to the pixel, and its truth in GeoJSON.
type SlideFiles struct {
	HE, True string // OME-TIFF
	Islands  string // outlines of the tissue
	Nuclei   string // outlines of all nuclei, with what each is
}

// Slide makes a small slide of an island of unseen synthetic tissue on glass, with the true stain and the truth, in a
// folder. A second call does nothing; the slide of another version is replaced. It needs no model and takes seconds.
func Slide(ctx context.Context, folder string) (SlideFiles, error) {
	c := synth.DefaultSlide()
	c.Width, c.Height, c.MPP = 1536, 1024, synth.Default().MPP
	c.Islands, c.Tissue, c.Seed, c.Quality = 1, 0.3, unseen, slideQuality
	in := func(name string) string { return filepath.Join(folder, name) }
	files := SlideFiles{in(synth.SlideHE), in(synth.SlideIHC), in(synth.SlideIslands), in(synth.SlideNuclei)}
	err := synth.WriteSlide(ctx, folder, c, nil)
	if errors.Is(err, synth.ErrOtherSlide) {
		if err = os.Remove(in(synth.SlideSettings)); err == nil {
			err = synth.WriteSlide(ctx, folder, c, nil)
		}
	}
	return files, err
}

// CachedSlide returns a folder of the user's cache with the files of Slide, which it makes if they are not there.
func CachedSlide(ctx context.Context) (string, error) {
	folder, err := cached("demo-slide", func(folder string) error {
		_, err := Slide(ctx, folder)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the demonstration's slide can't be made: %w", err)
	}
	return folder, nil
}

// slideQuality is that of the JPEG in both slides.
const slideQuality = 90

// SlideResult are a demonstration's slide and its virtual stain.
type SlideResult struct {
	SlideFiles
	Virtual   string // OME-TIFF of the H&E's width, height and resolution
	Thumbnail string // of it
	Tissue    string // what was taken for tissue, GeoJSON
	Plan      mosaic.Plan
}

// RunSlide makes Slide's slide in folder/slide and translates its tissue with the model, which it extracts to
// folder/model. It replaces what an earlier call left there.
func RunSlide(ctx context.Context, folder string, o Options) (r SlideResult, err error) {
	model, folder := filepath.Join(folder, "model"), filepath.Join(folder, "slide")
	if err := Extract(model); err != nil {
		return r, err
	}
	if r.SlideFiles, err = Slide(ctx, folder); err != nil {
		return r, err
	}
	p, sampling, err := o.open(model)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	in := func(name string) string { return filepath.Join(folder, name) }
	r.Virtual, r.Thumbnail = in("virtual-er.ome.tiff"), in("virtual-er-thumbnail.png")
	r.Tissue = in("virtual-er-tissue.geojson")
	f := mosaic.FileOptions{
		Input: r.HE, Output: r.Virtual, Sampling: sampling, Settings: mosaic.DefaultSettings(),
		File: mosaic.DefaultFileSettings(), Quality: slideQuality, Overwrite: true, Program: o.Program, Observe: o.Observe,
	}
	r.Plan, err = mosaic.TranslateFile(ctx, p, f)
	if errors.Is(err, mosaic.ErrChanged) { // an earlier call was interrupted, and had another preset
		if err = os.RemoveAll(mosaic.PartsFolder(r.Virtual)); err == nil {
			r.Plan, err = mosaic.TranslateFile(ctx, p, f)
		}
	}
	return r, err
}
