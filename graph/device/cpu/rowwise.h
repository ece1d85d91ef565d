// What is not a matrix product: normalisation, activations, sums and broadcasts, copies, softmax, pooling, embeddings, the
// posterior, loss and the optimiser. All of it is bound by memory, so each kernel reads its inputs and writes its outputs once.
//
// Tensors are contiguous, NHWC, unless a row stride is given. "type" is the activations' type; parameters, statistics
// and parameter gradients are float32. An output may be the same tensor as an input where the comment says "in place", and
// overlaps nothing else. Work is split by shape alone, so results do not depend on the number of threads, nor on the run.
#ifndef HD_ROWWISE_H
#define HD_ROWWISE_H

#include <stdint.h>

// Group normalisation of n images of hw pixels and c channels in groups of c/groups neighbours, then act (HD_ACT_NONE or
// HD_ACT_SILU): act(z), z = x̂·gamma + beta, x̂ = (x - mean)·rstd. Wu and He 2018; torch.nn.GroupNorm.
typedef struct {
	long n, hw, c, groups; // groups divides c
	float eps;
	hd_act act;
	hd_dtype type; // of y and dy; x and dx are float32
} hd_group_norm_shape;

// Layer normalisation of m rows of c values: y = x̂·gamma + beta. Ba et al. 2016; torch.nn.LayerNorm.
typedef struct {
	long m, c;
	float eps;
	hd_dtype type; // of y and dy; x and dx are float32
} hd_layer_norm_shape;

// Windows of kh×kw pixels that walk over n images: x [n,h,w,c] → y [n,oh,ow,c]. Each sees at least one pixel.
typedef struct {
	long n, h, w, c, oh, ow;
	long kh, kw, stride, top, left;
	int count_padding; // a mean is that of kh·kw pixels, padding being zeros
	hd_dtype type;
} hd_windows;

// Moments of normal distributions, [m,2c]: each row has c means, then c logarithms of variances, which are clamped to low … high.
typedef struct {
	long n, m, c; // n images make the m rows
	float low, high;
	hd_dtype type;
} hd_posterior;

// One AdamW step (Loshchilov and Hutter 2019, algorithm 2) as in torch.optim.AdamW, with the bias corrections given.
typedef struct {
	double lr, beta1, beta2, eps, weight_decay;
	double bias_correction1;      // 1 - beta1^step
	double bias_correction2_sqrt; // sqrt(1 - beta2^step)
	double grad_scale;            // gradients are multiplied by it first: clipping, averaging
	double ema_decay;             // of the averaged weights; unused without them
} hd_adamw_step;

