package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
)

func slideCommand() *cobra.Command {
	c := &cobra.Command{Use: "slide", Short: "look at whole-slide images", Args: cobra.NoArgs}
	c.AddCommand(slideInfoCommand())
	return c
}

func slideInfoCommand() *cobra.Command {
	o := slide.Options{AnyMPP: true}
	var what, outlines, thumbnail string
	var side int
	var properties bool
	c := &cobra.Command{
		Use:   "info SLIDE",
		Short: "show what a slide has: levels, micrometres per pixel, other images, tissue",
		Long: `Shows what reads a slide, its levels, micrometres per pixel and other images, and which share of it is tissue.
The outlines of the tissue can be written for QuPath, and be edited there.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := slide.Open(args[0], o)
			if err != nil {
				return err
			}
			defer s.Close()
			for _, n := range s.Notes {
				note(cmd)(n)
			}
			describeSlide(cmd.OutOrStdout(), s, properties)
			if thumbnail != "" {
				v := s.Fit(side)
				img, err := v.Read(cmd.Context(), v.Bounds())
				if err != nil {
					return err
				}
				if err := imagefile.Write(thumbnail, img, imagefile.WriteOptions{}); err != nil {
					return err
				}
			}
			m, err := tissue.Choose(cmd.Context(), s, what)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%-14s %.1f %% of the slide\n", "tissue", 100*m.Share())
			if outlines != "" {
				return m.WriteGeoJSON(outlines)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&what, "tissue", tissue.Auto, tissue.Usage)
	f.StringVar(&outlines, "outlines", "", "GeoJSON file to write: the outlines of the tissue, for QuPath")
	f.StringVar(&thumbnail, "thumbnail", "", "image to write: the whole slide")
	f.IntVar(&side, "thumbnail-side", 1024, "longer side of the thumbnail in pixels")
	f.BoolVar(&properties, "properties", false, "also list everything else that the file says")
	f.Float64Var(&o.MPP, "mpp", 0, "micrometres per pixel, instead of what the file says")
	f.Var(&o.ICC, "icc", imagefile.ICCUsage)
	return c
}

// describeSlide writes a table of what is known of a slide.
func describeSlide(w io.Writer, s *slide.Slide, properties bool) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	info := s.Info()
	line("slide", "%s", filepath.Base(s.Path))
	line("read by", "%s, as %s", info.Reader, info.Vendor)
	line("size", "%d × %d pixels", s.Width, s.Height)
	if s.MPP[0] > 0 {
		line("µm per pixel", "%.4g × %.4g", s.MPP[0], s.MPP[1])
		line("area", "%.1f × %.1f mm", float64(s.Width)*s.MPP[0]/1000, float64(s.Height)*s.MPP[1]/1000)
	} else {
		line("µm per pixel", "unknown: --mpp is needed to use the slide")
	}
	if info.Magnification > 0 {
		line("objective", "%g×", info.Magnification)
	}
	for i, l := range info.Levels {
		line(fmt.Sprintf("level %d", i), "%d × %d pixels, 1 : %.4g", l.Width, l.Height, l.Downsample[0])
	}
	if len(info.Associated) > 0 {
		line("other images", "%s", strings.Join(info.Associated, ", "))
	}
	profile := "none: taken as sRGB"
	if len(info.ICC) > 0 {
		profile = fmt.Sprintf("%d bytes", len(info.ICC))
	}
	line("colour profile", "%s", profile)
	if properties {
		for _, p := range info.Properties {
			fmt.Fprintf(w, "  %s = %s\n", p.Name, strings.Join(strings.Fields(p.Value), " "))
		}
	}
}
