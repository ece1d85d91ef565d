package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/progress"
)

func pullCommand() *cobra.Command {
	var o model.PullOptions
	c := &cobra.Command{
		Use:   "pull MODEL",
		Short: "download a model into Hugging Face's cache",
		Long: `Downloads a model from huggingface.co into Hugging Face's cache, which Python's tools share, and prints its
folder. Other commands find it there by its name.

  histdist model pull owkin/phikon
  histdist model pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16

Only what this program reads is downloaded: configurations, the tokenizer, the schedule, and of the weights one file for
each network, safetensors before .bin. What is in the cache already is not downloaded again, every file is compared with
its published hash, and a run that was stopped in whatever way goes on when it is started again.

Variables, as for Hugging Face's tools: HF_TOKEN for gated and private models (or the token of 'hf auth login'), HF_HOME
or HF_HUB_CACHE for where the cache is, HF_ENDPOINT for another server, HTTPS_PROXY for a proxy.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var folder string
			err := showPull(cmd.ErrOrStderr(), func(observe progress.Observer) (err error) {
				o.Observe = observe
				folder, err = model.Pull(cmd.Context(), args[0], o)
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), folder)
			return err
		},
	}
	c.Flags().StringVar(&o.Revision, "revision", "", "a branch, a tag or a commit, as MODEL@REVISION (default: main)")
	c.Flags().StringVar(&o.Variant, "variant", "", "which weights to download if there are several, such as fp16")
	return c
}

// pullFlag is --pull.
type pullFlag bool

func (p *pullFlag) add(c *cobra.Command) {
	c.Flags().BoolVar((*bool)(p), "pull", false,
		"download the model, and Phikon, if they are neither folders nor in Hugging Face's cache")
}

// missing downloads what opening the model needs and isn't here, if that was asked for. The model is named as on a
// command line; "" is none.
func (p pullFlag) missing(cmd *cobra.Command, name string, o model.Options) error {
	if base, _ := demo.Folder(name); !bool(p) || name == "" || base != nil {
		return nil
	}
	return showPull(cmd.ErrOrStderr(), func(observe progress.Observer) error {
		return model.PullMissing(cmd.Context(), name, o, observe)
	})
}

// showPull calls pull with an observer that shows its progress: a bar on a terminal, else a line every few seconds.
func showPull(w io.Writer, pull func(progress.Observer) error) error {
	notes := progress.On(func(n progress.Note) error {
		_, err := fmt.Fprintln(w, "note: "+string(n))
		return err
	})
	if !isTerminal(w) {
		return pull(progress.All(notes, progress.On((&pullLines{w: w}).show)))
	}
	b := &pullBar{w: w}
	defer b.end()
	return pull(progress.All(notes, progress.On(b.show)))
}

// pullRate is how fast a download of a model is.
type pullRate struct {
	begin time.Time
	last  hub.Progress
}

// take notes where a download is, and reports whether it is another model's.
func (r *pullRate) take(e hub.Progress) (began bool) {
	if began = e.Model != r.last.Model; began {
		r.begin = time.Now()
	}
	r.last = e
	return began
}

// String is the speed and the time that is left; "" if it isn't known.
func (r *pullRate) String() string {
	took := time.Since(r.begin)
	if took < time.Second || r.last.Received == 0 {
		return ""
	}
	perSecond := float64(r.last.Received) / took.Seconds()
	left := time.Duration(float64(r.last.Total-r.last.Done) / perSecond * float64(time.Second))
	return fmt.Sprintf("%.1f MB/s, left: %v", perSecond/1e6, left.Round(time.Second))
}

// pullBar is a bar for each model.
type pullBar struct {
	w        io.Writer
	progress *mpb.Progress
	bar      *mpb.Bar
	rate     pullRate
	text     atomic.Value // rate's, for the goroutine that draws
}

func (b *pullBar) show(e hub.Progress) error {
	if b.rate.take(e) {
		b.end()
		b.progress = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(64))
		b.bar = b.progress.AddBar(e.Total,
			mpb.PrependDecorators(decor.Name(e.Model+" "), decor.CountersKiloByte("% .1f / % .1f")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				text, _ := b.text.Load().(string)
				return text
			})))
	}
	b.text.Store(b.rate.String())
	b.bar.SetTotal(e.Total, false)
	b.bar.SetCurrent(e.Done)
	return nil
}

// end leaves the bar as it is.
func (b *pullBar) end() {
	if b.progress == nil {
		return
	}
	b.bar.Abort(false)
	b.progress.Wait()
}

// pullLines is a line every few seconds and at the end.
type pullLines struct {
	w    io.Writer
	rate pullRate
	last time.Time
}

func (l *pullLines) show(e hub.Progress) error {
	began, now := l.rate.take(e), time.Now()
	if e.Done < e.Total && !began && now.Sub(l.last) < 5*time.Second {
		return nil
	}
	l.last = now
	text := fmt.Sprintf("%s: %.1f of %.1f MB", e.Model, float64(e.Done)/1e6, float64(e.Total)/1e6)
	if rate := l.rate.String(); rate != "" && e.Done < e.Total {
		text += ", " + rate
	}
	_, err := fmt.Fprintln(l.w, text)
	return err
}
