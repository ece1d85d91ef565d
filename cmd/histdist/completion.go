package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/internal/synth"
)

// choices returns the values that a shell offers for a flag, and for a key of an experiment, by the last part of its
// name. Some take others too.
func choices() map[string][]string {
	onDevice := slices.DeleteFunc(strings.Split(catalog.Usage(), ", "), func(s string) bool { return s == "…" })
	eta := []string{"zero", "constant:", "linear", "cosine_min_10", "cosine_min_20", "cosine_min_30"}
	values := map[string][]string{
		"device": onDevice,
		"dtype":  {"float32", "float16", "bfloat16"},
		"icc":    imagefile.ICC(0).Values(),
		"marker": {string(synth.ER), string(synth.PR), string(synth.Ki67), string(synth.HER2)},
		"eta":    eta, "eta-inversion": eta,
		"without":    {"tokens", "concatenation", "inversion"},
		"only":       bench.Names(),
		"resume":     {latest, auto},
		"experiment": experiments.Names(),
	}
	for _, options := range []any{defaultTranslate(), defaultEvaluate(), experiments.Default()} {
		for _, v := range configs.Defaults(options) {
			if list := v.Choices(); v.Kind() == "text" && list != nil {
				values[lastPart(v.Key)] = list
			}
		}
	}
	return values
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// completeFlags has a shell offer the values of the flags of all commands.
func completeFlags(root *cobra.Command) {
	values := choices()
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if values[f.Name] == nil && f.Name != "set" {
				return
			}
			// It fails for unknown flags only.
			_ = c.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, begun string) (
				[]string, cobra.ShellCompDirective,
			) {
				switch f.Name {
				case "set":
					return settings(values, begun)
				case "resume", "experiment": // also a folder, a file
					return values[f.Name], cobra.ShellCompDirectiveDefault
				}
				return values[f.Name], cobra.ShellCompDirectiveNoFileComp
			})
		})
		completeFlags(c)
	}
}

// settings completes KEY=VALUE: the keys of an experiment, and after one of them its values.
func settings(values map[string][]string, begun string) ([]string, cobra.ShellCompDirective) {
	name, _, atValue := strings.Cut(begun, "=")
	var list []string
	for _, k := range configs.Defaults(experiments.Default()) {
		if !atValue {
			list = append(list, k.Key+"=\t"+k.Usage)
			continue
		}
		if k.Key != name {
			continue
		}
		of := values[lastPart(name)]
		if k.Kind() == "true or false" {
			of = k.Choices()
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
