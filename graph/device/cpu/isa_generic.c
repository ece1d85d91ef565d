// The kernels in plain C: what any machine can run.
#pragma GCC diagnostic ignored "-Wpsabi"
#include "simd.h"

#include "math.inc.h"

#include "matmul.inc.h"
#include "attention.inc.h"
#include "rowwise.inc.h"

const hd_kernels hd_kernels_generic = {.name = "generic", .matmul = MATMUL_KERNELS, .attention = ATTENTION_KERNELS, .rowwise = ROWWISE_KERNELS};
