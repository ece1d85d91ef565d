package model

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// Report says what is in a folder.
type Report struct {
	Path     string          `json:"path"`
	Class    string          `json:"class,omitempty"` // of a pipeline
	Networks []NetworkReport `json:"networks"`
	Others   []OtherReport   `json:"others,omitempty"` // tokenizer, scheduler, preprocessing
	Problems []string        `json:"problems,omitempty"`
	Notes    []string        `json:"notes,omitempty"` // what isn't wrong but should be known

	errs []error // all that keeps a model from being opened
}

// NetworkReport says what is in the folder of one network.
type NetworkReport struct {
	Name       string         `json:"name"` // of the component, such as unet
	Class      string         `json:"class,omitempty"`
	File       string         `json:"file,omitempty"` // the weights or the index of their shards
	Tensors    int            `json:"tensors"`
	Parameters int64          `json:"parameters"`
	Bytes      int64          `json:"bytes"`
	DTypes     map[string]int `json:"dtypes,omitempty"` // how many tensors have each type
	Missing    []string       `json:"missing,omitempty"`
	Surplus    []string       `json:"surplus,omitempty"`
	Misshaped  []string       `json:"misshaped,omitempty"`
	Damaged    []string       `json:"damaged,omitempty"` // weights that are not finite
	Error      string         `json:"error,omitempty"`

	store *weights.Store // nil if it can't be opened
}

// OtherReport is a part without weights.
type OtherReport struct {
	Name  string `json:"name"`
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
}

// Healthy reports whether everything in the folder can be used.
func (r Report) Healthy() bool {
	if len(r.Problems) > 0 || len(r.Networks) == 0 {
		return false
	}
	bad := func(n NetworkReport) bool { return !n.Healthy() }
	return !slices.ContainsFunc(r.Networks, bad) &&
		!slices.ContainsFunc(r.Others, func(o OtherReport) bool { return o.Error != "" })
}

// Healthy reports whether the network can be loaded.
func (n NetworkReport) Healthy() bool {
	return n.Error == "" && len(n.Missing) == 0 && len(n.Surplus) == 0 && len(n.Misshaped) == 0 && len(n.Damaged) == 0
}

// Inspect checks a pipeline's or a network's folder, or one in Hugging Face's cache by its name: all that Open checks,
// and every weight. It returns an error if there is no such folder; what is wrong inside is in the report.
func Inspect(name string, o Options) (Report, error) {
	dir, err := Find(name)
	if err != nil {
		return Report{}, err
	}
	if !isPipeline(dir) {
		return inspectFolder(dir, o)
	}
	m, r := examine(dir, o)
	p, err := weights.ReadPipeline(dir)
	if errors.Is(err, fs.ErrNotExist) {
		r.Problems = append(r.Problems, err.Error())
	}
	for _, name := range []string{"unet", "vae", "text_encoder"} {
		if _, missing := p.Folder(name); err == nil && missing != nil {
			r.Problems = append(r.Problems, "model_index.json has no "+name)
		}
	}
	others := m.examineOthers(o, r)
	for i := range r.Networks {
		r.Networks[i].checkFinite()
	}
	r.Notes = append(r.Notes, m.Scheduler.Notes(o.Prediction)...)
	if markers := m.Purpose.Markers; len(markers) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("markers of %s: %s", PurposeFile, strings.Join(markers, ", ")))
	}
	for name, s := range m.Purpose.Presets.all() {
		r.Notes = append(r.Notes, fmt.Sprintf("preset %s of %s: %s", name, PurposeFile, s.Describe()))
	}
	closed := []error{m.Close()}
	for _, s := range others {
		closed = append(closed, s.Close())
	}
	return *r, errors.Join(closed...)
}

// examineOthers reports the U-Nets that the presets name instead of the one that was opened, and returns their weights.
func (m *Model) examineOthers(o Options, r *Report) (open []*weights.Store) {
	folders, _ := m.Purpose.Presets.unets()
	for _, name := range folders {
		if name == o.UNet {
			continue
		}
		dir := filepath.Join(m.Dir, name)
		var c unet.Config
		err := m.Purpose.checkFolder(m.Dir, name)
		if err == nil {
			c, err = unet.ReadConfig(filepath.Join(dir, "config.json"))
		}
		if s := r.network(name, dir, unetClass, err, &variants{wanted: o.Variant}); s != nil {
			open = append(open, s)
		}
		was := m.UNet
		if err == nil && was.OutChannels > 0 && (c.InChannels != was.InChannels || c.OutChannels != was.OutChannels ||
			c.CrossAttentionDim != was.CrossAttentionDim) {
			r.problem(fmt.Errorf("%s: in_channels, out_channels and cross_attention_dim are %d, %d and %d, but the other "+
				"U-Net's %d, %d and %d", name, c.InChannels, c.OutChannels, c.CrossAttentionDim, was.InChannels,
				was.OutChannels, was.CrossAttentionDim))
		}
	}
	return open
}

