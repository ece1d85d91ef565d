// What is not a matrix product: normalisation, activations, sums and broadcasts, copies, softmax, pooling, embeddings,
// the posterior, loss and the optimiser. All of it is bound by memory, so each kernel reads its inputs and writes its
// outputs once.
//
// Tensors are contiguous, NHWC, unless a row stride is given. "type" is the activations' type; parameters, statistics
// and parameter gradients are float32. An output may be the same tensor as an input where the comment says "in place",
// and overlaps nothing else. Work is split by shape alone, so results do not depend on the number of threads, nor on
// the run.
#ifndef HD_ROWWISE_H
#define HD_ROWWISE_H

#include <stdint.h>

// Group normalisation of n images of hw pixels and c channels in groups of c/groups neighbours, then act (HD_ACT_NONE
// or HD_ACT_SILU): act(z), z = x̂·gamma + beta, x̂ = (x - mean)·rstd. Wu and He 2018; torch.nn.GroupNorm.
typedef struct {
	hd_n n, hw, c, groups; // groups divides c
	float eps;
	hd_act act;
	hd_dtype type; // of y and dy; x and dx are float32
} hd_group_norm_shape;

// Layer normalisation of m rows of c values: y = x̂·gamma + beta. Ba et al. 2016; torch.nn.LayerNorm.
typedef struct {
	hd_n m, c;
	float eps;
	hd_dtype type; // of y and dy; x and dx are float32
} hd_layer_norm_shape;

// A function of one or two elements; the activations' gradients are times b.
typedef enum { HD_ACTIVATION, HD_ACTIVATION_GRAD, HD_ADD, HD_MUL, HD_SCALE, HD_SCALE_ADD } hd_map_op;

typedef struct {
	hd_map_op op;
	hd_act act;
	float alpha, beta; // HD_SCALE: alpha·a; HD_SCALE_ADD: alpha·a + beta·b, where a beta of 0 drops b
	hd_dtype type;
} hd_map;

// Windows of kh×kw pixels that walk over n images: x [n,h,w,c] → y [n,oh,ow,c]. Each sees at least one pixel.
typedef struct {
	hd_n n, h, w, c, oh, ow;
	hd_n kh, kw, stride, top, left;
	int mean;          // else the maximum
	int count_padding; // a mean is that of kh·kw pixels, padding being zeros
	hd_dtype type;
} hd_windows;

// Moments of normal distributions, [m,2c]: each row has c means, then c logarithms of variances, which are clamped to
// low … high.
typedef struct {
	hd_n n, m, c; // n images make the m rows
	float low, high;
	hd_dtype type;
} hd_posterior;

// One AdamW step (Loshchilov and Hutter 2019, algorithm 2) as in torch.optim.AdamW, with the bias corrections given.
typedef struct {
	double lr, beta1, beta2, eps, weight_decay;
	double bias_correction1;      // 1 - beta1^step
	double bias_correction2_sqrt; // sqrt(1 - beta2^step)
	double grad_scale;            // gradients are multiplied by it first: clipping, averaging
} hd_adamw_step;

#endif
