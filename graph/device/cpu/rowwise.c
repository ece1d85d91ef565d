// Entry points of the row-wise kernels for cgo: each calls the kernel of the context's instruction set.
#include "kernels.h"

void hd_group_norm_stats(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, float *stats, void *ws) {
	c->k->rowwise.group_norm_stats(c, s, x, stats, ws);
}

size_t hd_group_norm_stats_workspace(const hd_ctx *c, const hd_group_norm_shape *s) {
	return c->k->rowwise.group_norm_stats_workspace(c, s);
}

void hd_group_norm(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma, const float *beta,
                   void *y) {
	c->k->rowwise.group_norm(c, s, x, stats, gamma, beta, y);
}

void hd_group_norm_grad_sums(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
                             const float *beta, const void *dy, float *sums, void *ws) {
	c->k->rowwise.group_norm_grad_sums(c, s, x, stats, gamma, beta, dy, sums, ws);
}

size_t hd_group_norm_grad_sums_workspace(const hd_ctx *c, const hd_group_norm_shape *s) {
	return c->k->rowwise.group_norm_grad_sums_workspace(c, s);
}

void hd_group_norm_grad_input(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
                              const float *beta, const void *dy, const float *sums, float *dx) {
	c->k->rowwise.group_norm_grad_input(c, s, x, stats, gamma, beta, dy, sums, dx);
}

void hd_layer_norm(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const float *beta, void *y) {
	c->k->rowwise.layer_norm(c, s, x, gamma, beta, y);
}

void hd_layer_norm_grad_input(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const void *dy, float *dx) {
	c->k->rowwise.layer_norm_grad_input(c, s, x, gamma, dy, dx);
}

void hd_layer_norm_grad_params(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const void *dy, float *sums, void *ws) {
	c->k->rowwise.layer_norm_grad_params(c, s, x, dy, sums, ws);
}

size_t hd_layer_norm_grad_params_workspace(const hd_ctx *c, const hd_layer_norm_shape *s) {
	return c->k->rowwise.layer_norm_grad_params_workspace(c, s);
}

void hd_softmax(const hd_ctx *c, long m, long n, const void *x, void *y, hd_dtype type) {
	c->k->rowwise.softmax(c, m, n, x, y, type);
}

void hd_softmax_grad(const hd_ctx *c, long m, long n, const void *y, const void *dy, void *dx, hd_dtype type) {
	c->k->rowwise.softmax_grad(c, m, n, y, dy, dx, type);
}

void hd_activation(const hd_ctx *c, long n, const void *x, void *y, hd_act act, hd_dtype type) {
	c->k->rowwise.activation(c, n, x, y, act, type);
}

void hd_activation_grad(const hd_ctx *c, long n, const void *x, const void *dy, void *dx, hd_act act, hd_dtype type) {
	c->k->rowwise.activation_grad(c, n, x, dy, dx, act, type);
}

void hd_geglu(const hd_ctx *c, long m, long f, const void *x, void *y, hd_dtype type) {
	c->k->rowwise.geglu(c, m, f, x, y, type);
}

void hd_geglu_grad(const hd_ctx *c, long m, long f, const void *x, const void *dy, void *dx, hd_dtype type) {
	c->k->rowwise.geglu_grad(c, m, f, x, dy, dx, type);
}

void hd_add(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type) {
	c->k->rowwise.add(c, n, a, b, y, type);
}

void hd_scale_add(const hd_ctx *c, long n, float alpha, const void *a, float beta, const void *b, void *y, hd_dtype type) {
	c->k->rowwise.scale_add(c, n, alpha, a, beta, b, y, type);
}

void hd_mul(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type) {
	c->k->rowwise.mul(c, n, a, b, y, type);
}

void hd_convert(const hd_ctx *c, long n, const void *src, hd_dtype src_type, void *dst, hd_dtype dst_type) {
	c->k->rowwise.convert(c, n, src, src_type, dst, dst_type);
}

void hd_add_channels(const hd_ctx *c, long n, long hw, long channels, const void *x, const void *t, void *y, hd_dtype type) {
	c->k->rowwise.add_channels(c, n, hw, channels, x, t, y, type);
}

void hd_add_rows(const hd_ctx *c, long n, long r, const void *x, const float *p, void *y, hd_dtype type) {
	c->k->rowwise.add_rows(c, n, r, x, p, y, type);
}

void hd_reduce_hw(const hd_ctx *c, long n, long hw, long channels, const void *x, void *y, hd_dtype type, void *ws) {
	c->k->rowwise.reduce_hw(c, n, hw, channels, x, y, type, ws);
}

