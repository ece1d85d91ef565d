// Package clip is CLIP's text side (Radford et al. 2021): the byte-pair tokenizer and the text encoder, transformers'
// CLIPTokenizer and CLIPTextModel. Its hidden states of a prompt such as "H&E" are the U-Net's context where an image
// is diffused without a translation.
//
//	text ─ Tokenizer ─ ids [77] ─ embeddings ─ encoder.layers (causal) ─ final_layer_norm ─ last_hidden_state [77,768]
//
//	tokenizer.go   text → ids
//	words.go       text → words, as the reference splits them
//	characters.go  which characters the reference knows
//	bpe.go         word → byte pairs
//	vocabulary.go  vocab.json, merges.txt, tokenizer.json; bytetokenizer.go: those of a model trained from nothing
//	config.go      config.json
//	clip.go        the network
package clip
