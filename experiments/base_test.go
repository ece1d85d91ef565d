package experiments_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/train"
)

// What an interrupted beginning made of one base is not taken for what another needs.
func TestABaseThatWasMadeOfSomethingElseIsRefused(t *testing.T) {
	like, run := likeTiny(t), t.TempDir()
	for _, seed := range []string{"0", "0", "1"} {
		c, values := load(t, run, "model.base="+like, "model.phikon=", "train.seed="+seed)
		e, err := experiments.Open(t.Context(), c, values)
		if err == nil {
			err = e.Close()
		}
		if wrong := err != nil; wrong != (seed == "1") || wrong && !strings.Contains(err.Error(), "another base") {
			t.Errorf("seed %s: %v", seed, err)
		}
	}
}

// A run does not go on from a base whose files were replaced.
func TestAResumedRunHasItsBase(t *testing.T) {
	base, run := filepath.Join(t.TempDir(), "base"), t.TempDir()
	create := func(seed int64) {
		t.Helper()
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
		if err := model.Create(t.Context(), likeTiny(t), base, model.CreateOptions{Seed: seed}); err != nil {
			t.Fatal(err)
		}
	}
	resume := func() error {
		t.Helper()
		_, err := open(t, run, "model.base="+base, "model.phikon=", "train.steps=2").Run(t.Context(),
			experiments.Launch{Resume: train.Resume{Allowed: true}})
		return err
	}
	create(0)
	if _, err := open(t, run, "model.base="+base, "model.phikon=", "train.steps=2").Run(t.Context(),
		experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	if err := resume(); err != nil {
		t.Fatal(err)
	}
	create(1)
	if err := resume(); !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "model.base") {
		t.Errorf("another base: %v", err)
	}
}
