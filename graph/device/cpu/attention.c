// Entry points of attention for cgo: each calls the kernel of the context's instruction set.
#include "kernels.h"

void hd_attention_forward(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, void *o, void *ws) {
	c->k->attention.forward(c, a, q, k, v, o, ws);
}

void hd_attention_backward(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, const void *go,
                           void *gq, void *gk, void *gv, void *ws) {
	c->k->attention.backward(c, a, q, k, v, go, gq, gk, gv, ws);
}

size_t hd_attention_forward_workspace(const hd_ctx *c, const hd_attention *a) { return c->k->attention.forward_workspace(c, a); }

size_t hd_attention_backward_workspace(const hd_ctx *c, const hd_attention *a) { return c->k->attention.backward_workspace(c, a); }
