package model

import (
	"fmt"
	"math"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/weights"
)

// transformersStd is initializer_range of transformers' ViT and CLIP.
const transformersStd = 0.02

// fill draws a parameter's initial values. layers has every weight's shape by its layer.
type fill func(g *rng.Torch, x []float32, name string, layers map[string]tensor.Shape)

// initialiser returns the initialisation of diffusers or transformers for a class: the same distributions, other
// numbers.
func initialiser(class, configPath string) (fill, error) {
	switch class {
	case "ViTModel":
		return initialiseViT, nil
	case "CLIPTextModel":
		c, err := clip.ReadConfig(configPath)
		return initialiseCLIP(c), err
	}
	return initialisePyTorch, nil
}

// layerOf splits a parameter's name: "mid_block.resnets.0.conv1.weight" is weight of mid_block.resnets.0.conv1.
func layerOf(name string) (layer, kind string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// isNorm reports whether a layer is a norm, which has one weight per channel.
func isNorm(layer string, layers map[string]tensor.Shape) bool { return len(layers[layer]) == 1 }

func constant(x []float32, value float32) {
	for i := range x {
		x[i] = value
	}
}

// initialiseNorm makes a norm do nothing: weight 1, bias 0.
func initialiseNorm(x []float32, kind string) {
	if kind == "weight" {
		constant(x, 1)
	} else {
		constant(x, 0)
	}
}

// initialisePyTorch is reset_parameters of torch.nn.Linear and Conv2d, which diffusers uses: kaiming_uniform_ with a =
// √5, uniform between ±1/√fan_in, for weights and biases.
func initialisePyTorch(g *rng.Torch, x []float32, name string, layers map[string]tensor.Shape) {
	layer, kind := layerOf(name)
	if isNorm(layer, layers) {
		initialiseNorm(x, kind)
		return
	}
	bound := float32(1 / math.Sqrt(float64(fanIn(layers[layer]))))
	g.Uniform(x, -bound, bound)
}

// fanIn is the number of inputs per output of a linear layer [out,in] or a convolution [KH,KW,I,O].
func fanIn(weight tensor.Shape) int {
	if len(weight) == 4 {
		return weight[0] * weight[1] * weight[2]
	}
	return weight[len(weight)-1]
}

// initialiseViT is ViTPreTrainedModel._init_weights: normal weights, embeddings and class token, biases 0. Its
// truncation, at 100 standard deviations, never happens.
func initialiseViT(g *rng.Torch, x []float32, name string, layers map[string]tensor.Shape) {
	layer, kind := layerOf(name)
	switch {
	case isNorm(layer, layers):
		initialiseNorm(x, kind)
	case kind == "bias":
		constant(x, 0)
	default:
		g.Normal(x, 0, transformersStd)
	}
}

// initialiseCLIP is CLIPPreTrainedModel._init_weights with initializer_factor 1.
func initialiseCLIP(c clip.Config) fill {
	width := float64(c.HiddenSize)
	in := 1 / math.Sqrt(width*2*float64(c.NumHiddenLayers))
	std := map[string]float64{
		"q_proj": in, "k_proj": in, "v_proj": in, "out_proj": 1 / math.Sqrt(width), "fc1": 1 / math.Sqrt(2*width), "fc2": in,
		"token_embedding": transformersStd, "position_embedding": transformersStd,
	}
	return func(g *rng.Torch, x []float32, name string, layers map[string]tensor.Shape) {
		layer, kind := layerOf(name)
		_, last := layerOf(layer)
		switch {
		case isNorm(layer, layers):
			initialiseNorm(x, kind)
		case kind == "bias":
			constant(x, 0)
		default:
			g.Normal(x, 0, std[last])
		}
	}
}

// initialise draws the weights of the network of a config.json.
func (k kind) initialise(path string, g *rng.Torch) ([]weights.Tensor, error) {
	params, err := k.params(path)
	if err != nil {
		return nil, err
	}
	draw, err := initialiser(k.class, path)
	if err != nil {
		return nil, err
	}
	layers := map[string]tensor.Shape{}
	for _, p := range params {
		if layer, kind := layerOf(p.Name()); kind == "weight" {
			layers[layer] = p.Shape()
		}
	}
	list := make([]weights.Tensor, len(params))
	for i, p := range params {
		if list[i], err = drawn(p, func(x []float32) { draw(g, x, p.Name(), layers) }); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name(), err)
		}
	}
	return list, nil
}

func drawn(p *gorgonia.Node, draw func(x []float32)) (weights.Tensor, error) {
	x := make([]float32, op.Size(p.Shape()))
	draw(x)
	return weights.FromValue(p.Name(), tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(x)))
}
