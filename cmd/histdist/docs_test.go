package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/synth"
)

// parsedOnly are commands, by how they begin, that are read but never run here.
var parsedOnly = map[string]string{
	"bin/gpu/histdist":       "needs a GPU; without its arguments for one, the others run",
	"histdist bench":         "takes minutes and 12 GB: networks of full size",
	"histdist serve --model": "serves /data/slides; histdist serve alone runs",
	"histdist data align":    "the pairs here are smaller than it keeps: TestAlign runs it",
	"histdist train experiments/er.yaml --set data.dir=aligned":                                 "likewise",
	"histdist translate --model models/er --preset balanced --input slides --output calibrated": "takes 9 pairs",
}

// slow are pages whose commands run with HISTDIST_FULL=1 alone: they train, or translate with 200 steps.
var slow = []string{"demo.md", "fast.md", "first-stain.md", "training.md"}

// slowCommands are those of other pages.
var slowCommands = []string{
	"histdist demo", "histdist data synth --slide",
	"histdist translate --model demo --preset fast --input tissue/he.ome.tiff",
}

// foreign are other programs, with what shows that their commands are right.
var foreign = map[string]string{
	"apt":     "scripts/release-check.sh installs the package; the library is OpenSlide's own documentation",
	"dnf":     "likewise",
	"brew":    "needs macOS",
	"pip":     "needs a network",
	"scoop":   "needs Windows",
	"docker":  "scripts/release-check.sh runs the image",
	"tar":     "scripts/release-check.sh unpacks the archive",
	"cd":      "goes with the commands around it",
	"export":  "sets a variable",
	"sqlite3": "a backup of a server that runs for long",
	"cp":      "likewise",
	"rsync":   "likewise",
	"go":      "make gpu-test and make examples run these",
	"git":     "releases",
	"sudo":    "releases",
	"curl":    "TestServingExamples runs them",
}

// documented is a command that a page shows.
type documented struct {
	page, text string
	inline     bool // in a sentence, perhaps without what belongs to it
}

var (
	fence  = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")
	inCode = regexp.MustCompile("`((?:bin/)?histdist [^`]+)`")
	ours   = regexp.MustCompile(`^(?:\./|(?:\.\./)?bin/|bin/gpu/)?histdist$`)
	shows  = regexp.MustCompile(`(?m)^(\$ )?((\./|bin/|bin/gpu/)?histdist|make) `)
	remark = regexp.MustCompile(`(^|\s)#( .*)?$`)
	target = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	// In a sentence an option may stand without its value, or with a word such as SIDE for it.
	unfinished = regexp.MustCompile(`flag needs an argument|invalid argument "[A-Z]+"`)
	variables  = regexp.MustCompile(`^[A-Z_]+=\S*$`)
)

// documentation returns the commands of all pages, in their order.
func documentation(t *testing.T) (all []documented) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "scripts/qupath/*.md"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			page := filepath.Base(path)
			if page == "CHANGELOG.md" {
				continue // it tells of earlier versions
			}
			for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
				if (m[1] == "" || m[1] == "sh") && shows.MatchString(m[2]) {
					all = append(all, block(page, m[2])...)
				}
			}
			for _, m := range inCode.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
				all = append(all, documented{page, m[1], true})
			}
		}
	}
	return all
}

// block returns the commands of a block: its lines, or where some begin with "$ ", those.
func block(page, text string) (all []documented) {
	prompts := strings.Contains("\n"+text, "\n$ ")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line, prompted := strings.CutPrefix(strings.TrimRight(line, "\n"), "$ ")
		for part := range strings.SplitSeq(remark.ReplaceAllString(line, ""), "&&") {
			if part = strings.TrimSpace(part); part != "" && prompted == prompts {
				all = append(all, documented{page, part, false})
			}
		}
	}
	return all
}

// Every command that the documentation shows is one: of this program with flags that exist and values that they take,
// a target of the Makefile, or of another program that is known here.
func TestDocumentedCommands(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	all := documentation(t)
	t.Chdir("../..")
	counts := map[string]int{}
	for _, c := range all {
		words := strings.Fields(c.text)
		for len(words) > 1 && variables.MatchString(words[0]) {
			words = words[1:]
		}
		switch {
		case ours.MatchString(words[0]):
			counts["histdist"]++
			if err := parse(words[1:], c.inline); err != nil {
				t.Errorf("%s: %s: %v", c.page, c.text, err)
			}
		case words[0] == "make":
			counts["make"]++
			for _, word := range words[1:] {
				if known := slices.ContainsFunc(target.FindAllSubmatch(makefile, -1), func(m [][]byte) bool {
					return string(m[1]) == word
				}); !known && !strings.Contains(c.text, word+" ") && !variables.MatchString(word) {
					t.Errorf("%s: %s: the Makefile has no %s", c.page, c.text, word)
				}
			}
		case foreign[words[0]] == "":
			t.Errorf("%s: %s: an unknown program", c.page, c.text)
		}
	}
	if counts["histdist"] < 100 || counts["make"] < 5 {
		t.Errorf("few commands were found: %v", counts)
	}
}