size_t hd_reduce_hw_workspace(const hd_ctx *c, long n, long hw, long channels) {
	return c->k->rowwise.reduce_hw_workspace(c, n, hw, channels);
}

void hd_reduce_batch(const hd_ctx *c, long n, long r, const void *x, float *y, hd_dtype type, void *ws) {
	c->k->rowwise.reduce_batch(c, n, r, x, y, type, ws);
}

size_t hd_reduce_batch_workspace(const hd_ctx *c, long n, long r) {
	return c->k->rowwise.reduce_batch_workspace(c, n, r);
}

void hd_copy_rows(const hd_ctx *c, long rows, long width, const void *src, long lds, void *dst, long ldd, hd_dtype type) {
	c->k->rowwise.copy_rows(c, rows, width, src, lds, dst, ldd, type);
}

void hd_zero_rows(const hd_ctx *c, long rows, long width, void *dst, long ldd, hd_dtype type) {
	c->k->rowwise.zero_rows(c, rows, width, dst, ldd, type);
}

void hd_upsample_nearest(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *x, void *y, hd_dtype type) {
	c->k->rowwise.upsample_nearest(c, n, hs, ws, h, w, channels, x, y, type);
}

void hd_upsample_nearest_grad(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *dy, void *dx,
                              hd_dtype type) {
	c->k->rowwise.upsample_nearest_grad(c, n, hs, ws, h, w, channels, dy, dx, type);
}

void hd_embedding(const hd_ctx *c, long m, long channels, const int32_t *ids, const float *table, void *y, hd_dtype type) {
	c->k->rowwise.embedding(c, m, channels, ids, table, y, type);
}

void hd_embedding_grad(const hd_ctx *c, long m, long v, long channels, const int32_t *ids, const void *dy, float *dtable, hd_dtype type) {
	c->k->rowwise.embedding_grad(c, m, v, channels, ids, dy, dtable, type);
}

void hd_max_pool(const hd_ctx *c, const hd_windows *s, const void *x, void *y) { c->k->rowwise.max_pool(c, s, x, y); }

void hd_max_pool_grad(const hd_ctx *c, const hd_windows *s, const void *x, const void *dy, void *dx, void *ws) {
	c->k->rowwise.max_pool_grad(c, s, x, dy, dx, ws);
}

size_t hd_max_pool_grad_workspace(const hd_ctx *c, const hd_windows *s) { return c->k->rowwise.max_pool_grad_workspace(c, s); }

void hd_avg_pool(const hd_ctx *c, const hd_windows *s, const void *x, void *y) { c->k->rowwise.avg_pool(c, s, x, y); }

void hd_avg_pool_grad(const hd_ctx *c, const hd_windows *s, const void *dy, void *dx) { c->k->rowwise.avg_pool_grad(c, s, dy, dx); }

void hd_posterior_sample(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, void *y) {
	c->k->rowwise.posterior_sample(c, p, moments, noise, y);
}

void hd_posterior_sample_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, const void *dy,
                              void *dmoments) {
	c->k->rowwise.posterior_sample_grad(c, p, moments, noise, dy, dmoments);
}

void hd_posterior_kl(const hd_ctx *c, const hd_posterior *p, const void *moments, float *kl, void *ws) {
	c->k->rowwise.posterior_kl(c, p, moments, kl, ws);
}

size_t hd_posterior_kl_workspace(const hd_ctx *c, const hd_posterior *p) { return c->k->rowwise.posterior_kl_workspace(c, p); }

void hd_posterior_kl_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, float dkl, void *dmoments) {
	c->k->rowwise.posterior_kl_grad(c, p, moments, dkl, dmoments);
}

void hd_mse(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float *loss, hd_dtype type,
            void *ws) {
	c->k->rowwise.mse(c, n, r, pred, target, weights, loss, type, ws);
}

size_t hd_mse_workspace(const hd_ctx *c, long n, long r) {
	return c->k->rowwise.mse_workspace(c, n, r);
}

void hd_mse_grad(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float dloss, void *dpred,
                 hd_dtype type) {
	c->k->rowwise.mse_grad(c, n, r, pred, target, weights, dloss, dpred, type);
}

void hd_sum_squares(const hd_ctx *c, long n, const float *x, double *sum, void *ws) {
	c->k->rowwise.sum_squares(c, n, x, sum, ws);
}

size_t hd_sum_squares_workspace(const hd_ctx *c, long n) {
	return c->k->rowwise.sum_squares_workspace(c, n);
}

void hd_adamw(const hd_ctx *c, long n, const hd_adamw_step *h, float *p, const float *g, float *m, float *v, float *ema) {
	c->k->rowwise.adamw(c, n, h, p, g, m, v, ema);
}
