package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/walk"
)

// Layout is how a data set lies on disk.
type Layout string

// The layouts. In all of them the two images of a pair have one stem; their extensions may differ.
const (
	MIST     Layout = "mist"     // TrainValAB/{trainA,trainB,valA,valB}: A is H&E
	BCI      Layout = "bci"      // {HE,IHC}/{train,test}
	Combined Layout = "combined" // one file a pair, its left half H&E; in {train,val,test} or without splits
	Folders  Layout = "folders"  // two folders
	CSV      Layout = "csv"      // a list with the columns he, ihc and perhaps split and patient
)

var layouts = []Layout{MIST, BCI, Combined, Folders, CSV}

// Location says where a data set is.
type Location struct {
	// Root is a folder, or a list (.csv, .tsv), which has the layout CSV whatever Layout says; empty with HE and IHC.
	Root   string `key:"dir" usage:"folder of the pairs, or a list of them (.csv), whatever the layout"`
	Layout Layout `key:"layout" want:"mist, bci, combined, folders or csv" usage:"mist, bci, combined (H&E left, IHC right in one file), folders or csv; a list (.csv) needs none"`
	HE     string `key:"he" usage:"folder of H&E images, for the layout folders"`
	IHC    string `key:"ihc" usage:"folder of IHC images, for the layout folders"`

	// Suffixes are the endings of the names of H&E and IHC images that aren't equal, such as "_HE,_ER". An asterisk stands
	// for what the names share, which may include sub-folders: "HE_*,ER_*", "*/HE,*/ER".
	Suffixes string `key:"suffixes" usage:"how the names of a pair's H&E and IHC images differ, such as _HE,_ER or HE_*,ER_* or */HE,*/ER; sub-folders are searched"`
	// PatientPattern finds the patient in a pair's name: its first group, or all that it matches. Without one, names of
	// MIST are taken apart and other layouts know no patient.
	PatientPattern string `key:"patient-pattern" usage:"regular expression that finds the patient in a name; a list's column patient takes precedence"`

	Split    string // which split; "" takes all
	MaxPairs int    // keep the first pairs in order; 0 keeps all
}

func (loc Location) layout() Layout {
	if loc.Layout != Folders && isList(loc.Root) {
		return CSV
	}
	return loc.Layout
}

// listed is what a layout finds before it opens files.
type listed struct {
	pairs         []Pair
	problems      Problems
	notes         []string // what a user should know
	looked        []string // folders and lists without a pair, and what is there instead
	patientColumn bool     // a list says whose the pairs are
}

func (l *listed) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

// list finds the pairs of a location, sorted by split (train first) and name.
func list(ctx context.Context, loc Location) (*listed, error) {
	found, err := listAsIs(ctx, loc)
	if err != nil {
		var field *option.KeyError
		if errors.As(err, &field) &&
			(field.Key == "dir" && loc.Root != "" || field.Key == "ihc" && walk.SameFile(loc.HE, loc.IHC)) {
			return nil, withHints(err, hints(ctx, loc))
		}
		return nil, err
	}
	if p := &found.problems; len(p.Orphans) > len(found.pairs) {
		p.Hints = hints(ctx, loc)
	}
	return found, nil
}

func listAsIs(ctx context.Context, loc Location) (*listed, error) {
	var pattern *regexp.Regexp
	if loc.PatientPattern != "" {
		var err error
		if pattern, err = regexp.Compile(loc.PatientPattern); err != nil {
			return nil, option.Wrong("patient-pattern", "%q is no regular expression: %w", loc.PatientPattern, err)
		}
	}
	found := &listed{}
	var err error
	switch loc.layout() {
	case MIST:
		err = found.mist(ctx, loc)
	case BCI:
		err = found.bci(ctx, loc)
	case Combined:
		err = found.combined(ctx, loc)
	case Folders:
		err = found.folders(ctx, loc)
	case CSV:
		err = found.csv(loc)
	default:
		err = option.Wrong("layout", "%q is unknown; there are %q", loc.Layout, layouts)
	}
	if err != nil {
		return nil, err
	}
	found.patients(pattern, loc)
	slices.SortStableFunc(found.pairs, func(a, b Pair) int {
		return cmp.Or(splitOrder(a.Split)-splitOrder(b.Split),
			strings.Compare(a.Split, b.Split), strings.Compare(a.Name, b.Name))
	})
	if loc.MaxPairs > 0 && len(found.pairs) > loc.MaxPairs {
		found.pairs = found.pairs[:loc.MaxPairs]
	}
	return found, nil
}

