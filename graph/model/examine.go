package model

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// examine opens all parts of a pipeline's folder and reports what is wrong with each, by headers and configurations:
// the check that Open and Inspect share. The model, which is to be closed, has what could be opened.
func examine(dir string, o Options) (*Model, *Report) {
	folder := cmp.Or(o.UNet, defaultUNet)
	m, r := &Model{Dir: dir, UNetDir: filepath.Join(dir, folder)}, &Report{Path: dir, Networks: []NetworkReport{}}
	p, err := weights.ReadPipeline(dir)
	r.Class = p.Class
	if !errors.Is(err, fs.ErrNotExist) { // translation needs none
		r.problem(err)
	}
	var configs [4]error // of unet, vae, text_encoder, vision transformer
	var purposeErr error
	m.Purpose, purposeErr = ReadPurpose(dir)
	if configs[0] = m.Purpose.checkFolder(dir, o.UNet); configs[0] == nil {
		m.UNet, configs[0] = unet.ReadConfig(filepath.Join(m.UNetDir, "config.json"))
	}
	if folder != defaultUNet {
		r.Notes = append(r.Notes, "U-Net "+folder)
	}
	m.VAE, configs[1] = vae.ReadConfig(filepath.Join(dir, "vae", "config.json"))
	m.Text, configs[2] = clip.ReadConfig(filepath.Join(dir, "text_encoder", "config.json"))
	v := variants{wanted: o.Variant}
	m.unet = r.network(folder, m.UNetDir, unetClass, configs[0], &v)
	m.vae = r.network("vae", filepath.Join(dir, "vae"), vaeClass, configs[1], &v)
	m.text = r.network("text_encoder", filepath.Join(dir, "text_encoder"), textClass, configs[2], &v)
	m.openViT(r, o.Phikon, &configs[3], &v)
	r.problem(v.err(dir))

	m.Tokenizer, err = clip.OpenTokenizer(filepath.Join(dir, "tokenizer"))
	r.other("tokenizer", p.Components["tokenizer"].Class, err)
	m.Scheduler, err = schedule.ReadConfig(filepath.Join(dir, "scheduler", "scheduler_config.json"))
	if err == nil {
		_, err = m.Scheduler.For(o.Prediction)
	}
	r.other("scheduler", p.Components["scheduler"].Class, err)
	r.problem(purposeErr)
	r.problem(m.fit(o, configs, r))
	return m, r
}

// checkFolder returns an error if a folder of a U-Net, "" for the usual one, is not in the model's.
func (p Purpose) checkFolder(dir, name string) error {
	if name == "" || name == defaultUNet {
		return nil
	}
	if err := checkUNet(name); err != nil {
		return err
	}
	if isFolder(filepath.Join(dir, name)) {
		return nil
	}
	folders, keys := p.Presets.unets()
	if i := slices.Index(folders, name); i >= 0 {
		return fmt.Errorf("%s: %s: there is no folder %s in %s", PurposeFile, keys[i], name, dir)
	}
	return fmt.Errorf("unet: there is no folder %s in %s", name, dir)
}

// openViT finds and opens the vision transformer. A folder without one is complete, but can't translate.
func (m *Model) openViT(r *Report, name string, configErr *error, v *variants) {
	name = phikonOf(m.Dir, name)
	var err error
	if m.PhikonDir, err = Find(name); err != nil {
		*configErr = err
		r.lacks(fmt.Errorf("vision transformer: %w; --phikon says where it is", err))
		return
	}
	m.ViT, *configErr = vit.ReadConfig(filepath.Join(m.PhikonDir, "config.json"))
	m.vit = r.network("phikon", m.PhikonDir, vitClass, *configErr, v)
	m.Preprocessor, err = vit.ReadPreprocessor(filepath.Join(m.PhikonDir, "preprocessor_config.json"))
	r.other("preprocessor", "", err)
}

// variants chooses each network's weights: the wanted variant, if the network has it.
type variants struct {
	wanted string
	found  bool
}

// of returns the variant to open in a folder.
func (v *variants) of(folder string) string {
	if v.wanted == "" || weights.HasVariant(folder, v.wanted) {
		v.found = true
		return v.wanted
	}
	return ""
}

func (v *variants) err(dir string) error {
	if v.found || v.wanted == "" {
		return nil
	}
	return fmt.Errorf("%s: no network has weights in the variant %s (--variant)", dir, v.wanted)
}

// fit checks that the networks fit together. configs are the errors of their configurations, which exclude a network.
func (m *Model) fit(o Options, configs [4]error, r *Report) error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	unetKnown, vaeKnown, textKnown, vitKnown := configs[0] == nil, configs[1] == nil, configs[2] == nil, configs[3] == nil
	if vaeKnown {
		want(m.VAE.InChannels == 3 && m.VAE.OutChannels == 3,
			"vae: in_channels is %d and out_channels %d: want 3, red, green and blue",
			m.VAE.InChannels, m.VAE.OutChannels)
	}
	if unetKnown && vaeKnown {
		latents := m.VAE.LatentChannels
		want(m.UNet.OutChannels == latents, "unet: out_channels is %d, but vae: latent_channels is %d", m.UNet.OutChannels,
			latents)
		switch err := fmt.Errorf("unet: in_channels is %d: want %d, the noisy latents and the condition; "+
			"`histdist model widen` makes it from a text-to-image U-Net", m.UNet.InChannels, 2*latents); {
		case m.UNet.InChannels == 2*latents, o.TextUNet && m.UNet.InChannels == latents:
		case m.UNet.InChannels == latents:
			r.lacks(err)
		default:
			errs = append(errs, err)
		}
	}
	if unetKnown && m.UNet.NumClassEmbeds != m.Purpose.Classes() {
		errs = append(errs, fmt.Errorf("unet: num_class_embeds is %d, for the H&E and each marker, but markers in %s has %d",
			m.UNet.NumClassEmbeds, PurposeFile, len(m.Purpose.Markers)))
	}
	if unetKnown && textKnown {
		want(m.UNet.CrossAttentionDim == m.Text.HiddenSize,
			"unet: cross_attention_dim is %d, but text_encoder: hidden_size is %d",
			m.UNet.CrossAttentionDim, m.Text.HiddenSize)
	}
	if unetKnown && vitKnown {
		want(m.UNet.CrossAttentionDim == m.ViT.HiddenSize,
			"unet: cross_attention_dim is %d, but the vision transformer's hidden_size is %d (%s)",
			m.UNet.CrossAttentionDim, m.ViT.HiddenSize, m.PhikonDir)
	}
	if t := m.Tokenizer; t != nil && textKnown {
		want(t.Length() == m.Text.MaxPositionEmbeddings,
			"tokenizer: model_max_length is %d, but text_encoder: max_position_embeddings is %d",
			t.Length(), m.Text.MaxPositionEmbeddings)
		want(t.VocabSize() <= m.Text.VocabSize, "tokenizer: %d ids, but text_encoder: vocab_size is %d", t.VocabSize(),
			m.Text.VocabSize)
	}
	if vitKnown {
		want(m.ViT.NumChannels == 3, "vision transformer: num_channels is %d: want 3", m.ViT.NumChannels)
		if p := m.Preprocessor; p != nil {
			want(p.Height == m.ViT.ImageSize && p.Width == m.ViT.ImageSize,
				"vision transformer: preprocessor_config.json resizes to %d×%d, but image_size is %d", p.Height, p.Width,
				m.ViT.ImageSize)
		}
	}
	return errors.Join(errs...)
}
