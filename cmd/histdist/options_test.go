package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/internal/option"
)

// Every key of every section refuses a value of another kind, in a file and after a flag.
func TestNoKeyIsWeaklyTyped(t *testing.T) {
	type section struct {
		config any
		names  []string
	}
	experiment, translate, evaluate := experiments.Default(), defaultTranslate(), defaultEvaluate()
	for _, s := range []section{
		{&experiment, []string{"model", "data", "train", "validation", "run"}}, {
			&translate,
			[]string{"translate"},
		}, {&evaluate, []string{"evaluate"}},
	} {
		lists := map[string]bool{}
		for _, o := range option.Fields(s.config) {
			lists[o.Key] = o.IsList()
		}
		for _, name := range s.names {
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			for key, f := range configs.AddFlags(flags, s.config, name) {
				bad := map[string]string{
					"bool": "1", "int64": "1.5", "float64": "true", "string": "[]", "list": "{}",
				}[f.Value.Type()]
				if lists[key] {
					bad = "[1]"
				}
				file := filepath.Join(t.TempDir(), "options.yaml")
				if err := os.WriteFile(file, []byte(strings.Replace(key, ".", ":\n  ", 1)+": "+bad+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				if _, err := configs.Load(s.config, configs.Sources{Path: file}); err == nil || !strings.Contains(err.Error(),
					":2: "+key+": ") {
					t.Errorf("%s: %s: %v", key, bad, err)
				}
				if err := flags.Set(f.Name, bad); err == nil && f.Value.Type() != "string" {
					t.Errorf("--%s=%s is accepted", f.Name, bad)
				}
			}
		}
	}
}

// A match needs both sides; what is wrong is named.
func TestMatchNeedsBothSides(t *testing.T) {
	o := defaultTranslate().Translate
	o.Model, o.Input, o.Output = "demo", "a.png", "b.png"
	for _, c := range []struct{ match, from, want string }{
		{"real.png", "", "match-from"}, {"", "virtual", "match"}, {"", "", ""}, {"real.png", "virtual", ""},
	} {
		o.Match, o.MatchFrom = c.match, c.from
		switch err := o.Validate(); {
		case c.want == "" && err != nil:
			t.Errorf("%q and %q: %v", c.match, c.from, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want+": missing")):
			t.Errorf("%q and %q: %v, want %s", c.match, c.from, err, c.want)
		}
	}
}

// Samples, panels and latents are of images, and a calibration is of samples.
func TestSamplesOfWhat(t *testing.T) {
	for _, c := range []struct {
		change func(*translateOptions)
		want   string
	}{
		{func(o *translateOptions) { o.Samples = 3 }, ""},
		{func(o *translateOptions) { o.Samples, o.Calibration = 3, "evaluation" }, ""},
		{func(o *translateOptions) { o.Calibration = "evaluation" }, "want 2 or more with --calibration"},
		{func(o *translateOptions) { o.Samples, o.Output = 3, "b.ome.tiff" }, "of a slide one stain is made"},
		{func(o *translateOptions) { o.Samples, o.Output, o.Format = 3, "b", slidesFormat }, "of a slide one stain is made"},
		{func(o *translateOptions) { o.Samples, o.SaveLatents = 3, "l.safetensors" }, "want 1 with --save-latents"},
		{func(o *translateOptions) { o.Samples = 0 }, "want 1 or more"},
		{func(o *translateOptions) { o.Panel = true }, ""},
		{func(o *translateOptions) { o.Panel, o.Output = true, "b.ome.tiff" }, "panel: not of a slide"},
		{func(o *translateOptions) { o.SaveLatents, o.Output = "l.safetensors", "b.ome.tiff" }, "latents: not of a slide"},
	} {
		o := defaultTranslate().Translate
		o.Model, o.Input, o.Output = "demo", "a.png", "b.png"
		c.change(&o)
		if err := o.Validate(); c.want == "" && err != nil ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", o, err, c.want)
		}
	}
}
