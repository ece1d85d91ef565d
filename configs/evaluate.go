package configs

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
)

// EvaluateFile is a file with the section of the command evaluate, and that of translate, which says how a model translates first.
type EvaluateFile struct {
	Translate Translate `key:"translate"`
	Evaluate  Evaluate  `key:"evaluate"`
}

// Evaluate is the section evaluate.
type Evaluate struct {
	Real   string `key:"real" usage:"folder of real IHC images"`
	Fake   string `key:"fake" usage:"folder of virtual IHC images with the same names"`
	HE     string `key:"he" usage:"folder of the H&E images with the same names: as virtual stains they are the floor"`
	Output string `key:"output" usage:"folder for the results and what a later run can use again"`

	Model   string `key:"model" usage:"translate the images of --he with this model first, instead of --fake; the sampler's options are those of the section translate"`
	Variant string `key:"variant" usage:"which weights of --model to read where its folder has several, such as fp16"`
	Train   string `key:"train" usage:"what the model was trained with: a data set, a folder or a list (.csv); warns where slides are shared"`

	Against        string `key:"against" usage:"folder with the results of another run on the same real images: test the difference"`
	PatientPattern string `key:"patient-pattern" usage:"regular expression that finds the patient or slide in a name: its first group"`

	Weights      string `key:"weights" usage:"folder with weights under their published names, or in sub-folders fid-inception, inception, resnet50, gigapath, phikon"`
	InceptionFID string `key:"inception-fid" usage:"weights of pytorch-fid's Inception, for FID"`
	Inception    string `key:"inception" usage:"weights of torchvision's Inception v3, for KID"`
	ResNet50     string `key:"resnet50" usage:"weights of torchvision's ResNet-50, for PHV"`
	GigaPath     string `key:"gigapath" usage:"weights of Prov-GigaPath's tile encoder, for MRA"`
	Phikon       string `key:"phikon" usage:"folder of Phikon, for retrieval as with MRA but without GigaPath"`

	Vectors       string  `key:"vectors" usage:"colours of haematoxylin and DAB: qupath (its defaults), or macenko (estimated from real images)"`
	PositiveDAB   float64 `key:"positive-dab" usage:"optical density from which on DAB is positive"`
	MPP           float64 `key:"mpp" usage:"micrometres per pixel, for nuclei"`
	NucleiSignal  string  `key:"nuclei-signal" usage:"what nuclei stand out in: red (markers of nuclei) or haematoxylin (of membranes, such as HER2)"`
	PHVThreshold  float64 `key:"phv-threshold" usage:"difference of a channel's means from which on it counts"`
	KIDSubsets    int     `key:"kid-subsets" usage:"how many subsets KID is averaged over"`
	KIDSubsetSize int     `key:"kid-subset-size" usage:"images of a subset, at most as many as there are"`

	Level     float64 `key:"level" usage:"of confidence intervals"`
	Resamples int     `key:"resamples" usage:"of the bootstrap"`
	Flips     int     `key:"flips" usage:"random flips of signs in a paired test"`
	Seed      int64   `key:"seed" usage:"of all that is drawn: resamples, subsets, halves; 0 to 4294967295"`

	Device  string `key:"device" usage:"for the networks: auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …"`
	Threads int    `key:"threads" usage:"processor threads; 0 is one for each core that may be used"`
	Batch   int    `key:"batch" usage:"images that go through a network together"`

	ICC imagefile.ICC `key:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`

	JSON     bool `key:"json" usage:"print the results as JSON"`
	Markdown bool `key:"markdown" usage:"print the results as Markdown"`
}

// DefaultEvaluate are the paper's settings where it has any.
func DefaultEvaluate() EvaluateFile {
	s := evaluate.DefaultSettings()
	return EvaluateFile{
		Translate: DefaultTranslate().Translate,
		Evaluate: Evaluate{
			Output: "evaluation", PatientPattern: evaluate.SlidePattern, Vectors: string(s.Vectors), PositiveDAB: s.PositiveDAB, MPP: s.MPP,
			NucleiSignal: string(s.NucleiSignal), PHVThreshold: s.PHVThreshold, KIDSubsets: s.KIDSubsets, KIDSubsetSize: s.KIDSubsetSize, Level: s.Level,
			Resamples: s.Resamples, Flips: s.Flips, Seed: int64(s.Seed), Device: "auto", Batch: features.DefaultBatch,
		},
	}
}

// LoadEvaluate is LoadFile for the sections evaluate and translate. measured reports whether the micrometres per pixel were given.
func LoadEvaluate(f *EvaluateFile, path string, flags map[string]*pflag.Flag) (measured bool, err error) {
	values, err := LoadFile(f, path, flags)
	f.Translate.settle(values)
	return slices.ContainsFunc(values, func(v Value) bool { return v.Key == "evaluate.mpp" && v.Origin != byDefault }), err
}

// Settings are what the results depend on.
func (e Evaluate) Settings() evaluate.Settings {
	return evaluate.Settings{
		Vectors: evaluate.Vectors(e.Vectors), PositiveDAB: e.PositiveDAB, MPP: e.MPP, NucleiSignal: nuclei.Signal(e.NucleiSignal),
		PHVThreshold: e.PHVThreshold, KIDSubsets: e.KIDSubsets, KIDSubsetSize: e.KIDSubsetSize, Level: e.Level, Resamples: e.Resamples,
		Flips: e.Flips, Seed: uint32(e.Seed), ICC: e.ICC,
	}
}

// Paths are the weights that were named.
func (e Evaluate) Paths() map[features.Kind]string {
	return map[features.Kind]string{
		features.FIDInception: e.InceptionFID, features.Inception: e.Inception, features.ResNet50: e.ResNet50,
		features.GigaPath: e.GigaPath, features.Phikon: e.Phikon,
	}
}

// Virtual is the folder of the virtual images: --fake, or where the model's translations go.
func (e Evaluate) Virtual() string {
	if e.Model != "" {
		return filepath.Join(e.Output, "virtual")
	}
	return e.Fake
}

// Validate reports everything that is wrong with the section.
func (e Evaluate) Validate() error {
	var errs []error
	for _, k := range []struct{ name, value string }{{"real", e.Real}, {"output", e.Output}} {
		if k.value == "" {
			errs = append(errs, fmt.Errorf("--%s is missing", k.name))
		}
	}
	switch {
	case e.Fake == "" && e.Model == "":
		errs = append(errs, errors.New("--fake is missing, or --model with --he"))
	case e.Fake != "" && e.Model != "":
		errs = append(errs, errors.New("--fake and --model: give one of them"))
	case e.Model != "" && e.HE == "":
		errs = append(errs, errors.New("--model translates H&E images: --he is missing"))
	}
	if e.JSON && e.Markdown {
		errs = append(errs, errors.New("--json and --markdown: give one of them"))
	}
	if e.Seed < 0 || e.Seed > 1<<32-1 {
		errs = append(errs, fmt.Errorf("seed: %d: want 0 to 4294967295", e.Seed))
	}
	if e.Batch < 1 {
		errs = append(errs, fmt.Errorf("batch: %d: want 1 or more", e.Batch))
	}
	if e.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d: want 0 or more", e.Threads))
	}
	return errors.Join(append(errs, e.Settings().Validate())...)
}
