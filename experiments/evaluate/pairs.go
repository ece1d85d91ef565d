package evaluate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/histdist/histdist/data"
)

// SlidePattern finds the slide in the name of a patch as MIST names them: what is left without the numbers at the end, which tell the
// place in the slide: "1M2102_12_7" → "1M2102".
const SlidePattern = `([^/]+?)(?:[_-][0-9]*)*$`

// Pair is a real IHC picture with its virtual counterpart, and the H&E that it was made of.
type Pair struct {
	Name    string `json:"name"` // the stem of both files, with sub-folders
	Real    string `json:"real"` // paths
	Fake    string `json:"fake"`
	HE      string `json:"he,omitempty"`      // "" where no folder of H&E pictures was given, or has none of this name
	Patient string `json:"patient,omitempty"` // or slide; "" where the name doesn't tell
}

// Pairs is what two folders have in common.
type Pairs struct {
	List    []Pair    // sorted by name
	Missing []Missing // sorted by path
}

// Missing is a picture without a partner.
type Missing struct {
	Path   string `json:"path"`
	Folder string `json:"folder"` // where the partner should be
}

func (m Missing) String() string { return fmt.Sprintf("%s has no partner in %s", m.Path, m.Folder) }

// FindPairs pairs the pictures of two folders, which are searched with their sub-folders, by their stems; he may be "". pattern is a regular
// expression that finds the patient in a name: its first group, or all that it matches. Two files of one folder with one stem, and folders
// without a pair, are errors. Panels that the translation put beside its pictures are passed over.
func FindPairs(real, fake, he, pattern string) (*Pairs, error) {
	patient, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("patient pattern: %w", err)
	}
	sets := [3]map[string]string{}
	for i, f := range []struct{ flag, folder string }{{"real", real}, {"fake", fake}, {"he", he}} {
		if f.folder == "" && f.flag == "he" {
			continue
		}
		if sets[i], err = stems(f.folder); err != nil {
			return nil, fmt.Errorf("--%s: %w", f.flag, err)
		}
	}
	p := &Pairs{}
	for _, name := range slices.Sorted(maps.Keys(sets[0])) {
		path := sets[0][name]
		other, ok := sets[1][name]
		if !ok {
			p.Missing = append(p.Missing, Missing{path, fake})
			continue
		}
		pair := Pair{Name: name, Real: path, Fake: other, HE: sets[2][name]}
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
		return nil, fmt.Errorf("no pairs: none of the %d pictures in %s has the name of one of the %d in %s (such as %s and %s)",
			len(sets[0]), real, len(sets[1]), fake, first(sets[0]), first(sets[1]))
	}
	return p, nil
}

func first(files map[string]string) string {
	return filepath.Base(files[slices.Min(slices.Collect(maps.Keys(files)))])
}

// panelEnding is that of the panels beside translated pictures.
const panelEnding = "-panel"

// stems lists the pictures of a folder by their paths below it without endings.
func stems(folder string) (map[string]string, error) {
	if folder == "" {
		return nil, errors.New("no folder is named")
	}
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Name(), ".") && path != folder {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if e.IsDir() || !isPicture(path) {
			return nil
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		stem := filepath.ToSlash(strings.TrimSuffix(name, filepath.Ext(name)))
		if stem == "." { // the folder is a file
			return fmt.Errorf("%s is a file: want a folder of pictures", folder)
		}
		if other, ok := files[stem]; ok {
			return fmt.Errorf("%s and %s have one name: remove one", other, path)
		}
		files[stem] = path
		return nil
	})
	if err != nil {
		return nil, err
	}
	for stem := range files {
		if _, ok := files[strings.TrimSuffix(stem, panelEnding)]; ok && strings.HasSuffix(stem, panelEnding) {
			delete(files, stem)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no pictures (.png, .jpg, .tif or .bmp)", folder)
	}
	return files, nil
}

func isPicture(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp":
		return true
	}
	return false
}
