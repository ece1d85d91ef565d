package infer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/model"
)

// checkMarkers returns an error unless each job is for one marker, and that of the settings.
func (r *run) checkMarkers(jobs []Job) error {
	markers := r.o.Settings.Marker
	for _, j := range jobs {
		switch {
		case j.Marker == "" && len(markers) > 1:
			return fmt.Errorf("%s: one output for %s: want one for each", j.Output, strings.Join(markers, ", "))
		case j.Marker != "" && len(r.settingsOf(j).Marker) == 0:
			return fmt.Errorf("%s: %w %s: the settings are for %s", j.Output, model.ErrMarker, j.Marker,
				strings.Join(markers, ", "))
		}
	}
	return nil
}

// settingsOf are those of a job: the run's, for its marker alone.
func (r *run) settingsOf(j Job) Settings {
	s := r.o.Settings
	if j.Marker != "" {
		s.Marker = Markers(slices.DeleteFunc(slices.Clone([]string(s.Marker)),
			func(m string) bool { return !strings.EqualFold(m, j.Marker) }))
	}
	return s
}

// full reports whether a batch has as many images as it should.
func (r *run) full(batch []loaded) bool {
	images := 0
	for i, l := range batch {
		if i == 0 || l.Input != batch[i-1].Input {
			images++
		}
	}
	return images >= max(r.o.Batch, 1)
}

// lastMarker reports whether a job is the last of its image.
func (r *run) lastMarker(j Job) bool {
	n := len(r.o.Settings.Marker)
	return j.Marker == "" || strings.EqualFold(j.Marker, r.o.Settings.Marker[n-1])
}

// byMarkers divides a batch, whose jobs of an image follow each other, into those whose images have the same markers to
// be done. Each has the jobs of the first marker for all images, then those of the next, as Pipeline.Translate does.
func byMarkers(batch []loaded) (parts [][]loaded) {
	type images struct {
		markers string
		jobs    [][]loaded // of each image
	}
	var all []images
	for first := 0; first < len(batch); {
		n, markers := first, ""
		for ; n < len(batch) && batch[n].Input == batch[first].Input && (n == first || batch[n].Marker != ""); n++ {
			markers += batch[n].Marker + "\n"
		}
		at := slices.IndexFunc(all, func(i images) bool { return i.markers == markers })
		if at < 0 {
			at, all = len(all), append(all, images{markers: markers})
		}
		all[at].jobs = append(all[at].jobs, batch[first:n])
		first = n
	}
	for _, i := range all {
		var part []loaded
		for k := range i.jobs[0] {
			for _, jobs := range i.jobs {
				part = append(part, jobs[k])
			}
		}
		parts = append(parts, part)
	}
	return parts
}