// patients sets the pairs' patients by their names, unless a list has a column of them.
func (l *listed) patients(pattern *regexp.Regexp, loc Location) {
	if pattern == nil {
		return
	}
	matched, other := 0, 0
	var example string
	for i := range l.pairs {
		p := &l.pairs[i]
		patient := PatientIn(pattern, p.Name)
		switch {
		case !l.patientColumn:
			p.Patient = patient
			if patient != "" {
				matched++
			} else if example == "" {
				example = p.Name
			}
		case patient != p.Patient:
			if other++; other == 1 {
				example = fmt.Sprintf("%s belongs to %q by the column, to %q by the pattern", p.Name, p.Patient, patient)
			}
		}
	}
	switch {
	case l.patientColumn && other > 0:
		l.note("the column patient of %s holds, not the patient pattern %s, which differs for %d of %d pairs: %s", loc.Root,
			loc.PatientPattern, other, len(l.pairs), example)
	case !l.patientColumn && matched < len(l.pairs):
		l.note("the patient pattern %s finds no patient in %d of %d names, such as %s",
			loc.PatientPattern, len(l.pairs)-matched, len(l.pairs), example)
	}
}

// PatientIn returns the patient in a pair's name: the pattern's first group, or the whole match; "" without a match.
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

// splitNames are the names that layouts know, in order.
var splitNames = []string{"train", "val", "test"}

func splitOrder(split string) int {
	if i := slices.Index(splitNames, split); i >= 0 {
		return i
	}
	return len(splitNames)
}

// mist finds train, val and test (some copies have one) in Root/TrainValAB, or in Root itself.
func (l *listed) mist(ctx context.Context, loc Location) error {
	root := loc.Root
	if isFolder(filepath.Join(root, "TrainValAB")) {
		root = filepath.Join(root, "TrainValAB")
	}
	side := func(split, letter string) side { return side{filepath.Join(root, split+letter), "dir"} }
	return l.splits(ctx, loc, func(split string) string { return side(split, "A").folder }, func(split string) error {
		return l.twoFolders(ctx, side(split, "A"), side(split, "B"), split, loc.Suffixes, mistPatient)
	})
}

func (l *listed) bci(ctx context.Context, loc Location) error {
	side := func(stain, split string) side { return side{filepath.Join(loc.Root, stain, split), "dir"} }
	first := len(l.pairs)
	err := l.splits(ctx, loc, func(split string) string { return side("HE", split).folder }, func(split string) error {
		return l.twoFolders(ctx, side("HE", split), side("IHC", split), split, loc.Suffixes, nil)
	})
	for i := range l.pairs[first:] {
		l.pairs[first+i].Grade = bciGrade(l.pairs[first+i].Name)
	}
	return err
}

func (l *listed) folders(ctx context.Context, loc Location) error {
	if loc.Split != "" {
		return option.Wrong("split", "the layout %s has no splits: instead of %q name its folders", loc.Layout, loc.Split)
	}
	he, ihc := loc.sides()
	return l.twoFolders(ctx, he, ihc, "", loc.Suffixes, nil)
}

// sides are the folders of the layout Folders.
func (loc Location) sides() (he, ihc side) {
	if loc.HE == "" && loc.IHC == "" && loc.Root != "" {
		return side{loc.Root, "dir"}, side{loc.Root, "dir"}
	}
	return side{loc.HE, "he"}, side{loc.IHC, "ihc"}
}

func (l *listed) combined(ctx context.Context, loc Location) error {
	folder := func(split string) string { return filepath.Join(loc.Root, split) }
	exists := func(split string) bool { return isFolder(folder(split)) }
	if loc.Split == "" && !slices.ContainsFunc(splitNames, exists) {
		return l.oneFolder(ctx, loc.Root, "")
	}
	return l.splits(ctx, loc, folder, func(split string) error { return l.oneFolder(ctx, folder(split), split) })
}

// splits adds the wanted split, or all whose folder exists.
func (l *listed) splits(ctx context.Context, loc Location, folder func(string) string, add func(string) error) error {
	if loc.Root == "" {
		return option.Wrong("dir", "is missing: want the data set's folder")
	}
	if info, err := os.Stat(loc.Root); errors.Is(err, fs.ErrNotExist) {
		return option.Wrong("dir", "there is no folder %s", loc.Root)
	} else if err != nil {
		return &option.KeyError{Key: "dir", Err: err}
	} else if !info.IsDir() {
		return option.Wrong("dir", "%s is a file: the layout %s wants a folder", loc.Root, loc.Layout)
	}
	splits := splitNames
	if loc.Split != "" {
		splits = []string{loc.Split}
	}
	added := 0
	for _, split := range splits {
		if !isFolder(folder(split)) {
			continue
		}
		added++
		if err := add(split); err != nil {
			return err
		}
	}
	if added == 0 {
		return option.Wrong("dir", "%s has no images of split %q in the layout %s, which wants for example %s; it has %s",
			loc.Root, strings.Join(splits, "|"), loc.Layout, folder("train"), contents(ctx, loc.Root))
	}
	return nil
}

