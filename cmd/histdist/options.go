package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/server"
	"github.com/histdist/histdist/internal/stain"
)

// translateFile is a configuration file of translate.
type translateFile struct {
	Translate translateOptions `key:"translate"`
}

// translateOptions are the section translate.
type translateOptions struct {
	Model   string `key:"model" usage:"folder or Hugging Face id of the marker's model"`
	Variant string `key:"variant" usage:"which weights to read if a model's folder has several, such as fp16"`
	UNet    string `key:"unet" usage:"folder inside the model's with another U-Net, such as unet-fast (default: unet, or the preset's)"`
	Phikon  string `key:"phikon" usage:"folder or id of the Phikon vision transformer (default: the folder phikon in the model's, else owkin/phikon)"`

	Adapter   lora.Uses `key:"adapter" usage:"low-rank adapters of the model's U-Net, FILE or FILE:WEIGHT, separated by commas"`
	OtherBase bool      `key:"other-base" usage:"also accept adapters that were trained on another U-Net with the same layers"`

	Input  string `key:"input" usage:"H&E image, folder of images, or a pattern in quotes such as 'slides/*.png'"`
	Output string `key:"output" usage:"image to write for one input image, else a folder"`

	Preset string `key:"preset" want:"paper, balanced or fast" usage:"values of the sampler's options where they are not given: paper (the defaults), balanced (a tenth of the U-Net calls, any model) or fast (the model's own, a few calls)"`
	infer.Settings

	mosaic.FileSettings
	Mosaic
	DryRun  bool `key:"dry-run" usage:"print what a slide's translation will take, and how long on each device, or with shard which part of a folder is its own, and stop"`
	Preview bool `key:"preview" usage:"first write a quick stain of low resolution, NAME-preview.ome.tiff next to a slide's output"`

	Precision string `key:"precision" want:"float32 or bfloat16" usage:"float32, or bfloat16 for less memory"`
	Device    string `key:"device" usage:"auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …"`
	Threads   int    `key:"threads" want:"0 or more" usage:"processor threads; 0 is one for each available core"`
	LowMemory bool   `key:"low-memory" usage:"use less memory, in more time"`
	Batch     int    `key:"batch" want:"1 or more" usage:"images of one size that are translated together"`

	ICC imagefile.ICC `key:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`

	Match     string `key:"match" usage:"adjust the stains' colours and densities to those of real IHC: an image, or a folder of images, of your laboratory"`
	MatchFrom string `key:"match-from" usage:"with match: what is adjusted to it, an image or a folder of images as the model stains: results of it, or IHC that it was trained with"`

	Format      string `key:"format" want:"png, jpg, tif or ome.tiff" usage:"format of outputs in a folder: png, jpg or tif of images, ome.tiff of slides"`
	Quality     int    `key:"quality" want:"0 to 100" usage:"quality of JPEG outputs, 1 to 100; 0 is 95, for slides 90"`
	Panel       bool   `key:"panel" usage:"also write NAME-panel.png: input, result and true stain side by side"`
	Reference   string `key:"reference" usage:"true stain for the panel: an image, or a folder with images of the inputs' names"`
	Samples     int    `key:"samples" want:"1 or more" usage:"stains of each image, by as many seeds: with 2 or more the output is their mean, NAME-sd.png shows where they differ, and the JSON has the positive areas"`
	Calibration string `key:"calibration" usage:"with samples: folder of an evaluation of the model with these settings on other patients, for the interval of the true positive area"`
	SaveLatents string `key:"save-latents" usage:"write the latents of every step of one image to this .safetensors file"`
	Overwrite   bool   `key:"overwrite" usage:"replace existing outputs"`
	JSON        bool   `key:"json" usage:"print a summary as JSON"`

	Sharing
}

// Sharing say how a command shares its work with others of its kind.
type Sharing struct {
	Shard     claim.Part      `key:"shard" usage:"share the output with other processes, of which this is I of N: I/N, or auto in a Slurm array or an indexed Kubernetes Job"`
	DeadAfter option.Duration `key:"dead-after" usage:"how long another shard may give no sign of life until its work is taken over"`
}

func defaultSharing() Sharing { return Sharing{DeadAfter: option.Duration(claim.DefaultSilence)} }

// shard is how a translation is shared.
func (o Sharing) shard() infer.Shard {
	return infer.Shard{Index: o.Shard.I, Count: o.Shard.N, DeadAfter: time.Duration(o.DeadAfter)}
}

