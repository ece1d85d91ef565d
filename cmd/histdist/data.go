package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/registration"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/synth"
)

func dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "check, split, align and make data sets of image pairs", Args: cobra.NoArgs}
	c.AddCommand(checkCommand(), splitCommand(), alignCommand(), synthCommand())
	return c
}

func synthCommand() *cobra.Command {
	c, slides := synth.Default(), synth.DefaultSlide()
	var out, marker, size, compression, shard string
	var markers []string
	var apart bool
	var pixels mosaic.Compression
	command := &cobra.Command{
		Use:   "synth --output FOLDER",
		Short: "make pairs of synthetic tissue, or a slide, H&E and IHC, with ground truth",
		Long: `Makes pairs of images of synthetic tissue in MIST's layout, H&E in trainA and valA, the IHC stain of the same
tissue in trainB and valB, and the type of every nucleus. For trying and testing without a download; none of it
is real tissue. The same seed gives the same files. An interrupted run continues when it is started again.

With --markers it makes a data set for each of several markers: OUTPUT/er, OUTPUT/her2 and so on have the same H&E
images, or with --apart other patients each.

With --slide it makes a whole slide instead: islands of tissue on glass as pyramids, he.ome.tiff and, of the same
section, ihc.ome.tiff, and the truth in GeoJSON: islands.geojson and nuclei.geojson.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return fmt.Errorf("--output is missing")
			}
			c.Marker = synth.Marker(marker)
			last := time.Now()
			observe := progress.All(progress.On(func(s progress.Stage) error {
				if time.Since(last) > 2*time.Second || s.Done == s.Total {
					last = time.Now()
					fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d %s\n", s.Done, s.Total, s.Name)
				}
				return nil
			}), progress.On(func(n progress.Note) error {
				note(cmd)(string(n))
				return nil
			}))
			if err := c.Shard.UnmarshalText([]byte(shard)); err != nil {
				return fmt.Errorf("--shard: %w", err)
			}
			if c.Shard.N > 0 && size != "" {
				return fmt.Errorf("--shard shares pairs: one process makes a slide")
			}
			if err := oneOfTissue(cmd, markers, size, apart); err != nil {
				return err
			}
			if markers != nil {
				var list []synth.Marker
				for _, m := range markers {
					list = append(list, synth.Marker(strings.ToLower(m)))
				}
				return synth.WriteMarkers(cmd.Context(), out, c, list, apart, observe)
			}
			if size == "" {
				return synth.Write(cmd.Context(), out, c, observe)
			}
			if err := slideSize(size, &slides); err != nil {
				return err
			}
			slides.Marker, slides.Seed, slides.Workers = c.Marker, c.Seed, c.Workers
			if cmd.Flags().Changed("mpp") {
				slides.MPP = c.MPP
			}
			if cmd.Flags().Changed("quality") {
				slides.Quality = c.Quality
			}
			if slides.Quality < 1 {
				return fmt.Errorf("--quality %d: want 1 to 100; --compression deflate is lossless", slides.Quality)
			}
			if err := pixels.UnmarshalText([]byte(compression)); err != nil {
				return fmt.Errorf("--%w", err)
			}
			if pixels == mosaic.CompressionDeflate {
				slides.Quality = 0
			}
			return synth.WriteSlide(cmd.Context(), out, slides, observe)
		},
	}
	f := command.Flags()
	f.StringVar(&out, "output", "", "folder to write")
	f.IntVar(&c.Pairs, "pairs", c.Pairs, "pairs for training")
	f.IntVar(&c.ValPairs, "val-pairs", c.ValPairs, "pairs for validation, of other patients")
	f.IntVar(&c.PatientPairs, "patient-pairs", c.PatientPairs, "pairs of one patient")
	f.IntVar(&c.Size, "size", c.Size, "side of a pair's images in pixels, 64 to 2048")
	f.Float64Var(&c.MPP, "mpp", c.MPP, "micrometres per pixel (of a slide 0.5 unless given)")
	f.StringVar(&marker, "marker", string(c.Marker), "er, pr, ki67 or her2")
	f.StringSliceVar(&markers, "markers", nil,
		"several, separated by commas, such as er,her2,ki67,pr: a data set for each, in a folder of its name")
	f.BoolVar(&apart, "apart", false, "with --markers: each data set is of other patients")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "another seed gives other patients")
	f.Float64Var(&c.Misregistration, "misregistration", c.Misregistration,
		"largest displacement of the IHC against the H&E, in pixels")
	f.IntVar(&c.Quality, "quality", c.Quality, "of JPEG, 1 to 100 (of a slide 90 unless given)")
	f.StringVar(&compression, "compression", string(mosaic.CompressionJPEG),
		"of a slide: jpeg, or deflate, which is lossless")
	f.IntVar(&c.Workers, "workers", c.Workers, "pairs or parts of a slide made at a time; 0 is one for each processor")
	f.StringVar(&shard, "shard", "", "share the pairs with other processes, of which this is I of N: I/N, or auto")
	f.DurationVar(&c.DeadAfter, "dead-after", claim.DefaultSilence,
		"how long another shard may give no sign of life until its work is taken over")
	f.StringVar(&size, "slide", "", "make a slide of so many pixels, such as 4096x4096, instead of pairs")
	f.IntVar(&slides.Islands, "islands", slides.Islands, "pieces of tissue on the slide")
	f.Float64Var(&slides.Tissue, "tissue-share", slides.Tissue, "how much of the slide is tissue, about: 0.0001 to 0.6")
	return command
}

// oneOfTissue returns an error if flags of synth exclude each other.
func oneOfTissue(cmd *cobra.Command, markers []string, size string, apart bool) error {
	switch {
	case markers == nil && apart:
		return errors.New("--apart needs --markers, such as --markers er,her2")
	case markers == nil:
		return nil
	case cmd.Flags().Changed("marker"):
		return errors.New("--marker and --markers: want one of them")
	case size != "":
		return errors.New("--slide and --markers: a slide has one IHC stain: want --marker")
	}
	return nil
}

// slideSize reads a size such as 4096x4096.
func slideSize(text string, c *synth.SlideConfig) error {
	width, height, ok := strings.Cut(strings.ReplaceAll(strings.ToLower(text), "×", "x"), "x")
	var errs [2]error
	c.Width, errs[0] = strconv.Atoi(width)
	c.Height, errs[1] = strconv.Atoi(height)
	if !ok || errs[0] != nil || errs[1] != nil {
		return fmt.Errorf("--slide is %q, want WIDTHxHEIGHT in pixels, such as 4096x4096", text)
	}
	return nil
}

// setOptions say where a data set is and what to do with images that can't be read.
type setOptions struct {
	data.Location
	Corrupt data.Corrupt `key:"corrupt" want:"error or skip" usage:"an image that can't be read: error, or skip the pair"`

	flags map[string]*pflag.Flag
}

func newSetOptions(c *cobra.Command) *setOptions {
	s := &setOptions{Location: data.Location{Layout: data.MIST}, Corrupt: data.CorruptError}
	s.flags = configs.AddFlags(c.Flags(), s, "", "dir")
	return s
}

// read takes the command's flags and its argument, the place of the set.
func (s *setOptions) read(cmd *cobra.Command, args []string) error {
	values, err := load(cmd, s, "", s.flags)
	if len(args) > 0 {
		s.Root = args[0]
	}
	return cmp.Or(err, configs.Locate(option.Check(s), values))
}

// open is read, and opens the set.
func (s *setOptions) open(cmd *cobra.Command, args []string) (*data.Dataset, error) {
	if err := s.read(cmd, args); err != nil {
		return nil, err
	}
	set, err := data.Open(cmd.Context(), s.Location, s.Corrupt)
	if err != nil {
		return nil, named(err)
	}
	for _, n := range set.Notes {
		note(cmd)(n)
	}
	return set, nil
}

// named names the flag or argument that an error of package data is about.
func named(err error) error {
	var field *option.KeyError
	switch {
	case !errors.As(err, &field):
		return err
	case field.Key == "dir":
		return errors.New("FOLDER or LIST.csv: " + strings.TrimPrefix(err.Error(), "dir: ")) // with the hints around it
	}
	return fmt.Errorf("--%w", err)
}

func checkCommand() *cobra.Command {
	var s *setOptions
	var read imagefile.Options
	var all, register bool
	c := &cobra.Command{
		Use:   "check [FOLDER|LIST.csv]",
		Short: "decode every image of a data set and report what is wrong",
		Long: `Decodes every image and lists images without a partner, pairs of different sizes, unreadable files,
duplicates, and patients in more than one split. Exit codes: 0 the data set can be used, 1 it can't, or has no pairs.

With --register it also measures how each IHC image lies off its H&E image: shift, rotation and scale, and what these
leave. 'histdist data align' undoes it; data.max-shift in an experiment leaves out pairs that lie too far off.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.read(cmd, args); err != nil {
				return err
			}
			r, err := data.Check(cmd.Context(), s.Location, s.Corrupt, read)
			if err != nil {
				return named(err)
			}
			if err := r.WriteText(cmd.OutOrStdout(), all); err != nil {
				return err
			}
			if !r.OK() {
				return fmt.Errorf("%s can't be used as it is", s.Location)
			}
			if !register {
				return nil
			}
			set, err := data.Open(cmd.Context(), s.Location, s.Corrupt)
			if err != nil {
				return named(err)
			}
			list, err := registration.Pairs(cmd.Context(), set.Pairs, read, observer(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			return registration.WriteText(cmd.OutOrStdout(), list, all)
		},
	}
	s = newSetOptions(c)
	c.Flags().Var(&read.ICC, "icc", imagefile.ICCUsage)
	c.Flags().BoolVar(&register, "register", false, "measure how the images of each pair lie off each other")
	c.Flags().BoolVar(&all, "all", false, "list every image, not only the first for each kind of problem")
	return c
}

func alignCommand() *cobra.Command {
	var s *setOptions
	o := registration.DefaultAlign()
	var flags map[string]*pflag.Flag
	c := &cobra.Command{
		Use:   "align [FOLDER|LIST.csv] --output FOLDER",
		Short: "move the IHC images of a data set onto their H&E images",
		Long: `Writes what the two images of each pair both show, the IHC moved onto the H&E, and a list of the pairs,
pairs.csv, to train with. registration.csv has how each pair lay and why some were dropped. An IHC that is only shifted
keeps its pixels. The data set itself isn't changed. An interrupted run continues when it is started again.

  histdist data check MIST/ER --register
  histdist data align MIST/ER --output aligned
  histdist train experiments/er.yaml --set data.dir=aligned/pairs.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := load(cmd, &o, "", flags)
			if err != nil {
				return err
			}
			if err := configs.Locate(option.Check(o), values); err != nil {
				return err
			}
			if o.Output == "" {
				return missing("output")
			}
			set, err := s.open(cmd, args)
			if err != nil {
				return err
			}
			o.Program, o.Observe = "histdist "+version, observer(cmd.ErrOrStderr())
			list, err := registration.Align(cmd.Context(), set.Pairs, o)
			if err != nil {
				return named(err)
			}
			dropped := 0
			for _, a := range list {
				if a.Dropped != "" {
					dropped++
					fmt.Fprintf(cmd.ErrOrStderr(), "dropped %s: %s\n", a.Pair.HE, a.Dropped)
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d pairs; dropped: %d\n",
				filepath.Join(o.Output, registration.ListFile), len(list)-dropped, dropped)
			return err
		},
	}
	s = newSetOptions(c)
	flags = configs.AddFlags(c.Flags(), &o, "")
	c.Flags().Var(&o.Read.ICC, "icc", imagefile.ICCUsage)
	return c
}

func splitCommand() *cobra.Command {
	var s *setOptions
	var out string
	var fraction float64
	var seed int64
	c := &cobra.Command{
		Use:   "split [FOLDER|LIST.csv] --output LIST.csv",
		Short: "split a data set so that no patient is in both parts",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return fmt.Errorf("--output is missing")
			}
			set, err := s.open(cmd, args)
			if err != nil {
				return err
			}
			if set.Skipped.Pairs > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "skipped %s\n", set.Skipped)
			}
			train, val, err := data.SplitByPatient(set.Pairs, fraction, seed)
			if err != nil {
				return err
			}
			if err := data.WriteCSV(out, append(train, val...)); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d pairs for training, %d for validation\n", out, len(train), len(val))
			return err
		},
	}
	s = newSetOptions(c)
	c.Flags().StringVar(&out, "output", "", "list to write, for the layout csv")
	c.Flags().Float64Var(&fraction, "fraction", 0.1, "fraction of the pairs for validation")
	c.Flags().Int64Var(&seed, "seed", 0, "seed of the choice of patients")
	return c
}
