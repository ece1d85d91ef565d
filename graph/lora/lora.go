// Package lora holds low-rank adapters of a U-Net (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language
// Models"): which layers have one, how they begin, their files, and adding them to weights. The layers' operations are
// in graph/nn, their parameters NAME.lora_A.weight and NAME.lora_B.weight.
//
//	lora.go     layers and initial values
//	adapter.go  adapters read from files, added to weights
//	names.go    the names of tensors in files of several programs
//	save.go     writing a file
//	uses.go     adapters on a command line, with weights
package lora

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
)

// The ends of parameters' names.
const (
	endA      = ".lora_A.weight"
	endB      = ".lora_B.weight"
	endWeight = ".weight"
)

// The words of Layers for groups of layers.
const (
	Attention    = "attention"    // the projections of queries, keys, values and outputs, as diffusers' scripts adapt
	Convolutions = "convolutions" // all convolutions but conv_out, which has few outputs
)

// IsParameter reports whether a parameter is an adapter's.
func IsParameter(name string) bool {
	return strings.HasSuffix(name, endA) || strings.HasSuffix(name, endB)
}

// Layers returns the layers of a network with these parameters that targets mean: words as above, or ends of layers'
// names such as to_q, separated by commas. Every word must mean some, and every layer must have room for the rank.
func Layers(params gorgonia.Nodes, targets string, rank int) ([]string, error) {
	var layers []string
	var errs []error
	found := map[string]bool{}
	words := wordsOf(targets)
	for _, p := range params {
		name, ok := strings.CutSuffix(p.Name(), endWeight)
		if dims := p.Dims(); !ok || dims != 2 && dims != 4 {
			continue
		}
		meant := false
		for _, word := range words {
			if means(word, name, p.Dims() == 4) {
				meant, found[word] = true, true
			}
		}
		if !meant {
			continue
		}
		layers = append(layers, name)
		if in, out := sides(p); rank > min(in, out) {
			errs = append(errs, fmt.Errorf("rank %d: %s has %d inputs and %d outputs: want at most %d",
				rank, name, in, out, min(in, out)))
		}
	}
	for _, word := range words {
		if !found[word] {
			errs = append([]error{fmt.Errorf("%q is no layer of the network: want %s, %s or the end of a layer's name, "+
				"such as to_q", word, Attention, Convolutions)}, errs...)
		}
	}
	if len(words) == 0 {
		errs = append(errs, fmt.Errorf("no layers: want %s, %s or ends of layers' names", Attention, Convolutions))
	}
	if len(errs) > 0 {
		return nil, errs[0] // of a rank there may be hundreds
	}
	return layers, nil
}

// Means reports whether targets mean a layer.
func Means(targets, layer string, convolution bool) bool {
	return slices.ContainsFunc(wordsOf(targets), func(word string) bool { return means(word, layer, convolution) })
}

func wordsOf(targets string) []string {
	return strings.FieldsFunc(targets, func(c rune) bool { return c == ',' || c == ' ' })
}

// means reports whether a word of Layers means a layer.
func means(word, layer string, convolution bool) bool {
	switch word {
	case Attention:
		return slices.ContainsFunc([]string{"to_q", "to_k", "to_v", "to_out.0"}, func(end string) bool {
			return strings.HasSuffix(layer, "."+end)
		})
	case Convolutions:
		return convolution && layer != "conv_out"
	}
	return layer == word || strings.HasSuffix(layer, "."+word)
}

// sides are the numbers of inputs and outputs of a layer with a weight [out,in] or [KH,KW,I,O].
func sides(weight *gorgonia.Node) (in, out int) {
	s := weight.Shape()
	if len(s) == 2 {
		return s[1], s[0]
	}
	return s[0] * s[1] * s[2], s[3]
}

// Initialise draws a parameter of an adapter as PEFT does: B is zero, so that the network begins as it was, and A is
// uniform in ±1/√in, PyTorch's kaiming_uniform_ with a = √5. A is drawn in the order of the file's layout.
func Initialise(param *gorgonia.Node, g *rng.Torch) ([]float32, error) {
	values := make([]float32, op.Size(param.Shape()))
	switch {
	case strings.HasSuffix(param.Name(), endB):
		return values, nil
	case !strings.HasSuffix(param.Name(), endA):
		return nil, errors.New(param.Name() + " is no parameter of an adapter")
	}
	in, out := sides(param)
	bound := float32(1 / math.Sqrt(float64(in)))
	if param.Dims() == 2 {
		g.Uniform(values, -bound, bound)
		return values, nil
	}
	drawn := make([]float32, len(values)) // [O,I,KH,KW], seen as [O,I,K], into [K,I,O]
	g.Uniform(drawn, -bound, bound)
	channels := param.Shape()[2]
	k := in / channels
	for at, v := range drawn {
		o, i, j := at/in, at%in/k, at%k
		values[(j*channels+i)*out+o] = v
	}
	return values, nil
}