typedef struct {
	// ---- Normalisation

	// x [n,hw,c] → stats [n,groups,2]: mean and 1/sqrt(variance + eps). Exact for means that are large against the standard
	// deviation: sums are taken about a value of x itself.
	void (*group_norm_stats)(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, float *stats, void *ws);
	size_t (*group_norm_stats_workspace)(const hd_ctx *c, const hd_group_norm_shape *s);

	// x [n,hw,c], stats, gamma [c], beta [c] → y [n,hw,c]. In place on x if y is float32.
	void (*group_norm)(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
	                   const float *beta, void *y);

	// sums [n,2,c]: Σ dz and Σ dz·x̂ over the pixels, where dz is the gradient of z for dy the one of y. These are the gradients
	// of beta and gamma once added up over the images (reduce_batch).
	void (*group_norm_grad_sums)(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
	                             const float *beta, const void *dy, float *sums, void *ws);
	size_t (*group_norm_grad_sums_workspace)(const hd_ctx *c, const hd_group_norm_shape *s);

	// The gradient of x: dx = rstd·(dz·gamma - (Σ dz·gamma)/m - x̂·(Σ dz·gamma·x̂)/m), sums over the m values of a group.
	// In place on x, on dy if that is float32.
	void (*group_norm_grad_input)(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
	                              const float *beta, const void *dy, const float *sums, float *dx);

	// x [m,c], gamma [c], beta [c] → y [m,c]. In place on x if y is float32.
	void (*layer_norm)(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const float *beta, void *y);

	// x, gamma, dy [m,c] → dx [m,c]. In place on x, on dy if that is float32. Mean and variance are computed again,
	// here and below.
	void (*layer_norm_grad_input)(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const void *dy,
	                              float *dx);

	// sums [2,c]: Σ dy and Σ dy·x̂ over the rows, the gradients of beta and gamma.
	void (*layer_norm_grad_params)(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const void *dy, float *sums, void *ws);
	size_t (*layer_norm_grad_params_workspace)(const hd_ctx *c, const hd_layer_norm_shape *s);

	// Softmax of each row of x [m,n] → y [m,n]. In place.
	void (*softmax)(const hd_ctx *c, long m, long n, const void *x, void *y, hd_dtype type);
	// y, dy [m,n] → dx = y·(dy - Σ y·dy). In place on dy or y.
	void (*softmax_grad)(const hd_ctx *c, long m, long n, const void *y, const void *dy, void *dx, hd_dtype type);

	// ---- Element by element; n elements, in place on any input of the same shape as the output

	void (*activation)(const hd_ctx *c, long n, const void *x, void *y, hd_act act, hd_dtype type);
	void (*activation_grad)(const hd_ctx *c, long n, const void *x, const void *dy, void *dx, hd_act act, hd_dtype type);

	// x [m,2f] → y [m,f] = x[:, :f]·gelu(x[:, f:]). diffusers' GEGLU. Not in place.
	void (*geglu)(const hd_ctx *c, long m, long f, const void *x, void *y, hd_dtype type);
	// x [m,2f], dy [m,f] → dx [m,2f]. In place on x.
	void (*geglu_grad)(const hd_ctx *c, long m, long f, const void *x, const void *dy, void *dx, hd_dtype type);

	void (*add)(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type);
	// y = alpha·a + beta·b; b is not read, and may be NULL, where beta is 0.
	void (*scale_add)(const hd_ctx *c, long n, float alpha, const void *a, float beta, const void *b, void *y, hd_dtype type);
	void (*mul)(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type);
	// dst = src in another type; not in place.
	void (*convert)(const hd_ctx *c, long n, const void *src, hd_dtype src_type, void *dst, hd_dtype dst_type);

	// ---- Broadcasts and the sums that are their gradients

	// x [n,hw,c] + t [n,c] → y [n,hw,c]. In place on x.
	void (*add_channels)(const hd_ctx *c, long n, long hw, long channels, const void *x, const void *t, void *y, hd_dtype type);
	// x [n,r] + p [r] → y [n,r]; p is float32. In place on x.
	void (*add_rows)(const hd_ctx *c, long n, long r, const void *x, const float *p, void *y, hd_dtype type);
	// x [n,hw,c] → y [n,c], Σ over hw.
	void (*reduce_hw)(const hd_ctx *c, long n, long hw, long channels, const void *x, void *y, hd_dtype type, void *ws);
	size_t (*reduce_hw_workspace)(const hd_ctx *c, long n, long hw, long channels);
	// x [n,r] → y [r], Σ over n; y is float32. n may be large: the bias gradient of a linear layer.
	void (*reduce_batch)(const hd_ctx *c, long n, long r, const void *x, float *y, hd_dtype type, void *ws);
	size_t (*reduce_batch_workspace)(const hd_ctx *c, long n, long r);

	// ---- Copies

	// rows × width elements, src[r*lds + i] → dst[r*ldd + i]: concatenation, slices, padding.
	void (*copy_rows)(const hd_ctx *c, long rows, long width, const void *src, long lds, void *dst, long ldd, hd_dtype type);
	// dst[r*ldd + i] = 0.
	void (*zero_rows)(const hd_ctx *c, long rows, long width, void *dst, long ldd, hd_dtype type);

	// x [n,hs,ws,c] → y [n,h,w,c], each pixel from floor(i·hs/h), floor(j·ws/w), with the quotient in float32 as
	// torch.nn.functional.interpolate(mode="nearest") has it.
	void (*upsample_nearest)(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *x, void *y,
	                         hd_dtype type);
	// dy [n,h,w,c] → dx [n,hs,ws,c]: for each pixel of x the sum over those made from it.
	void (*upsample_nearest_grad)(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *dy, void *dx,
	                              hd_dtype type);

	// Rows ids [m] of table [·,c] → y [m,c]. ids are not checked.
	void (*embedding)(const hd_ctx *c, long m, long channels, const int32_t *ids, const float *table, void *y, hd_dtype type);
	// dy [m,c] → dtable [v,c], overwritten: zero, then row i of dy is added to row ids[i], in order.
	void (*embedding_grad)(const hd_ctx *c, long m, long v, long channels, const int32_t *ids, const void *dy, float *dtable,
	                       hd_dtype type);

	// ---- Pooling

	// The largest value that a window sees; padding is none. A NaN is larger than any number.
	void (*max_pool)(const hd_ctx *c, const hd_windows *s, const void *x, void *y);
	// x, dy → dx: dy is added where the window's largest value is, the first of several in row-major order.
	void (*max_pool_grad)(const hd_ctx *c, const hd_windows *s, const void *x, const void *dy, void *dx, void *ws);
	size_t (*max_pool_grad_workspace)(const hd_ctx *c, const hd_windows *s);
	// The mean of what a window sees.
	void (*avg_pool)(const hd_ctx *c, const hd_windows *s, const void *x, void *y);
	void (*avg_pool_grad)(const hd_ctx *c, const hd_windows *s, const void *dy, void *dx);

	// ---- Posterior

	// moments, noise [m,c] → y [m,c] = mean + exp(logvar/2)·noise. In place on noise.
	void (*posterior_sample)(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, void *y);
	// moments, noise, dy [m,c] → dmoments [m,2c]. In place on moments.
	void (*posterior_sample_grad)(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, const void *dy,
	                              void *dmoments);
	// kl [1] = Σ (mean² + exp(logvar) - 1 - logvar)/2 / n, the divergence from the standard normal distribution; added up in float64.
	void (*posterior_kl)(const hd_ctx *c, const hd_posterior *p, const void *moments, float *kl, void *ws);
	size_t (*posterior_kl_workspace)(const hd_ctx *c, const hd_posterior *p);
	// moments, dkl → dmoments. In place.
	void (*posterior_kl_grad)(const hd_ctx *c, const hd_posterior *p, const void *moments, float dkl, void *dmoments);

	// ---- Loss and optimiser

	// loss [1] = Σ w_i (pred - target)² / (n·r) over pred, target [n,r]; weights w [n] may be NULL (1). Summed in float64.
	void (*mse)(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float *loss, hd_dtype type,
	            void *ws);
	size_t (*mse_workspace)(const hd_ctx *c, long n, long r);
	// dpred = dloss · 2 w_i (pred - target) / (n·r). In place on pred or target.
	void (*mse_grad)(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float dloss, void *dpred,
	                 hd_dtype type);

	// sum [1] = Σ x², in float64: the square of the gradients' norm.
	void (*sum_squares)(const hd_ctx *c, long n, const float *x, double *sum, void *ws);
	size_t (*sum_squares_workspace)(const hd_ctx *c, long n);

	// Updates n parameters p, their moments m and v and, unless it is NULL, their average ema, from gradients g. Don't start
	// all of these arrays at one offset in 2 MiB: 2.3× slower on Zen 3, where they then compete for the same sets.
	void (*adamw)(const hd_ctx *c, long n, const hd_adamw_step *h, float *p, const float *g, float *m, float *v, float *ema);
} hd_rowwise_kernels;

