package evaluate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/internal/walk"
)

// seen are the images and patients that a model was trained with.
type seen struct{ names, patients map[string]bool }

// readTrain reads the names of a training's images from a list (.csv, as data split writes it: the split train, or all
// rows without splits), a data set in the layout of MIST or BCI, or a folder of images.
func readTrain(ctx context.Context, path string, pattern *regexp.Regexp) (*seen, error) {
	s := &seen{map[string]bool{}, map[string]bool{}}
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		set, err := data.Open(ctx, data.Location{Layout: data.CSV, Root: path}, data.CorruptError)
		if err != nil {
			return nil, err
		}
		for _, p := range set.Pairs {
			if p.Split != "" && p.Split != "train" {
				continue
			}
			s.add(filepath.Base(p.Name), p.Patient, pattern)
		}
		return s, nil
	}
	folder := path
	for _, layout := range []struct{ mark, train string }{
		{"TrainValAB", "TrainValAB/trainB"}, {"trainB", "trainB"}, {"IHC", "IHC/train"},
	} {
		if info, err := os.Stat(filepath.Join(path, layout.mark)); err == nil && info.IsDir() {
			folder = filepath.Join(path, layout.train)
			break
		}
	}
	files, _, err := stems(ctx, folder, walk.Options{})
	if err != nil {
		return nil, err
	}
	for name := range files {
		s.add(name, "", pattern)
	}
	return s, nil
}

// add adds an image. Its patient may have two names, the list's and the pattern's: evaluated pairs have only the
// pattern's.
func (s *seen) add(name, patient string, pattern *regexp.Regexp) {
	s.names[filepath.Base(name)] = true
	if pattern.String() != "" {
		s.patients[data.PatientIn(pattern, name)] = true
	}
	s.patients[patient] = true
	delete(s.patients, "")
}

// warning says what the evaluated pairs share with the training; "" if nothing.
func (s *seen) warning(pairs []Match) string {
	names, images := 0, 0
	shared := map[string]bool{}
	for _, p := range pairs {
		if s.names[filepath.Base(p.Name)] {
			names++
		}
		if p.Patient != "" && s.patients[p.Patient] {
			images++
			shared[p.Patient] = true
		}
	}
	switch {
	case names > 0:
		return fmt.Sprintf("%d of %d pairs have the names of training images, %d are from patients or slides of the "+
			"training: a model that knows them looks better than it is", names, len(pairs), images)
	case images > 0:
		return fmt.Sprintf("%d of %d pairs are from %d patients or slides that the training had too: "+
			"a model that knows them looks better than it is", images, len(pairs), len(shared))
	}
	return ""
}
