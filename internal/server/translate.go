package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/models"
	"github.com/histdist/histdist/internal/server/queue"
)

// The files of a job. Each appears as a whole; the stain is the last that mosaic writes, what follows is made of it.
const (
	areasFile        = "annotations.geojson" // of the request
	stainFile        = "result.ome.tiff"
	areaFile         = "result.geojson"
	pngFile          = "result.png"
	thumbnailFile    = "thumbnail.png"
	measurementsFile = "measurements.json"
)

// worker translates on a device. One goroutine uses it.
type worker struct {
	server *Server
	device device.Device
	models *models.Worker
}

// newWorker opens a device on the goroutine that will use it.
func (s *Server) newWorker(d models.Device) (*worker, error) {
	opened, err := d.Open()
	if err != nil {
		return nil, err
	}
	o := s.options.Work
	o.Device = opened
	return &worker{s, opened, s.models.Worker(o)}, nil
}

func (w *worker) close() error { return errors.Join(w.models.Close(), w.device.Close()) }

// run does a job, or what an earlier start has left of it.
func (w *worker) run(ctx context.Context, job queue.Job, report func(queue.Progress)) error {
	s := w.server
	c, err := recordOf(job)
	if err != nil {
		return err
	}
	one, err := s.slide(ctx, job.User, c.Request.Slide)
	if err == nil {
		err = w.translate(ctx, job, c, one, report)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	text := s.failure(job, one, err)
	s.log.Warn("a job has failed", "job", job.ID, "error", text)
	return errors.New(text)
}

// failure is why a job has failed, in a client's words. The slide is nil if it wasn't found.
func (s *Server) failure(job queue.Job, one *catalogue.Slide, err error) string {
	switch {
	case one == nil:
		return asProblem(err).Detail
	case errors.Is(err, catalogue.ErrNotFound):
		return "the slide is not there any more"
	case errors.Is(err, syscall.ENOSPC):
		return "the server's disk is full"
	}
	text := strings.ReplaceAll(told(one, err, ""), s.jobs.queue.Folder(job.ID)+string(filepath.Separator), "")
	return strings.ReplaceAll(s.models.Scrub(text), s.state, "…")
}

func (w *worker) translate(
	ctx context.Context, job queue.Job, c jobRecord, one *catalogue.Slide, report func(queue.Progress),
) error {
	s := w.server
	folder := s.jobs.queue.Folder(job.ID)
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	atomicfile.SweepAll(folder) // what a kill left
	areas := ""
	if len(c.Request.Annotations) > 0 {
		areas = in(areasFile)
		if err := atomicfile.Write(areas, c.Request.Annotations); err != nil {
			return err
		}
	}
	p, err := w.models.Pipeline(c.Request.Model, c.Request.Preset)
	if err != nil {
		return err
	}
	o, err := s.translation(p, one, c, in(stainFile), areas)
	if err != nil {
		return err
	}
	if o.Found, err = c.found(one); err == nil && o.Found == nil {
		o.Found, err = mosaic.TissueOf(ctx, p, o)
	}
	if err != nil {
		return err
	}
	area, err := mosaic.AreaOf(ctx, p, o)
	if err != nil {
		return err
	}
	whole, err := exists(o.Output)
	switch {
	case err != nil:
	case whole: // by an earlier start, which has not recorded it
		err = os.RemoveAll(mosaic.PartsFolder(o.Output))
	default:
		err = w.stain(ctx, p, o, job.ID, newPreview(area, c.shown()), report)
	}
	if err != nil {
		return err
	}
	return s.finish(ctx, folder, c, area)
}

// found is the tissue that was found when the job was added; nil if the slide is another one since.
func (c jobRecord) found(one *catalogue.Slide) (*tissue.Mask, error) {
	content, err := one.Tag()
	if err != nil || content != c.Content {
		return nil, err
	}
	var m tissue.Mask
	return &m, m.UnmarshalBinary(c.Tissue)
}

// translation are the options of a job, but for who observes it.
func (s *Server) translation(
	p *infer.Pipeline, one *catalogue.Slide, c jobRecord, output, areas string,
) (o mosaic.FileOptions, err error) {
	m, err := s.models.Find(c.Request.Model)
	if err != nil {
		return o, err
	}
	preset, err := m.Preset(c.Request.Preset)
	if err != nil {
		return o, err
	}
	path, err := one.Path()
	if err != nil {
		return o, err
	}
	o = mosaic.FileOptions{
		Input: path, Output: output, Slide: one.OpenFresh, Sampling: m.Sampling(preset, c.Request.Seed),
		Settings: mosaic.DefaultSettings(), File: mosaic.DefaultFileSettings(), Batch: 1, Quality: mosaic.DefaultQuality,
		Program: s.options.program(),
	}
	o.Settings.Outside = c.Request.Outside
	// Sixteen windows a side: so small that a stain is seen to grow, so large that a tenth more work is done at their
	// borders. For Stable Diffusion's windows it is the default.
	const windows = 16
	o.Settings.Region = min(o.Settings.Region, windows*p.TrainingSize())
	o.File.Tissue, o.File.Areas = c.Request.Tissue, areas
	if b := c.Request.Region; b != nil {
		o.File.Part = mosaic.Part(fmt.Sprintf("%d,%d,%d,%d", b.X, b.Y, b.Width, b.Height))
	}
	return o, nil
}

// stain translates, or goes on with it.
func (w *worker) stain(
	ctx context.Context, p *infer.Pipeline, o mosaic.FileOptions, id string, view *preview, report func(queue.Progress),
) error {
	j := &w.server.jobs
	j.lock.Lock()
	j.previews[id] = view
	j.lock.Unlock()
	var last, earlier int64
	o.Observe = progress.On(func(e mosaic.Progress) error {
		if more := e.Calls - last; more > int64(o.Batch) { // what earlier starts had done
			earlier += more - int64(o.Batch)
		}
		last = e.Calls
		view.add(e)
		report(queue.Progress{
			Done: e.Calls, Of: e.Plan.Calls, Earlier: earlier, Parts: e.Regions, OfParts: e.Plan.Regions,
		})
		return ctx.Err()
	})
	_, err := w.server.options.translate(ctx, p, o)
	if !errors.Is(err, mosaic.ErrChanged) {
		return err
	}
	// The slide, the model or this program is another one than when the job was begun.
	if err := os.RemoveAll(mosaic.PartsFolder(o.Output)); err != nil {
		return err
	}
	last, earlier = 0, 0
	_, err = w.server.options.translate(ctx, p, o)
	return err
}

// finish makes what is made of the stain, unless an earlier start has.
func (s *Server) finish(ctx context.Context, folder string, c jobRecord, area mosaic.Area) (err error) {
	stain, err := openStain(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stain.Close()) }()
	for name, write := range map[string]func(path string) error{
		areaFile:         func(path string) error { return writeArea(path, area) },
		thumbnailFile:    func(path string) error { return writeThumbnail(ctx, path, stain, area, c.shown()) },
		measurementsFile: func(path string) error { return s.measure(ctx, path, stain, area, c) },
	} {
		path := filepath.Join(folder, name)
		if there, err := exists(path); err != nil || there {
			if err != nil {
				return err
			}
			continue
		}
		if err := write(path); err != nil {
			return err
		}
	}
	return nil
}

// stainOptions are how stains are opened: this program has written them.
var stainOptions = slide.Options{AnyMPP: true, Library: slide.NoLibrary}

// openStain opens the result of a job.
func openStain(folder string) (*slide.Slide, error) {
	return slide.Open(filepath.Join(folder, stainFile), stainOptions)
}

// writeArea writes what was translated, for QuPath.
func writeArea(path string, area mosaic.Area) error {
	var areas []tissue.Area
	for _, p := range area.Polygons() {
		areas = append(areas, tissue.Area{Class: "Translated", Polygon: p})
	}
	text, err := tissue.GeoJSON(areas)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
