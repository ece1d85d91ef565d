// The kernels of one instruction set, each as KERNEL(result, name, (parameters), (arguments)): kernels.h makes the
// table of pointers and the functions for Go from this list, kernels.inc.h fills the table in.
//
// ws is scratch memory of as many bytes as the kernel's …_workspace returns; it and packed operands are best aligned to
// 64 bytes. No operand may overlap the result except as a comment says ("in place").

// ---- Matrix products and convolutions

// C = act(A·B + bias[N] + residual[M,N]); bias and residual may be NULL, residual may be c itself (with ldr = ldc) if c
// is float32. The sums depend on the number of threads only where k is split, for small m×n and long k; they are the
// same from run to run.
KERNEL(void, gemm, (const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias,
        const float *residual, void *out, void *ws), (c, g, a, b, bias, residual, out, ws))
KERNEL(size_t, gemm_workspace, (const hd_ctx *c, const hd_gemm *g), (c, g))

// Packs the right operand once, so that g.b = HD_PACKED serves many products: g as for gemm, of which n, k, ldb, b and
// the types of a and b count. The format belongs to the instruction set.
KERNEL(void, gemm_pack, (const hd_ctx *c, const hd_gemm *g, const void *b, float *packed), (c, g, b, packed))
KERNEL(size_t, gemm_packed_bytes, (const hd_ctx *c, const hd_gemm *g), (c, g))

// y = act(x * weight + bias[O] + residual[N,H',W',O]). Either weight or packed, from conv_pack for the same algorithm,
// is given, the other is NULL; bias and residual may be NULL; residual may be y if that is float32. Winograd takes the
// weight as it is (conv_packed_bytes is 0): transformed filters are larger, and reading them takes as long as making
// them in the cache.
KERNEL(void, conv, (const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed,
        const float *bias, const float *residual, void *y, void *ws), (c, v, x, weight, packed, bias, residual, y, ws))
KERNEL(size_t, conv_workspace, (const hd_ctx *c, const hd_conv *v, int packed), (c, v, packed))
KERNEL(void, conv_pack, (const hd_ctx *c, const hd_conv *v, const float *weight, float *packed), (c, v, weight, packed))
KERNEL(size_t, conv_packed_bytes, (const hd_ctx *c, const hd_conv *v), (c, v))

// dx [N,H,W,C] = the gradient with respect to x, + residual [N,H,W,C] if not NULL, which may be dx if that is float32.
// No resize: sh, sw must be h, w. Direct or Winograd.
KERNEL(void, conv_data_grad, (const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight,
        const float *residual, void *dx, void *ws), (c, v, dy, weight, residual, dx, ws))
KERNEL(size_t, conv_data_grad_workspace, (const hd_ctx *c, const hd_conv *v), (c, v))

// dw [KH,KW,C,O] = the gradient with respect to the weight. No resize either. Direct or Winograd.
KERNEL(void, conv_weight_grad, (const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws),
       (c, v, x, dy, dw, ws))
KERNEL(size_t, conv_weight_grad_workspace, (const hd_ctx *c, const hd_conv *v), (c, v))

// out[n] = the sum over rows of x [m,n]: the gradient of a bias. Summed in blocks of rows, then over the blocks.
KERNEL(void, column_sums, (const hd_ctx *c, hd_n m, hd_n n, hd_dtype type, const void *x, float *out, void *ws),
       (c, m, n, type, x, out, ws))
KERNEL(size_t, column_sums_workspace, (const hd_ctx *c, hd_n m, hd_n n), (c, m, n))

// ---- Attention

// o = softmax(scale · q kᵀ) v for each image and head. o may not overlap q, k, v or ws. The result does not depend on
// the number of threads. Online softmax over blocks of keys as in FlashAttention (Dao et al. 2022, algorithm 1):
// no lq × lk matrix is held.
KERNEL(void, attention, (const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, void *o,
        void *ws), (c, a, q, k, v, o, ws))
KERNEL(size_t, attention_workspace, (const hd_ctx *c, const hd_attention *a), (c, a))

// Gradients of the sum of o ∘ go: gq [batch,lq,·], gk and gv [batch,lk,·], overwritten. They need neither o nor any
// statistics from the forward pass: the probabilities are computed again. No output may overlap an input, another
// output or ws. The same bits from run to run for one number of threads.
KERNEL(void, attention_grad, (const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v,
        const void *go, void *gq, void *gk, void *gv, void *ws), (c, a, q, k, v, go, gq, gk, gv, ws))
KERNEL(size_t, attention_grad_workspace, (const hd_ctx *c, const hd_attention *a), (c, a))

