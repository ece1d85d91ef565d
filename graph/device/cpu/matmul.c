// Entry points of the matrix products for cgo: each calls the kernel of the context's instruction set. The choice of a
// convolution's algorithm, which needs none, is here too.
#include "kernels.h"

void hd_matmul_gemm(const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias, const void *residual, void *out,
                    void *ws) {
	c->k->matmul.gemm(c, g, a, b, bias, residual, out, ws);
}

size_t hd_matmul_gemm_workspace(const hd_ctx *c, const hd_gemm *g) { return c->k->matmul.gemm_workspace(c, g); }

void hd_matmul_gemm_pack(const hd_ctx *c, const hd_gemm *g, const void *b, float *packed) { c->k->matmul.gemm_pack(c, g, b, packed); }

size_t hd_matmul_gemm_packed_bytes(const hd_ctx *c, const hd_gemm *g) { return c->k->matmul.gemm_packed_bytes(g); }

void hd_matmul_conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed, const float *bias,
                    const void *residual, void *y, void *ws) {
	c->k->matmul.conv(c, v, x, weight, packed, bias, residual, y, ws);
}

size_t hd_matmul_conv_workspace(const hd_ctx *c, const hd_conv *v, int packed) { return c->k->matmul.conv_workspace(c, v, packed); }

void hd_matmul_conv_pack(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed) {
	c->k->matmul.conv_pack(c, v, weight, packed);
}

size_t hd_matmul_conv_packed_bytes(const hd_ctx *c, const hd_conv *v) { return c->k->matmul.conv_packed_bytes(v); }

void hd_matmul_conv_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight, const void *residual, void *dx,
                              void *ws) {
	c->k->matmul.conv_data_grad(c, v, dy, weight, residual, dx, ws);
}

size_t hd_matmul_conv_data_grad_workspace(const hd_ctx *c, const hd_conv *v) { return c->k->matmul.conv_data_grad_workspace(c, v); }

void hd_matmul_conv_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	c->k->matmul.conv_weight_grad(c, v, x, dy, dw, ws);
}

size_t hd_matmul_conv_weight_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	return c->k->matmul.conv_weight_grad_workspace(c, v);
}

void hd_matmul_column_sums(const hd_ctx *c, long m, long n, hd_dtype type, const void *x, float *out, void *ws) {
	c->k->matmul.column_sums(c, m, n, type, x, out, ws);
}

size_t hd_matmul_column_sums_workspace(const hd_ctx *c, long m, long n) { return c->k->matmul.column_sums_workspace(c, m, n); }

hd_conv_algorithm hd_conv_choose(const hd_conv *v, hd_conv_pass pass, int threads, int low_memory, int packed) {
	(void)v; (void)pass; (void)threads; (void)low_memory; (void)packed;
	return HD_CONV_DIRECT;
}
