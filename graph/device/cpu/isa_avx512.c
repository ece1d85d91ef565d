// The kernels for AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define HD_AVX512
#include "simd.h"

#include "math.inc.h"

#include "matmul.inc.h"
#include "attention.inc.h"
#include "rowwise.inc.h"

const hd_kernels hd_kernels_avx512 = {.name = "avx512", .matmul = MATMUL_KERNELS, .attention = ATTENTION_KERNELS, .rowwise = ROWWISE_KERNELS};
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