// Mosaic are the settings of images larger than a window.
type Mosaic = mosaic.Settings

func defaultTranslate() translateFile {
	return translateFile{translateOptions{
		Preset: model.PresetPaper, Settings: infer.DefaultSettings(), FileSettings: mosaic.DefaultFileSettings(),
		Mosaic: mosaic.DefaultSettings(), Precision: "float32", Device: "auto", Batch: 1, Samples: 1, Format: "png",
		Sharing: defaultSharing(),
	}}
}

// imageQuality is the default quality of JPEG images; mosaic.DefaultQuality is that of slides.
const imageQuality = 95

// precision returns the precision, whose name was checked.
func (o *translateOptions) precision() vm.Precision { return precisionOf(o.Precision) }

func precisionOf(name string) (p vm.Precision) {
	_ = p.UnmarshalText([]byte(name))
	return p
}

// model returns how the model is opened.
func (o *translateOptions) model() model.Options {
	return model.Options{
		UNet: o.UNet, Phikon: o.Phikon, Variant: o.Variant, Prediction: o.Prediction, Adapters: o.Adapter,
		OtherBase: o.OtherBase,
	}
}

// settle keeps an empty prompt that was asked for apart from one that was left out: a space has the ids of an empty
// text, for the tokenizer drops it, but is not the model's default.
func (o *translateOptions) settle(values []configs.Value) {
	if given(values, "translate.prompt-inversion") {
		o.PromptInversion = cmp.Or(o.PromptInversion, " ")
	}
}

// usePreset fills in what the preset says, and nobody else, of the options of a translation with the model, which is
// named as on a command line.
func (o *translateOptions) usePreset(values []configs.Value) error {
	if o.Preset == model.PresetPaper {
		return nil // the defaults
	}
	var p model.Purpose
	if o.Model != "" {
		folder, err := findModel(o.Model)
		if err != nil {
			return err
		}
		if p, err = model.ReadPurpose(folder); err != nil {
			return err
		}
	}
	s, err := p.Preset(o.Preset)
	if err != nil {
		return err
	}
	configs.Fill(values, "translate", s, "preset "+o.Preset)
	return nil
}

// findModel returns the folder of a model.
func findModel(name string) (string, error) {
	folder, err := demo.Find(name)
	if err != nil {
		return "", err
	}
	return model.Find(folder)
}

// prepare pulls the model, if that was asked for, fills in what the preset says, and checks the options.
func (o *translateOptions) prepare(
	cmd *cobra.Command, pull pullFlag, values []configs.Value, validate func(translateOptions) error,
) error {
	check := func() error { return configs.Locate(option.In("translate", validate(*o)), values) }
	if pull { // nothing is downloaded for options that are wrong
		if err := check(); err != nil {
			return err
		}
	}
	if err := pull.missing(cmd, o.Model, o.model()); err != nil {
		return err
	}
	if err := o.usePreset(values); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	o.settle(values)
	return nil
}

// Validate reports everything that is wrong with the options.
func (o translateOptions) Validate() error {
	var errs []error
	for _, k := range []struct{ name, value string }{{"model", o.Model}, {"input", o.Input}, {"output", o.Output}} {
		if k.value == "" {
			errs = append(errs, missing(k.name))
		}
	}
	return errors.Join(append(errs, o.validateGiven())...)
}