// ---- Normalisation

// x [n,hw,c] → stats [n,groups,2]: mean and 1/sqrt(variance + eps). Exact for means that are large against the standard
// deviation: sums are taken about a value of x itself.
KERNEL(void, group_norm_stats, (const hd_ctx *c, const hd_group_norm_shape *s, const float *x, float *stats, void *ws),
       (c, s, x, stats, ws))
KERNEL(size_t, group_norm_stats_workspace, (const hd_ctx *c, const hd_group_norm_shape *s), (c, s))

// x [n,hw,c], stats, gamma [c], beta [c] → y [n,hw,c]. In place on x if y is float32.
KERNEL(void, group_norm, (const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
        const float *gamma, const float *beta, void *y), (c, s, x, stats, gamma, beta, y))

// sums [n,2,c]: Σ dz and Σ dz·x̂ over the pixels, where dz is the gradient of z. Summed over the images
// (sum_rows) they are the gradients of beta and gamma.
KERNEL(void, group_norm_grad_sums, (const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
        const float *gamma, const float *beta, const void *dy, float *sums, void *ws),
       (c, s, x, stats, gamma, beta, dy, sums, ws))
KERNEL(size_t, group_norm_grad_sums_workspace, (const hd_ctx *c, const hd_group_norm_shape *s), (c, s))

// The gradient of x: dx = rstd·(dz·gamma - (Σ dz·gamma)/m - x̂·(Σ dz·gamma·x̂)/m), sums over the m values of a group.
// In place on x, on dy if that is float32.
KERNEL(void, group_norm_grad_input, (const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
        const float *gamma, const float *beta, const void *dy, const float *sums, float *dx),
       (c, s, x, stats, gamma, beta, dy, sums, dx))

// x [m,c], gamma [c], beta [c] → y [m,c]. In place on x if y is float32.
KERNEL(void, layer_norm, (const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma,
        const float *beta, void *y), (c, s, x, gamma, beta, y))

// x, gamma, dy [m,c] → dx [m,c]. In place on x, on dy if that is float32. Mean and variance are computed again, here
// and below.
KERNEL(void, layer_norm_grad_input, (const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma,
        const void *dy, float *dx), (c, s, x, gamma, dy, dx))

// sums [2,c]: Σ dy and Σ dy·x̂ over the rows, the gradients of beta and gamma.
KERNEL(void, layer_norm_grad_params, (const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const void *dy,
        float *sums, void *ws), (c, s, x, dy, sums, ws))
KERNEL(size_t, layer_norm_grad_params_workspace, (const hd_ctx *c, const hd_layer_norm_shape *s), (c, s))

// ---- Element by element; in place on any input of the same shape as the output

// y = f(a, b), n elements; b is not read, and may be NULL, where f has no b.
KERNEL(void, map, (const hd_ctx *c, const hd_map *f, hd_n n, const void *a, const void *b, void *y),
       (c, f, n, a, b, y))

// x [m,2f] → y [m,f] = x[:, :f]·gelu(x[:, f:]). diffusers' GEGLU. Not in place.
KERNEL(void, geglu, (const hd_ctx *c, hd_n m, hd_n f, const void *x, void *y, hd_dtype type), (c, m, f, x, y, type))
// x [m,2f], dy [m,f] → dx [m,2f]. In place on x.
KERNEL(void, geglu_grad, (const hd_ctx *c, hd_n m, hd_n f, const void *x, const void *dy, void *dx, hd_dtype type),
       (c, m, f, x, dy, dx, type))

// dst = src in another type; not in place.
KERNEL(void, convert, (const hd_ctx *c, hd_n n, const void *src, hd_dtype src_type, void *dst, hd_dtype dst_type),
       (c, n, src, src_type, dst, dst_type))

// ---- Broadcasts and the sums that are their gradients

// x [n,rows,cols] + t [n,cols] → y [n,rows,cols]. In place on x. t is of the same type or float32.
KERNEL(void, add_rows, (const hd_ctx *c, hd_n n, hd_n rows, hd_n cols, const void *x, const void *t, hd_dtype t_type,
        void *y, hd_dtype type), (c, n, rows, cols, x, t, t_type, y, type))
// x [n,rows,cols] → y [n,cols], Σ over rows.
KERNEL(void, sum_rows, (const hd_ctx *c, hd_n n, hd_n rows, hd_n cols, const void *x, hd_dtype type, void *y,
        hd_dtype y_type, void *ws), (c, n, rows, cols, x, type, y, y_type, ws))
KERNEL(size_t, sum_rows_workspace, (const hd_ctx *c, hd_n n, hd_n rows, hd_n cols), (c, n, rows, cols))

