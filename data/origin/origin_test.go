package origin_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
)

func made() origin.Origin {
	settings, err := origin.NewSettings(struct {
		Seed   int64  `json:"seed"`
		Prompt string `json:"prompt"`
	}{1 << 60, "H&E <ä>"})
	if err != nil {
		panic(err)
	}
	return origin.Origin{
		Program:  "histdist 1",
		Model:    "0123",
		Settings: settings,
		Sources:  map[string]string{"source": "aa", "reference": "bb"},
	}
}

func TestSince(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*origin.Origin)
		want   string
		kind   origin.ChangeKind
	}{
		"nothing":          {func(*origin.Origin) {}, "", 0},
		"source":           {func(o *origin.Origin) { o.Sources["source"] = "ab" }, "the source has changed", origin.Source},
		"without":          {func(o *origin.Origin) { delete(o.Sources, "reference") }, "made with a reference", origin.Source},
		"with":             {func(o *origin.Origin) { o.Sources["stain"] = "cc" }, "made without the stain", origin.Source},
		"program":          {func(o *origin.Origin) { o.Program = "histdist 2" }, "made by histdist 1", origin.Program},
		"model":            {func(o *origin.Origin) { o.Model = "4567" }, "made with another model (0123, now 4567)", origin.Chosen},
		"the seed by one":  {func(o *origin.Origin) { o.Settings["seed"] = []byte("1152921504606846977") }, "made with seed 1152921504606846976, now 1152921504606846977", origin.Chosen},
		"an unset setting": {func(o *origin.Origin) { delete(o.Settings, "prompt") }, `made with prompt "H&E <ä>", now unset`, origin.Chosen},
	} {
		t.Run(name, func(t *testing.T) {
			now := made()
			test.change(&now)
			changes := now.Since(made())
			if got := origin.Text(changes); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if len(changes) > 0 && changes[0].Kind != test.kind {
				t.Errorf("kind %d, want %d", changes[0].Kind, test.kind)
			}
			if equal := now.Key() == made().Key(); equal != (test.want == "") {
				t.Error("the key doesn't say the same")
			}
		})
	}
}

// What is written into a file of any format is read from it.
func TestStatements(t *testing.T) {
	for _, ext := range []string{".png", ".jpg", ".tif"} {
		path := filepath.Join(t.TempDir(), "a"+ext)
		statements, err := made().Statements()
		if err != nil {
			t.Fatal(err)
		}
		if err := imagefile.Write(path, imagefile.New(8, 8), imagefile.WriteOptions{Provenance: statements}); err != nil {
			t.Fatal(err)
		}
		read, err := origin.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made(), read); diff != "" {
			t.Errorf("%s: %s", ext, diff)
		}
		if changes := made().Since(read); len(changes) > 0 {
			t.Errorf("%s: %v", ext, changes)
		}
	}
}

func TestFilesThatStateNothing(t *testing.T) {
	for name, pairs := range map[string][]imagefile.Pair{
		"no statement":       nil,
		"an earlier version": {{Key: imagefile.KeySoftware, Value: "histdist 0"}, {Key: "histdist.settings", Value: "seed=0"}},
		"another program":    {{Key: "histdist.settings", Value: "{}"}, {Key: origin.KeySources, Value: "[1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.png")
			if err := imagefile.Write(path, imagefile.New(8, 8), imagefile.WriteOptions{Provenance: pairs}); err != nil {
				t.Fatal(err)
			}
			read, err := origin.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if changes := made().Since(read); len(changes) != 1 || changes[0].Kind != origin.Unstated {
				t.Errorf("changes %v", changes)
			}
		})
	}
}

// Results are current exactly if their origins are equal.
func TestKeysDiffer(t *testing.T) {
	draw := func(rt *rapid.T, label string) origin.Origin {
		text := rapid.SampledFrom([]string{"", "a", "b", "ab"})
		o := origin.Origin{
			Program: text.Draw(rt, label+" program"),
			Model:   text.Draw(rt, label+" model"),
			Sources: map[string]string{},
		}
		for _, role := range []string{"a", "b"} {
			if hash := text.Draw(rt, label+" source"); hash != "" {
				o.Sources[role] = hash
			}
		}
		var err error
		o.Settings, err = origin.NewSettings(map[string]string{text.Draw(rt, label+" key"): text.Draw(rt, label+" value")})
		if err != nil {
			rt.Fatal(err)
		}
		return o
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := draw(rt, "a"), draw(rt, "b")
		if equal := cmp.Equal(a, b); equal != (a.Key() == b.Key()) || len(b.Sources) > 0 && equal != (len(a.Since(b)) == 0) {
			rt.Fatalf("%+v and %+v: equal %v, changes %v", a, b, equal, a.Since(b))
		}
	})
}

func TestHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.png")
	if err := imagefile.Write(path, imagefile.New(8, 8), imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if hash, err := origin.Hash(path); err != nil || len(hash) != 64 {
		t.Errorf("%q, %v", hash, err)
	}
	if _, err := origin.Hash(filepath.Dir(path)); err == nil {
		t.Error("a folder has a hash")
	}
}
