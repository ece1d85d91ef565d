// What the C kernels share: element types, the context that every kernel gets, and the table of kernels of one instruction set.
#ifndef HD_KERNELS_H
#define HD_KERNELS_H

#include <stddef.h>

#include "pool.h"

typedef enum { HD_F32 = 0, HD_BF16 = 1 } hd_dtype;

typedef enum { HD_ACT_NONE = 0, HD_ACT_SILU, HD_ACT_GELU, HD_ACT_QUICK_GELU, HD_ACT_RELU } hd_act; // GELU is the exact one, with erf

typedef struct hd_kernels hd_kernels;

typedef struct {
	hd_pool *pool;
	const hd_kernels *k;
} hd_ctx;

#include "attention.h"
#include "matmul.h"
#include "rowwise.h"

// One table an instruction set, filled in by isa_*.c.
struct hd_kernels {
	const char *name; // "generic", "generic-bf16", "avx2", "avx512", "avx512bf16"
	int native_bf16;  // products of bfloat16 are of pairs, not of floats
	hd_matmul_kernels matmul;
	hd_attention_kernels attention;
	hd_rowwise_kernels rowwise;
};

extern const hd_kernels hd_kernels_generic, hd_kernels_generic_bf16;
#if defined(__x86_64__)
extern const hd_kernels hd_kernels_avx2, hd_kernels_avx512, hd_kernels_avx512bf16;
#endif

#endif
