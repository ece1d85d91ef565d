package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/schedule"
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
	Error      string         `json:"error,omitempty"`
}

// OtherReport is a part without weights.
type OtherReport struct {
	Name  string `json:"name"`
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
}

// Healthy tells whether everything in the folder can be used.
func (r Report) Healthy() bool {
	if len(r.Problems) > 0 || len(r.Networks) == 0 {
		return false
	}
	bad := func(n NetworkReport) bool { return !n.Healthy() }
	return !slices.ContainsFunc(r.Networks, bad) && !slices.ContainsFunc(r.Others, func(o OtherReport) bool { return o.Error != "" })
}

// Healthy tells whether the network can be loaded.
func (n NetworkReport) Healthy() bool {
	return n.Error == "" && len(n.Missing) == 0 && len(n.Surplus) == 0 && len(n.Misshaped) == 0
}

// Inspect looks at a pipeline's or a network's folder, or at one by its name in Hugging Face's cache. It reads headers and
// configurations, no weights. The error is for what is not there at all; what is wrong inside stands in the report.
func Inspect(name string) (Report, error) {
	dir, err := weights.FindModel(name)
	if err != nil {
		return Report{}, err
	}
	r := Report{Path: dir, Networks: []NetworkReport{}}
	p, err := weights.ReadPipeline(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.inspectFolder(dir)
		return r, nil
	case err != nil:
		r.Problems = append(r.Problems, err.Error())
		return r, nil
	}
	r.Class = p.Class
	r.inspectPipeline(p)
	return r, nil
}

// inspectFolder looks at a folder without model_index.json.
func (r *Report) inspectFolder(dir string) {
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		r.Problems = append(r.Problems, "neither model_index.json nor config.json is here: want the folder of a pipeline or of one network, "+
			"as diffusers or transformers save it")
		return
	}
	r.Networks = append(r.Networks, inspectNetwork(filepath.Base(dir), dir))
	if _, err := os.Stat(filepath.Join(dir, "preprocessor_config.json")); err == nil {
		_, err := vit.ReadPreprocessor(filepath.Join(dir, "preprocessor_config.json"))
		r.other("preprocessor", "", err)
	}
}

// inspectPipeline looks at all components of a pipeline, and at a vision transformer beside them.
func (r *Report) inspectPipeline(p weights.Pipeline) {
	for _, name := range []string{"unet", "vae", "text_encoder"} {
		if _, err := p.Folder(name); err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("model_index.json has no %s", name))
			continue
		}
		r.Networks = append(r.Networks, inspectNetwork(name, filepath.Join(p.Dir, name)))
	}
	if phikon := filepath.Join(p.Dir, "phikon"); isFolder(phikon) {
		r.Networks = append(r.Networks, inspectNetwork("phikon", phikon))
	}
	_, err := clip.OpenTokenizer(filepath.Join(p.Dir, "tokenizer"))
	r.other("tokenizer", p.Components["tokenizer"].Class, err)
	_, err = schedule.ReadConfig(filepath.Join(p.Dir, "scheduler", "scheduler_config.json"))
	r.other("scheduler", p.Components["scheduler"].Class, err)
}

func (r *Report) other(name, class string, err error) {
	o := OtherReport{Name: name, Class: class}
	if err != nil {
		o.Error = err.Error()
	}
	r.Others = append(r.Others, o)
}

// inspectNetwork compares the tensors in a folder with the parameters of the network that its config.json describes.
func inspectNetwork(name, folder string) NetworkReport {
	n := NetworkReport{Name: name}
	k, err := kindOf(folder)
	if err == nil {
		n.Class = k.class
	}
	s, openErr := weights.Open(folder, weights.Options{})
	if openErr == nil {
		defer func() { err = errors.Join(err, s.Close()) }()
		n.count(s)
	}
	if err := errors.Join(err, openErr); err != nil {
		n.Error = err.Error()
		return n
	}
	params, err := k.params(filepath.Join(folder, "config.json"))
	if err != nil {
		n.Error = err.Error()
		return n
	}
	var mismatch *weights.MismatchError
	if err := s.Compare(params, k.mapping); errors.As(err, &mismatch) {
		n.Missing, n.Surplus, n.Misshaped = mismatch.Missing, mismatch.Surplus, mismatch.Misshaped
	} else if err != nil {
		n.Error = err.Error()
	}
	return n
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
