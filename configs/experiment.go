package configs

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/train"
)

// Experiment is all that a training run can be told: the file of `histdist train`.
type Experiment struct {
	Model      Model        `key:"model"`
	Data       Data         `key:"data"`
	Train      train.Config `key:"train"`
	Validation Validation   `key:"validation"`
	Run        Run          `key:"run"`
}

// Model says what the training begins with.
type Model struct {
	Base    string  `key:"base" usage:"folder or Hugging Face id of the diffusion model to begin with; a U-Net for text alone is widened"`
	Phikon  string  `key:"phikon" usage:"folder or id of the Phikon vision transformer (default: the folder phikon in the model's, else owkin/phikon)"`
	Prompt  string  `key:"prompt" usage:"text that describes the H&E to the model (default: the base's, or H&E)"`
	Variant string  `key:"variant" usage:"which weights of the base to read where its folder has several, such as fp16"`
	Marker  string  `key:"marker" usage:"what the IHC stains show, such as ER: the exported model says so"`
	MPP     float64 `key:"mpp" usage:"micrometres per pixel of the images, 0 if unknown: the exported model says so"`
}

// Data says which pairs the training learns from, and how they come.
type Data struct {
	Dir                string        `key:"dir" usage:"folder of the pairs, or a list of them (.csv), whatever the layout"`
	Layout             data.Layout   `key:"layout" usage:"mist, bci, combined (H&E left, IHC right in one file), folders or csv"`
	HE                 string        `key:"he" usage:"folder of H&E images, for the layout folders"`
	IHC                string        `key:"ihc" usage:"folder of IHC images, for the layout folders"`
	Suffixes           string        `key:"suffixes" usage:"what tells the names of a pair's H&E and IHC images apart, such as _HE,_ER or HE_*,ER_* or */HE,*/ER; sub-folders are searched"`
	PatientPattern     string        `key:"patient-pattern" usage:"regular expression that finds the patient in a name; a list's column patient is stronger"`
	Split              string        `key:"split" usage:"part to learn from; empty is all"`
	ValidationSplit    string        `key:"validation-split" usage:"part to validate with"`
	ValidationFraction float64       `key:"validation-fraction" usage:"instead of validation-split: this share of the pairs, none of whose patients is in the rest"`
	MaxPairs           int           `key:"max-pairs" usage:"learn from the first pairs only; 0 is all"`
	Crop               int           `key:"crop" usage:"side of the square crops in pixels; 0 is whole images, which must have one size and can't be augmented"`
	Augment            bool          `key:"augment" usage:"draw crop, flip and rotation; else the crop is from the middle"`
	Batch              int           `key:"batch" usage:"pairs of a micro-step"`
	Corrupt            data.Corrupt  `key:"corrupt" usage:"an image that can't be read: error, or skip the pair"`
	ICC                imagefile.ICC `key:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`
	Fingerprint        string        `key:"fingerprint" usage:"how a resumed run finds replaced images: sampled (size and parts of each file) or full (every byte)"`
	Workers            int           `key:"workers" usage:"images decoded at a time; 0 is one a processor"`
	ReadAhead          int           `key:"read-ahead" usage:"batches made ahead; 0 is 2"`
	Memory             int           `key:"memory-mib" usage:"bound for decoded images and batches, in MiB"`
	Cache              int           `key:"cache-mib" usage:"keep latents and tokens of crops that come again (whole images have 8 ways to lie), up to so many MiB"`
}

// Values of data.fingerprint.
const (
	FingerprintSampled = "sampled"
	FingerprintFull    = "full"
)

// Validation says what is looked at every train.validate-every steps.
type Validation struct {
	AtStart          bool  `key:"at-start" usage:"also before the first step of a new run"`
	Pairs            int   `key:"pairs" usage:"pairs for the loss with fixed noise"`
	Translations     int   `key:"translations" usage:"pairs that are translated, or by an autoencoder given back, for panels, SSIM and PSNR"`
	StepsInversion   int   `key:"steps-inversion" usage:"steps from the H&E to noise"`
	StepsTranslation int   `key:"steps-translation" usage:"steps from noise to the IHC stain"`
	Seed             int64 `key:"seed" usage:"of the noise"`
}

// Run says where a run computes and writes.
type Run struct {
	Output      string `key:"output" usage:"folder of checkpoints, metrics and panels"`
	Device      string `key:"device" usage:"auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …; several, such as cuda:0,cuda:1, share the micro-steps of a step (train.accumulate)"`
	Threads     int    `key:"threads" usage:"processor threads; 0 is one for each core that may be used"`
	TensorBoard bool   `key:"tensorboard" usage:"write event files for TensorBoard"`
}

// DefaultExperiment has the paper's values: 512-pixel crops of at most 4096 pairs in MIST's layout, 300 epochs in batches of 48.
func DefaultExperiment() Experiment {
	return Experiment{
		Model: Model{Base: "stable-diffusion-v1-5/stable-diffusion-v1-5"},
		Data: Data{
			Layout: data.MIST, Split: "train", ValidationSplit: "val", MaxPairs: 4096, Crop: 512, Augment: true, Batch: 48,
			Corrupt: data.CorruptError, Fingerprint: FingerprintSampled, Memory: 1024,
		},
		Train:      train.Default(),
		Validation: Validation{AtStart: true, Pairs: 8, Translations: 4, StepsInversion: 50, StepsTranslation: 50},
		Run:        Run{Device: "auto", TensorBoard: true},
	}
}

