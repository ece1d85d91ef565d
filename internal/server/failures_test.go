package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/server/models"
	"github.com/histdist/histdist/internal/server/queue"
)

// A job that fails while it is translated says why without names and paths and leaves no files, and the same request
// succeeds when what was wrong is right again.
func TestJobsThatFail(t *testing.T) {
	var fail func(o mosaic.FileOptions) error
	log := &bytes.Buffer{}
	s, one := withJobs(t, "ER", func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
		o.translate = func(ctx context.Context, p *infer.Pipeline, f mosaic.FileOptions) (mosaic.Plan, error) {
			if err := fail(f); err != nil {
				return mosaic.Plan{}, err
			}
			return mosaic.TranslateFile(ctx, p, f)
		}
	})
	folder := s.settings.Slides[0]
	path := filepath.Join(folder, patient+".ome.tiff")
	slide, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := func(f mosaic.FileOptions, err error) error {
		write(t, f.Output+".tmp", []byte("half"))
		return fmt.Errorf("%s: %w", f.Output, &fs.PathError{Op: "write", Path: f.Output + ".tmp", Err: err})
	}
	for name, test := range map[string]struct {
		fail func(o mosaic.FileOptions) error
		want string
	}{
		"slide removed": {func(mosaic.FileOptions) error { return os.Remove(path) }, "the slide is not there any more"},
		"slide cut off": {func(mosaic.FileOptions) error { return os.Truncate(path, 1000) }, "slide " + one.ID},
		"disk full":     {func(f mosaic.FileOptions) error { return failed(f, syscall.ENOSPC) }, "disk is full"},
		"disk fault":    {func(f mosaic.FileOptions) error { return failed(f, syscall.EIO) }, stainFile + ": write"},
		"panic":         {func(mosaic.FileOptions) error { panic("a fault") }, "an error in this program"},
	} {
		t.Run(name, func(t *testing.T) {
			fail = test.fail
			answer, text := post(t, s, jobBody(one, ""))
			job := finished(t, s, decoded[jobAnswer](t, answer, text).ID)
			if job.State != queue.Failed || !strings.Contains(job.Error, test.want) || job.Results != nil {
				t.Errorf("%s, %q; want %q", job.State, job.Error, test.want)
			}
			for _, secret := range []string{patient, folder, s.state, os.TempDir()} {
				if strings.Contains(job.Error, secret) {
					t.Errorf("%q says %q", job.Error, secret)
				}
			}
			if answer, text := get(t, s, jobURL(job.ID)+"/"+stainFile); answer.StatusCode != http.StatusNotFound {
				t.Errorf("its result: %s: %s", answer.Status, text)
			}
			fail = func(mosaic.FileOptions) error { return nil }
			write(t, path, slide)
			answer, text = post(t, s, jobBody(one, ""))
			again := finished(t, s, decoded[jobAnswer](t, answer, text).ID)
			if again.State != queue.Done {
				t.Errorf("once more: %s, %s", again.State, again.Error)
			}
			// The worker has gone on, so that it has removed them.
			if _, err := os.Stat(s.jobs.queue.Folder(job.ID)); err == nil {
				t.Error("its files are left")
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if failed, done := s.jobs.failed.Load(), s.jobs.done.Load(); failed != 5 || done != 5 {
		t.Errorf("%d failed and %d done are counted", failed, done)
	}
	for _, secret := range []string{patient, folder} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}

// ruin sets the first value of a tensor of a model's U-Net.
func ruin(t *testing.T, model, tensor string, value float32) {
	t.Helper()
	path := filepath.Join(model, "unet", "diffusion_pytorch_model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := binary.LittleEndian.Uint64(data)
	header := map[string]json.RawMessage{}
	if err := json.Unmarshal(data[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	var at struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(header[tensor], &at); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(data[8+int(size)+at.Offsets[0]:], math.Float32bits(value))
	write(t, path, data)
}

// A model whose numbers aren't finite makes no stain, each time; another one does.
func TestModelsThatFail(t *testing.T) {
	bad := map[string]float32{"not-finite-weights": float32(math.NaN()), "not-finite-output": 3e38}
	s, one := withJobs(t, "ER", func(o *Options) {
		for name, value := range bad {
			folder := tinyModel(t, "PR")
			ruin(t, folder, "conv_out.bias", value)
			o.Models = append(o.Models, models.Source{Name: name, Folder: folder})
		}
	})
	for _, name := range []string{
		"not-finite-weights", "tiny", "not-finite-output", "not-finite-output", "tiny", "not-finite-weights",
	} {
		body := strings.Replace(jobBody(one, ""), `"tiny"`, `"`+name+`"`, 1)
		answer, text := post(t, s, body)
		job := finished(t, s, decoded[jobAnswer](t, answer, text).ID)
		if name == "tiny" {
			if job.State != queue.Done {
				t.Errorf("%s: %s, %q", name, job.State, job.Error)
			}
			continue
		}
		if job.State != queue.Failed || !strings.Contains(job.Error, "finite") && !strings.Contains(job.Error, "large") {
			t.Errorf("%s: %s, %q", name, job.State, job.Error)
		}
		if strings.Contains(job.Error, os.TempDir()) {
			t.Errorf("%s: %q has a path", name, job.Error)
		}
	}
}
