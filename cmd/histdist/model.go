package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/weights"
)

func modelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "download, inspect, convert, widen and create model folders",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(pullCommand(), inspectCommand(), convertCommand(), widenCommand(), createCommand(), tuneCommand())
	return c
}

func inspectCommand() *cobra.Command {
	var asJSON bool
	var o model.Options
	var pull pullFlag
	c := &cobra.Command{
		Use:   "inspect FOLDER|MODEL",
		Short: "show what is in a model's folder and what is missing",
		Long: `Shows the networks in a folder that diffusers or transformers saved, or in Hugging Face's cache under a name
such as owkin/phikon: parameters, types, bytes, and every tensor that is missing, left over, misshapen or not finite.
It finds everything that translate would refuse.

Exit codes: 0 everything can be used, 1 something can't.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := demo.Find(args[0])
			if err != nil {
				return err
			}
			if err := pull.missing(cmd, folder, o); err != nil {
				return err
			}
			r, err := model.Inspect(folder, o)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(r)
			} else {
				err = printReport(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.Healthy() {
				err = fmt.Errorf("%s can't be used as it is", r.Path)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&o.Phikon, "phikon", "", "folder or id of the vision transformer, as for translate")
	c.Flags().StringVar(&o.Variant, "variant", "", variantUsage)
	pull.add(c)
	return c
}

// variantUsage is the help for --variant.
const variantUsage = "which weights to read if a folder has several, such as fp16"

// shownNames is the number of tensors of a kind that are printed; --json has all.
const shownNames = 10

func printReport(out io.Writer, r model.Report) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Path)
	if r.Class != "" {
		fmt.Fprintf(&b, "pipeline %s\n", r.Class)
	}
	if len(r.Networks) == 0 {
		_, err := fmt.Fprintf(out, "%s%s\n", &b, strings.Join(r.Problems, "\n"))
		return err
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tCLASS\tPARAMETERS\tBYTES\tTYPES\tSTATE")
	for _, n := range r.Networks {
		var types []string
		for _, t := range slices.Sorted(maps.Keys(n.DTypes)) {
			types = append(types, fmt.Sprintf("%d %s", n.DTypes[t], t))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", n.Name, n.Class, n.Parameters, n.Bytes, strings.Join(types, ", "),
			state(n.Healthy()))
	}
	for _, o := range r.Others {
		fmt.Fprintf(w, "%s\t%s\t\t\t\t%s\n", o.Name, o.Class, state(o.Error == ""))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	for _, n := range r.Networks {
		printNames(&b, n.Name+": missing", n.Missing)
		printNames(&b, n.Name+": left over", n.Surplus)
		printNames(&b, n.Name+": of another shape or type", n.Misshaped)
		printNames(&b, n.Name+": damaged", n.Damaged)
		if n.Error != "" {
			fmt.Fprintf(&b, "%s: %s\n", n.Name, n.Error)
		}
	}
	for _, o := range r.Others {
		if o.Error != "" {
			fmt.Fprintf(&b, "%s: %s\n", o.Name, o.Error)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func state(healthy bool) string {
	if healthy {
		return "good"
	}
	return "BAD"
}

func printNames(b *strings.Builder, what string, names []string) {
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "%s (%d):\n", what, len(names))
	for _, n := range names[:min(shownNames, len(names))] {
		fmt.Fprintf(b, "  %s\n", n)
	}
	if more := len(names) - shownNames; more > 0 {
		fmt.Fprintf(b, "  … and %d more (--json has all)\n", more)
	}
}

// weightFlags say how weights are written.
type weightFlags struct {
	dtype   string
	shardMB int64
}

func (f *weightFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dtype, "dtype", "float32", "type of the weights: float32, float16 or bfloat16")
	c.Flags().Int64Var(&f.shardMB, "max-shard-mb", 10_000, "largest size of one file, in 10⁶ bytes")
}

func (f *weightFlags) read() (t weights.DType, maxShardBytes int64, err error) {
	if t, err = weights.ParseDType(f.dtype); err != nil {
		return t, 0, fmt.Errorf("--dtype: %w", err)
	}
	if f.shardMB < 1 {
		return t, 0, fmt.Errorf("--max-shard-mb %d: want 1 or more", f.shardMB)
	}
	return t, f.shardMB * 1_000_000, nil
}

func convertCommand() *cobra.Command {
	var f weightFlags
	var o model.ConvertOptions
	c := &cobra.Command{
		Use:   "convert FOLDER|MODEL NEW-FOLDER",
		Short: "rewrite a model's folder with another type, format or shard size",
		Long: `Copies a pipeline's or a network's folder, with weights from .bin or .safetensors rewritten as safetensors
under current names. The new folder appears when it is complete.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.DType, o.MaxShardBytes, err = f.read(); err != nil {
				return err
			}
			folder, err := demo.Find(args[0])
			if err != nil {
				return err
			}
			return model.Convert(cmd.Context(), folder, args[1], o)
		},
	}
	f.add(c)
	c.Flags().StringVar(&o.Variant, "variant", "", variantUsage)
	return c
}

func widenCommand() *cobra.Command {
	var f weightFlags
	var o model.ConvertOptions
	var channels int
	c := &cobra.Command{
		Use:   "widen FOLDER|MODEL NEW-FOLDER",
		Short: "add the input channels of a translation to a text-to-image U-Net",
		Long: `Copies a pipeline's or a U-Net's folder with more input channels: 8 instead of Stable Diffusion's 4. The
weights of the new channels are zero, so that the U-Net's output is the same until it is trained.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.DType, o.MaxShardBytes, err = f.read(); err != nil {
				return err
			}
			folder, err := demo.Find(args[0])
			if err != nil {
				return err
			}
			return model.Widen(cmd.Context(), folder, args[1], channels, o)
		},
	}
	f.add(c)
	c.Flags().StringVar(&o.Variant, "variant", "", variantUsage)
	c.Flags().IntVar(&channels, "channels", 8, "input channels of the new U-Net")
	return c
}
