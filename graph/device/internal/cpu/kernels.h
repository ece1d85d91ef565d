// What the C kernels share: element types, the context that every kernel gets, and the table of kernels of one
// instruction set.
#ifndef HD_KERNELS_H
#define HD_KERNELS_H

#include <stddef.h>

#include "pool.h"

typedef enum { HD_F32 = 0, HD_BF16 = 1 } hd_dtype;

typedef enum { HD_ACT_NONE = 0, HD_ACT_SILU, HD_ACT_GELU, HD_ACT_QUICK_GELU, HD_ACT_RELU } hd_act; // GELU with erf

typedef struct hd_kernels hd_kernels;

typedef struct {
	hd_pool *pool;
	const hd_kernels *k;
} hd_ctx;

#include "attention.h"
#include "matmul.h"
#include "rowwise.h"

// One table for each instruction set, filled in by isa_*.c.
struct hd_kernels {
	int native_bf16; // products of bfloat16 are of pairs, not of floats
#define KERNEL(result, name, parameters, arguments) result(*name) parameters;
#include "kernel_list.h"
#undef KERNEL
};

// Go can't call through a pointer: call_NAME calls the kernel of the context's instruction set.
#define KERNEL(result, name, parameters, arguments) \
	static inline result call_##name parameters { return c->k->name arguments; }
#include "kernel_list.h"
#undef KERNEL

extern const hd_kernels hd_kernels_generic, hd_kernels_generic_bf16;
#if defined(__x86_64__)
extern const hd_kernels hd_kernels_avx2, hd_kernels_avx512, hd_kernels_avx512bf16;
#elif defined(__aarch64__)
extern const hd_kernels hd_kernels_neon;
#endif

#endif
