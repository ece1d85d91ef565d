package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Layout is how a data set lies on disk.
type Layout string

// The layouts. In all of them the two pictures of a pair have one stem; their extensions may differ.
const (
	MIST     Layout = "mist"     // TrainValAB/{trainA,trainB,valA,valB}: A is H&E
	BCI      Layout = "bci"      // {HE,IHC}/{train,test}
	Combined Layout = "combined" // one file a pair, its left half H&E; in {train,val,test} or without splits
	Folders  Layout = "folders"  // two folders
	CSV      Layout = "csv"      // a list with the columns he, ihc and perhaps split and patient
)

// Layouts are all of them.
var layouts = []Layout{MIST, BCI, Combined, Folders, CSV}

// Location says where a data set is.
type Location struct {
	Layout Layout
	Root   string // its folder; for CSV the list; unused for Folders
	HE     string // for Folders: the folder of H&E pictures
	IHC    string // for Folders: the folder of IHC pictures
	Split  string // which split; "" takes all

	// PatientPattern, a regular expression, finds the patient in a pair's name: its first group, or all that it matches.
	// Without one, names of MIST are taken apart and other layouts know no patient, but for the column of a list.
	PatientPattern string

	MaxPairs int // keep the first pairs in order; 0 keeps all
}

// listed is what a layout finds, before any file is opened.
type listed struct {
	pairs    []Pair
	problems Problems
}

