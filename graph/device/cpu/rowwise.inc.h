// The row-wise kernels of one instruction set.
#include "elementwise.inc.h"
#include "norm.inc.h"
#include "pooling.inc.h"
#include "optimizer.inc.h"
#include "posterior.inc.h"

#define ROWWISE_KERNELS                                                                                                                    \
	{                                                                                                                                  \
		.group_norm_stats = gn_stats, .group_norm_stats_workspace = gn_stats_workspace, .group_norm = gn_forward,                  \
		.group_norm_grad_sums = gn_grad_sums, .group_norm_grad_sums_workspace = gn_grad_sums_workspace,                            \
		.group_norm_grad_input = gn_grad_input, .layer_norm = ln_forward, .layer_norm_grad_input = ln_grad_input,                  \
		.layer_norm_grad_params = ln_grad_params, .layer_norm_grad_params_workspace = ln_grad_params_workspace,                    \
		.softmax = sm_forward, .softmax_grad = sm_grad, .activation = ew_activation, .activation_grad = ew_activation_grad,        \
		.geglu = ew_geglu, .geglu_grad = ew_geglu_grad, .add = ew_add, .scale_add = ew_scale_add, .mul = ew_mul,                   \
		.convert = ew_convert, .add_channels = ew_add_channels, .add_rows = ew_add_rows, .reduce_hw = rw_reduce_hw,                \
		.reduce_hw_workspace = rw_reduce_hw_workspace, .reduce_batch = rw_reduce_batch,                                            \
		.reduce_batch_workspace = rw_reduce_batch_workspace, .copy_rows = cp_copy_rows, .zero_rows = cp_zero_rows,                 \
		.upsample_nearest = cp_upsample, .upsample_nearest_grad = cp_upsample_grad, .embedding = cp_embedding,                     \
		.embedding_grad = cp_embedding_grad, .max_pool = pw_max, .max_pool_grad = pw_max_grad,                                     \
		.max_pool_grad_workspace = pw_max_grad_workspace, .avg_pool = pw_mean, .avg_pool_grad = pw_mean_grad,                      \
		.posterior_sample = po_sample, .posterior_sample_grad = po_sample_grad, .posterior_kl = po_kl,                             \
		.posterior_kl_workspace = po_kl_workspace, .posterior_kl_grad = po_kl_grad, .mse = opt_mse,                                \
		.mse_workspace = opt_mse_workspace, .mse_grad = opt_mse_grad,                                                              \
		.sum_squares = opt_sum_squares, .sum_squares_workspace = opt_sum_squares_workspace, .adamw = opt_adamw                     \
	}
