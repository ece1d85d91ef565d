package infer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/walk"
)

// Job is one file to be translated.
type Job struct {
	Input, Output string
	Reference     string // the true stain, for the panel; "" if there is none
	Marker        string // of JobOptions.Markers; "" is that of the settings
}

// Jobs are the files to translate.
type Jobs struct {
	List       []Job
	Unreadable []Failure // folders that could not be read, and broken links
	Own        int       // ignored inputs: images that this program made
	Folder     string    // that outputs are written to; "" where one is named as a file

	options JobOptions // that they were found with, where outputs are written to a folder
}

// files lists what a job writes: its output and, if asked for, its panel and the deviation of its samples.
func (j Job) files(panel, deviation bool) []string {
	list := []string{j.Output}
	if panel {
		list = append(list, PanelName(j.Output))
	}
	if deviation {
		list = append(list, DeviationName(j.Output))
	}
	return list
}

// Work is how much a job is, to divide jobs among shards: its pixels, or of a slide the bytes of its file. Glass
// compresses to almost nothing, so that bytes are tissue, and no slide needs to be opened for it. It is 0 of a file
// that can't be read: what is wrong is said when its turn comes.
func (j *Jobs) Work(i int) int64 {
	input := j.List[i].Input
	if j.options.Slides {
		info, err := os.Stat(input)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	width, height, err := imagefile.Size(input)
	if err != nil {
		return 0
	}
	return int64(width) * int64(height)
}

// JobOptions say what is translated to where.
type JobOptions struct {
	// Input is a file, a folder that is searched recursively, or a pattern such as "slides/*.jpg": see package walk.
	Input string
	// Output is a file for one input file, otherwise a folder, which keeps names and sub-folders.
	Output    string
	Ending    string // of the outputs where Output is a folder, such as ".png"
	Reference string // a file or a folder with files of the same names; "" is none
	Panel     bool   // panels will be written next to the outputs
	Slides    bool   // inputs in folders are slides and TIFF files, and Ending is that of a slide
	Samples   int    // as in FileOptions
	// Markers are what each input is stained for, a job each, with names such as slide-er.png. Only a single output of one
	// marker has the name that it is given.
	Markers []string
}

// MarkerSuffix is what a marker adds to the name of an output.
func MarkerSuffix(marker string) string { return "-" + strings.ToLower(marker) }

// FindJobs lists the jobs for an input and an output. It ignores virtual stains and panels that this program made.
func FindJobs(ctx context.Context, o JobOptions) (*Jobs, error) {
	files, single, jobs, err := o.inputs(ctx)
	if err != nil {
		return nil, err
	}
	info, statErr := os.Stat(o.Output)
	toFolder := !single || statErr == nil && info.IsDir() || filepath.Ext(o.Output) == "" ||
		strings.HasSuffix(o.Output, string(filepath.Separator))
	ending := o.Ending
	if toFolder {
		jobs.Folder, jobs.options = o.Output, o
	} else {
		ending = filepath.Ext(o.Output)
	}
	if _, err := imagefile.FormatByName("x" + ending); err != nil {
		return nil, fmt.Errorf("output %s: %w", o.Output, err)
	}
	references, err := o.references(ctx, single)
	if err != nil {
		return nil, err
	}
	written := outputs{}
	markers := o.Markers
	if len(markers) == 0 {
		markers = []string{""}
	}
	for _, f := range files {
		for _, marker := range markers {
			j := Job{Input: f.Path, Output: o.Output, Marker: marker}
			if toFolder {
				name := filepath.FromSlash(f.Name)
				j.Output = filepath.Join(o.Output, o.stem(name)+ending)
			}
			if marker != "" && (toFolder || len(markers) > 1) {
				j.Output = strings.TrimSuffix(j.Output, ending) + MarkerSuffix(marker) + ending
			}
			if references != nil {
				if j.Reference, err = references(f.Stem); err != nil {
					return nil, err
				}
			}
			if err := o.writes(written, j); err != nil {
				return nil, err
			}
			jobs.List = append(jobs.List, j)
		}
	}
	return jobs, nil
}

// writes adds what a job writes.
func (o JobOptions) writes(written outputs, j Job) error {
	if walk.SameFile(j.Input, j.Output) {
		return fmt.Errorf("%s: the output is the input: name another", j.Input)
	}
	for _, path := range o.files(j) {
		if err := written.add(path, j.Input); err != nil {
			return err
		}
	}
	return nil
}

// files lists what a job writes. Of slides there are no panels and no samples.
func (o JobOptions) files(j Job) []string {
	return j.files(o.Panel && !o.Slides, o.Samples > 1 && !o.Slides)
}

// stem is the name of an input without its extension.
func (o JobOptions) stem(name string) string {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	if o.Slides && strings.EqualFold(filepath.Ext(stem), ".ome") {
		stem = stem[:len(stem)-len(".ome")]
	}
	return stem
}

// named reports whether the name of a file in a folder is that of an input.
func (o JobOptions) named(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	if o.Slides { // a folder of slides has their thumbnails as other images
		return slide.Named(name) || walk.IsImage(name) && strings.HasPrefix(ext, ".t") || ext == ".btf"
	}
	return walk.IsImage(name)
}

// inputs returns the input files, and whether the input is a single file that was named.
func (o JobOptions) inputs(ctx context.Context) (files []walk.File, single bool, jobs *Jobs, err error) {
	info, err := os.Stat(o.Input)
	var found *walk.Listing
	switch {
	case err == nil && !info.IsDir():
		if kind := imagefile.KindOf(o.Input); kind != imagefile.NotOurs {
			return nil, false, nil, fmt.Errorf("%s is a %s that this program made: name the H&E image", o.Input, kind)
		}
		name := filepath.Base(o.Input)
		return []walk.File{{Path: o.Input, Name: name, Stem: walk.Stem(name)}}, true, &Jobs{}, nil
	case err == nil:
		found, err = walk.Images(ctx, o.Input, walk.Options{Outputs: walk.PassAll, Named: o.named})
	case walk.IsPattern(o.Input):
		found, err = walk.Pattern(ctx, o.Input, walk.Options{Outputs: walk.PassAll, Named: o.named})
	}
	if err != nil {
		return nil, false, nil, fmt.Errorf("input: %w", walk.Plain(err))
	}
	jobs = &Jobs{Own: len(found.Passed)}
	for _, u := range found.Unreadable {
		jobs.Unreadable = append(jobs.Unreadable, Failure{Input: u.Path, Error: u.Err.Error()})
	}
	if len(found.Files) == 0 {
		return nil, false, nil, o.nothing(found)
	}
	return found.Files, false, jobs, nil
}

// nothing is the error of an input without images.
func (o JobOptions) nothing(found *walk.Listing) error {
	text := fmt.Sprintf("%s: no images (looked for %s)", o.Input, strings.Join(walk.Extensions(), ", "))
	switch pattern := walk.IsPattern(o.Input) && found.Root != o.Input; {
	case o.Slides:
		text = fmt.Sprintf("%s: no slides (looked for TIFF files and scanners' formats, by their extensions)", o.Input)
	case pattern:
		text = fmt.Sprintf("pattern %q: no image fits (looked for %s)", o.Input, strings.Join(walk.Extensions(), ", "))
	}
	if n := len(found.Passed); n > 0 {
		text += fmt.Sprintf("; %d virtual stains and panels that this program made are no input", n)
	}
	for _, u := range found.Unreadable {
		text += "; could not be read: " + u.String()
	}
	return errors.New(text)
}

// references returns a function that finds the true stain of an input by its stem; nil without references.
func (o JobOptions) references(ctx context.Context, single bool) (func(stem string) (string, error), error) {
	if o.Reference == "" {
		return nil, nil
	}
	info, err := os.Stat(o.Reference)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", walk.Plain(err))
	}
	if !info.IsDir() {
		if !single {
			return nil, fmt.Errorf("reference %s is a file: want a folder for an input of many", o.Reference)
		}
		return func(string) (string, error) { return o.Reference, nil }, nil
	}
	found, err := walk.Images(ctx, o.Reference, walk.Options{Flat: single})
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	files, twice := found.ByStem()
	return func(stem string) (string, error) {
		for _, t := range twice {
			if t[0].Stem == stem {
				return "", fmt.Errorf("reference: %s and %s have one name: remove one", t[0].Path, t[1].Path)
			}
		}
		if f, ok := files[stem]; ok {
			return f.Path, nil
		}
		err := fmt.Errorf("reference: no image %s.*", filepath.Join(o.Reference, filepath.FromSlash(stem)))
		for _, u := range found.Unreadable {
			err = fmt.Errorf("%w; could not be read: %s", err, u)
		}
		return "", err
	}, nil
}

// outputs maps the files that jobs write, in lower case and normal form C, to the path and input that came first: some
// file systems ignore case and Unicode normal forms.
type outputs map[string][2]string

// add refuses a second file of one name.
func (w outputs) add(path, input string) error {
	folded := strings.ToLower(norm.NFC.String(filepath.Clean(path)))
	first, twice := w[folded]
	switch {
	case !twice:
		w[folded] = [2]string{path, input}
		return nil
	case first[0] == path:
		return fmt.Errorf("%s and %s would both be written to %s: rename one", first[1], input, path)
	}
	return fmt.Errorf("%s and %s would be written to %s and %s, one file where case or the form of accents is ignored: "+
		"rename one",
		first[1], input, first[0], path)
}