// list finds the pairs of a location, sorted by split (train first) and name.
func list(loc Location) (*listed, error) {
	var pattern *regexp.Regexp
	if loc.PatientPattern != "" {
		var err error
		if pattern, err = regexp.Compile(loc.PatientPattern); err != nil {
			return nil, fmt.Errorf("data: patient pattern: %w", err)
		}
	}
	found := &listed{}
	var err error
	switch loc.Layout {
	case MIST:
		err = found.mist(loc)
	case BCI:
		err = found.bci(loc)
	case Combined:
		err = found.combined(loc)
	case Folders:
		err = found.folders(loc)
	case CSV:
		err = found.csv(loc)
	default:
		err = fmt.Errorf("data: layout %q is unknown; there are %q", loc.Layout, layouts)
	}
	if err != nil {
		return nil, err
	}
	if pattern != nil {
		for i := range found.pairs {
			found.pairs[i].Patient = PatientIn(pattern, found.pairs[i].Name)
		}
	}
	slices.SortStableFunc(found.pairs, func(a, b Pair) int {
		if c := splitOrder(a.Split) - splitOrder(b.Split); c != 0 {
			return c
		}
		if c := strings.Compare(a.Split, b.Split); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	if loc.MaxPairs > 0 && len(found.pairs) > loc.MaxPairs {
		found.pairs = found.pairs[:loc.MaxPairs]
	}
	return found, nil
}

// PatientIn finds the patient in a pair's name: the pattern's first group, or all that it matches; "" where it matches nothing.
func PatientIn(pattern *regexp.Regexp, name string) string {
	groups := pattern.FindStringSubmatch(name)
	switch {
	case groups == nil:
		return ""
	case len(groups) > 1:
		return groups[1]
	}
	return groups[0]
}

func splitOrder(split string) int {
	if i := slices.Index([]string{"train", "val", "test"}, split); i >= 0 {
		return i
	}
	return 3
}

// mist finds train, val and test (some copies have one) in Root/TrainValAB, or in Root itself.
func (l *listed) mist(loc Location) error {
	root := loc.Root
	if isFolder(filepath.Join(root, "TrainValAB")) {
		root = filepath.Join(root, "TrainValAB")
	}
	folder := func(split, side string) string { return filepath.Join(root, split+side) }
	return l.splits(loc, func(split string) bool { return isFolder(folder(split, "A")) }, func(split string) error {
		return l.twoFolders(folder(split, "A"), folder(split, "B"), split, mistPatient)
	}, filepath.Join(root, "trainA"))
}

func (l *listed) bci(loc Location) error {
	folder := func(side, split string) string { return filepath.Join(loc.Root, side, split) }
	first := len(l.pairs)
	err := l.splits(loc, func(split string) bool { return isFolder(folder("HE", split)) }, func(split string) error {
		return l.twoFolders(folder("HE", split), folder("IHC", split), split, nil)
	}, folder("HE", "train"))
	for i := range l.pairs[first:] {
		l.pairs[first+i].Grade = bciGrade(l.pairs[first+i].Name)
	}
	return err
}

func (l *listed) folders(loc Location) error {
	if loc.Split != "" {
		return fmt.Errorf("data: the layout %s has no splits, hence no %q; name the folders of that split", loc.Layout, loc.Split)
	}
	return l.twoFolders(loc.HE, loc.IHC, "", nil)
}

func (l *listed) combined(loc Location) error {
	folder := func(split string) string { return filepath.Join(loc.Root, split) }
	exists := func(split string) bool { return isFolder(folder(split)) }
	if loc.Split == "" && !exists("train") && !exists("val") && !exists("test") {
		return l.oneFolder(loc.Root, "")
	}
	return l.splits(loc, exists, func(split string) error { return l.oneFolder(folder(split), split) }, folder("train"))
}

// splits adds the split that is wanted, or all that exist; example is a folder that would be right.
func (l *listed) splits(loc Location, exists func(split string) bool, add func(split string) error, example string) error {
	splits := []string{"train", "val", "test"}
	if loc.Split != "" {
		splits = []string{loc.Split}
	}
	added := 0
	for _, split := range splits {
		if !exists(split) {
			continue
		}
		added++
		if err := add(split); err != nil {
			return err
		}
	}
	if added == 0 {
		return fmt.Errorf("data: %s has no pictures of split %q in the layout %s, which wants for example %s: %w",
			loc.Root, strings.Join(splits, "|"), loc.Layout, example, fs.ErrNotExist)
	}
	return nil
}

// twoFolders pairs the files of two folders by their stems.
func (l *listed) twoFolders(he, ihc, split string, patient func(name string) string) error {
	heFiles, err := l.pictures(he)
	if err != nil {
		return err
	}
	ihcFiles, err := l.pictures(ihc)
	if err != nil {
		return err
	}
	for name, path := range heFiles {
		other, ok := ihcFiles[name]
		if !ok {
			l.problems.Orphans = append(l.problems.Orphans, Orphan{path, ihc})
			continue
		}
		pair := Pair{Name: name, Split: split, HE: Source{Path: path}, IHC: Source{Path: other}}
		if patient != nil {
			pair.Patient = patient(name)
		}
		l.pairs = append(l.pairs, pair)
	}
	for name, path := range ihcFiles {
		if _, ok := heFiles[name]; !ok {
			l.problems.Orphans = append(l.problems.Orphans, Orphan{path, he})
		}
	}
	return nil
}

func (l *listed) oneFolder(folder, split string) error {
	files, err := l.pictures(folder)
	for name, path := range files {
		l.pairs = append(l.pairs, Pair{Name: name, Split: split, HE: Source{path, Left}, IHC: Source{path, Right}})
	}
	return err
}

// pictures returns the files of a folder that are named as pictures, by their stems. Hidden files and others are passed over.
func (l *listed) pictures(folder string) (map[string]string, error) {
	if folder == "" {
		return nil, errors.New("data: a folder of pictures is not named")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		name := entry.Name()
		extension := filepath.Ext(name)
		if entry.IsDir() || strings.HasPrefix(name, ".") || !isPicture(extension) {
			continue
		}
		stem, path := strings.TrimSuffix(name, extension), filepath.Join(folder, name)
		if other, ok := files[stem]; ok {
			l.problems.SameName = append(l.problems.SameName, [2]string{other, path})
			continue
		}
		files[stem] = path
	}
	return files, nil
}

func isPicture(extension string) bool {
	switch strings.ToLower(extension) {
	case ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp":
		return true
	}
	return false
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
