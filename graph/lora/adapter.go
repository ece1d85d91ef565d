package lora

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
)

// FileName is diffusers' name of an adapter's file.
const FileName = "pytorch_lora_weights.safetensors"

// The metadata of a file.
const (
	metadataBase   = "histdist.base"         // fingerprint of the U-Net that the adapter was trained on
	metadataConfig = "lora_adapter_metadata" // as diffusers writes it from 0.34 on: JSON, the keys below
)

// config is the part of the metadata that matters here.
type config struct {
	Rank    int                `json:"unet.r"`
	Alpha   *float64           `json:"unet.lora_alpha"`
	Targets []string           `json:"unet.target_modules"`
	Alphas  map[string]float64 `json:"unet.alpha_pattern,omitempty"`
	RSLoRA  bool               `json:"unet.use_rslora,omitempty"`
}

// Adapter is an adapter that was read from a file.
type Adapter struct {
	Path   string
	Base   string // fingerprint of the U-Net that it was trained on; "" if unknown
	Digest string // 16 hexadecimal digits, of its tensors and scales
	layers map[string]*layer
}

// layer is the addition to a layer's weight.
type layer struct {
	weights.LowRank
	shapeA, shapeB []int
	alpha          *float64
}

// ErrOtherBase is the error of an adapter that was trained on other weights.
var ErrOtherBase = errors.New("the adapter was trained on another U-Net")

// Open reads an adapter from a file, or from FileName in a folder.
func Open(path string) (_ *Adapter, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("adapter %s: %w", path, err)
		}
	}()
	s, err := weights.Open(path, weights.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	a := &Adapter{Path: path, layers: map[string]*layer{}, Base: s.Metadata()[metadataBase]}
	for _, t := range s.Tensors() {
		if err := a.add(s, t.Name); err != nil {
			return nil, err
		}
	}
	c := config{}
	if text := s.Metadata()[metadataConfig]; text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", metadataConfig, err)
		}
	}
	if len(c.Alphas) > 0 || c.RSLoRA {
		return nil, errors.New("its layers are scaled one by one (alpha_pattern) or by the root of the rank (use_rslora): " +
			"want one lora_alpha")
	}
	hash := sha256.New()
	if err := s.Digest(hash); err != nil {
		return nil, err
	}
	for _, name := range a.names() {
		l := a.layers[name]
		if err := l.complete(c.Alpha); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(hash, "%s %g\n", name, l.Scale)
	}
	if len(a.layers) == 0 {
		return nil, errors.New("no layers")
	}
	a.Digest = hex.EncodeToString(hash.Sum(nil)[:8])
	return a, nil
}

func (a *Adapter) names() []string { return slices.Sorted(maps.Keys(a.layers)) }

// add reads a tensor.
func (a *Adapter) add(s *weights.Store, name string) error {
	of, p, err := parse(s.Prefix() + name) // which the store leaves out
	if err != nil {
		return err
	}
	values, shape, err := s.Float32(name)
	if err == nil {
		err = finite.Check(name, values, finite.Squares)
	}
	if err != nil {
		return err
	}
	l := a.layers[of]
	if l == nil {
		l = &layer{}
		a.layers[of] = l
	}
	switch p {
	case partA:
		l.A, l.shapeA = values, shape
	case partB:
		l.B, l.shapeB = values, shape
	case partAlpha:
		if len(values) != 1 {
			return fmt.Errorf("%s: shape %v: want one number", name, shape)
		}
		alpha := float64(values[0])
		l.alpha = &alpha
	}
	return nil
}

// complete checks a layer whose tensors are read, and sets its scale. alpha is the file's, nil if it has none: then the
// layer's own counts, else the rank.
func (l *layer) complete(alpha *float64) error {
	a, b := l.shapeA, l.shapeB
	if len(a) < 2 || len(b) != len(a) || b[1] != a[0] || len(b) == 4 && (b[2] != 1 || b[3] != 1) {
		return fmt.Errorf("lora_A %v and lora_B %v: want [rank,in] and [out,rank], of a convolution [rank,I,KH,KW] and "+
			"[O,rank,1,1]", a, b)
	}
	l.Rank, l.Scale = a[0], 1
	if l.alpha != nil {
		alpha = l.alpha
	}
	if alpha != nil {
		l.Scale = *alpha / float64(l.Rank)
	}
	return nil
}

// Fit says whether an adapter goes with other weights than those that it was trained on.
type Fit struct {
	Base  string // fingerprint of the U-Net that it is added to; "" if unknown
	Other bool   // another U-Net than the adapter's is accepted, if its layers have the same shapes
}

// AddTo makes a U-Net's store give its weights with weight times the adapter added.
func (a *Adapter) AddTo(s *weights.Store, weight float64, f Fit) error {
	if a.Base != "" && f.Base != "" && a.Base != f.Base && !f.Other {
		return fmt.Errorf("adapter %s: %w: its fingerprint is %s, that of %s is %s: name the model that it was trained on, "+
			"or accept another (--other-base)", a.Path, ErrOtherBase, a.Base, s.Path(), f.Base)
	}
	shapes := map[string][]int{}
	for _, t := range s.Tensors() {
		shapes[t.Name] = t.Shape
	}
	var wrong []string
	for _, name := range a.names() {
		l := a.layers[name]
		shape, ok := shapes[name+endWeight]
		want := append([]int{l.shapeB[0]}, l.shapeA[1:]...)
		switch {
		case !ok:
			wrong = append(wrong, name+": not in the U-Net")
		case !sameShape(shape, want):
			wrong = append(wrong, fmt.Sprintf("%s: for a weight %v, the U-Net's is %v", name, want, shape))
		}
	}
	if n := len(wrong); n > 0 {
		return fmt.Errorf("adapter %s does not fit the U-Net %s: %s (%d of %d layers)",
			a.Path, s.Path(), wrong[0], n, len(a.layers))
	}
	for _, name := range a.names() {
		product := a.layers[name].LowRank
		product.Scale *= weight
		if err := s.Add(name+endWeight, product); err != nil {
			return fmt.Errorf("adapter %s: %w", a.Path, err)
		}
	}
	return nil
}

// sameShape compares shapes of weights; old files have linear layers as 1×1 convolutions.
func sameShape(a, b []int) bool {
	trim := func(s []int) []int {
		if len(s) == 4 && s[2] == 1 && s[3] == 1 {
			return s[:2]
		}
		return s
	}
	return slices.Equal(trim(a), trim(b))
}
