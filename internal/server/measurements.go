package server

import (
	"context"
	"encoding/json"
	"image"
	"math"
	"net/http"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/stain/tally"
)

// measured is what is measured of a stain: of the pixels that were translated and are in the region, at the resolution
// of the model, by the definitions of histdist evaluate.
type measured struct {
	DABPositiveShare float64  `json:"dab_positive_share"`              // of the pixels, 0 to 1
	HScore           *float64 `json:"h_score"`                         // 0 to 300; null without nuclei
	Ki67Index        *float64 `json:"ki67_index,omitempty"`            // % of the nuclei; only of Ki67
	PositiveNuclei   *float64 `json:"positive_share_nuclei,omitempty"` // of the nuclei, 0 to 1; of other markers
	Nuclei           int      `json:"nuclei"`
	NucleiSignal     string   `json:"nuclei_signal"` // what they stand out in: red or haematoxylin
	AreaMM2          float64  `json:"area_mm2"`
	MPP              float64  `json:"mpp"`
	Definitions      string   `json:"definitions"`
}

// definitions is where measurements are defined.
const definitions = "/api/v1/openapi.json#/components/schemas/Measurements"

// measure writes the measurements of a stain. A stain that can't be measured has none.
func (s *Server) measure(ctx context.Context, path string, stain *slide.Slide, a mosaic.Area, c jobRecord) error {
	view := stain.Whole()
	if a.Width != stain.Width || a.Height != stain.Height {
		var err error
		if view, err = stain.At(a.MPP); err != nil { // the model's resolution, whose pixels the area's mask has
			return err
		}
	}
	read := func(ctx context.Context, r image.Rectangle) (*imagefile.Image, error) { return view.Read(ctx, r) }
	o := tally.Options{MPP: a.MPP, Signal: nuclei.SignalOf(c.Marker)}
	t, err := tally.Part(ctx, a.Pixels(c.shown()), read, a.At, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		s.log.Warn("a stain can't be measured", "error", err)
		return nil
	}
	m := measured{
		DABPositiveShare: t.PositiveShare(), Nuclei: t.Total(), NucleiSignal: string(o.Signal), AreaMM2: t.Area, MPP: a.MPP,
		Definitions: definitions,
	}
	scores, some, err := t.Scores()
	if err != nil {
		return err
	}
	if some {
		m.HScore = &scores.HScore
		if strings.EqualFold(strings.ReplaceAll(c.Marker, "-", ""), "Ki67") {
			m.Ki67Index = &scores.Ki67Index
		} else {
			share := scores.Ki67Index / 100
			m.PositiveNuclei = &share
		}
	}
	if math.IsNaN(m.DABPositiveShare) { // no pixel of the region was translated
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'))
}

func (s *Server) measurements(w http.ResponseWriter, r *http.Request) error {
	job, c, err := s.result(r)
	if err != nil {
		return err
	}
	return s.sendFile(w, r, job, c, measurementsFile, "application/json", "-measurements.json")
}