// ---- Copies

// rows × width elements, src[r*lds + i] → dst[r*ldd + i]: concatenation, slices, padding. Zeros if src is NULL.
KERNEL(void, copy_rows, (const hd_ctx *c, hd_n rows, hd_n width, const void *src, hd_n lds, void *dst, hd_n ldd,
        hd_dtype type), (c, rows, width, src, lds, dst, ldd, type))

// x [n,hs,ws,c] → y [n,h,w,c], each pixel from floor(i·hs/h), floor(j·ws/w), with the quotient in float32 as
// torch.nn.functional.interpolate(mode="nearest") has it.
KERNEL(void, upsample_nearest, (const hd_ctx *c, hd_n n, hd_n hs, hd_n ws, hd_n h, hd_n w, hd_n channels, const void *x,
        void *y, hd_dtype type), (c, n, hs, ws, h, w, channels, x, y, type))
// dy [n,h,w,c] → dx [n,hs,ws,c]: for each pixel of x the sum over those made from it.
KERNEL(void, upsample_nearest_grad, (const hd_ctx *c, hd_n n, hd_n hs, hd_n ws, hd_n h, hd_n w, hd_n channels,
        const void *dy, void *dx, hd_dtype type), (c, n, hs, ws, h, w, channels, dy, dx, type))

// Rows ids [m] of table [·,c] → y [m,c]. ids are not checked.
KERNEL(void, embedding, (const hd_ctx *c, hd_n m, hd_n channels, const int32_t *ids, const float *table, void *y,
        hd_dtype type), (c, m, channels, ids, table, y, type))

// ---- Pooling

// The mean of each window, or the largest value; padding is not one. A NaN is larger than any number.
KERNEL(void, pool, (const hd_ctx *c, const hd_windows *s, const void *x, void *y), (c, s, x, y))

// ---- Posterior

// moments, noise [m,c] → y [m,c] = mean + exp(logvar/2)·noise. In place on noise.
KERNEL(void, posterior_sample, (const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise,
        void *y), (c, p, moments, noise, y))
// moments, noise, dy [m,c] → dmoments [m,2c]. In place on moments.
KERNEL(void, posterior_sample_grad, (const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise,
        const void *dy, void *dmoments), (c, p, moments, noise, dy, dmoments))
// kl [1] = Σ (mean² + exp(logvar) - 1 - logvar)/2 / n, the divergence from the standard normal distribution, summed in
// float64.
KERNEL(void, posterior_kl, (const hd_ctx *c, const hd_posterior *p, const void *moments, float *kl, void *ws),
       (c, p, moments, kl, ws))
KERNEL(size_t, posterior_kl_workspace, (const hd_ctx *c, const hd_posterior *p), (c, p))
// moments, dkl → dmoments. In place.
KERNEL(void, posterior_kl_grad, (const hd_ctx *c, const hd_posterior *p, const void *moments, float dkl,
        void *dmoments), (c, p, moments, dkl, dmoments))

// ---- Loss and optimiser

// loss [1] = Σ w_i (pred - target)² / (n·r) over pred, target [n,r]; weights w [n] may be NULL (1). Summed in float64.
KERNEL(void, mse, (const hd_ctx *c, hd_n n, hd_n r, const void *pred, const void *target, const float *weights,
        float *loss, hd_dtype type, void *ws), (c, n, r, pred, target, weights, loss, type, ws))
KERNEL(size_t, mse_workspace, (const hd_ctx *c, hd_n n, hd_n r), (c, n, r))
// dpred = dloss · 2 w_i (pred - target) / (n·r). In place on pred or target.
KERNEL(void, mse_grad, (const hd_ctx *c, hd_n n, hd_n r, const void *pred, const void *target, const float *weights,
        float dloss, void *dpred, hd_dtype type), (c, n, r, pred, target, weights, dloss, dpred, type))

// sum [1] = Σ x², in float64: the square of the gradients' norm.
KERNEL(void, sum_squares, (const hd_ctx *c, hd_n n, const float *x, double *sum, void *ws), (c, n, x, sum, ws))
KERNEL(size_t, sum_squares_workspace, (const hd_ctx *c, hd_n n), (c, n))

// Updates n parameters p and their moments m and v from gradients g. Arrays that all start at one offset in 2 MiB
// compete for the same sets of the cache: 2.3× slower on Zen 3.
KERNEL(void, adamw, (const hd_ctx *c, hd_n n, const hd_adamw_step *h, float *p, const float *g, float *m, float *v),
       (c, n, h, p, g, m, v))
