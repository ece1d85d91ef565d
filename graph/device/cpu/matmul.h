// Matrix products and convolutions, forward and backward, all on one packed, register-blocked product.
#ifndef HD_MATMUL_H
#define HD_MATMUL_H

// How a matrix operand lies in memory. For the left one, [M,K], and the right one, [K,N].
typedef enum {
	HD_ROWS = 0,   // row by row: [M][K] or [K][N]
	HD_COLUMNS,    // column by column, that is the transpose row by row: [K][M] or [N][K] (a weight of torch.nn.Linear)
	HD_PACKED,     // the right operand only: what gemm_pack wrote
} hd_layout;

// One product C = act(A·B + bias + residual).
typedef struct {
	long m, n, k;
	long lda, ldb, ldc, ldr;           // elements from one row (or column) to the next; ldb is not used if packed
	hd_layout a, b;
	hd_dtype a_type, b_type, c_type;   // residual and sums are in float32; b may be rounded to a_type
	hd_act act;
} hd_gemm;

typedef enum {
	HD_CONV_DIRECT = 0, // product over (kernel row, kernel column, channel); any convolution
	HD_CONV_TAPS,       // one product for all taps, then a sum of shifted images: for few output channels; stride 1
	HD_CONV_F2,         // Winograd F(2×2,3×3): 2.25 times fewer multiplications; 3×3, stride 1
	HD_CONV_F4,         // Winograd F(4×4,3×3): 4 times fewer, about 3 times the rounding error; 3×3, stride 1
} hd_conv_algorithm;

typedef enum { HD_CONV_FORWARD = 0, HD_CONV_DATA_GRAD, HD_CONV_WEIGHT_GRAD } hd_conv_pass;

// One convolution: x [N,H,W,C] * weight [KH,KW,C,O] → y [N,H',W',O] with H' = (H + top + bottom - KH)/stride + 1.
typedef struct {
	long n, h, w, c;  // the image that the kernel walks over
	long sh, sw;      // size of the image in memory; it is read as if resized to h×w by nearest neighbour. Usually h, w.
	long o, kh, kw, stride;
	long top, left, bottom, right; // rows and columns of zeros around the image
	hd_dtype type;                 // of what is multiplied: x, dy in the data gradient, both in the weight's
	hd_dtype out_type;             // of y, of dx; residual and dw are in float32
	hd_act act;                    // forward only
	hd_conv_algorithm algorithm;
} hd_conv;

// ws is scratch memory of as many bytes as the …_workspace function of a kernel says; ws and packed operands are best
// aligned to 64 bytes. No operand may overlap the result but where it is said.
typedef struct {
	// C = act(A·B + bias[N] + residual[M,N]); bias and residual may be NULL, residual may be c itself (with ldr = ldc) if c is
	// float32 too.
	// Otherwise c may not overlap an input. The sums do not depend on the number of threads unless k is split, which
	// happens for small m×n and long k; they are the same from run to run.
	void (*gemm)(const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias, const float *residual, void *out,
	             void *ws);
	size_t (*gemm_workspace)(const hd_ctx *c, const hd_gemm *g);

	// Packs the right operand once, so that g.b = HD_PACKED serves many products: g as for gemm, of which n, k, ldb, b and
	// the types of a and b count. The format belongs to the instruction set.
	void (*gemm_pack)(const hd_ctx *c, const hd_gemm *g, const void *b, float *packed);
	size_t (*gemm_packed_bytes)(const hd_gemm *g);

	// y = act(x * weight + bias[O] + residual[N,H',W',O]). Either weight or packed, from conv_pack for the same algorithm,
	// is given, the other is NULL; bias and residual may be NULL; residual may be y if that is float32. Winograd takes the weight as it is
	// (conv_packed_bytes is 0): transformed filters are larger, and reading them takes as long as making them in the cache.
	void (*conv)(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed, const float *bias,
	             const float *residual, void *y, void *ws);
	size_t (*conv_workspace)(const hd_ctx *c, const hd_conv *v, int packed);
	void (*conv_pack)(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed);
	size_t (*conv_packed_bytes)(const hd_conv *v);

	// dx [N,H,W,C] = the gradient with respect to x, + residual [N,H,W,C] if not NULL, which may be dx if that is float32. No resize:
	// sh, sw must be h, w. Direct or Winograd.
	void (*conv_data_grad)(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight, const float *residual, void *dx,
	                       void *ws);
	size_t (*conv_data_grad_workspace)(const hd_ctx *c, const hd_conv *v);

	// dw [KH,KW,C,O] = the gradient with respect to the weight. No resize either. Direct or Winograd.
	void (*conv_weight_grad)(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws);
	size_t (*conv_weight_grad_workspace)(const hd_ctx *c, const hd_conv *v);

	// out[n] = the sum over rows of x [m,n]: the gradient of a bias. Summed in blocks of rows, then over the blocks.
	void (*column_sums)(const hd_ctx *c, long m, long n, hd_dtype type, const void *x, float *out, void *ws);
	size_t (*column_sums_workspace)(const hd_ctx *c, long m, long n);
} hd_matmul_kernels;

void hd_matmul_gemm(const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias, const float *residual, void *out,
                    void *ws);
size_t hd_matmul_gemm_workspace(const hd_ctx *c, const hd_gemm *g);
void hd_matmul_gemm_pack(const hd_ctx *c, const hd_gemm *g, const void *b, float *packed);
size_t hd_matmul_gemm_packed_bytes(const hd_ctx *c, const hd_gemm *g);
void hd_matmul_conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed, const float *bias,
                    const float *residual, void *y, void *ws);
size_t hd_matmul_conv_workspace(const hd_ctx *c, const hd_conv *v, int packed);
void hd_matmul_conv_pack(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed);
size_t hd_matmul_conv_packed_bytes(const hd_ctx *c, const hd_conv *v);
void hd_matmul_conv_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight, const float *residual, void *dx,
                              void *ws);
size_t hd_matmul_conv_data_grad_workspace(const hd_ctx *c, const hd_conv *v);
void hd_matmul_conv_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws);
size_t hd_matmul_conv_weight_grad_workspace(const hd_ctx *c, const hd_conv *v);
void hd_matmul_column_sums(const hd_ctx *c, long m, long n, hd_dtype type, const void *x, float *out, void *ws);
size_t hd_matmul_column_sums_workspace(const hd_ctx *c, long m, long n);

// The algorithm that should be fastest, by a model of operations and bytes fitted to measurements. native_bf16 is the kernels'.
hd_conv_algorithm hd_conv_choose(const hd_conv *v, hd_conv_pass pass, int threads, int native_bf16);

#endif
