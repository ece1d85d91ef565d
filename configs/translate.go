package configs

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
)

// TranslateFile is a file with the section of the command translate.
type TranslateFile struct {
	Translate Translate `key:"translate"`
}

// Translate is the section translate.
type Translate struct {
	Model   string `key:"model" usage:"folder or Hugging Face id of the marker's model"`
	Variant string `key:"variant" usage:"which weights to read where a model's folder has several, such as fp16"`
	Phikon  string `key:"phikon" usage:"folder or id of the Phikon vision transformer (default: the folder phikon in the model's, else owkin/phikon)"`
	Input   string `key:"input" usage:"H&E image, folder of images, or a pattern in quotes such as 'slides/*.png'"`
	Output  string `key:"output" usage:"image to write for one input image, else a folder"`

	StepsInversion   int                     `key:"steps-inversion" usage:"steps from the H&E to noise, 2 to 1000"`
	StepsTranslation int                     `key:"steps-translation" usage:"steps from noise to the IHC stain, 2 to 1000"`
	Eta              schedule.Eta            `key:"eta" usage:"fresh noise along the translation: zero, constant, constant:VALUE, linear, cosine_min_10, cosine_min_20 or cosine_min_30"`
	EtaInversion     schedule.Eta            `key:"eta-inversion" usage:"fresh noise along the inversion, as --eta"`
	Normalize        schedule.Normalize      `key:"normalize" usage:"standardise the noise: inversion (once, at its end), steps (in each step) or none"`
	PromptInversion  string                  `key:"prompt-inversion" usage:"text that describes the input to the model (default: the model's, or H&E)"`
	PredictionType   schedule.PredictionType `key:"prediction-type" usage:"what the model was trained to predict: v_prediction or epsilon (default: as its folder says)"`
	Seed             int64                   `key:"seed" usage:"of the noise: the same seed gives the same picture"`
	Without          infer.Without           `key:"without" usage:"for ablations, parts to leave out: tokens, concatenation, inversion"`

	Precision string `key:"precision" usage:"float32, or bfloat16 for less memory"`
	Device    string `key:"device" usage:"auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …"`
	Threads   int    `key:"threads" usage:"processor threads; 0 is one for each core that may be used"`
	LowMemory bool   `key:"low-memory" usage:"use less memory, in more time"`
	Batch     int    `key:"batch" usage:"images of one size that are translated together"`

	ICC imagefile.ICC `key:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`

	Format      string `key:"format" usage:"of outputs in a folder: png, jpg or tif"`
	Quality     int    `key:"quality" usage:"of JPEG outputs, 1 to 100"`
	Panel       bool   `key:"panel" usage:"also write NAME-panel.png: input, result and true stain side by side"`
	Reference   string `key:"reference" usage:"true stain for the panel: an image, or a folder with images of the inputs' names"`
	SaveLatents string `key:"save-latents" usage:"write the latents of every step of one image to this .safetensors file"`
	Overwrite   bool   `key:"overwrite" usage:"replace outputs that are there"`
	JSON        bool   `key:"json" usage:"print a summary as JSON"`
}

// DefaultTranslate are the paper's settings.
func DefaultTranslate() TranslateFile {
	s := infer.DefaultSettings()
	return TranslateFile{Translate{
		StepsInversion: s.StepsInversion, StepsTranslation: s.StepsTranslation, Eta: s.EtaTranslation, EtaInversion: s.EtaInversion,
		Normalize: s.Normalize, PromptInversion: s.PromptInversion, PredictionType: s.Prediction,
		Precision: "float32", Device: "auto", Batch: 1, Format: "png", Quality: 95,
	}}
}

// noPrompt has the ids of an empty text, for the tokenizer drops spaces, but is not the model's default.
const noPrompt = " "

// settle tells an empty prompt that was asked for from one that was left out.
func (t *Translate) settle(values []Value) {
	for _, v := range values {
		if v.Key == "translate.prompt-inversion" && v.Origin != byDefault && t.PromptInversion == "" {
			t.PromptInversion = noPrompt
		}
	}
}

// LoadTranslate is LoadFile for the section translate.
func LoadTranslate(f *TranslateFile, path string, flags map[string]*pflag.Flag) error {
	values, err := LoadFile(f, path, flags)
	f.Translate.settle(values)
	return err
}

// Settings are those of the sampler.
func (t Translate) Settings() infer.Settings {
	return infer.Settings{
		StepsInversion: t.StepsInversion, StepsTranslation: t.StepsTranslation, EtaInversion: t.EtaInversion, EtaTranslation: t.Eta,
		Normalize: t.Normalize, PromptInversion: t.PromptInversion, Prediction: t.PredictionType, Seed: t.Seed, Without: t.Without,
	}
}

// Validate reports everything that is wrong with the section.
func (t Translate) Validate() error {
	var errs []error
	for _, k := range []struct{ name, value string }{{"model", t.Model}, {"input", t.Input}, {"output", t.Output}} {
		if k.value == "" {
			errs = append(errs, fmt.Errorf("--%s is missing", k.name))
		}
	}
	if t.Batch < 1 {
		errs = append(errs, fmt.Errorf("batch: %d: want 1 or more", t.Batch))
	}
	if t.Quality < 1 || t.Quality > 100 {
		errs = append(errs, fmt.Errorf("quality: %d: want 1 to 100", t.Quality))
	}
	if t.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d: want 0 or more", t.Threads))
	}
	return errors.Join(append(errs, t.Settings().Validate())...)
}
