// Multi-head scaled dot-product attention, softmax(scale · Q Kᵀ) V, and its gradient.
#ifndef HD_ATTENTION_H
#define HD_ATTENTION_H

// Shapes of one attention. Tokens are rows: q [batch,lq,·], k and v [batch,lk,·], o [batch,lq,·], with head h in
// columns h*d … h*d+d-1.
typedef struct {
	hd_n batch, heads, lq, lk, d;
	hd_n ld;       // row stride of all: heads*d
	float scale;   // > 0, usually 1/sqrt(d)
	int causal;    // query i sees keys 0 … i only; lq == lk
	hd_dtype type; // of every tensor; arithmetic is in float32
} hd_attention;

#endif
