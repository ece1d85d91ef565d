package data_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
)

// breakFile makes a file unreadable: empty, not an image, or cut.
func breakFile(t testing.TB, path, how string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case "empty":
		content = nil
	case "header":
		content = append([]byte("no image"), content...)
	case "cut":
		content = content[:20]
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Under skip, files that are broken in the header, empty or cut are left out and counted when the set is opened.
func TestUnreadableFilesAreSkipped(t *testing.T) {
	loc := folders(t, 5, 6, 6)
	breakFile(t, filepath.Join(loc.HE, "000.png"), "empty")
	breakFile(t, filepath.Join(loc.IHC, "000.png"), "header")
	breakFile(t, filepath.Join(loc.IHC, "002.png"), "cut")
	corrupted(t, filepath.Join(loc.HE, "003.png")) // its header is right
	if _, err := data.Open(context.Background(), loc, data.CorruptError); err == nil {
		t.Error("no error without skip")
	}
	set, err := data.Open(context.Background(), loc, data.CorruptSkip)
	if err != nil {
		t.Fatal(err)
	}
	if set.Skipped.Pairs != 2 || len(set.Skipped.Files) != 3 || len(set.Pairs) != 3 {
		t.Errorf("%d pairs, skipped %+v", len(set.Pairs), set.Skipped)
	}
	if got, want := set.Skipped.String(), "2 pairs that can't be read, such as "+filepath.Join(
		loc.HE, "000.png",
	)+": the file is empty"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l := newLoader(t, set, data.LoaderOptions{BatchSize: 3, Corrupt: data.CorruptSkip})
	for step := range 4 {
		batch(t, l, step)
	}
	if got := set.Skipped.Plus(l.Stats().Skipped); got.Pairs != 3 || len(got.Files) != 4 {
		t.Errorf("after four epochs: %+v, want 3 pairs and 4 files", got)
	}

	report, err := data.Check(context.Background(), loc, data.CorruptSkip, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteText(&text, false); err != nil || !report.OK() ||
		!strings.Contains(text.String(), "3 of 5 pairs can't be read and will be skipped\n") {
		t.Errorf("OK is %v, error %v:\n%s", report.OK(), err, text.String())
	}

	for _, name := range []string{"001.png", "003.png", "004.png"} {
		breakFile(t, filepath.Join(loc.IHC, name), "empty")
	}
	if _, err := data.Open(context.Background(), loc, data.CorruptSkip); err == nil ||
		!strings.Contains(err.Error(), "none of the 5 pairs in ") {
		t.Errorf("error %v with nothing left", err)
	}
}

// A fingerprint is the content's alone: not of the place, the name or the time.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		content := make([]byte, rapid.SampledFrom([]int{0, 1, 300, 64 << 10, 64<<10 + 1, 200 << 10}).Draw(rt, "size"))
		for i := range content {
			content[i] = byte(i * i)
		}
		a := putBytes(t, filepath.Join(dir, "a"), string(content))
		b := putBytes(t, filepath.Join(dir, "copy", "b"), string(content))
		prints := func(full bool) []data.Fingerprint {
			list, err := data.Fingerprints(context.Background(), []string{a, b, filepath.Join(dir, "nowhere")}, full)
			if err != nil {
				rt.Fatal(err)
			}
			return list
		}
		p := prints(true)
		if diff := cmp.Diff(p[0], p[1]); diff != "" || !p[0].Same(prints(false)[1]) {
			rt.Fatalf("a copy differs: %s", diff)
		}
		if p[0].Same(p[2]) {
			rt.Fatal("a file that isn't there is the same")
		}
		if len(content) == 0 {
			return
		}
		content[rapid.SampledFrom([]int{0, len(content) - 1, len(content) / 2}).Draw(rt, "place")] ^= 1
		putBytes(t, b, string(content))
		if p := prints(true); p[0].Same(p[1]) {
			rt.Fatal("a changed byte is not seen with full")
		}
		if p := prints(false); len(content) <= 64<<10 && p[0].Same(p[1]) {
			rt.Fatal("a changed byte of a small file is not seen")
		}
	})
}