// LoadExperiment reads an experiment's file with those that it extends (find knows the built-in ones), the environment and KEY=VALUE
// texts over them. Its error is everything that is wrong, each with its place.
func LoadExperiment(path string, find func(name string) ([]byte, bool), set []string) (Experiment, []Value, error) {
	e := DefaultExperiment()
	files, err := Chain(path, find)
	if err != nil {
		return e, nil, err
	}
	values, err := Load(&e, Sources{Files: files, Set: set})
	if values == nil {
		return e, nil, err
	}
	keys := keysOf(&e)
	return e, values, errors.Join(err, locate(e.Train.Validate(), "train", values, keys), locate(e.validate(), "", values, keys))
}

// validate reports everything that is wrong outside the section train. Errors begin with the key.
func (e Experiment) validate() error {
	var errs []error
	want := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(key+" "+format, args...))
		}
	}
	want(e.Model.Base != "", "model.base", "is missing: want a folder, or an id such as stable-diffusion-v1-5/stable-diffusion-v1-5")
	want(e.Model.MPP >= 0 && e.Model.MPP <= 1000, "model.mpp", "is %g: want micrometres per pixel, such as 0.5; 0 is unknown", e.Model.MPP)
	d := e.Data
	switch d.Layout {
	case data.Folders:
		if d.HE != "" || d.IHC != "" || d.Suffixes == "" {
			want(d.HE != "", "data.he", "is missing: the layout folders wants a folder of H&E images")
			want(d.IHC != "", "data.ihc", "is missing: the layout folders wants a folder of IHC images")
		} else {
			want(d.Dir != "", "data.dir", "is missing: the layout folders wants data.he and data.ihc, or with data.suffixes the folder of both")
		}
	case data.MIST, data.BCI, data.Combined, data.CSV:
		want(d.Dir != "", "data.dir", "is missing: want the folder of the image pairs, or the list of the layout csv; such as --set data.dir=MIST/ER")
	default:
		want(false, "data.layout", "is %q: want %s, %s, %s, %s or %s", d.Layout, data.MIST, data.BCI, data.Combined, data.Folders, data.CSV)
	}
	want(d.Corrupt == data.CorruptError || d.Corrupt == data.CorruptSkip, "data.corrupt", "is %q: want %s or %s", d.Corrupt,
		data.CorruptError, data.CorruptSkip)
	want(d.Fingerprint == FingerprintSampled || d.Fingerprint == FingerprintFull, "data.fingerprint", "is %q: want %s or %s", d.Fingerprint,
		FingerprintSampled, FingerprintFull)
	want(d.Crop != 0 || !d.Augment, "data.crop", "%v", data.ErrAugmentWhole)
	want(d.ValidationFraction >= 0 && d.ValidationFraction < 1, "data.validation-fraction", "is %g: want 0 or more and less than 1", d.ValidationFraction)
	want(d.Batch >= 1, "data.batch", "is %d: want 1 or more", d.Batch)
	for _, k := range []struct {
		key   string
		value int
	}{
		{"data.max-pairs", d.MaxPairs},
		{"data.crop", d.Crop},
		{"data.workers", d.Workers},
		{"data.read-ahead", d.ReadAhead},
		{"data.memory-mib", d.Memory},
		{"data.cache-mib", d.Cache},
		{"run.threads", e.Run.Threads},
		{"validation.pairs", e.Validation.Pairs},
		{"validation.translations", e.Validation.Translations},
	} {
		want(k.value >= 0, k.key, "is %d: want 0 or more", k.value)
	}
	want(e.Run.Output != "", "run.output", "is missing: want a folder, such as --set run.output=runs/er")
	if e.Validation.Translations > 0 {
		v := e.Validation
		want(v.StepsInversion >= 2 && v.StepsInversion <= 1000, "validation.steps-inversion", "is %d: want 2 to 1000", v.StepsInversion)
		want(v.StepsTranslation >= 2 && v.StepsTranslation <= 1000, "validation.steps-translation", "is %d: want 2 to 1000", v.StepsTranslation)
	}
	return errors.Join(errs...)
}

// Sampler is how the pairs of a validation are translated: the paper's settings but for the steps.
func (e Experiment) Sampler() infer.Settings {
	s := infer.DefaultSettings()
	s.StepsInversion, s.StepsTranslation, s.Seed = e.Validation.StepsInversion, e.Validation.StepsTranslation, e.Validation.Seed
	s.PromptInversion, s.Prediction = e.Model.Prompt, e.Train.Prediction
	return s
}

// Read says how images are read.
func (d Data) Read() imagefile.Options { return imagefile.Options{ICC: d.ICC} }

// Location says where the pairs are.
func (d Data) Location() data.Location {
	return data.Location{Layout: d.Layout, Root: d.Dir, HE: d.HE, IHC: d.IHC, PatientPattern: d.PatientPattern, Suffixes: d.Suffixes}
}
