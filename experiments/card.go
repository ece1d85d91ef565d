package experiments

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/train"
)

// card returns the README.md of an exported model: what was trained, how, from what, and how well.
func (e *Experiment) card(checkpoint string, o ExportOptions) ([]byte, error) {
	d, err := train.Describe(checkpoint)
	if err != nil {
		return nil, err
	}
	scores, err := lastScores(filepath.Join(filepath.Dir(checkpoint), metricsFile), d.Step)
	if err != nil {
		return nil, err
	}
	base, licence := e.Config.Model.Base, licenceOf(e.model.Dir)
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---\nlicense: %s\ntags: [virtual-staining, histopathology, histdist]\n---\n", cmp.Or(licence, "other"))
	marker := cmp.Or(o.Purpose.Marker, strings.Join(o.Purpose.Markers, ", "), "an IHC stain")
	switch d.Config.Objective {
	case train.Autoencoder:
		p("# Autoencoder of H&E and %s\n", marker)
		p("The autoencoder of this folder was trained; its other networks are those of the base.\n")
	default:
		p("# H&E to %s\n", marker)
		p("Translates H&E-stained tissue to a virtual stain of %s, with HistDiST's sampler.\n", marker)
	}
	a := d.Config.Adapter
	if a.Kind != "" && !o.Merge {
		p("`%s` is a low-rank adapter of the base's U-Net.\n", lora.FileName)
	}
	if d.Config.Objective == train.EndToEnd {
		p("The U-Net in `%s` is for the preset `fast` (1 step); the base's is in `unet`.\n", train.FastUNet)
	}
	p("**For research only: not for diagnosis.** This card was made by `histdist export` from the run's own records.\n")

	c, weights := e.Config, "the parameters"
	if o.EMA {
		weights = "the moving average of the parameters"
	}
	p("| | |\n|---|---|")
	row := func(name, format string, args ...any) { p("| %s | %s |", name, fmt.Sprintf(format, args...)) }
	row("weights", "%s after step %d of %d, in %s", weights, d.Step, d.Config.MaxSteps, o.DType)
	row("data", "%s", dataOf(c.Data, d.Inputs))
	row("images", "%s", imagesOf(c))
	row("batch", "%d pairs, %d micro-steps a step", c.Data.Batch, d.Config.Accumulate)
	row("learning rate", "%g, %s, %d steps of warm-up", d.Config.Base, d.Config.Schedule, d.Config.Warmup)
	switch d.Config.Objective {
	case train.Diffusion:
		row("predicts", "%s, min-SNR γ %g", d.Config.Prediction, d.Config.SNRGamma)
	case train.EndToEnd:
		row("trained", "end to end, by squared error and %g × texture", d.Config.TextureWeight)
	}
	if a.Kind != "" {
		row("trained", "a low-rank adapter: rank %d, layers %s", a.Rank, a.Layers)
	}
	row("precision, seed", "%s, %d", d.Config.Precision, d.Config.Seed)
	row("base", "`%s`, licence %s", base, cmp.Or(licence, "not stated in its folder: see there"))
	row("program", "histdist %s", d.Program)

	p("\n## Validation\n")
	if len(scores.values) == 0 {
		p("The run was not validated up to this step.")
	} else {
		p("At step %d, on %d pairs (losses) and %d translations:\n",
			scores.step, c.Validation.Pairs, c.Validation.Translations)
		p("| | |\n|---|---|")
		for _, name := range slices.Sorted(maps.Keys(scores.values)) {
			row(strings.TrimPrefix(name, validationPrefix), "%.4g", scores.values[name])
		}
	}
	use := "--model FOLDER"
	if a.Kind != "" && !o.Merge {
		use = "--model BASE --adapter FOLDER"
	}
	if len(o.Purpose.Markers) > 0 {
		use += " --marker " + strings.ToLower(o.Purpose.Markers[0])
	}
	p("\n## Use\n\n```\nhistdist translate %s --input slide.png --output stain.png\n```", use)
	return b.Bytes(), nil
}

// dataOf describes the pairs that a run learnt from.
func dataOf(c DataConfig, inputs map[string]string) string {
	pairs, _, _ := strings.Cut(inputs["pairs"], ",")
	if sets := inputs["data.sets"]; sets != "" {
		return fmt.Sprintf("%s pairs, by weight: %s; layout %s, split %s", cmp.Or(pairs, "unknown"), sets, c.Layout,
			cmp.Or(c.Split, "all"))
	}
	place := c.Root
	if place == "" {
		place = c.HE + " and " + c.IHC
	}
	return fmt.Sprintf("%s pairs of `%s`, layout %s, split %s",
		cmp.Or(pairs, "unknown"), place, c.Layout, cmp.Or(c.Split, "all"))
}

// imagesOf describes the part of the images that the network saw.
func imagesOf(c Config) string {
	size := "whole images"
	if c.Data.Crop > 0 {
		size = fmt.Sprintf("crops of %d pixels", c.Data.Crop)
	}
	if c.Data.Augment {
		size += ", flipped and turned"
	}
	if c.Model.MPP > 0 {
		size += fmt.Sprintf(", %g µm a pixel", c.Model.MPP)
	}
	return size
}

// validationPrefix begins the names of a validation's scores.
const validationPrefix = "validation/"

// stepScores are the scores of the last validation up to a step.
type stepScores struct {
	step   int
	values map[string]float64
}

// lastScores reads the scores up to a step from metrics.jsonl, which may be missing.
func lastScores(path string, step int) (last stepScores, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return last, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var all map[string]any
		if json.Unmarshal(lines.Bytes(), &all) != nil {
			continue // a line that a crash cut off
		}
		at, ok := all["step"].(float64)
		if !ok || int(at) > step {
			continue
		}
		values := map[string]float64{}
		for name, value := range all {
			if x, ok := value.(float64); ok && strings.HasPrefix(name, validationPrefix) {
				values[name] = x
			}
		}
		if len(values) > 0 && int(at) >= last.step {
			if int(at) == last.step && last.values != nil {
				maps.Copy(values, last.values)
			}
			last = stepScores{int(at), values}
		}
	}
	return last, lines.Err()
}

// licenceOf returns the licence in a model's card, "" if none.
func licenceOf(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return ""
	}
	front, found := strings.CutPrefix(string(text), "---\n")
	front, _, ended := strings.Cut(front, "\n---")
	if !found || !ended {
		return ""
	}
	var head struct {
		License string `yaml:"license"`
	}
	if yaml.Unmarshal([]byte(front), &head) != nil {
		return ""
	}
	return head.License
}
