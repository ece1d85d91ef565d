package experiments

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/mlflow"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/train"
)

// Config is the configuration of a training run: the file of `histdist train`.
type Config struct {
	Model      ModelConfig      `key:"model"`
	Data       DataConfig       `key:"data"`
	Train      train.Config     `key:"train"`
	Validation ValidationConfig `key:"validation"`
	Run        RunConfig        `key:"run"`
}

// ModelConfig says what the training begins with.
type ModelConfig struct {
	Base    string  `key:"base" usage:"folder or Hugging Face id of the model to start from; a text-to-image U-Net is widened"`
	UNet    string  `key:"unet" usage:"folder of the U-Net in the base to begin with, such as unet-fast (default: unet)"`
	Phikon  string  `key:"phikon" usage:"folder or id of the Phikon vision transformer (default: the folder phikon in the model's, else owkin/phikon)"`
	Prompt  string  `key:"prompt" usage:"text that describes the H&E to the model (default: the base's, or H&E)"`
	Variant string  `key:"variant" usage:"which weights of the base to read if its folder has several, such as fp16"`
	Marker  string  `key:"marker" usage:"what the IHC stains show, such as ER; recorded in the exported model"`
	MPP     float64 `key:"mpp" want:"0 to 1000" usage:"micrometres per pixel of the images, 0 if unknown; recorded in the exported model"`
}

// DataConfig says which pairs the training learns from, and how they are read.
type DataConfig struct {
	data.Location

	Sets Sets `key:"sets" usage:"instead of dir: data sets of several markers, which one model learns; see docs/training.md"`

	Split              string  `key:"split" usage:"part to learn from; empty is all"`
	ValidationSplit    string  `key:"validation-split" usage:"part to validate with"`
	ValidationFraction float64 `key:"validation-fraction" want:"0 or more, below 1" usage:"instead of validation-split: this fraction of the pairs, all pairs of a patient together"`

	MaxPairs int     `key:"max-pairs" want:"0 or more" usage:"learn from the first pairs only; 0 is all"`
	MaxShift float64 `key:"max-shift" want:"0 or more" usage:"leave out pairs whose IHC image is shifted by more pixels than this against the H&E, measured when the run begins; 0 is no limit"`
	Crop     int     `key:"crop" want:"0 or more" usage:"side of the square crops in pixels; 0 is whole images, which must have one size and can't be augmented"`
	Augment  bool    `key:"augment" usage:"random crop, flip and rotation; otherwise the crop is central"`
	Batch    int     `key:"batch" want:"1 or more" usage:"pairs of a micro-step"`

	Corrupt     data.Corrupt  `key:"corrupt" want:"error or skip" usage:"an image that can't be read: error, or skip the pair"`
	ICC         imagefile.ICC `key:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`
	Fingerprint string        `key:"fingerprint" want:"sampled or full" usage:"how a resumed run finds replaced images: sampled (size and parts of each file) or full (every byte)"`

	Workers   int `key:"workers" want:"0 or more" usage:"images decoded at a time; 0 is one for each processor"`
	ReadAhead int `key:"read-ahead" want:"0 or more" usage:"batches prepared ahead; 0 is 2"`
	Memory    int `key:"memory-mib" want:"0 or more" usage:"limit for decoded images and batches, in MiB"`
	Cache     int `key:"cache-mib" want:"0 or more" usage:"keep latents and tokens of recurring crops (8 orientations of whole images), up to this many MiB"`
}

// Sets are the data sets of a model of several markers.
type Sets []Set

// Set is one of them.
type Set struct {
	// Location says where it is. What it leaves open is as in the section data.
	data.Location

	Marker string  `key:"marker" usage:"what its IHC stains show, such as ER"`
	Weight float64 `key:"weight" want:"above 0" usage:"its part of the pairs that the training sees, against the weights of the other sets, whatever its size"`
}

