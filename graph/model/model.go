package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// DefaultPhikon is the vision transformer of models whose folder has none.
const DefaultPhikon = "owkin/phikon"

// defaultUNet is the folder of the U-Net, unless a preset has another.
const defaultUNet = "unet"

// Options say how a model is opened.
type Options struct {
	// Phikon is a folder or a name as on huggingface.co. "" means the folder phikon inside the model's, or DefaultPhikon.
	Phikon string
	// UNet is the folder of the U-Net inside the model's, as Preset.UNet. "" means unet.
	UNet string
	// TextUNet also accepts a text-to-image U-Net, which has no input for a condition: see Widen.
	TextUNet bool
	// Variant picks weights such as fp16 in the networks that have them; see weights.Options.
	Variant string
	// Prediction is the prediction type; "" is the folder's. See schedule.Config.For.
	Prediction schedule.PredictionType
	// Adapters are added to the U-Net's weights, in their order.
	Adapters lora.Uses
	// OtherBase also accepts adapters that were trained on another U-Net, if it has the same layers.
	OtherBase bool
}

// Model is an opened pipeline with its vision transformer.
type Model struct {
	Dir, PhikonDir string
	UNetDir        string // a folder of Dir

	UNet         unet.Config
	VAE          vae.Config
	Text         clip.Config
	ViT          vit.Config
	Scheduler    schedule.Config
	Purpose      Purpose
	Notes        []string // what a user should know about the folder
	Tokenizer    *clip.Tokenizer
	Preprocessor *vit.Preprocessor
	Adapters     []Adapter // that are added to the U-Net's weights

	unet, vae, text, vit *weights.Store
}

// Open opens a model's folder, or one in Hugging Face's cache by its name, and its vision transformer. Weights are
// mapped; only headers are read. One error has everything that is missing or wrong: see Inspect.
func Open(name string, o Options) (*Model, error) {
	dir, err := Find(name)
	if err != nil {
		return nil, err
	}
	m, r := examine(dir, o)
	if err := r.err(); err != nil {
		return nil, errors.Join(fmt.Errorf("model %s: %w", dir, err), m.Close())
	}
	m.Notes = r.Notes
	if err := m.adapt(o); err != nil {
		return nil, errors.Join(fmt.Errorf("model %s: %w", dir, err), m.Close())
	}
	return m, nil
}

// OpenAutoencoder opens the folder of an autoencoder alone. The model has no other networks.
func OpenAutoencoder(dir string) (*Model, error) {
	c, err := vae.ReadConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	s, err := weights.Open(dir, weights.Options{})
	if err != nil {
		return nil, err
	}
	return &Model{Dir: dir, VAE: c, vae: s}, nil
}

// Find returns the folder of a model, but not of a training run: see weights.FindModel.
func Find(name string) (string, error) {
	dir, err := weights.FindModel(name)
	if err != nil {
		return "", err
	}
	has := func(name string) bool { return exists(filepath.Join(dir, name)) }
	what := "a training run"
	switch {
	case has("model_index.json"):
		return dir, nil
	case has("experiment.yaml"), has("latest"):
	case has("manifest.json") && has("state.json"):
		what = "a checkpoint of a training run"
	default:
		return dir, nil
	}
	return "", fmt.Errorf("%s is %s, not a model: export it first: histdist export %[1]s --output MODEL", name, what)
}

// BindUNet gives the parameters of a graph of the U-Net their weights: see weights.Store.Bind.
func (m *Model) BindUNet(params gorgonia.Nodes) error { return m.unet.Bind(params, weights.Mapping{}) }

// BindEncoder gives the parameters of a graph of the VAE's encoder their weights.
func (m *Model) BindEncoder(params gorgonia.Nodes) error {
	return m.vae.Bind(params, weights.Mapping{Rename: vae.Rename, Ignore: vae.IsDecoder})
}

// BindDecoder gives the parameters of a graph of the VAE's decoder their weights.
func (m *Model) BindDecoder(params gorgonia.Nodes) error {
	other := func(name string) bool { return !vae.IsDecoder(name) }
	return m.vae.Bind(params, weights.Mapping{Rename: vae.Rename, Ignore: other})
}

// BindText gives the parameters of a graph of the text encoder their weights.
func (m *Model) BindText(params gorgonia.Nodes) error {
	return m.text.Bind(params, weights.Mapping{Ignore: clip.Ignore})
}

// BindViT gives the parameters of a graph of the vision transformer their weights.
func (m *Model) BindViT(params gorgonia.Nodes) error {
	return m.vit.Bind(params, weights.Mapping{Rename: vit.Rename, Ignore: vit.Ignore})
}

// Release frees the memory of parameters that no program reads any more.
func (m *Model) Release(params gorgonia.Nodes) error {
	var errs []error
	for _, s := range m.stores() {
		errs = append(errs, s.Release(params))
	}
	return errors.Join(errs...)
}

// Close frees all memory. Close programs with the model's weights first.
func (m *Model) Close() error {
	var errs []error
	for _, s := range m.stores() {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (m *Model) stores() []*weights.Store {
	var open []*weights.Store
	for _, s := range []*weights.Store{m.unet, m.vae, m.text, m.vit} {
		if s != nil {
			open = append(open, s)
		}
	}
	return open
}

// exists reports whether a file or folder exists.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
