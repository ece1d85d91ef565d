package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/server"
	"github.com/histdist/histdist/internal/server/models"
)

func serveCommand() *cobra.Command {
	c := defaultServe()
	var file string
	command := &cobra.Command{
		Use:   "serve [--model FOLDER] [--slides FOLDER]",
		Short: "translate slides in the browser, from QuPath and over HTTP",
		Long: `Serves a page on which slides are opened, regions marked and translated, and the stain is shown next to the
H&E, and the interface that QuPath and scripts use. For research only: not for diagnosis.

  histdist serve
  histdist serve --model models/er --model models/her2 --slides /data/slides

Without options it serves the demonstration to this machine alone: the model in the binary and a synthetic slide. Other
machines reach it at another --address, with a token for each user (--token-file).

Jobs, results and uploads are kept in --state. A server that was ended or killed goes on with its jobs when it is
started again.

Options can also be given in a YAML file (--config), under serve:, or in the environment: HISTDIST_SERVE_ADDRESS.`,
		Args: cobra.NoArgs,
	}
	flags := configs.AddFlags(command.Flags(), &c, "serve")
	command.Flags().StringVar(&file, "config", "", "YAML file with options")
	var pull pullFlag
	pull.add(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := load(cmd, &c, file, flags)
		if err != nil {
			return err
		}
		if err := configs.Locate(option.In("serve", c.Serve.Validate()), values); err != nil {
			return err
		}
		for _, name := range c.Serve.Models {
			if err := pull.missing(cmd, name, model.Options{}); err != nil {
				return err
			}
		}
		return serve(cmd, c.Serve)
	}
	return command
}

// serve runs the command with its options.
func serve(cmd *cobra.Command, c serveOptions) (err error) {
	o := server.Options{
		Settings: c.Settings, Devices: c.devices(), Version: version, Commit: commit(),
		Work: infer.Options{Precision: precisionOf(c.Precision), LowMemory: c.LowMemory}, Log: c.logger(cmd.ErrOrStderr()),
	}
	if len(c.Models) == 0 {
		c.Models = option.List{"demo"}
	}
	if len(c.Slides) == 0 {
		folder, err := demo.CachedSlide(cmd.Context())
		if err != nil {
			return err
		}
		o.Slides = option.List{folder}
	}
	for _, name := range c.Models {
		folder, err := demo.Find(name)
		if err != nil {
			return err
		}
		source := models.Source{Folder: folder}
		if folder != name {
			source.Name = name // the demonstration's, which lies in a cache
		}
		o.Models = append(o.Models, source)
	}
	listener, url, err := server.Listen(o.Settings)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = listener.Close() // a second time at worst
		}
	}()
	s, err := server.New(cmd.Context(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fmt.Fprintf(cmd.OutOrStdout(), "HistDiST for research only: %s\n", url)
	return s.Serve(cmd.Context(), listener)
}

// devices are those of the list that --device is.
func (o serveOptions) devices() []models.Device {
	var all []models.Device
	for name := range strings.SplitSeq(o.Device, ",") {
		if name = strings.TrimSpace(name); name == "auto" {
			name = catalog.Names()[0]
		}
		all = append(all, models.Device{Name: name, Open: func() (device.Device, error) {
			return openDevice(name, o.Threads)
		}})
	}
	return all
}

// logger writes the log, a line for each event.
func (o serveOptions) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.LogRequests {
		options.Level = slog.LevelDebug
	}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// commit is the revision that the program was built from, "" if the build doesn't know it.
func commit() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