// validateGiven reports everything that is wrong with the options but for those that are missing.
func (o translateOptions) validateGiven() error {
	var errs []error
	if o.Output != "" && !o.isSlide() {
		const noSlide = "%s is no slide: want an output that ends in .ome.tiff"
		if o.Preview && !o.isSlides() {
			errs = append(errs, option.Wrong("preview", noSlide, o.Output))
		}
		if o.DryRun && o.Shard.N == 0 {
			errs = append(errs, option.Wrong("dry-run", noSlide+", or --shard", o.Output))
		}
	}
	if o.Samples > 1 && (o.isSlide() || o.isSlides()) {
		errs = append(errs, option.Wrong("samples", "%d: of a slide one stain is made: want 1, or images that are no slides",
			o.Samples))
	}
	for name, on := range map[string]bool{"panel": o.Panel, "save-latents": o.SaveLatents != ""} {
		if on && (o.isSlide() || o.isSlides()) {
			errs = append(errs, option.Wrong(name, "not of a slide: want images that are no slides"))
		}
	}
	if o.Samples < 2 && o.Calibration != "" {
		errs = append(errs, option.Wrong("samples", "%d: want 2 or more with --calibration", o.Samples))
	}
	if o.Samples > 1 && o.SaveLatents != "" {
		errs = append(errs, option.Wrong("samples", "%d: the latents of one stain are saved: want 1 with --save-latents",
			o.Samples))
	}
	if o.Match != "" && o.MatchFrom == "" {
		errs = append(errs, option.Wrong("match-from", "missing: --match needs images as the model stains, such as the "+
			"folder of its results"))
	}
	if o.Match == "" && o.MatchFrom != "" {
		errs = append(errs, option.Wrong("match", "missing: --match-from needs an IHC image of your laboratory"))
	}
	if o.Shard.N > 0 {
		for name, on := range map[string]bool{"overwrite": o.Overwrite, "save-latents": o.SaveLatents != ""} {
			if on {
				errs = append(errs, option.Wrong(name, "not with --shard, where several processes write the outputs"))
			}
		}
	}
	return errors.Join(append(errs, option.Check(o))...)
}

// match measures what --match and --match-from name; nil without them.
func (o translateOptions) match(cmd *cobra.Command) (infer.Colours, error) {
	if o.Match == "" {
		return nil, nil
	}
	read := imagefile.Options{ICC: o.ICC}
	from, err := stain.ReadAppearance(cmd.Context(), o.MatchFrom, read)
	if err != nil {
		return nil, fmt.Errorf("--match-from: %w", err)
	}
	to, err := stain.ReadAppearance(cmd.Context(), o.Match, read)
	if err != nil {
		return nil, fmt.Errorf("--match: %w", err)
	}
	m, err := stain.NewMatch(from, to)
	if err != nil {
		return nil, err
	}
	note(cmd)(fmt.Sprintf("stains are matched to %s: %s", o.Match, m))
	return m, nil
}

// evaluateFile is a configuration file of evaluate. The section translate says how a model translates first.
type evaluateFile struct {
	Translate translateOptions `key:"translate"`
	Evaluate  evaluateOptions  `key:"evaluate"`
}

// evaluateOptions are the section evaluate.
type evaluateOptions struct {
	Real    string `key:"real" usage:"folder of real IHC images"`
	Virtual string `key:"virtual" was:"fake" usage:"folder of virtual IHC images with the same names"`
	HE      string `key:"he" usage:"folder of the H&E images with the same names: scored as virtual stains they are the floor"`
	Output  string `key:"output" usage:"folder for the results and what a later run can reuse"`

	Model   string `key:"model" usage:"instead of --virtual: translate the images of --he with this model first, as the section translate says"`
	Marker  string `key:"marker" usage:"what the stains show, such as her2, whose membranes are scored; of other markers nuclei are. A --model of several markers is translated to it (default: the marker of --model)"`
	Preset  string `key:"preset" want:"paper, balanced, fast or empty" usage:"preset of --model: paper, balanced or fast (default: the section translate's)"`
	Variant string `key:"variant" usage:"which weights of --model to read if its folder has several, such as fp16"`
	Train   string `key:"train" usage:"what the model was trained with, a data set, a folder or a list (.csv): warns of shared slides"`

	Against        string `key:"against" usage:"folder with the results of another run on the same real images: test the difference"`
	PatientPattern string `key:"patient-pattern" usage:"regular expression that finds the patient or slide in a name: its first group"`

	Weights      string `key:"weights" usage:"folder with weights under their published names, or in sub-folders fid-inception, inception, resnet50, gigapath, phikon"`
	InceptionFID string `key:"inception-fid" usage:"weights of pytorch-fid's Inception, for FID"`
	Inception    string `key:"inception" usage:"weights of torchvision's Inception v3, for KID"`
	ResNet50     string `key:"resnet50" usage:"weights of torchvision's ResNet-50, for PHV"`
	GigaPath     string `key:"gigapath" usage:"weights of Prov-GigaPath's tile encoder, for MRA"`
	Phikon       string `key:"phikon" usage:"folder of Phikon, for retrieval as with MRA but without GigaPath"`

	evaluate.Settings

	Device  string `key:"device" usage:"device for the networks: auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …"`
	Threads int    `key:"threads" want:"0 or more" usage:"processor threads; 0 is one for each available core"`
	Batch   int    `key:"batch" want:"1 or more" usage:"images that go through a network together"`

	JSON     bool `key:"json" usage:"print the results as JSON"`
	Markdown bool `key:"markdown" usage:"print the results as Markdown"`

	Sharing
}

