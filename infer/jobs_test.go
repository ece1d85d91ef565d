package infer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
)

func TestPlan(t *testing.T) {
	in := folder(t)
	a := filepath.Join(in, "a.png")
	out := filepath.Join(t.TempDir(), "new")
	tests := map[string]struct {
		input, output, reference string
		want                     []infer.Job
		err                      string
	}{
		"file to file":     {a, out + ".jpg", "", []infer.Job{{Input: a, Output: out + ".jpg"}}, ""},
		"file to folder":   {a, out, "", []infer.Job{{Input: a, Output: filepath.Join(out, "a.png")}}, ""},
		"with a reference": {a, out + ".png", in, []infer.Job{{Input: a, Output: out + ".png", Reference: a}}, ""},
		"pattern": {
			filepath.Join(in, "b*"), out, "",
			[]infer.Job{{Input: filepath.Join(in, "b.png"), Output: filepath.Join(out, "b.png")}},
			"",
		},
		"output is input":   {a, a, "", nil, "the output is the input"},
		"folder onto it":    {in, in, "", nil, "the output is the input"},
		"nothing there":     {filepath.Join(in, "absent"), out, "", nil, "absent"},
		"pattern without":   {filepath.Join(in, "x*"), out, "", nil, "no image fits"},
		"empty folder":      {t.TempDir(), out, "", nil, "no images"},
		"unknown ending":    {a, out + ".gif", "", nil, ".gif"},
		"reference is gone": {a, out + ".png", filepath.Join(in, "sub"), nil, "no image"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			jobs, err := infer.FindJobs(t.Context(),
				infer.JobOptions{Input: test.input, Output: test.output, Ending: ".png", Reference: test.reference})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, jobs.List); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// link makes a symbolic link.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// inputs are the names of a plan's inputs below the input.
func inputs(t *testing.T, o infer.JobOptions) []string {
	t.Helper()
	o.Ending = ".png"
	jobs, err := infer.FindJobs(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, j := range jobs.List {
		name, err := filepath.Rel(o.Input, j.Input)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, filepath.ToSlash(name))
	}
	return list
}

func TestLinksAreFollowed(t *testing.T) {
	store, in := folder(t), t.TempDir()
	writeImage(t, filepath.Join(in, "own.png"), pattern(16, 16, 3))
	link(t, store, filepath.Join(in, "linked"))
	link(t, in, filepath.Join(in, "linked-to-itself"))
	link(t, filepath.Join(store, "a.png"), filepath.Join(in, "file.png"))
	root := filepath.Join(t.TempDir(), "root")
	link(t, in, root)
	want := []string{"file.png", "linked/a.png", "linked/b.png", "linked/sub/c.png", "own.png"}
	if diff := cmp.Diff(want, inputs(t, infer.JobOptions{Input: root, Output: t.TempDir()})); diff != "" {
		t.Error(diff)
	}
}

func TestHiddenFilesAreNoInputAlsoOfPatterns(t *testing.T) {
	in := folder(t)
	for _, name := range []string{
		".ipynb_checkpoints/a-checkpoint.png", ".Trash-1000/files/x.png", "__MACOSX/y.png",
		"._b.png", "@eaDir/z.png",
	} {
		writeImage(t, filepath.Join(in, name), pattern(16, 16, 3))
	}
	want := []string{"a.png", "b.png", "sub/c.png"}
	if diff := cmp.Diff(want, inputs(t, infer.JobOptions{Input: in, Output: t.TempDir()})); diff != "" {
		t.Error(diff)
	}
	jobs, err := infer.FindJobs(t.Context(),
		infer.JobOptions{Input: filepath.Join(in, "*"), Output: t.TempDir(), Ending: ".png"})
	if err != nil || len(jobs.List) != len(want) {
		t.Errorf("pattern: %+v, %v", jobs, err)
	}
}

func TestReferencesAreFoundWhateverTheirExtensions(t *testing.T) {
	in, ref := folder(t), t.TempDir()
	for _, name := range []string{"a.PNG", "b.JPG", "sub/c.tif"} {
		writeImage(t, filepath.Join(ref, name), pattern(16, 16, 3))
	}
	o := infer.JobOptions{Input: in, Output: t.TempDir(), Ending: ".png", Reference: ref}
	jobs, err := infer.FindJobs(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a.PNG", "b.JPG", "sub/c.tif"} {
		if got := jobs.List[i].Reference; got != filepath.Join(ref, want) {
			t.Errorf("reference %s, want %s", got, want)
		}
	}
	writeImage(t, filepath.Join(ref, "a.tif"), pattern(16, 16, 3))
	if _, err := infer.FindJobs(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a.tif have one name") {
		t.Errorf("two references for one image: %v", err)
	}
}

// Names of one file on some file systems.
func TestOutputsThatCollideAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		panel bool
		want  string // the error; "" is none
	}{
		"two formats":              {files: []string{"a.png", "a.tif"}, want: "both be written to"},
		"capitals":                 {files: []string{"a.png", "A.png"}, want: "capitals"},
		"capitals of a sub-folder": {files: []string{"s/a.png", "S/a.png"}, want: "capitals"},
		"normal forms":             {files: []string{"\u00e4.png", "a\u0308.png"}, want: "accents"},
		"a panel":                  {files: []string{"a.png", "a-panel.png"}, panel: true, want: "both be written to"},
		"without panels":           {files: []string{"a.png", "a-panel.png"}},
		"different names":          {files: []string{"a.png", "ab.png", "s/a.png"}, panel: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := t.TempDir()
			for i, f := range test.files {
				writeImage(t, filepath.Join(in, f), pattern(16, 16, i))
			}
			_, err := infer.FindJobs(t.Context(),
				infer.JobOptions{Input: in, Output: t.TempDir(), Ending: ".png", Panel: test.panel})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestAVirtualStainThatIsNamedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stain.png")
	made := imagefile.WriteOptions{Provenance: []imagefile.Pair{{
		Key:   imagefile.KeyKind,
		Value: string(imagefile.VirtualStain),
	}}}
	if err := imagefile.Write(path, pattern(16, 16, 3), made); err != nil {
		t.Fatal(err)
	}
	_, err := infer.FindJobs(t.Context(), infer.JobOptions{Input: path, Output: t.TempDir(), Ending: ".png"})
	if err == nil || !strings.Contains(err.Error(), "virtual stain") {
		t.Errorf("error %v", err)
	}
	_, err = infer.FindJobs(t.Context(), infer.JobOptions{Input: filepath.Dir(path), Output: t.TempDir(), Ending: ".png"})
	if err == nil || !strings.Contains(err.Error(), "1 virtual stains and panels") {
		t.Errorf("a folder of them: error %v", err)
	}
}
