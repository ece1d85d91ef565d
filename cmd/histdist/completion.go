package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/synth"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/train"
)

// choices are the values that a shell offers for a flag, and for a key of an experiment, by the last part of its name. Some take others too.
func choices() map[string][]string {
	onDevice := slices.DeleteFunc(strings.Split(catalog.Usage(), ", "), func(s string) bool { return s == "…" })
	eta := []string{"zero", "constant:", "linear", "cosine_min_10", "cosine_min_20", "cosine_min_30"}
	return map[string][]string{
		"device": onDevice, "devices": onDevice,
		"precision": {"float32", "bfloat16"},
		"dtype":     {"float32", "float16", "bfloat16"},
		"icc":       imagefile.ICC(0).Values(),
		"format":    {"png", "jpg", "tif"},
		"layout":    texts(data.MIST, data.BCI, data.Combined, data.Folders, data.CSV),
		"corrupt":   texts(data.CorruptError, data.CorruptSkip), "fingerprint": {configs.FingerprintSampled, configs.FingerprintFull},
		"marker": texts(synth.ER, synth.PR, synth.Ki67, synth.HER2),
		"eta":    eta, "eta-inversion": eta,
		"normalize":       texts(schedule.NormalizeInversion, schedule.NormalizeSteps, schedule.NormalizeNone),
		"prediction-type": texts(schedule.VPrediction, schedule.Epsilon),
		"without":         {"tokens", "concatenation", "inversion"},
		"vectors":         texts(evaluate.QuPath, evaluate.Macenko),
		"nuclei-signal":   texts(nuclei.RedDensity, nuclei.HaematoxylinDensity),
		"only":            slices.Concat(modelbench.Names(), bench.Names()),
		"resume":          {latest, auto},
		"experiment":      experiments.Names(),
		"objective":       texts(train.Diffusion, train.Autoencoder),
		"lr-schedule":     texts(train.LRSchedules()...),
	}
}

func texts[T ~string](list ...T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

// completeFlags has a shell offer the values of the flags of all commands.
func completeFlags(root *cobra.Command) {
	values := choices()
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return values[f.Name], cobra.ShellCompDirectiveNoFileComp
			}
			switch _, known := values[f.Name]; {
			case f.Name == "set":
				complete = func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
					return settings(values, begun)
				}
			case f.Name == "resume" || f.Name == "experiment": // also a folder, a file
				complete = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
					return values[f.Name], cobra.ShellCompDirectiveDefault
				}
			case !known:
				return
			}
			_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails for flags that there are not
		})
		completeFlags(c)
	}
}

// settings completes KEY=VALUE: the keys of an experiment, and behind one the values that it may have.
func settings(values map[string][]string, begun string) ([]string, cobra.ShellCompDirective) {
	c := configs.DefaultExperiment()
	name, _, atValue := strings.Cut(begun, "=")
	var list []string
	for _, k := range configs.Keys(&c) {
		if !atValue {
			list = append(list, k.Name+"=\t"+k.Usage)
			continue
		}
		if k.Name != name {
			continue
		}
		of := values[name[strings.LastIndex(name, ".")+1:]]
		if k.Bool {
			of = []string{"true", "false"}
		}
		for _, v := range of {
			list = append(list, name+"="+v)
		}
	}
	if atValue {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeExperiments offers the built-in experiments, and files.
func completeExperiments(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return experiments.Names(), cobra.ShellCompDirectiveDefault
}
