// Package enginebench measures the engine: every layer of the full-size networks in testdata/shapes, forward and backward,
// as time, GFLOP/s and share of the machine's GEMM peak, and beside PyTorch in the same run where
// HISTDIST_TORCH_PYTHON names a Python that has it (`make bench-engine`); and the steps of a U-Net of full size as a whole
// (`make bench-unet`).
package enginebench
