package mosaic_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer/mosaic"
)

// counted counts the U-Net calls of a run, those of its preview apart.
func counted(o *mosaic.FileOptions) (preview, calls *int64) {
	preview, calls = new(int64), new(int64)
	o.Observe = progress.On(func(e mosaic.Progress) error {
		if e.Preview {
			*preview = e.Calls
		} else {
			*calls = e.Calls
		}
		return nil
	})
	return preview, calls
}

// snapshot is the content of all files in a folder.
func snapshot(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, folder)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A preview is a slide of its own, a quarter as wide, which says what it is; the output is the same as without one. It
// is made again only if it would be another.
func TestPreview(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	o.Preview, o.Overwrite = true, true
	preview, calls := counted(&o)
	plan, err := mosaic.TranslateFile(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(o.Output)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or another output than without a preview", err)
	}
	if *preview != plan.Preview || *calls != plan.Calls || *preview == 0 {
		t.Errorf("%d and %d calls, planned %d and %d", *preview, *calls, plan.Preview, plan.Calls)
	}
	path := mosaic.PreviewName(o.Output)
	s, m := readSlide(t, path)
	if m.Width != 14 || m.Height != 12 || s.MPP[0] < 1.8 || s.MPP[0] > 2.2 {
		t.Errorf("%d×%d pixels of %v µm", m.Width, m.Height, s.MPP)
	}
	if kind := imagefile.KindOf(path); kind != imagefile.Preview {
		t.Errorf("the preview says that it is %q", kind)
	}
	if kind := imagefile.KindOf(o.Output); kind != imagefile.VirtualStain {
		t.Errorf("the output says that it is %q", kind)
	}
	for _, c := range []struct {
		seed  int64
		again bool
	}{{o.Sampling.Seed, false}, {o.Sampling.Seed + 3, true}} {
		next := o
		next.Sampling.Seed = c.seed
		preview, _ := counted(&next)
		if _, err := mosaic.TranslateFile(t.Context(), p, next); err != nil {
			t.Fatal(err)
		}
		if (*preview > 0) != c.again {
			t.Errorf("seed %d: %d calls for the preview", c.seed, *preview)
		}
	}
	if _, err := os.Stat(mosaic.PartsFolder(o.Output)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("parts remain: %v", err)
	}
}

// The preview is there before the work on the output begins, which leaves it alone, and a run that goes on doesn't make
// it again.
func TestPreviewComesFirst(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	o.Preview = true
	stop := errors.New("stop")
	o.Observe = progress.On(func(e mosaic.Progress) error {
		if !e.Preview && e.Calls > 8 {
			return stop
		}
		return nil
	})
	if _, err := mosaic.TranslateFile(t.Context(), p, o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	first, err := os.ReadFile(mosaic.PreviewName(o.Output))
	if err != nil {
		t.Fatal(err)
	}
	preview, _ := counted(&o)
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(mosaic.PreviewName(o.Output))
	if err != nil || *preview != 0 || !bytes.Equal(first, second) {
		t.Errorf("%v, or the preview was made again, in %d calls", err, *preview)
	}
}

// What is too small has no preview, and what was made by others is not replaced.
func TestPreviewsThatAreNotMade(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	o.Preview = true
	path := mosaic.PreviewName(o.Output)
	if err := os.WriteFile(path, []byte("notes"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, filepath.Dir(o.Output))
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file of others: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, filepath.Dir(o.Output))); diff != "" {
		t.Errorf("a run that was refused wrote files:\n%s", diff)
	}
}

// Nothing is written by a run that is refused: for other settings than those of its parts, for what can't be, or
// because its input is no H&E.
func TestRefusedRunsWriteNothing(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	stop := errors.New("stop")
	o.Observe = progress.On(func(e mosaic.Progress) error {
		if e.Calls > 20 {
			return stop
		}
		return nil
	})
	if _, err := mosaic.TranslateFile(t.Context(), p, o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	folder := filepath.Dir(o.Output)
	before := snapshot(t, folder)
	if err := os.RemoveAll(filepath.Join(folder, "er-tissue.png")); err != nil {
		t.Fatal(err)
	}
	delete(before, "/er-tissue.png")
	o.Observe = nil
	for name, c := range map[string]struct {
		change func(*mosaic.FileOptions)
		want   string
	}{
		"seed": {func(o *mosaic.FileOptions) { o.Sampling.Seed = 8 }, "seed 0, now 8"},
		"compression": {func(o *mosaic.FileOptions) {
			o.File.Compression = mosaic.CompressionDeflate
		}, `compression "jpeg", now "deflate"`},
		"quality":     {func(o *mosaic.FileOptions) { o.Quality = 80 }, "quality 90, now 80"},
		"part":        {func(o *mosaic.FileOptions) { o.File.Part = "0,0,64,32" }, "region"},
		"preview too": {func(o *mosaic.FileOptions) { o.Preview, o.Sampling.Seed = true, 8 }, "seed 0, now 8"},
		"window":      {func(o *mosaic.FileOptions) { o.Settings.Window = 30 }, "window"},
		"name":        {func(o *mosaic.FileOptions) { o.Output = filepath.Join(folder, "er.png") }, ".ome.tiff"},
		"areas":       {func(o *mosaic.FileOptions) { o.File.Areas = "none.geojson" }, "none.geojson"},
	} {
		other := o
		c.change(&other)
		if _, err := mosaic.TranslateFile(t.Context(), p, other); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if diff := cmp.Diff(before, snapshot(t, folder)); diff != "" {
			t.Fatalf("%s: a run that was refused wrote files:\n%s", name, diff)
		}
	}
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	again := o
	again.Input, again.Output = o.Output, filepath.Join(folder, "again.ome.tiff")
	_, err := mosaic.TranslateFile(t.Context(), p, again)
	if err == nil || !strings.Contains(err.Error(), "virtual stain") {
		t.Errorf("a stain as input: %v", err)
	}
}
