package data

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
)

// Report is the result of a Check.
type Report struct {
	Splits     []SplitReport
	Problems   Problems    // Unreadable has what the headers show
	Corrupt    []FileError // what only decoding shows
	Broken     int         // pairs with an image of Problems.Unreadable or Corrupt
	Duplicates [][]string  // images of equal pixels, each group sorted
	Shared     []Shared    // patients in more than one split
	Notes      []string    // what a user should know of the set
	Changes    []string    // what reading changed in images, such as colour profiles: file: note

	skip bool // files that can't be read
}

// SplitReport counts what is in a split.
type SplitReport struct {
	Split    string
	Pairs    int
	Patients int            // 0 where none is known
	Sizes    map[[2]int]int // pairs by width, height
	Grades   map[string]int
}

// OK reports whether the data set can be used: every image has a partner of its size and can be decoded or skipped.
// Duplicates and shared patients make its scores doubtful, not its use impossible.
func (r *Report) OK() bool {
	problems := r.Problems.Count()
	if r.skip {
		return problems == len(r.Problems.Unreadable) && r.Broken < r.pairs()
	}
	return problems == 0 && len(r.Corrupt) == 0
}

func (r *Report) pairs() int {
	n := 0
	for _, s := range r.Splits {
		n += s.Pairs
	}
	return n
}

// Check decodes every image of a location, of all splits if it names none. It fails if there is no such folder, ctx
// ends, or there is nothing to check (ErrNoPairs).
func Check(ctx context.Context, loc Location, corrupt Corrupt, read imagefile.Options) (*Report, error) {
	found, err := list(ctx, loc)
	if err != nil {
		return nil, err
	}
	if err := found.headers(ctx); err != nil {
		return nil, err
	}
	if len(found.pairs) == 0 && found.problems.Count() == 0 {
		return nil, found.noPairs(ctx, loc)
	}
	r := &Report{
		Problems: found.problems, Shared: SharedPatients(found.pairs), Splits: splitReports(found.pairs), Notes: found.notes,
		skip: corrupt == CorruptSkip,
	}
	unreadable := map[string]bool{}
	for _, f := range r.Problems.Unreadable {
		unreadable[f.Path] = true
	}
	if err := r.decode(ctx, found.pairs, unreadable, read); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Report) decode(ctx context.Context, pairs []Pair, unreadable map[string]bool, read imagefile.Options) error {
	var lock sync.Mutex
	equal := map[[sha256.Size]byte][]string{}
	err := parallel.Each(ctx, len(pairs), runtime.GOMAXPROCS(0), func(i int) error {
		he, ihc := pairs[i].HE, pairs[i].IHC
		broken := unreadable[he.Path] || unreadable[ihc.Path]
		var corrupt []FileError
		var changes []string
		sums := map[string][sha256.Size]byte{}
		var file *imagefile.Image
		for k, source := range []Source{he, ihc} {
			if unreadable[source.Path] {
				continue
			}
			if k == 0 || source.Path != he.Path {
				var err error
				if file, err = imagefile.Read(source.Path, read); err != nil {
					broken = true
					corrupt = append(corrupt, FileError{source.Path, err})
				} else {
					for _, note := range file.Notes {
						changes = append(changes, source.Path+": "+note)
					}
				}
			}
			if file == nil {
				continue
			}
			if img, err := source.of(file); err == nil { // or its header told so already
				sum := sha256.New()
				fmt.Fprintf(sum, "%d %d ", img.Width, img.Height)
				sum.Write(img.Pix)
				sums[source.String()] = [sha256.Size]byte(sum.Sum(nil))
			}
		}
		lock.Lock()
		defer lock.Unlock()
		if broken {
			r.Broken++
		}
		r.Corrupt, r.Changes = append(r.Corrupt, corrupt...), append(r.Changes, changes...)
		for source, sum := range sums {
			equal[sum] = append(equal[sum], source)
		}
		return nil
	})
	for _, paths := range equal {
		slices.Sort(paths)
		if paths = slices.Compact(paths); len(paths) > 1 { // a list may name a file twice
			r.Duplicates = append(r.Duplicates, paths)
		}
	}
	slices.SortFunc(r.Duplicates, slices.Compare)
	slices.SortFunc(r.Corrupt, func(a, b FileError) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(r.Changes)
	return err
}

func splitReports(pairs []Pair) []SplitReport {
	var reports []SplitReport
	patients := map[string]bool{}
	for _, p := range pairs { // they are sorted by split
		if len(reports) == 0 || reports[len(reports)-1].Split != p.Split {
			reports = append(reports, SplitReport{Split: p.Split, Sizes: map[[2]int]int{}, Grades: map[string]int{}})
			clear(patients)
		}
		r := &reports[len(reports)-1]
		r.Pairs++
		if p.Width > 0 { // 0 for those with a problem
			r.Sizes[[2]int{p.Width, p.Height}]++
		}
		if p.Grade != "" {
			r.Grades[p.Grade]++
		}
		if p.Patient != "" && !patients[p.Patient] {
			patients[p.Patient] = true
			r.Patients++
		}
	}
	return reports
}

// WriteText writes the report for a reader; unless all is set, it shortens lists of similar messages.
func (r *Report) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	for _, s := range r.Splits {
		name := s.Split
		if name == "" {
			name = "all"
		}
		fmt.Fprintf(&b, "%s: %s", name, plural(s.Pairs, "pair"))
		if s.Patients > 0 {
			fmt.Fprintf(&b, " of %d patients or slides", s.Patients)
		}
		for _, size := range sizes(s.Sizes) {
			b.WriteString(", " + size)
		}
		for _, grade := range sortedKeys(s.Grades) {
			fmt.Fprintf(&b, ", %d of grade %s", s.Grades[grade], grade)
		}
		b.WriteString("\n")
	}
	if r.Broken > 0 {
		fmt.Fprintf(&b, "%d of %s can't be read", r.Broken, plural(r.pairs(), "pair"))
		if r.skip {
			b.WriteString(" and will be skipped")
		}
		b.WriteString("\n")
	}
	var duplicates, shared []string
	for _, paths := range r.Duplicates {
		duplicates = append(duplicates, strings.Join(paths, " = "))
	}
	for _, s := range r.Shared {
		var counts []string
		for _, split := range sortedKeys(s.Pairs) {
			counts = append(counts, fmt.Sprintf("%d in %s", s.Pairs[split], split))
		}
		shared = append(shared, fmt.Sprintf("%s: %s", s.Patient, strings.Join(counts, ", ")))
	}
	limit := shownLines
	if all {
		limit = 0
	}
	for _, g := range slices.Concat(r.Problems.groups(), []group{
		{"corrupt", texts(r.Corrupt)},
		{"equal images", duplicates},
		{"patients or slides in more than one split: scores on one will flatter a model trained on another", shared},
		{"changed on reading", r.Changes},
		{"notes", r.Notes},
		{"hints", r.Problems.Hints},
	}) {
		g.write(&b, "", limit)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