// side is a folder of the H&E or the IHC images, and the field of Location that it is from.
type side struct{ folder, field string }

// files returns the side's images by what they share with their partners' names.
func (l *listed) files(
	ctx context.Context, s side, outputs walk.Outputs, own, other *namePattern, both bool,
) (map[string]string, error) {
	files, err := l.images(ctx, s.folder, walk.Options{Flat: own == nil, Outputs: outputs})
	if err != nil {
		return nil, &option.KeyError{Key: s.field, Err: err}
	}
	if len(files) == 0 {
		l.looked = append(l.looked, s.folder+": "+contents(ctx, s.folder))
	}
	if own == nil {
		return files, nil
	}
	named := map[string]string{}
	left := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		shared, ok := own.match(name)
		if ok && both && other.literal > own.literal { // "*" with "*_ER": the closer one has it
			_, theirs := other.match(name)
			ok = !theirs
		}
		switch earlier, twice := named[shared]; {
		case !ok:
			left++
		case twice:
			l.problems.SameName = append(l.problems.SameName, [2]string{earlier, files[name]})
		default:
			named[shared] = files[name]
		}
	}
	switch {
	case len(files) > 0 && len(named) == 0:
		l.looked = append(l.looked,
			fmt.Sprintf("%s: %s, but none whose name matches %s", s.folder, plural(len(files), "image"), own.text))
	case left > 0 && !both:
		l.note("%d of %d images in %s don't match %s and are left out", left, len(files), s.folder, own.text)
	}
	return named, nil
}

// twoFolders pairs the files of two folders by their stems, or what these share under suffixes.
func (l *listed) twoFolders(
	ctx context.Context, he, ihc side, split, suffixes string, patient func(name string) string,
) error {
	ofHE, ofIHC, err := parseSuffixes(suffixes)
	if err != nil {
		return err
	}
	both := walk.SameFile(he.folder, ihc.folder)
	if both && (ofHE == nil || ofHE.text == ofIHC.text) {
		return option.Wrong(ihc.field, "%s is to have both the H&E and the IHC images: "+
			"name two folders, or suffixes that tell them apart, such as _HE,_ER", ihc.folder)
	}
	// No H&E image is this program's; an IHC image may be.
	heFiles, err := l.files(ctx, he, walk.PassAll, ofHE, ofIHC, both)
	if err != nil {
		return err
	}
	ihcFiles, err := l.files(ctx, ihc, walk.PassPanels, ofIHC, ofHE, both)
	if err != nil {
		return err
	}
	for name, path := range heFiles {
		other, ok := ihcFiles[name]
		if !ok {
			l.problems.Orphans = append(l.problems.Orphans, Orphan{path, ihc.folder})
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
			l.problems.Orphans = append(l.problems.Orphans, Orphan{path, he.folder})
		}
	}
	return nil
}

func (l *listed) oneFolder(ctx context.Context, folder, split string) error {
	files, err := l.images(ctx, folder, walk.Options{Flat: true})
	if err != nil {
		return &option.KeyError{Key: "dir", Err: err}
	}
	if len(files) == 0 {
		l.looked = append(l.looked, folder+": "+contents(ctx, folder))
	}
	for name, path := range files {
		l.pairs = append(l.pairs, Pair{Name: name, Split: split, HE: Source{path, Left}, IHC: Source{path, Right}})
	}
	return nil
}

func (l *listed) images(ctx context.Context, folder string, o walk.Options) (map[string]string, error) {
	if folder == "" {
		return nil, errors.New("is missing: want a folder of images")
	}
	found, err := walk.Images(ctx, folder, o)
	if err != nil {
		return nil, err
	}
	for _, u := range found.Unreadable {
		l.problems.Unreadable = append(l.problems.Unreadable, FileError{u.Path, errors.New(u.String())})
	}
	byStem, same := found.ByStem()
	for _, s := range same {
		l.problems.SameName = append(l.problems.SameName, [2]string{s[0].Path, s[1].Path})
	}
	files := map[string]string{}
	for stem, f := range byStem {
		files[stem] = f.Path
	}
	return files, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
