package lora

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
)

// SaveOptions say what a file holds in addition to the numbers.
type SaveOptions struct {
	LowRank op.LowRank // of the network
	Base    string     // fingerprint of the U-Net that was trained; "" if unknown
}

// Name is the name of an adapter's parameter in files.
func Name(param string) string { return prefix + param }

// Param is the parameter of a tensor in files that Save wrote.
func Param(name string) string { return strings.TrimPrefix(name, prefix) }

// Save writes the parameters of an adapter under diffusers' names. tensors have the names that Name gives. Their scale
// is in the metadata, which diffusers reads from 0.34 on.
func Save(path string, tensors []weights.Tensor, o SaveOptions) error {
	text, err := json.Marshal(config{
		Rank: o.LowRank.Rank, Alpha: &o.LowRank.Alpha, Targets: o.LowRank.Layers,
	})
	if err != nil {
		return err
	}
	metadata := ofBase(o.Base)
	metadata[metadataConfig] = string(text)
	return weights.Save(path, tensors, weights.SaveOptions{Metadata: metadata})
}

// ofBase is the metadata of an adapter of a U-Net.
func ofBase(fingerprint string) map[string]string {
	if fingerprint == "" {
		return map[string]string{}
	}
	return map[string]string{metadataBase: fingerprint}
}

// Export writes an adapter for every version of diffusers. Those before 0.34 know no scale, so B is multiplied by it.
func (a *Adapter) Export(path string, t weights.DType) error {
	var tensors []weights.Tensor
	for _, name := range a.names() {
		l := a.layers[name]
		b := slices.Clone(l.B)
		for i := range b {
			b[i] = float32(float64(b[i]) * l.Scale)
		}
		tensors = append(tensors,
			weights.NewTensor(prefix+name+endA, l.shapeA, l.A), weights.NewTensor(prefix+name+endB, l.shapeB, b))
	}
	if len(tensors) == 0 {
		return errors.New("an adapter without layers")
	}
	return weights.Save(path, tensors, weights.SaveOptions{DType: t, Metadata: ofBase(a.Base)})
}