// parse reads a command line as the program does, without running it.
func parse(args []string, inline bool) error {
	c, rest, err := program(io.Discard, io.Discard).Find(args)
	if err != nil {
		return err
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	if err := c.ParseFlags(rest); err != nil && (!inline || !unfinished.MatchString(err.Error())) {
		return err
	}
	rest = c.Flags().Args()
	if inline && len(rest) == 0 {
		return nil
	}
	if err := c.ValidateArgs(rest); err != nil {
		return err
	}
	if c.Name() == "train" && !inline && !strings.HasPrefix(rest[0], "runs/") {
		set, err := c.Flags().GetStringArray("set")
		if err != nil {
			return err
		}
		_, _, err = experiments.Load(rest[0], set, nil)
		return err
	}
	return nil
}

// The commands run, one page after the other, each page in a folder with what it speaks of. What makes them long is
// replaced: sizes, numbers of images and steps.
func TestDocumentedCommandsRun(t *testing.T) {
	full := os.Getenv("HISTDIST_FULL") != ""
	if catalog.Names()[0] == "ref" && !full {
		t.Skip("a build without C takes minutes for these commands: HISTDIST_FULL=1 runs them")
	}
	var pages []string
	byPage := map[string][]documented{}
	for _, c := range documentation(t) {
		if c.inline || !ours.MatchString(strings.Fields(c.text)[0]) || unrun(c.text, full) {
			continue
		}
		if byPage[c.page] == nil {
			pages = append(pages, c.page)
		}
		if c.text = strings.TrimPrefix(strings.TrimPrefix(c.text, "bin/"), "./"); !slices.Contains(byPage[c.page], c) {
			byPage[c.page] = append(byPage[c.page], c)
		}
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			if slices.Contains(slow, page) && !full {
				t.Skip("HISTDIST_FULL=1 runs the commands of this page")
			}
			documentedFiles(t, page)
			for _, c := range byPage[page] {
				runDocumented(t, c.text)
			}
		})
	}
}

// unrun reports whether a command isn't run.
func unrun(text string, full bool) bool {
	for prefix := range parsedOnly {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return !full && slices.ContainsFunc(slowCommands, func(prefix string) bool {
		return strings.HasPrefix(strings.TrimPrefix(text, "./"), prefix)
	})
}

// runDocumented runs a command. A server is ended once it serves.
func runDocumented(t *testing.T, text string) {
	t.Helper()
	args := shrunk(strings.Fields(text)[1:])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said strings.Builder
	var out io.Writer = &said
	if args[0] == "serve" {
		out = writer(func(p []byte) (int, error) {
			if strings.Contains(string(p), "http://") {
				cancel()
			}
			return said.Write(p)
		})
	}
	if code := run(ctx, args, out, out); code != exitOK {
		t.Fatalf("histdist %s\nexit code %d: %s", strings.Join(args, " "), code, said.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// shrunk replaces what a command line says of sizes.
func shrunk(args []string) []string {
	small := map[string]string{
		"--pairs": "4", "--val-pairs": "4", "--size": "64", "--slide": "512x512", "--images": "2",
		"data.crop": "32", "data.batch": "1", "train.steps": "2", "train.lr-warmup": "1",
	}
	args = slices.Clone(args)
	for i, arg := range args {
		if value, ok := small[arg]; ok && i+1 < len(args) {
			if args[i+1] != "0" {
				args[i+1] = value
			}
		} else if key, _, ok := strings.Cut(arg, "="); ok && small[key] != "" {
			args[i] = key + "=" + small[key]
		}
	}
	return args
}

// documentedFiles makes the folder that a page's commands run in, and an environment in which they are quick.
func documentedFiles(t *testing.T, page string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := pullServer(t)
	s.Models["organisation/model"] = s.Models["org/tiny"]
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv(openslide.Variable, openslide.Off)
	for key, value := range map[string]string{
		"SERVE_ADDRESS": "127.0.0.1:0", "SERVE_STATE": filepath.Join(dir, "state"),
		"TRANSLATE_STEPS_INVERSION": "1", "TRANSLATE_STEPS_TRANSLATION": "2", "EVALUATE_RESAMPLES": "100",
		"MODEL_BASE": "models/er", "MODEL_PHIKON": "models/er/phikon",
		"DATA_CROP": "32", "DATA_BATCH": "1", "TRAIN_STEPS": "2", "TRAIN_ACCUMULATE": "1", "TRAIN_LR_WARMUP": "1",
		"VALIDATION_PAIRS": "1", "VALIDATION_TRANSLATIONS": "1",
		"VALIDATION_STEPS_INVERSION": "1", "VALIDATION_STEPS_TRANSLATION": "1",
	} {
		t.Setenv("HISTDIST_"+key, value)
	}
	c := synth.Default()
	c.Pairs, c.ValPairs, c.PatientPairs, c.Size = 2, 2, 1, 64
	side := func(name string) string { return filepath.Join(dir, "MIST", "ER", "TrainValAB", name) }
	for _, err := range []error{
		demo.Extract("models/er"), os.CopyFS("MODEL", demo.Model()),
		model.Extend(t.Context(), "models/er", "models/markers", model.Extension{Classes: 3}, model.ConvertOptions{}),
		model.WritePurpose("models/markers", model.Purpose{Markers: []string{"ER", "HER2"}}),
		synth.Write(t.Context(), "MIST/ER", c, nil), writeSlide("slide.svs"),
		os.Symlink(side("valA"), "valA"), os.Symlink(side("valB"), "valB"), os.Symlink(side("valA"), "slides"),
		os.Symlink(side("valB"), "our-er"), os.Symlink(side("valB"), "sample"), os.Mkdir("known", 0o777),
		os.Symlink(side("valA"), "known/he"), os.Symlink(side("valB"), "known/er"),
		os.CopyFS("other", os.DirFS(side("valB"))), os.Symlink(filepath.Join(root, "experiments"), "experiments"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if page == "evaluation.md" { // elsewhere stains are made
		if err := os.CopyFS("stains", os.DirFS(side("valB"))); err != nil {
			t.Fatal(err)
		}
	}
}
