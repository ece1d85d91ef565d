// Package rng draws the random numbers that PyTorch, NumPy and Python draw from the same seed, so that a seed gives the
// picture, the order of pictures and the crops that the official implementation gives.
//
// Three generators stand on one engine, the Mersenne Twister mt19937:
//
//	Torch    torch.Generator("cpu"): noise, time steps, the order of pictures, crops and flips
//	NumPy    numpy.random.RandomState: the subsets of the kernel inception distance
//	Python   random.Random: rotations, the shuffle of an evaluation
//
// Torch saves and restores its state in the layout of torch.get_rng_state. A generator is not safe for concurrent use, and none
// of them is fit for cryptography.
//
// What is exact: integers, permutations and uniform numbers in every bit; so are float32 normals of a PyTorch that runs its AVX2
// kernels, as on any x86-64 with AVX2 (there are none for AVX-512). On other processors normals differ by up to 1.4e-6. Normals
// in float64, and the one of them that a saved state may hold, are equal up to the last bits, which are the C library's.
//
//	mt19937.go   the engine: seeding, words, uniform numbers
//	torch.go     Torch: uniform, integer, boolean draws, permutations
//	normal.go    Torch: normal draws
//	cephes.go    the logarithm, sine and cosine behind them
//	half.go      Torch: draws of bfloat16 and float16 tensors
//	state.go     Torch: its saved state
//	numpy.go     NumPy
//	python.go    Python
package rng
