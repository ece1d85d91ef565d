// Matrix products and convolutions: gemm.inc.h has the product that everything is made of, conv.inc.h feeds it images,
// winograd.inc.h has the algorithms with fewer multiplications, winograd_grad.inc.h their weight gradient, convolution.inc.h
// chooses between them.
#include "gemm.inc.h"

#include "conv.inc.h"
#include "winograd.inc.h"
#include "winograd_grad.inc.h"

#include "convolution.inc.h"

#define MATMUL_KERNELS \
	{gemm, gemm_workspace, gemm_pack, gemm_packed_bytes, conv, conv_workspace, conv_pack, conv_packed_bytes, conv_data_grad, \
	 conv_data_grad_workspace, conv_weight_grad, conv_weight_grad_workspace, gemm_column_sums, gemm_column_sums_workspace}