// Defaults sets the weight: sets count alike.
func (s *Set) Defaults() { s.Weight = 1 }

// Markers are those of the sets.
func (s Sets) Markers() (list []string) {
	for _, set := range s {
		list = append(list, set.Marker)
	}
	return list
}

// validate reports everything that is wrong with the sets, as option.KeyErrors.
func (s Sets) validate(d DataConfig, m ModelConfig, o train.Objective) error {
	if len(s) == 0 {
		return nil
	}
	var errs []error
	wrong := func(key, format string, args ...any) { errs = append(errs, option.Wrong(key, format, args...)) }
	own := map[string]string{"data.dir": d.Root, "data.he": d.HE, "data.ihc": d.IHC}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if own[key] != "" {
			wrong(key, "%s: with data.sets each set has its own: want one of the two", own[key])
		}
	}
	if m.Marker != "" {
		wrong("model.marker", "%s: with data.sets each set names its marker: leave it out", m.Marker)
	}
	if o == train.Autoencoder {
		wrong("data.sets", "an autoencoder knows no markers: want data.dir")
	}
	for i, set := range s {
		key := s.key(i)
		set.Location = set.in(d)
		errs = append(errs, option.In(key, errors.Join(option.Check(set), errors.Join(located(set.Location)...))))
		if set.Marker == "" {
			wrong(key+".marker", "missing: want what the stains show, such as ER")
		}
	}
	named := slices.DeleteFunc(s.Markers(), func(m string) bool { return m == "" })
	if err := model.CheckMarkers(named); err != nil {
		wrong("data.sets", "marker: %w", err)
	}
	return errors.Join(errs...)
}

// key is that of a set in errors.
func (s Sets) key(i int) string { return fmt.Sprintf("data.sets[%d]", i) }

// in is the set's location, completed by the section data.
func (s Set) in(d DataConfig) data.Location {
	loc := s.Location
	loc.Layout = cmp.Or(loc.Layout, d.Layout)
	loc.Suffixes = cmp.Or(loc.Suffixes, d.Suffixes)
	loc.PatientPattern = cmp.Or(loc.PatientPattern, d.PatientPattern)
	return loc
}

// ValidationConfig says what is measured every train.validate-every steps.
type ValidationConfig struct {
	AtStart          bool   `key:"at-start" usage:"also validate before the first step of a new run"`
	Pairs            int    `key:"pairs" want:"0 or more" usage:"pairs for the loss with fixed noise"`
	Translations     int    `key:"translations" want:"0 or more" usage:"pairs that are translated, or reconstructed by an autoencoder, for panels, SSIM and PSNR"`
	Preset           string `key:"preset" want:"paper, balanced, fast or empty" usage:"how they are translated, in place of the numbers of steps: paper, balanced or fast (the base's own)"`
	StepsInversion   int    `key:"steps-inversion" want:"0 to 1000" usage:"steps from the H&E to noise; 0: the translation begins with random noise"`
	StepsTranslation int    `key:"steps-translation" want:"1 to 1000" usage:"steps from noise to the IHC stain; U-Nets for few steps have their own"`
	Seed             int64  `key:"seed" usage:"seed of the noise"`
}

// RunConfig says where a run computes and writes.
type RunConfig struct {
	Output      string `key:"output" usage:"folder of checkpoints, metrics and panels"`
	Device      string `key:"device" usage:"auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …; several, such as cuda:0,cuda:1, share the micro-steps of a step"`
	Threads     int    `key:"threads" want:"0 or more" usage:"processor threads; 0 is one for each available core"`
	TensorBoard bool   `key:"tensorboard" usage:"write event files for TensorBoard"`
	MLflow      string `key:"mlflow" usage:"address of an MLflow server that also gets parameters, metrics and panels, such as http://localhost:5000"`
	RankTimeout int    `key:"rank-timeout" want:"1 or more" usage:"seconds that processes of one training, started by torchrun, srun or mpirun, wait for each other at the start and in a step"`
}