void hd_group_norm_stats(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, float *stats, void *ws);
size_t hd_group_norm_stats_workspace(const hd_ctx *c, const hd_group_norm_shape *s);
void hd_group_norm(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma, const float *beta,
                   void *y);
void hd_group_norm_grad_sums(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
                             const float *beta, const void *dy, float *sums, void *ws);
size_t hd_group_norm_grad_sums_workspace(const hd_ctx *c, const hd_group_norm_shape *s);
void hd_group_norm_grad_input(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats, const float *gamma,
                              const float *beta, const void *dy, const float *sums, float *dx);
void hd_layer_norm(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const float *beta, void *y);
void hd_layer_norm_grad_input(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma, const void *dy, float *dx);
void hd_layer_norm_grad_params(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const void *dy, float *sums, void *ws);
size_t hd_layer_norm_grad_params_workspace(const hd_ctx *c, const hd_layer_norm_shape *s);
void hd_softmax(const hd_ctx *c, long m, long n, const void *x, void *y, hd_dtype type);
void hd_softmax_grad(const hd_ctx *c, long m, long n, const void *y, const void *dy, void *dx, hd_dtype type);
void hd_activation(const hd_ctx *c, long n, const void *x, void *y, hd_act act, hd_dtype type);
void hd_activation_grad(const hd_ctx *c, long n, const void *x, const void *dy, void *dx, hd_act act, hd_dtype type);
void hd_geglu(const hd_ctx *c, long m, long f, const void *x, void *y, hd_dtype type);
void hd_geglu_grad(const hd_ctx *c, long m, long f, const void *x, const void *dy, void *dx, hd_dtype type);
void hd_add(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type);
void hd_scale_add(const hd_ctx *c, long n, float alpha, const void *a, float beta, const void *b, void *y, hd_dtype type);
void hd_mul(const hd_ctx *c, long n, const void *a, const void *b, void *y, hd_dtype type);
void hd_convert(const hd_ctx *c, long n, const void *src, hd_dtype src_type, void *dst, hd_dtype dst_type);
void hd_add_channels(const hd_ctx *c, long n, long hw, long channels, const void *x, const void *t, void *y, hd_dtype type);
void hd_add_rows(const hd_ctx *c, long n, long r, const void *x, const float *p, void *y, hd_dtype type);
void hd_reduce_hw(const hd_ctx *c, long n, long hw, long channels, const void *x, void *y, hd_dtype type, void *ws);
size_t hd_reduce_hw_workspace(const hd_ctx *c, long n, long hw, long channels);
void hd_reduce_batch(const hd_ctx *c, long n, long r, const void *x, float *y, hd_dtype type, void *ws);
size_t hd_reduce_batch_workspace(const hd_ctx *c, long n, long r);
void hd_copy_rows(const hd_ctx *c, long rows, long width, const void *src, long lds, void *dst, long ldd, hd_dtype type);
void hd_zero_rows(const hd_ctx *c, long rows, long width, void *dst, long ldd, hd_dtype type);
void hd_upsample_nearest(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *x, void *y, hd_dtype type);
void hd_upsample_nearest_grad(const hd_ctx *c, long n, long hs, long ws, long h, long w, long channels, const void *dy, void *dx,
                              hd_dtype type);