// inspectFolder checks one network's folder.
func inspectFolder(dir string, o Options) (Report, error) {
	r := Report{Path: dir, Networks: []NetworkReport{}}
	if !exists(filepath.Join(dir, "config.json")) {
		r.problem(errors.New("neither model_index.json nor config.json is here: want the folder of a pipeline or of one " +
			"network, as diffusers or transformers save it"))
		return r, nil
	}
	k, err := kindOf(dir)
	v := variants{wanted: o.Variant}
	s := r.network(filepath.Base(dir), dir, k.class, err, &v)
	r.problem(v.err(dir))
	if path := filepath.Join(dir, "preprocessor_config.json"); k.class == vitClass && exists(path) {
		_, err := vit.ReadPreprocessor(path)
		r.other("preprocessor", "", err)
	}
	r.Networks[0].checkFinite()
	if s == nil {
		return r, nil
	}
	return r, s.Close()
}

// problem records an error of the whole folder, unless it is nil.
func (r *Report) problem(err error) {
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		r.errs = append(r.errs, err)
	}
}

// lacks records what a valid folder lacks for translation.
func (r *Report) lacks(err error) {
	r.Notes = append(r.Notes, "not enough to translate with: "+err.Error())
	r.errs = append(r.errs, err)
}

// err joins everything that keeps a model from being opened.
func (r *Report) err() error { return errors.Join(r.errs...) }

func (r *Report) other(name, class string, err error) {
	o := OtherReport{Name: name, Class: class}
	if err != nil {
		o.Error = err.Error()
		r.errs = append(r.errs, fmt.Errorf("%s: %w", name, err))
	}
	r.Others = append(r.Others, o)
}

// network opens a network's weights, nil if it can't, and compares them with the parameters of its configuration, whose
// error is given.
func (r *Report) network(name, folder, class string, configErr error, v *variants) *weights.Store {
	n := NetworkReport{Name: name, Class: class}
	s, err := weights.Open(folder, weights.Options{Variant: v.of(folder)})
	if err == nil {
		n.store = s
		n.count(s)
		if s.Prefix() != "" {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: the tensors' names begin with %q, which is left out", name, s.Prefix()))
		}
	}
	if err = errors.Join(configErr, err); err == nil {
		err = n.compare(folder)
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
	r.Networks = append(r.Networks, n)
	var mismatch *weights.MismatchError
	if err != nil && (!errors.As(err, &mismatch) || mismatch.Prefix != "") {
		r.Networks[len(r.Networks)-1].Error = err.Error()
	}
	return s
}

// compare finds missing, surplus and misshaped tensors.
func (n *NetworkReport) compare(folder string) error {
	k, err := kindNamed(n.Class)
	if err != nil {
		return err
	}
	params, err := k.params(filepath.Join(folder, "config.json"))
	if err != nil {
		return err
	}
	err = n.store.Compare(params, k.mapping)
	var mismatch *weights.MismatchError
	if errors.As(err, &mismatch) {
		n.Missing, n.Surplus, n.Misshaped = mismatch.Missing, mismatch.Surplus, mismatch.Misshaped
	}
	return err
}

// checkFinite checks every weight.
func (n *NetworkReport) checkFinite() {
	if n.store == nil {
		return
	}
	var damaged *weights.DamagedError
	if errors.As(n.store.CheckFinite(), &damaged) {
		for _, err := range damaged.Errs {
			n.Damaged = append(n.Damaged, err.Error())
		}
	}
}

// count adds the tensors up.
func (n *NetworkReport) count(s *weights.Store) {
	n.File = s.Path()
	n.DTypes = map[string]int{}
	for _, t := range s.Tensors() {
		n.Tensors++
		n.Parameters += t.Elements()
		n.Bytes += t.Bytes
		n.DTypes[t.DType]++
	}
}