// Default returns the paper's values: 512-pixel crops of at most 4096 pairs of MIST, 300 epochs in batches of 48.
func Default() Config {
	return Config{
		Model: ModelConfig{Base: "stable-diffusion-v1-5/stable-diffusion-v1-5"},
		Data: DataConfig{
			Location: data.Location{Layout: data.MIST}, Split: "train", ValidationSplit: "val", MaxPairs: 4096, Crop: 512,
			Augment: true, Batch: 48, Corrupt: data.CorruptError, Fingerprint: "sampled", Memory: 1024,
		},
		Train:      train.Default(),
		Validation: ValidationConfig{AtStart: true, Pairs: 8, Translations: 4, StepsInversion: 50, StepsTranslation: 50},
		Run:        RunConfig{Device: "auto", TensorBoard: true, RankTimeout: 600},
	}
}

// Validate reports everything that is wrong with the configuration, as option.KeyErrors.
func (c Config) Validate() error {
	errs := []error{option.Check(c), c.Data.Sets.validate(c.Data, c.Model, c.Train.Objective)}
	missing := func(ok bool, key, want string) {
		if !ok {
			errs = append(errs, option.Wrong(key, "missing: want %s", want))
		}
	}
	missing(c.Model.Base != "", "model.base", "a folder, or an id such as stable-diffusion-v1-5/stable-diffusion-v1-5")
	missing(c.Run.Output != "", "run.output", "a folder, such as --set run.output=runs/er")
	if len(c.Data.Sets) == 0 {
		errs = append(errs, option.In("data", errors.Join(located(c.Data.Location)...)))
	}
	if c.Run.MLflow != "" {
		if err := mlflow.CheckURL(c.Run.MLflow); err != nil {
			errs = append(errs, option.Wrong("run.mlflow", "%w", err))
		}
	}
	if c.Data.Crop == 0 && c.Data.Augment {
		errs = append(errs, option.Wrong("data.crop", "%w", data.ErrAugmentWhole))
	}
	return errors.Join(errs...)
}

// located reports what of a location is missing, as option.KeyErrors.
func located(loc data.Location) (errs []error) {
	missing := func(ok bool, key, want string) {
		if !ok {
			errs = append(errs, option.Wrong(key, "missing: want %s", want))
		}
	}
	switch {
	case loc.Layout != data.Folders:
		missing(loc.Root != "", "dir", "the folder or the list (.csv) of the image pairs, such as --set data.dir=MIST/ER")
	case loc.HE == "" && loc.IHC == "" && loc.Suffixes != "":
		missing(loc.Root != "", "dir", "the folder of both stains, or he and ihc")
	default:
		missing(loc.HE != "", "he", "the folder of the H&E images")
		missing(loc.IHC != "", "ihc", "the folder of the IHC images")
	}
	return errs
}

// Sampler is how the pairs of a validation are translated: by a preset of the model with this purpose, as a U-Net for
// one step is made for, or by the paper's settings except for the steps.
func (c Config) Sampler(p model.Purpose) (infer.Settings, error) {
	s := infer.DefaultSettings()
	v := c.Validation
	s.StepsInversion, s.StepsTranslation, s.Seed = v.StepsInversion, v.StepsTranslation, v.Seed
	s.PromptInversion, s.Prediction = c.Model.Prompt, c.Train.Prediction
	var err error
	if c.Train.Objective == train.EndToEnd {
		s.Sampling = train.FastSampling()
	}
	if c.Validation.Preset != "" {
		preset, wrong := p.Preset(c.Validation.Preset)
		if wrong != nil {
			err = option.Wrong("validation.preset", "%w", wrong)
		}
		s.Sampling = preset.Sampling // the U-Net is the trained one
	}
	return s, err
}

// read says how images are read.
func (d DataConfig) read() imagefile.Options { return imagefile.Options{ICC: d.ICC} }
