// The kernels for AVX2 with FMA.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define HD_AVX2
#include "simd.h"

#include "math.inc.h"

#include "matmul.inc.h"
#include "attention.inc.h"
#include "rowwise.inc.h"

const hd_kernels hd_kernels_avx2 = {.name = "avx2", .matmul = MATMUL_KERNELS, .attention = ATTENTION_KERNELS, .rowwise = ROWWISE_KERNELS};
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
