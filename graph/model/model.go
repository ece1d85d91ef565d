package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// DefaultPhikon is the vision transformer where a model's folder has none.
const DefaultPhikon = "owkin/phikon"

// Options say how a model is opened.
type Options struct {
	// Phikon is a folder or a name as on huggingface.co. "" means the folder phikon inside the model's, or DefaultPhikon.
	Phikon string
	// TextUNet also accepts a text-to-image U-Net, which takes noisy latents without a condition; Widen makes one of HistDiST of it.
	TextUNet bool
	// Variant picks weights such as fp16; see weights.Options.
	Variant string
}

// Model is an opened pipeline with its vision transformer.
type Model struct {
	Dir, PhikonDir string

	UNet         unet.Config
	VAE          vae.Config
	Text         clip.Config
	ViT          vit.Config
	Scheduler    schedule.Config
	Tokenizer    *clip.Tokenizer
	Preprocessor *vit.Preprocessor

	unet, vae, text, vit *weights.Store
}

// Open opens a model's folder, or finds it by its name in Hugging Face's cache, and its vision transformer. Weights are mapped:
// nothing but headers is read. Everything that is missing or wrong is reported at once.
func Open(name string, o Options) (*Model, error) {
	dir, err := weights.FindModel(name)
	if err != nil {
		return nil, err
	}
	m := &Model{Dir: dir}
	phikonErr := m.findPhikon(o.Phikon)
	err = errors.Join(
		part(dir, "unet", unet.ReadConfig, &m.UNet),
		part(dir, "vae", vae.ReadConfig, &m.VAE),
		part(dir, "text_encoder", clip.ReadConfig, &m.Text),
		m.store(&m.unet, filepath.Join(dir, "unet"), o),
		m.store(&m.vae, filepath.Join(dir, "vae"), o),
		m.store(&m.text, filepath.Join(dir, "text_encoder"), o),
		m.openTokenizer(), m.readScheduler(), phikonErr,
	)
	if phikonErr == nil {
		err = errors.Join(err, m.openPhikon(o))
	}
	if err == nil {
		err = m.fit(o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("model %s: %w", dir, err), m.Close())
	}
	return m, nil
}

// part reads the configuration of a component.
func part[C any](dir, component string, read func(string) (C, error), c *C) (err error) {
	*c, err = read(filepath.Join(dir, component, "config.json"))
	return err
}

func (m *Model) store(s **weights.Store, folder string, o Options) (err error) {
	*s, err = weights.Open(folder, weights.Options{Variant: o.Variant})
	return err
}

func (m *Model) openTokenizer() (err error) {
	m.Tokenizer, err = clip.OpenTokenizer(filepath.Join(m.Dir, "tokenizer"))
	return err
}

func (m *Model) readScheduler() (err error) {
	m.Scheduler, err = schedule.ReadConfig(filepath.Join(m.Dir, "scheduler", "scheduler_config.json"))
	return err
}

// findPhikon finds the folder of the vision transformer.
func (m *Model) findPhikon(name string) (err error) {
	if name == "" {
		name = DefaultPhikon
		if inside := filepath.Join(m.Dir, "phikon"); isFolder(inside) {
			name = inside
		}
	}
	if m.PhikonDir, err = weights.FindModel(name); err != nil {
		return fmt.Errorf("vision transformer: %w", err)
	}
	return nil
}

func (m *Model) openPhikon(o Options) error {
	err := m.store(&m.vit, m.PhikonDir, Options{})
	if err != nil && o.Variant != "" {
		err = m.store(&m.vit, m.PhikonDir, o)
	}
	config, configErr := vit.ReadConfig(filepath.Join(m.PhikonDir, "config.json"))
	preprocessor, preprocessorErr := vit.ReadPreprocessor(filepath.Join(m.PhikonDir, "preprocessor_config.json"))
	m.ViT, m.Preprocessor = config, preprocessor
	return errors.Join(err, configErr, preprocessorErr)
}

// fit checks that the networks go together.
func (m *Model) fit(o Options) error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	latents := m.VAE.LatentChannels
	want(m.UNet.OutChannels == latents, "unet: out_channels is %d, but vae: latent_channels is %d", m.UNet.OutChannels, latents)
	want(m.UNet.InChannels == 2*latents || o.TextUNet && m.UNet.InChannels == latents, "unet: in_channels is %d: want %d, the noisy latents and the condition; "+
		"`histdist model widen` makes it from a text-to-image U-Net", m.UNet.InChannels, 2*latents)
	want(m.UNet.CrossAttentionDim == m.Text.HiddenSize, "unet: cross_attention_dim is %d, but text_encoder: hidden_size is %d",
		m.UNet.CrossAttentionDim, m.Text.HiddenSize)
	want(m.UNet.CrossAttentionDim == m.ViT.HiddenSize, "unet: cross_attention_dim is %d, but the vision transformer's hidden_size is %d (%s)",
		m.UNet.CrossAttentionDim, m.ViT.HiddenSize, m.PhikonDir)
	want(m.Preprocessor.Height == m.ViT.ImageSize && m.Preprocessor.Width == m.ViT.ImageSize,
		"vision transformer: preprocessor_config.json resizes to %d×%d, but image_size is %d", m.Preprocessor.Height, m.Preprocessor.Width, m.ViT.ImageSize)
	return errors.Join(errs...)
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

// Release gives back the memory of parameters that no program reads any more.
func (m *Model) Release(params gorgonia.Nodes) error {
	var errs []error
	for _, s := range m.stores() {
		errs = append(errs, s.Release(params))
	}
	return errors.Join(errs...)
}

// Part is a part of a model with weights: the folder in which a pipeline has it.
type Part string

// The parts.
const (
	UNet        Part = "unet"
	VAE         Part = "vae"
	TextEncoder Part = "text_encoder"
	ViT         Part = "phikon"
)

// CheckFinite reads all weights of a part and reports those that are not finite: see weights.Store.CheckFinite.
func (m *Model) CheckFinite(p Part) error {
	return map[Part]*weights.Store{UNet: m.unet, VAE: m.vae, TextEncoder: m.text, ViT: m.vit}[p].CheckFinite()
}

// Fingerprint is a short hash that tells this model from others: 16 hexadecimal digits over the names, shapes and first bytes of all
// tensors.
func (m *Model) Fingerprint() (string, error) {
	h := sha256.New()
	for _, s := range m.stores() {
		if err := s.Digest(h); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// Close gives all memory back. Programs with the model's weights are closed first.
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

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
