package hub_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

func TestRanges(t *testing.T) {
	s := hubtest.New(t, models())
	pull(t, client(t, s, t.TempDir()), "org/sd")
	if diff := cmp.Diff(ranges(10*part+7), asked(s, unet)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := asked(s, "text_encoder/model.safetensors"); !slices.Equal(got, []string{""}) {
		t.Errorf("a file of one part: %q, want one request", got)
	}
}

func TestServerWithoutRanges(t *testing.T) {
	s := hubtest.New(t, models())
	s.NoRanges = true
	folder := pull(t, client(t, s, t.TempDir()), "org/sd")
	if diff := cmp.Diff([]string{"", "0-1023"}, asked(s, unet)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	holds(t, s, "org/sd", folder, unet)
}

// A full disk is named, and what is there is kept for the next run.
func TestFullDisk(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	noSpace := syscall.ENOSPC
	if runtime.GOOS == "windows" {
		noSpace = 112 // ERROR_DISK_FULL
	}
	full := errors.Join(&fs.PathError{Op: "write", Path: "x", Err: noSpace})
	c.Hook(hub.Hooks{Write: func(b []byte, at int64) error {
		if at >= 4*part && len(b) > 1 {
			return full
		}
		return nil
	}})
	refuse(t, c, hub.Request{ID: "org/sd", Folder: isPart}, hub.ErrSpace, "kept")
	s.Forget()
	d := client(t, s, c.Cache)
	var first, last hub.Progress
	d.Observe = func(event any) error {
		last = event.(hub.Progress)
		if first.Total == 0 {
			first = last
		}
		return nil
	}
	pull(t, d, "org/sd")
	if got := asked(s, unet); slices.Contains(got, "0-1023") { // it came alone, before the disk was full
		t.Errorf("%v were downloaded twice", got)
	}
	if last.Done != last.Total || last.Received >= last.Total || last.Received == 0 || first.Total != last.Total {
		t.Errorf("progress %+v, then %+v", first, last)
	}
}

func TestSpace(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir()).Hook(hub.Hooks{Free: func(string) (uint64, error) { return 5000, nil }})
	refuse(t, c, hub.Request{ID: "org/sd", Folder: isPart}, hub.ErrSpace, "0.0 MB", "HF_HOME", c.Cache)
	if got := s.Fetched(); len(got) > 0 {
		t.Errorf("fetched %v", got)
	}
	c.Hook(hub.Hooks{Free: func(string) (uint64, error) { return 0, errors.ErrUnsupported }})
	pull(t, c, "org/sd")
	c.Hook(hub.Hooks{Free: func(string) (uint64, error) { return 0, nil }}) // nothing is needed
	pull(t, c, "org/sd")
}

// What an earlier run left damaged is downloaded again.
func TestDamagedParts(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	content := s.Models["org/vit"]["model.safetensors"]
	blob := filepath.Join(c.Cache, "models--org--vit", "blobs", hubtest.Hash("model.safetensors", content))
	for name, left := range map[string][]byte{
		"a part":       append(random(98, 3*part), 1, 0, 0),
		"all parts":    append(random(98, 3*part), 1, 1, 1),
		"without name": random(98, 3*part),
		"another size": random(98, 17),
	} {
		if err := errors.Join(os.RemoveAll(filepath.Dir(filepath.Dir(blob))), os.MkdirAll(filepath.Dir(blob), 0o755),
			os.WriteFile(blob+hub.Incomplete, left, 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { holds(t, s, "org/vit", pull(t, c, "org/vit"), "model.safetensors") })
	}
}
