// Multi-head scaled dot-product attention, softmax(scale · Q Kᵀ) V, and its gradient.
#ifndef HD_ATTENTION_H
#define HD_ATTENTION_H

// Shapes of one attention. Tokens are rows: q [batch,lq,·], k and v [batch,lk,·], o [batch,lq,·], with head h in
// columns h*d … h*d+d-1. The row strides, in elements, may exceed heads*d, so q, k and v may be slices of one fused
// projection.
typedef struct {
	long batch, heads, lq, lk, d;
	long ldq, ldk, ldv, ldo;  // row strides of q, k, v and of o (forward) or its gradient (backward)
	long lddq, lddk, lddv;    // row strides of the gradients; backward only
	float scale;              // > 0, usually 1/sqrt(d)
	int causal;               // query i sees keys 0 … i only; lq == lk
	hd_dtype type;            // of every tensor; arithmetic is in float32
} hd_attention;

#endif
