package server

import (
	"cmp"
	"image"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/server/queue"
)

// jobAnswer is a job in an answer.
type jobAnswer struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Slide   string         `json:"slide"`
	Model   string         `json:"model"`
	Marker  string         `json:"marker"`
	Preset  string         `json:"preset"`
	Seed    int64          `json:"seed"`
	Region  *box           `json:"region,omitempty"`
	Areas   bool           `json:"annotations"` // it has some
	Tissue  string         `json:"tissue"`
	Outside mosaic.Outside `json:"outside"`

	State      queue.State    `json:"state"`
	Cancelling bool           `json:"cancelling,omitempty"`
	Created    time.Time      `json:"created"`
	Started    *time.Time     `json:"started,omitempty"`
	Ended      *time.Time     `json:"ended,omitempty"`
	Expires    *time.Time     `json:"expires,omitempty"`
	Position   int            `json:"position,omitempty"` // in the queue, from 1
	Progress   progressAnswer `json:"progress"`
	Error      string         `json:"error,omitempty"`
	Plan       jobPlan        `json:"plan"`

	Placement          box            `json:"placement"` // of the stain on the slide
	ThumbnailPlacement box            `json:"thumbnail_placement"`
	Results            *resultsAnswer `json:"results,omitempty"`
}

type progressAnswer struct {
	Calls       int64 `json:"calls"`
	Of          int64 `json:"of"`
	Regions     int   `json:"regions"`
	OfRegions   int   `json:"of_regions"`
	SecondsLeft *int  `json:"seconds_left,omitempty"` // not there while it is unknown
}

// resultsAnswer are URLs of what there is; Image is an identifier.
type resultsAnswer struct {
	Image        string `json:"image,omitempty"`
	OMETIFF      string `json:"ome_tiff,omitempty"`
	PNG          string `json:"png,omitempty"`
	GeoJSON      string `json:"geojson,omitempty"`
	Provenance   string `json:"provenance,omitempty"`
	Thumbnail    string `json:"thumbnail,omitempty"`
	Measurements string `json:"measurements,omitempty"`
}

func (s *Server) answer(job queue.Job) (jobAnswer, error) {
	c, err := recordOf(job)
	if err != nil {
		return jobAnswer{}, err
	}
	r, p := c.Request, job.Progress
	a := jobAnswer{
		ID: job.ID, Name: cmp.Or(r.Name, c.SlideName), Slide: r.Slide, Model: r.Model, Marker: c.Marker, Preset: r.Preset,
		Seed: r.Seed, Region: r.Region, Areas: len(r.Annotations) > 0, Tissue: r.Tissue, Outside: r.Outside,
		State: job.State, Cancelling: job.Stopping, Created: job.Created, Position: job.Position, Error: job.Error,
		Plan: c.Plan, Placement: c.Size, ThumbnailPlacement: boxOf(c.shown()),
		Progress: progressAnswer{Calls: p.Done, Of: cmp.Or(p.Of, c.Plan.Calls), Regions: p.Parts, OfRegions: p.OfParts},
	}
	for at, t := range map[**time.Time]time.Time{&a.Started: job.Started, &a.Ended: job.Ended, &a.Expires: job.Expires} {
		if !t.IsZero() {
			*at = &t
		}
	}
	if job.State == queue.Running && p.Left > 0 {
		seconds := int(p.Left.Round(time.Second) / time.Second)
		a.Progress.SecondsLeft = &seconds
	}
	base := jobURL(job.ID) + "/"
	switch job.State {
	case queue.Running:
		a.Results = &resultsAnswer{Thumbnail: base + thumbnailFile}
	case queue.Done:
		a.Results = &resultsAnswer{
			Image: job.ID, OMETIFF: base + stainFile, GeoJSON: base + areaFile, Provenance: base + "provenance.json",
			Thumbnail: base + thumbnailFile,
		}
		if pixelsOf(c.shown()) <= maxPNG {
			a.Results.PNG = base + pngFile
		}
		if _, err := os.Stat(filepath.Join(s.jobs.queue.Folder(job.ID), measurementsFile)); err == nil {
			a.Results.Measurements = base + "measurements"
		}
	}
	return a, nil
}

func jobURL(id string) string { return "/api/v1/jobs/" + id }

func pixelsOf(r image.Rectangle) int64 { return int64(r.Dx()) * int64(r.Dy()) }

func (s *Server) replyJob(w http.ResponseWriter, status int, job queue.Job) error {
	a, err := s.answer(job)
	if err != nil {
		return err
	}
	w.Header().Set("Location", jobURL(job.ID))
	return reply(w, status, a)
}