func defaultEvaluate() evaluateFile {
	return evaluateFile{defaultTranslate().Translate, evaluateOptions{
		Output: "evaluation", PatientPattern: evaluate.SlidePattern, Settings: evaluate.DefaultSettings(), Device: "auto",
		Batch: features.DefaultBatch, Sharing: defaultSharing(),
	}}
}

// paths are the weights that were named.
func (o evaluateOptions) paths() map[features.Kind]string {
	return map[features.Kind]string{
		features.FIDInception: o.InceptionFID, features.Inception: o.Inception, features.ResNet50: o.ResNet50,
		features.GigaPath: o.GigaPath, features.Phikon: o.Phikon,
	}
}

// virtual is the folder of the virtual images: --virtual, or that of the model's translations.
func (o evaluateOptions) virtual() string {
	if o.Model != "" {
		return filepath.Join(o.Output, "virtual")
	}
	return o.Virtual
}

// Validate reports everything that is wrong with the options.
func (o evaluateOptions) Validate() error {
	var errs []error
	wrong := func(is bool, err error) {
		if is {
			errs = append(errs, err)
		}
	}
	wrong(o.Real == "", missing("real"))
	wrong(o.Output == "", missing("output"))
	wrong(o.Virtual == "" && o.Model == "", errors.New("--virtual is missing, or --model with --he"))
	wrong(o.Virtual != "" && o.Model != "", errors.New("--virtual and --model: give one of them"))
	wrong(o.Virtual == "" && o.Model != "" && o.HE == "", errors.New("--model translates H&E images: --he is missing"))
	wrong(o.JSON && o.Markdown, errors.New("--json and --markdown: give one of them"))
	return errors.Join(append(errs, option.Check(o))...)
}

// serveFile is a configuration file of serve.
type serveFile struct {
	Serve serveOptions `key:"serve"`
}

// serveOptions are the section serve.
type serveOptions struct {
	Models option.List `key:"model" usage:"folder or Hugging Face id of a marker's model; may be given several times (default: the demonstration's, in the binary)"`
	server.Settings

	Device    string `key:"device" usage:"auto, cpu or ref; in builds for GPUs also cuda:0, cuda:1, …, or a list of them: one job runs on each"`
	Threads   int    `key:"threads" want:"0 or more" usage:"processor threads of a translation; 0 is one for each available core"`
	Precision string `key:"precision" want:"float32 or bfloat16" usage:"float32, or bfloat16 for less memory"`
	LowMemory bool   `key:"low-memory" usage:"use less memory, in more time"`

	LogFormat   string `key:"log-format" want:"text or json" usage:"how the log is written: text or json"`
	LogRequests bool   `key:"log-requests" usage:"log all requests, also those that only read and succeed"`
}

func defaultServe() serveFile {
	return serveFile{serveOptions{
		Settings: server.DefaultSettings(), Device: "auto", Precision: "float32", LogFormat: "text",
	}}
}

// Validate reports everything that is wrong with the options.
func (o serveOptions) Validate() error { return option.Check(o) }

// openDevice opens the device that --device names.
func openDevice(name string, threads int) (device.Device, error) {
	d, err := catalog.Open(name, threads)
	if err != nil {
		return nil, fmt.Errorf("--device: %w", err)
	}
	return d, nil
}

// missing is the error of a flag that is needed.
func missing(flag string) error { return fmt.Errorf("--%s is missing", flag) }

// note returns a function that prints what a user should know.
func note(cmd *cobra.Command) func(text string) {
	return func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "note: "+text) }
}

// given reports whether a value is not the default.
func given(values []configs.Value, key string) bool {
	for _, v := range values {
		if v.Key == key {
			return v.Origin != configs.Default
		}
	}
	return false
}

// load fills options from a file ("" is none), the environment and flags.
func load(cmd *cobra.Command, options any, file string, flags map[string]*pflag.Flag) ([]configs.Value, error) {
	return configs.Load(options, configs.Sources{Path: file, Flags: flags, Note: note(cmd)})
}
