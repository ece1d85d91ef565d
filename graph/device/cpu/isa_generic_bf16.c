// The kernels of isa_avx512bf16.c in plain C, slow: 16 lanes and products of pairs of bfloat16, so that any machine can test them.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC optimize("O1") // compiles in half the time
#define HD_DOT 1
#include "simd.h"

#include "math.inc.h"

#include "matmul.inc.h"
#include "attention.inc.h"
#include "rowwise.inc.h"

const hd_kernels hd_kernels_generic_bf16 = {
    .name = "generic-bf16", .native_bf16 = 1, .matmul = MATMUL_KERNELS, .attention = ATTENTION_KERNELS, .rowwise = ROWWISE_KERNELS};
