package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"net/http"
	"os"
	"strings"

	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/queue"
)

// jobRecord is a job as the queue keeps it: the request, and what it meant when it was made.
type jobRecord struct {
	Request   jobRequest `json:"request"`
	SlideName string     `json:"slide_name"`
	Marker    string     `json:"marker"`
	Size      box        `json:"size"` // the whole slide
	Plan      jobPlan    `json:"plan"`

	Content string `json:"content"` // tag of the slide's
	Tissue  []byte `json:"tissue"`  // what of that is, a packed tissue.Mask: it is found once
}

// jobPlan is what a job takes.
type jobPlan struct {
	Windows  int   `json:"windows"`
	Calls    int64 `json:"calls"` // of the U-Net
	TissuePx int64 `json:"tissue_px"`
}

// recordOf is what a job is.
func recordOf(job queue.Job) (c jobRecord, err error) {
	if err = json.Unmarshal(job.Request, &c); err != nil {
		err = fmt.Errorf("job %s: %w", job.ID, err)
	}
	return c, err
}

// shown is the part of the slide that a job's small images and PNG files show.
func (c jobRecord) shown() image.Rectangle {
	if c.Request.Region != nil {
		return c.Request.Region.rect()
	}
	return c.Size.rect()
}

// plan fills in what a job takes, and returns the disk space that its files will need. What can't be translated is a
// problem of the request.
func (s *Server) plan(ctx context.Context, one *catalogue.Slide, model string, c *jobRecord) (disk int64, err error) {
	done, err := s.jobs.planning.take(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	p, err := s.models.Plan(model, c.Request.Preset)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var areas string
	if len(c.Request.Annotations) > 0 {
		f, err := os.CreateTemp(s.state, temporary)
		if err != nil {
			return 0, err
		}
		areas = f.Name()
		defer func() { err = errors.Join(err, os.Remove(areas)) }()
		_, err = f.Write(c.Request.Annotations)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
	}
	if c.Content, err = one.Tag(); err != nil { // before it is read
		return 0, unreadable(one, err)
	}
	o, err := s.translation(p, one, *c, "", areas)
	if err != nil {
		return 0, unreadable(one, err)
	}
	var plan mosaic.Plan
	if o.Found, err = mosaic.TissueOf(ctx, p, o); err == nil {
		plan, err = mosaic.PlanFile(ctx, p, o)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 0, err
	case err != nil:
		return 0, problem(http.StatusUnprocessableEntity, "this can't be translated: %s", told(one, err, areas))
	}
	if most := s.settings.MaxJobCalls; plan.Calls > most {
		return 0, problem(http.StatusUnprocessableEntity, "the job takes %d calls of the U-Net; %d are allowed: "+
			"choose a smaller region or a faster preset", plan.Calls, most)
	}
	meta, err := one.Meta(ctx)
	if err != nil {
		return 0, unreadable(one, err)
	}
	if c.Tissue, err = o.Found.MarshalBinary(); err != nil {
		return 0, err
	}
	c.Size = box{0, 0, meta.Width, meta.Height}
	c.Plan = jobPlan{Windows: plan.Windows, Calls: plan.Calls, TissuePx: plan.Tissue}
	// The stain as JPEG, with its reduced levels, of at most a byte for each pixel; and small files.
	scale := float64(meta.Width) / float64(plan.Width) * float64(meta.Height) / float64(plan.Height)
	return plan.Disk + int64(float64(plan.Tissue)*scale*4/3) + 16<<20, nil
}

// told is an error in a client's words: without paths, and without options of the command line.
func told(one *catalogue.Slide, err error, areas string) string {
	text := one.Scrub(err.Error())
	if areas != "" {
		text = strings.ReplaceAll(text, areas, "annotations")
	}
	for _, words := range []struct{ from, to string }{
		{"; say what is right: --mpp", ""},
		{"; name areas in a GeoJSON file, or take all", "; draw areas, or take all"},
		{"; --tissue all translates everything", "; tissue all translates everything"},
	} {
		text = strings.ReplaceAll(text, words.from, words.to)
	}
	return text
}
