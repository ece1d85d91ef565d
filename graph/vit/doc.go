// Package vit is the vision transformer that reads the H&E image: transformers' ViTModel as Phikon has it (Filiot et
// al. 2023, "Scaling self-supervised learning for histopathology with masked image modeling"; Dosovitskiy et al. 2021).
// Its last hidden state is the U-Net's context in the translation.
//
//	image ─ Preprocess ─ pixels [224,224,3] ─ embeddings ─ encoder.layer.* ─ layernorm ─ last_hidden_state [197,768]
//
//	preprocess.go  image → pixels
//	config.go      config.json
//	vit.go         the network
//	tile.go        image → pixels, as for GigaPath
//	timm.go        the same kind of network as the timm library has it: ViT-B/16, GigaPath's tile encoder
package vit
