package infer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// quick are settings for tests of what is around the sampler.
func quick() infer.Settings {
	s := infer.DefaultSettings()
	s.StepsInversion, s.StepsTranslation = 2, 2
	return s
}

// pattern makes an image with a pattern of its own.
func pattern(width, height, seed int) *imagefile.Image {
	m := imagefile.New(width, height)
	for i := range m.Pix {
		m.Pix[i] = uint8(i*seed + i/7)
	}
	return m
}

func writeImage(t *testing.T, path string, m *imagefile.Image) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := imagefile.Write(path, m, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// folder makes a folder of images of two sizes, one of them in a sub-folder.
func folder(t *testing.T) string {
	dir := t.TempDir()
	writeImage(t, filepath.Join(dir, "a.png"), pattern(16, 16, 3))
	writeImage(t, filepath.Join(dir, "b.png"), pattern(16, 16, 5))
	writeImage(t, filepath.Join(dir, "sub", "c.png"), pattern(24, 16, 7))
	return dir
}

// plan lists the jobs of a folder.
func plan(t *testing.T, in, out string) *infer.Jobs {
	t.Helper()
	jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{Input: in, Output: out, Ending: ".png"})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func files(t *testing.T, dir string) map[string][]byte {
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, relErr := filepath.Rel(dir, path)
		all[name] = b
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func names(m map[string][]byte) []string {
	var list []string
	for n := range m {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func TestRunKeepsNamesAndSkipsWhatIsDone(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	in, out := folder(t), filepath.Join(t.TempDir(), "out")
	jobs := plan(t, in, out)
	o := infer.FileOptions{Settings: quick(), Batch: 2}
	s, err := p.TranslateFiles(t.Context(), jobs, o)
	if err != nil || s.Done != 3 || len(s.Failed) > 0 {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	first := files(t, out)
	if diff := cmp.Diff([]string{"a.png", "b.png", "sub/c.png"}, names(first)); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(filepath.Join(out, "b.png")); err != nil {
		t.Fatal(err)
	}
	o.Batch = 1
	s, err = p.TranslateFiles(t.Context(), jobs, o)
	if err != nil || s.Done != 1 || s.Skipped != 2 {
		t.Errorf("second run: summary %+v, error %v", s, err)
	}
	if diff := cmp.Diff(first, files(t, out)); diff != "" {
		t.Error("the second run, with other batches, wrote other bytes")
	}
	o.Settings.Seed++
	if s, err = p.TranslateFiles(t.Context(), jobs, o); err != nil || len(s.Failed) != 3 ||
		!strings.Contains(s.Failed[0].Error, "seed 0, now 1") {
		t.Errorf("with another seed: summary %+v, error %v", s, err)
	}
	o.Overwrite = true
	if s, err = p.TranslateFiles(t.Context(), jobs, o); err != nil || s.Done != 3 {
		t.Errorf("overwriting: summary %+v, error %v", s, err)
	}
}

func TestRunGoesOnAfterABadImage(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	in, out := folder(t), t.TempDir()
	for name, text := range map[string]string{"empty.png": "", "text.jpg": "no image", "zz.tif": "II*\x00"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	jobs := plan(t, in, out)
	s, err := p.TranslateFiles(t.Context(), jobs, infer.FileOptions{Settings: quick()})
	if err != nil || s.Done != 3 || len(s.Failed) != 3 {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	for _, f := range s.Failed {
		if !strings.Contains(f.Error, filepath.Base(f.Input)) {
			t.Errorf("error does not name the file %s: %s", f.Input, f.Error)
		}
	}
	if got := names(files(t, out)); len(got) != 3 {
		t.Errorf("outputs %v, want 3", got)
	}
}

// A run that is stopped anywhere and started again gives what one gives that was not, even if one was killed, which
// leaves a hidden file.
func TestStoppedRunGoesOn(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	in := folder(t)
	run := func(ctx context.Context, out string, o progress.Observer) error {
		_, err := p.TranslateFiles(ctx, plan(t, in, out), infer.FileOptions{Settings: quick(), Observe: o})
		return err
	}
	whole := t.TempDir()
	if err := run(t.Context(), whole, nil); err != nil {
		t.Fatal(err)
	}
	for steps := 1; steps < 22; steps += 5 {
		out := t.TempDir()
		ctx, stop := context.WithCancel(t.Context())
		left := steps
		if err := run(ctx, out, progress.On(func(infer.Step) error {
			if left--; left == 0 {
				stop()
			}
			return nil
		})); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at step %d: error %v, want context.Canceled", steps, err)
		}
		for name := range files(t, out) {
			if strings.HasPrefix(filepath.Base(name), ".") {
				t.Errorf("stopped at step %d: %s is left", steps, name)
			}
		}
		childtest.Abandon(t, filepath.Join(out, "a.png"))
		if err := run(t.Context(), out, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(files(t, whole), files(t, out)); diff != "" {
			t.Errorf("stopped at step %d: other files than those of a whole run", steps)
		}
	}
}

// An observer's error ends the run; it is no failure of the images.
func TestObserverEndsTheRun(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	full := errors.New("the terminal is gone")
	s, err := p.TranslateFiles(t.Context(), plan(t, folder(t), t.TempDir()), infer.FileOptions{
		Settings: quick(), Batch: 2, Observe: progress.On(func(infer.Step) error { return full }),
	})
	if !errors.Is(err, full) || len(s.Failed) > 0 || s.Done > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPanelAndProvenance(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	in, out := t.TempDir(), t.TempDir()
	a := filepath.Join(in, "a.png")
	writeImage(t, a, pattern(16, 16, 3))
	job := infer.Job{Input: a, Output: filepath.Join(out, "a.png"), Reference: a}
	s, err := p.TranslateFiles(t.Context(), &infer.Jobs{List: []infer.Job{job}}, infer.FileOptions{
		Settings: quick(), Panel: true, Program: "histdist test",
	})
	if err != nil || s.Done != 1 {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	panel, err := imagefile.Read(infer.PanelName(job.Output), imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if panel.Width != 3*16+2*8 || panel.Height != 16 {
		t.Errorf("panel of %d×%d pixels", panel.Width, panel.Height)
	}
	if input := pattern(16, 16, 3); !bytes.Equal(panel.Pix[:16*3], input.Pix[:16*3]) {
		t.Error("the panel does not begin with the input")
	}
	pairs, err := imagefile.ReadProvenance(job.Output)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, pair := range pairs {
		text.WriteString(pair.Key + "=" + pair.Value + "\n")
	}
	for _, want := range []string{
		"research use only", "histdist test", `"seed":0`, `"steps-inversion":2`,
		`"prompt-inversion":"H&E"`, `"source":"`, "a.png",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, &text)
		}
	}
}

// Sizes that the VAE's strides don't divide are padded and cut back; those that they divide are as they are.
func TestAnySize(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	for _, size := range [][2]int{{16, 16}, {17, 9}, {8, 31}, {1, 40}} {
		r, err := p.Translate(t.Context(),
			infer.Request{Images: []*imagefile.Image{pattern(size[0], size[1], 3)}, Settings: quick()})
		if err != nil {
			t.Fatalf("%v: %v", size, err)
		}
		if got := r[0].Image; got.Width != size[0] || got.Height != size[1] {
			t.Errorf("%v became %d×%d", size, got.Width, got.Height)
		}
	}
}

func TestTooLargeIsRefusedBeforeItStarts(t *testing.T) {
	p := infer.New(openModel(t), infer.Options{Device: networktest.Open(t, "auto"), MemoryLimit: 16 << 20})
	defer p.Close()
	started := false
	_, err := p.Translate(t.Context(), infer.Request{
		Images: []*imagefile.Image{pattern(2048, 1024, 3)}, Settings: quick(),
		Observe: func(any) error { started = true; return nil },
	})
	if err == nil || !strings.Contains(err.Error(), "would fit") {
		t.Errorf("error %v, want one with a size that would fit", err)
	}
	if started {
		t.Error("the translation began")
	}
}

// An image that there is no memory for is left to Large, alone, and its output says so; without Large it fails.
func TestLarge(t *testing.T) {
	p := infer.New(openModel(t), infer.Options{Device: networktest.Open(t, "auto"), MemoryLimit: 16 << 20})
	defer p.Close()
	folder := t.TempDir()
	for _, name := range []string{"a.png", "b.png"} {
		writeImage(t, filepath.Join(folder, name), pattern(1024, 512, 3))
	}
	jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{Input: folder, Output: folder + "-out", Ending: ".png"})
	if err != nil {
		t.Fatal(err)
	}
	o := infer.FileOptions{Settings: quick(), Batch: 2, Program: "test"}
	summary, err := p.TranslateFiles(t.Context(), jobs, o)
	if err != nil || len(summary.Failed) != 2 {
		t.Errorf("without Large: %+v, %v", summary, err)
	}
	calls := 0
	o.Large = func(_ context.Context, m *imagefile.Image, _ infer.Settings) (*imagefile.Image, error) {
		calls++
		return pattern(m.Width, m.Height, 7), nil
	}
	summary, err = p.TranslateFiles(t.Context(), jobs, o)
	if err != nil || summary.Done != 2 || calls != 2 {
		t.Fatalf("%+v, %v after %d calls", summary, err, calls)
	}
	m, err := imagefile.Read(jobs.List[1].Output, imagefile.Options{})
	if err != nil || !slices.Equal(m.Pix, pattern(1024, 512, 7).Pix) {
		t.Errorf("another image, %v", err)
	}
	statements, err := imagefile.ReadProvenance(jobs.List[0].Output)
	if err != nil || !strings.Contains(fmt.Sprint(statements), "translated in windows") {
		t.Errorf("statements %v, %v", statements, err)
	}
}

func TestBadRequests(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	one := pattern(16, 16, 3)
	once := quick()
	once.StepsTranslation = 0
	sample := quick()
	sample.Prediction = "sample"
	tests := map[string]struct {
		r    infer.Request
		want string
	}{
		"no images": {infer.Request{Settings: quick()}, "no images"},
		"other sizes": {
			infer.Request{Images: []*imagefile.Image{one, pattern(8, 16, 3)}, Settings: quick()},
			"in one batch",
		},
		"cut off": {infer.Request{
			Images:   []*imagefile.Image{{Width: 4, Height: 4, Pix: make([]uint8, 5)}},
			Settings: quick(),
		}, "three for each pixel"},
		"no step":      {infer.Request{Images: []*imagefile.Image{one}, Settings: once}, "1 to 1000"},
		"no such type": {infer.Request{Images: []*imagefile.Image{one}, Settings: sample}, "prediction-type"},
		"flat latents": {
			infer.Request{Images: []*imagefile.Image{pattern(8, 8, 3)}, Settings: quick()},
			"standard deviation",
		},
		"broken latent": {
			infer.Request{Images: []*imagefile.Image{one}, Settings: quick(), Noise: []infer.Noise{notANumber}},
			"",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := p.Translate(t.Context(), test.r); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	t.Run("NaN", func(t *testing.T) {
		s := quick()
		s.Normalize = "none"
		r := infer.Request{Images: []*imagefile.Image{one}, Settings: s, Noise: []infer.Noise{notANumber}}
		if _, err := p.Translate(t.Context(), r); !errors.Is(err, infer.ErrNotFinite) {
			t.Errorf("error %v, want ErrNotFinite", err)
		}
	})
}

func notANumber(dst []float32, _, _, _ int) error {
	zero := float32(0)
	for i := range dst {
		dst[i] = zero / zero
	}
	return nil
}

// The golden image comes out of files as well.
func TestFilesGiveTheOfficialPicture(t *testing.T) {
	f := golden.Open(t, "e2e.safetensors")
	p := newPipeline(t, networktest.Open(t, "auto"))
	for name, c := range readCases(t) {
		if c.StepsInversion+c.StepsTranslation > 60 {
			continue
		}
		dir := t.TempDir()
		in := filepath.Join(dir, "in.png")
		image := goldenImage(t, f, "image/"+string(rune('0'+c.Image)))
		writeImage(t, in, image)
		job := infer.Job{Input: in, Output: filepath.Join(dir, "out.png")}
		if s, err := p.TranslateFiles(t.Context(), &infer.Jobs{List: []infer.Job{job}},
			infer.FileOptions{Settings: c.settings()}); err != nil || s.Done != 1 {
			t.Fatalf("%s: %+v, %v", name, s, err)
		}
		got, err := imagefile.Read(job.Output, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		equalImages(t, got.Pix, f.Uint8(t, name+"/picture").Data, c.Differ)
	}
}
