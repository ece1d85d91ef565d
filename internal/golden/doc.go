// Package golden reads reference data for tests: tensors that PyTorch, diffusers and transformers computed, and how far
// a float32 implementation may be from them.
//
// Golden data are .safetensors files with string metadata, and a tolerances.json next to them. The package looks in the
// folder that HISTDIST_GOLDEN names, then in the repository's testdata/golden, whose README describes the files; a test
// whose file is in neither is skipped. Tensors have PyTorch's layout: [NHWC] and [HWIO] bring images and kernels into
// this program's.
//
//	f := golden.Open(t, "blocks.safetensors")
//	x := golden.NHWC(f.Float32(t, "conv3x3/in/x"))
//	w := golden.HWIO(f.Float32(t, "conv3x3/param/weight"))
//	want := golden.NHWC(f.Float32(t, "conv3x3/out"))
//	golden.Within(t, got, want.Data, f.Tolerance(t, "conv3x3 out"))
//
// It is test support and no part of the program, which reads its weights through graph/weights.
package golden
