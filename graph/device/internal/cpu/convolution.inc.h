// The convolution's entry points: each calls the algorithm that the convolution names.

INLINE int conv_is_winograd(const hd_conv *v) { return v->algorithm == HD_CONV_F2 || v->algorithm == HD_CONV_F4; }

static void conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed,
                 const float *bias, const float *residual, void *y, void *ws) {
	if (conv_is_winograd(v))
		wino_conv(c, v, x, weight, bias, residual, y, ws);
	else if (v->algorithm == HD_CONV_TAPS)
		taps_conv(c, v, x, weight, packed, bias, residual, y, ws);
	else
		direct_conv(c, v, x, weight, packed, bias, residual, y, ws);
}

static size_t conv_workspace(const hd_ctx *c, const hd_conv *v, int packed) {
	if (conv_is_winograd(v))
		return wino_workspace(c, v);
	return v->algorithm == HD_CONV_TAPS ? taps_workspace(c, v, packed) : direct_workspace(c, v, packed);
}

static void conv_pack(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed) {
	if (v->algorithm == HD_CONV_TAPS)
		taps_pack(c, v, weight, packed);
	else if (!conv_is_winograd(v))
		mm_pack_all(c, &(mm_right){.p = weight, .ld = v->o, .layout = HD_ROWS}, v->type, v->kh * v->kw * v->c, v->o, packed);
}

static size_t conv_packed_bytes(const hd_ctx *c, const hd_conv *v) {
	if (conv_is_winograd(v))
		return 0;
	return v->algorithm == HD_CONV_TAPS ? taps_filter_bytes(v) : mm_packed_bytes(v->type, v->kh * v->kw * v->c, v->o);
}

static void conv_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight,
                           const float *residual, void *dx, void *ws) {
	(conv_is_winograd(v) ? wino_data_grad : direct_data_grad)(c, v, dy, weight, residual, dx, ws);
}

static size_t conv_data_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	return conv_is_winograd(v) ? wino_data_grad_workspace(c, v) : direct_data_grad_workspace(c, v);
}

static void conv_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	(conv_is_winograd(v) ? wino_weight_grad : direct_weight_grad)(c, v, x, dy, dw, ws);
}

static size_t conv_weight_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	return conv_is_winograd(v) ? wino_weight_grad_workspace(c, v) : direct_weight_grad_workspace(c, v);
}
