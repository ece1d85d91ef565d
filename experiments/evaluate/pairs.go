package evaluate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/internal/walk"
)

// SlidePattern finds the slide in the name of one of MIST's patches, which ends in the place in the slide:
// "1M2102_12_7" → "1M2102".
const SlidePattern = `([^/]+?)(?:[_-][0-9]*)*$`

// Match is a real IHC image with its virtual counterpart and the H&E that this was made from.
type Match struct {
	Name    string `json:"name"` // the stem of both files, with sub-folders
	Real    string `json:"real"` // paths
	Virtual string `json:"fake"`
	HE      string `json:"he,omitempty"`      // "" if there is none
	Patient string `json:"patient,omitempty"` // or slide; "" if unknown
}

// Matches are the images that two folders have in common.
type Matches struct {
	List       []Match           // sorted by name
	Missing    []Missing         // sorted by path
	Unreadable []walk.Unreadable // folders that could not be read, and broken links
}

// Missing is an image without a partner.
type Missing struct {
	Path   string `json:"path"`
	Folder string `json:"folder"` // where the partner should be
}

func (m Missing) String() string { return fmt.Sprintf("%s has no partner in %s", m.Path, m.Folder) }

// FindMatches pairs the images of two folders, searched recursively, by their stems; he may be "". pattern is a regular
// expression that finds the patient in a name: its first group, or the whole match. It is an error if two files of a
// folder have one stem, or if there are no pairs. Panels are ignored.
func FindMatches(ctx context.Context, real, virtual, he, pattern string) (*Matches, error) {
	patient, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("patient pattern: %w", err)
	}
	sets := [3]map[string]string{}
	p := &Matches{}
	for i, f := range []struct {
		flag, folder string
		// H&E images are not this program's; stains of both sets may be, to compare two seeds.
		outputs walk.Outputs
	}{{"real", real, walk.PassPanels}, {"virtual", virtual, walk.PassPanels}, {"he", he, walk.PassAll}} {
		if f.folder == "" && f.flag == "he" {
			continue
		}
		var unreadable []walk.Unreadable
		o := walk.Options{Outputs: f.outputs, Except: []string{real, virtual, he}} // one set may be in a folder of another
		if sets[i], unreadable, err = stems(ctx, f.folder, o); err != nil {
			return nil, fmt.Errorf("--%s: %w", f.flag, err)
		}
		p.Unreadable = append(p.Unreadable, unreadable...)
	}
	for _, name := range slices.Sorted(maps.Keys(sets[0])) {
		path := sets[0][name]
		other, ok := sets[1][name]
		if !ok {
			p.Missing = append(p.Missing, Missing{path, virtual})
			continue
		}
		pair := Match{Name: name, Real: path, Virtual: other, HE: sets[2][name]}
		if pattern != "" {
			pair.Patient = data.PatientIn(patient, name)
		}
		if he != "" && pair.HE == "" {
			p.Missing = append(p.Missing, Missing{path, he})
		}
		p.List = append(p.List, pair)
	}
	for _, name := range slices.Sorted(maps.Keys(sets[1])) {
		if _, ok := sets[0][name]; !ok {
			p.Missing = append(p.Missing, Missing{sets[1][name], real})
		}
	}
	if len(p.List) == 0 {
		const format = "no pairs: none of the %d images in %s has the name of one of the %d in %s (such as %s and %s)"
		return nil, fmt.Errorf(format, len(sets[0]), real, len(sets[1]), virtual, first(sets[0]), first(sets[1]))
	}
	return p, nil
}

func first(files map[string]string) string {
	return filepath.Base(files[slices.Min(slices.Collect(maps.Keys(files)))])
}

// stems lists the images of a folder, with its sub-folders, by their stems.
func stems(ctx context.Context, folder string, o walk.Options) (map[string]string, []walk.Unreadable, error) {
	if folder == "" {
		return nil, nil, errors.New("no folder is named")
	}
	found, err := walk.Images(ctx, folder, o)
	if err != nil {
		return nil, nil, err
	}
	byStem, same := found.ByStem()
	if len(same) > 0 {
		return nil, nil, fmt.Errorf("%s and %s have one name: remove one", same[0][0].Path, same[0][1].Path)
	}
	if len(byStem) == 0 {
		for _, u := range found.Unreadable {
			return nil, nil, fmt.Errorf("%s has no images that can be read: %s", folder, u)
		}
		return nil, nil, fmt.Errorf("%s has no images (%s)", folder, strings.Join(walk.Extensions(), ", "))
	}
	files := make(map[string]string, len(byStem))
	for stem, f := range byStem {
		files[stem] = f.Path
	}
	return files, found.Unreadable, nil
}
