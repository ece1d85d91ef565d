// Matrix products and convolutions, forward and backward, all on one packed, register-blocked product.
#ifndef HD_MATMUL_H
#define HD_MATMUL_H

// How a matrix operand is stored. For the left one, [M,K], and the right one, [K,N].
typedef enum {
	HD_ROWS = 0,   // row by row: [M][K] or [K][N]
	HD_COLUMNS,    // column by column, that is the transpose row by row: [K][M] or [N][K] (a weight of torch.nn.Linear)
	HD_PACKED,     // the right operand only: written by gemm_pack
} hd_layout;

// One product C = act(A·B + bias + residual).
typedef struct {
	hd_n m, n, k;
	hd_n lda, ldb, ldc, ldr;           // elements from one row (or column) to the next; ldb is not used if packed
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
	hd_n n, h, w, c;  // the image that the kernel walks over
	hd_n sh, sw;      // size of the image in memory; it is read as if resized to h×w by nearest neighbour. Usually h, w.
	hd_n o, kh, kw, stride;
	hd_n top, left, bottom, right; // rows and columns of zeros around the image
	hd_dtype type;                 // of the factors: x, dy in the data gradient, both in the weight's
	hd_dtype out_type;             // of y, of dx; residual and dw are in float32
	hd_act act;                    // forward only
	hd_conv_algorithm algorithm;
} hd_conv;

// The algorithm that should be fastest, by a model of operations and bytes fitted to measurements. native_bf16 is the
// kernels'.
hd_conv_algorithm hd_conv_choose(const hd_conv *v, hd_conv_pass pass, int threads, int native_bf16);

#endif