void hd_embedding(const hd_ctx *c, long m, long channels, const int32_t *ids, const float *table, void *y, hd_dtype type);
void hd_embedding_grad(const hd_ctx *c, long m, long v, long channels, const int32_t *ids, const void *dy, float *dtable, hd_dtype type);
void hd_max_pool(const hd_ctx *c, const hd_windows *s, const void *x, void *y);
void hd_max_pool_grad(const hd_ctx *c, const hd_windows *s, const void *x, const void *dy, void *dx, void *ws);
size_t hd_max_pool_grad_workspace(const hd_ctx *c, const hd_windows *s);
void hd_avg_pool(const hd_ctx *c, const hd_windows *s, const void *x, void *y);
void hd_avg_pool_grad(const hd_ctx *c, const hd_windows *s, const void *dy, void *dx);
void hd_posterior_sample(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, void *y);
void hd_posterior_sample_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, const void *dy,
                              void *dmoments);
void hd_posterior_kl(const hd_ctx *c, const hd_posterior *p, const void *moments, float *kl, void *ws);
size_t hd_posterior_kl_workspace(const hd_ctx *c, const hd_posterior *p);
void hd_posterior_kl_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, float dkl, void *dmoments);
void hd_mse(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float *loss, hd_dtype type,
            void *ws);
size_t hd_mse_workspace(const hd_ctx *c, long n, long r);
void hd_mse_grad(const hd_ctx *c, long n, long r, const void *pred, const void *target, const float *weights, float dloss, void *dpred,
                 hd_dtype type);
void hd_sum_squares(const hd_ctx *c, long n, const float *x, double *sum, void *ws);
size_t hd_sum_squares_workspace(const hd_ctx *c, long n);
void hd_adamw(const hd_ctx *c, long n, const hd_adamw_step *h, float *p, const float *g, float *m, float *v, float *ema);

#endif
