// All kernels of one instruction set, and their table: isa_*.c include it with the name of the table as KERNELS.
// gemm.inc.h has the product that everything is made of, conv.inc.h feeds it images, winograd.inc.h has the algorithms
// with fewer multiplications, winograd_grad.inc.h their weight gradient, convolution.inc.h chooses between them.
#include "simd.h"

#include "math.inc.h"

#include "gemm.inc.h"

#include "conv.inc.h"
#include "winograd.inc.h"
#include "winograd_grad.inc.h"

#include "convolution.inc.h"

#include "attention.inc.h"

#include "elementwise.inc.h"
#include "norm.inc.h"
#include "optimizer.inc.h"
#include "pooling.inc.h"
#include "posterior.inc.h"

const hd_kernels KERNELS = {
	.native_bf16 = HD_DOT,
#define KERNEL(result, name, parameters, arguments) .name = name,
#include "kernel_list.h"
#undef KERNEL
};
