// Package rng draws the random numbers that PyTorch and NumPy draw from the same seed, so that a seed gives the image
// of the official implementation.
//
// Both generators have one engine, the Mersenne Twister mt19937:
//
//	Torch    torch.Generator("cpu"): noise, time steps, new weights
//	NumPy    numpy.random.RandomState: the subsets of the kernel inception distance
//
// Field is not theirs: normal numbers that are a function of a place, for images that are larger than memory.
//
// Torch saves and restores its state in the layout of torch.get_rng_state. A generator is not safe for concurrent use,
// and not fit for cryptography.
//
// Integers, permutations and uniform numbers have the same bits, and so do float32 normals of a PyTorch that runs its
// AVX2 kernels, as on any x86-64 with AVX2; on other processors they differ by up to 1.4e-6. The float64 normal that a
// saved state may hold is equal up to its last bits, which are the C library's.
//
//	mt19937.go   the engine: seeding, words, uniform numbers
//	torch.go     Torch: uniform numbers and integers
//	normal.go    Torch: normal numbers
//	cephes.go    the logarithm, sine and cosine of the normals
//	state.go     Torch: its saved state
//	numpy.go     NumPy
//	field.go     Field
package rng
