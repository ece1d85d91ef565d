package vit

// TimmBase is timm's vit_base_patch16_224.
func TimmBase() TimmConfig {
	return TimmConfig{EmbedDim: 768, Depth: 12, NumHeads: 12, Hidden: 3072, ImageSize: 224, PatchSize: 16}
}
