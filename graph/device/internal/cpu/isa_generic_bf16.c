// The kernels of isa_avx512bf16.c in plain C, slow: 16 lanes and products of pairs of bfloat16, so that any machine can
// test them.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC optimize("O1") // compiles in half the time
#define HD_DOT 1
#define KERNELS hd_kernels_generic_bf16
#include "kernels.inc.h"
