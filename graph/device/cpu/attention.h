// Multi-head scaled dot-product attention, softmax(scale · Q Kᵀ) V, and its gradient.
#ifndef HD_ATTENTION_H
#define HD_ATTENTION_H

// Shapes of one attention. Tokens are rows: q [batch,lq,·], k and v [batch,lk,·], o [batch,lq,·], with head h in columns
// h*d … h*d+d-1. The row strides, in elements, may exceed heads*d, so q, k and v may be slices of one fused projection.
typedef struct {
	long batch, heads, lq, lk, d;
	long ldq, ldk, ldv, ldo;  // row strides of q, k, v and of o (forward) or its gradient (backward)
	long lddq, lddk, lddv;    // row strides of the gradients; backward only
	float scale;              // > 0, usually 1/sqrt(d)
	int causal;               // query i sees keys 0 … i only; lq == lk
	hd_dtype type;            // of every tensor; arithmetic is in float32
} hd_attention;

typedef struct {
	// o = softmax(scale · q kᵀ) v for each image and head. o may not overlap q, k, v or ws. The result does not depend on
	// the number of threads. Online softmax over blocks of keys as in FlashAttention (Dao et al. 2022, algorithm 1):
	// no lq × lk matrix is held.
	void (*forward)(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, void *o, void *ws);

	// Gradients of the sum of o ∘ go: gq [batch,lq,·], gk and gv [batch,lk,·], overwritten. They need neither o nor any
	// statistics from the forward pass: the probabilities are computed again. No output may overlap an input, another
	// output or ws. The same bits from run to run for one number of threads.
	void (*backward)(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, const void *go, void *gq,
	                 void *gk, void *gv, void *ws);

	// Bytes of ws for these shapes with c's threads.
	size_t (*forward_workspace)(const hd_ctx *c, const hd_attention *a);
	size_t (*backward_workspace)(const hd_ctx *c, const hd_attention *a);
} hd_attention_kernels;

void hd_attention_forward(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, void *o, void *ws);
void hd_attention_backward(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, const void *go,
                           void *gq, void *gk, void *gv, void *ws);
size_t hd_attention_forward_workspace(const hd_ctx *c, const hd_attention *a);
size_t hd_attention_backward_workspace(const hd_ctx *c, const hd_attention *a);

#endif
