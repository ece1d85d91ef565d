package lora

import (
	"fmt"
	"strings"
)

// part is what a tensor of a file is to a layer.
type part int

const (
	partA part = iota
	partB
	partAlpha
)

// prefix precedes the names of a U-Net's layers in files.
const prefix = "unet."

// ends are the ends of names, of today's files (PEFT) and of diffusers' earlier ones.
var ends = map[string]part{
	endA: partA, endB: partB,
	".lora.down.weight": partA, ".lora.up.weight": partB,
	".lora_linear_layer.down.weight": partA, ".lora_linear_layer.up.weight": partB,
	"_lora.down.weight": partA, "_lora.up.weight": partB,
	".alpha": partAlpha,
}

// parse returns the layer that a tensor of a file belongs to, and what it is.
func parse(name string) (layer string, p part, err error) {
	switch {
	case strings.HasPrefix(name, "text_encoder"), strings.HasPrefix(name, "lora_te"):
		return "", 0, fmt.Errorf("%s: adapters of the text encoder are not supported: want the U-Net's alone", name)
	case strings.HasPrefix(name, "lora_unet_"):
		return "", 0, fmt.Errorf("%s: these are kohya's names: load the file in diffusers and save it with "+
			"save_lora_weights", name)
	}
	rest, ok := strings.CutPrefix(name, prefix)
	for end, p := range ends {
		layer, found := strings.CutSuffix(rest, end)
		if !ok || !found {
			continue
		}
		if strings.Contains(layer, ".processor.") { // …attn1.processor.to_q_lora.down.weight
			layer = strings.Replace(layer, ".processor.", ".", 1)
			if strings.HasSuffix(layer, ".to_out") {
				layer += ".0"
			}
		}
		return layer, p, nil
	}
	return "", 0, fmt.Errorf("%s: no tensor of a low-rank adapter: want unet.LAYER.lora_A.weight and lora_B.weight", name)
}
