// The gradient of attention. With P = softmax(scale · Q Kᵀ) and G the gradient of O = P V:
//
//     gV = Pᵀ G,  gP = G Vᵀ,  gS = P ∘ (gP - rowsum(P ∘ gP)),  gQ = scale · gS K,  gK = scale · gSᵀ Q
//
// A block of queries holds its Pᵀ and gPᵀ for all keys. The first sweep over the keys fills them with P under the
// maximum so far and with gP, and gathers maxima and sums; the second corrects P to the last maximum and multiplies. So
// every product is done once, five in all, and each exponential once.

// Copies n rows of d values to rows of ldd ≥ d floats, zero past d.
INLINE void att_pack_rows_t(float *dst, hd_n ldd, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	for (hd_n r = 0; r < n; r++) {
		hd_n c = 0;
		for (; c + VL <= d; c += VL)
			st(dst + r * ldd + c, ldt(src, r * lds + c, type));
		for (; c < d; c++)
			dst[r * ldd + c] = ld1(src, r * lds + c, type);
		for (; c < ldd; c++)
			dst[r * ldd + c] = 0;
	}
}
static void att_pack_rows(float *dst, hd_n ldd, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	if (type == HD_BF16)
		att_pack_rows_t(dst, ldd, src, lds, n, d, HD_BF16);
	else
		att_pack_rows_t(dst, ldd, src, lds, n, d, HD_F32);
}

// g[key][c] += Σ_query p[key][query] x[query][c] for nk keys (rounded up to ATT_R), nq queries, nv vectors of channels.
INLINE void att_key_gradient_nv(const int nv, hd_n nk, hd_n nq, const float *p, hd_n ldp, const float *x, float *g,
                                hd_n ldx) {
	for (hd_n r = 0; r < nk; r += ATT_R) {
		vf acc[ATT_R][ATT_NV];
		att_mac(acc, nv, 0, nq, p + r * ldp, ldp, 1, x, ldx);
		att_add(acc, nv, g + r * ldx, ldx, NULL);
	}
}
// The same for all dv channels (a multiple of VL): three vectors at a time, and 2+2 rather than 3+1 at the end, since
// a single column of accumulators is too few to hide the latency of an FMA.
static ATT_NOINLINE void att_key_gradient(hd_n nk, hd_n nq, const float *p, hd_n ldp, const float *x, float *g,
                                          hd_n dv) {
	for (hd_n c = 0; c < dv;) {
		hd_n nv = att_min((dv - c) / VL, 3);
		if ((dv - c) / VL == 4)
			nv = 2;
		if (nv == 3)
			att_key_gradient_nv(3, nk, nq, p, ldp, x + c, g + c, dv);
		else if (nv == 2)
			att_key_gradient_nv(2, nk, nq, p, ldp, x + c, g + c, dv);
		else
			att_key_gradient_nv(1, nk, nq, p, ldp, x + c, g + c, dv);
		c += nv * VL;
	}
}

// att_exponentials, and also dot = dot·factor + Σ p·gp, with gp the gradient of p. Both have rows of lds.
static void att_exponentials_dot(int nv, hd_n n, float log2_scale, float *s, const float *gp, hd_n lds,
                                 const float *max, const float *factor, float *sum, float *dot) {
	for (int j = 0; j < nv * VL; j += VL) {
		vf m = ld(max + j), t = bc(0), u = bc(0);
		for (hd_n r = 0; r < n; r++) {
			float *sr = s + r * lds + j;
			vf p = att_exp2(ld(sr) * log2_scale - m);
			st(sr, p);
			t += p;
			u += p * ld(gp + r * lds + j);
		}
		vf f = ld(factor + j);
		st(sum + j, ld(sum + j) * f + t);
		st(dot + j, ld(dot + j) * f + u);
	}
}

// p → p·factor, the probabilities, and gp → p (gp - dot), the gradient of the scores, in place for n keys.
static void att_score_gradient(int nv, hd_n n, float *p, float *gp, hd_n lds, const float *factor, const float *dot) {
	for (int j = 0; j < nv * VL; j += VL) {
		vf f = ld(factor + j), u = ld(dot + j);
		for (hd_n i = j; i < j + n * lds; i += lds) {
			vf x = ld(p + i) * f;
			st(p + i, x);
			st(gp + i, x * (ld(gp + i) - u));
		}
	}
}

typedef struct {
	hd_n chunk, chunks;
	hd_n block, blocks;  // queries in a block, a multiple of ATT_Q; blocks
	hd_n parts;          // tasks a head's queries are split into, each with its own gK and gV, added up in order
	hd_n sums_floats;    // gK and gV of one task
	hd_n sums;           // how many of those: one a task if heads are split or fewer than threads, otherwise one a thread
	hd_n thread_floats;
} att_backward_plan;

typedef struct {
	att_backward_plan p;
	const hd_attention *a;
	const void *q, *k, *v, *go;
	void *gq, *gk, *gv;
	float *sums, *scratch;
} att_backward_job;

static att_backward_plan att_plan_backward(const hd_ctx *c, const hd_attention *a) {
	att_backward_plan p;
	hd_n threads = hd_pool_threads(c->pool), heads = a->batch * a->heads;
	hd_n d = att_round(a->d, ATT_R), dv = att_round(a->d, VL), lk = att_round(a->lk, ATT_R);
	p.chunk = att_chunk(a);
	p.chunks = att_div(a->lk, p.chunk);
	// P and gP take 3 MiB at most, or the smallest block does. A longer block makes longer sums for gK and gV.
	p.block = att_min(att_max(3 * 1024 * 1024 / (2 * 4 * lk) / ATT_Q, 1), att_max(96 / ATT_Q, 1));
	p.block = att_min(p.block, att_div(a->lq, ATT_Q)) * ATT_Q;
	p.blocks = att_div(a->lq, p.block);
	p.parts = 1;
	if (heads % threads && heads < 4 * threads)
		p.parts = att_min(att_div(4 * threads, heads), p.blocks);
	p.sums_floats = 2 * att_round(lk * dv, 16);
	p.sums = p.parts == 1 ? att_min(threads, heads) : heads * p.parts;
	p.thread_floats = 2 * att_round(lk * a->d, 16) + att_round(a->lk * d, 16) + 2 * att_round(lk * p.block, 16) +
	                  2 * att_round(p.block * a->d, 16) + 2 * att_round(p.block * dv, 16) + att_round(p.block * d, 16) +
	                  att_round(p.chunks * p.block, 16) + 3 * att_round(p.block, 16);
	return p;
}

static size_t attention_grad_workspace(const hd_ctx *c, const hd_attention *a) {
	att_backward_plan p = att_plan_backward(c, a);
	return (p.sums * p.sums_floats + hd_pool_threads(c->pool) * p.thread_floats) * sizeof(float);
}

// Stores keys k0 … k0+n-1 of one head of gK and gV: the sums of its parts, in order. Overwrites the first part's.
static void att_store_key_gradients(const att_backward_job *t, hd_n head, float *sums, hd_n k0, hd_n n) {
	const hd_attention *a = t->a;
	hd_n dv = att_round(a->d, VL), b = head / a->heads, h = head % a->heads;
	for (int which = 0; which < 2; which++) {
		float *g = sums + which * (t->p.sums_floats / 2) + k0 * dv;
		float scale = which ? 1 : a->scale;
		void *out = which ? t->gv : t->gk;
		for (hd_n i = 0; i < n * dv; i += VL) {
			vf x = ld(g + i);
			for (hd_n part = 1; part < t->p.parts; part++)
				x += ld(g + part * t->p.sums_floats + i);
			st(g + i, x * scale);
		}
		for (hd_n r = 0; r < n; r++) {
			hd_n at = (b * a->lk + k0 + r) * a->ld + h * a->d, i = 0;
			for (; i + VL <= a->d; i += VL)
				stt(out, at + i, ld(g + r * dv + i), a->type);
			for (; i < a->d; i++)
				st1(out, at + i, g[r * dv + i], a->type);
		}
	}
}

// One chunk of keys of one head.
static void att_reduce_task(void *arg, hd_n task, int thread) {
	const att_backward_job *t = arg;
	hd_n head = task / t->p.chunks, k0 = task % t->p.chunks * t->p.chunk;
	att_store_key_gradients(t, head, t->sums + head * t->p.parts * t->p.sums_floats, k0,
	                        att_min(t->a->lk - k0, t->p.chunk));
}

// One part of the queries of one head.
static void att_backward_task(void *arg, hd_n task, int thread) {
	const att_backward_job *t = arg;
	const hd_attention *a = t->a;
	hd_n head = task / t->p.parts, part = task % t->p.parts, b = head / a->heads, h = head % a->heads;
	hd_n block = t->p.block, d = att_round(a->d, ATT_R), dv = att_round(a->d, VL), lk = att_round(a->lk, ATT_R);
	float log2_scale = a->scale * 1.44269504088896341f;
	float *gk = t->sums + (t->p.sums == a->batch * a->heads * t->p.parts ? task : thread) * t->p.sums_floats,
		*gv = gk + t->p.sums_floats / 2;
	float *w = t->scratch + thread * t->p.thread_floats;
	float *k = att_take(&w, lk * a->d), *v = att_take(&w, lk * a->d), *kp = att_take(&w, a->lk * d);
	float *p = att_take(&w, lk * block), *gp = att_take(&w, lk * block);
	float *qt = att_take(&w, block * a->d), *gt = att_take(&w, block * a->d);         // transposed: Qᵀ and Gᵀ
	float *qr = att_take(&w, block * dv), *gr = att_take(&w, block * dv);             // in rows
	float *gqt = att_take(&w, block * d);
	float *chunk_max = att_take(&w, t->p.chunks * block); // the maximum that each chunk of P was made with
	float *max = att_take(&w, block), *sum = att_take(&w, block), *dot = att_take(&w, block);

	memset(gk, 0, t->p.sums_floats * sizeof *gk);
	const void *ks = att_at(t->k, b * a->lk * a->ld + h * a->d, a->type),
		*vs = att_at(t->v, b * a->lk * a->ld + h * a->d, a->type);
	att_pack_keys(k, ks, a->ld, a->lk, a->d, a->type);
	att_pack_keys(v, vs, a->ld, a->lk, a->d, a->type);
	for (hd_n k0 = 0; k0 < a->lk; k0 += t->p.chunk)
		att_pack_panels(kp + k0 * d, att_at(ks, k0 * a->ld, a->type), a->ld, att_min(a->lk - k0, t->p.chunk), a->d,
		                a->type);

	for (hd_n i = t->p.blocks * part / t->p.parts; i < t->p.blocks * (part + 1) / t->p.parts; i++) {
		hd_n q0 = i * block, q1 = att_min(q0 + block, a->lq), keys = a->causal ? att_min(a->lk, q0 + block) : a->lk;
		const void *qs = att_at(t->q, (b * a->lq + q0) * a->ld + h * a->d, a->type);
		const void *gs = att_at(t->go, (b * a->lq + q0) * a->ld + h * a->d, a->type);
		att_pack_rows(qr, dv, qs, a->ld, q1 - q0, a->d, a->type);
		att_pack_rows(gr, dv, gs, a->ld, q1 - q0, a->d, a->type);
		for (hd_n q = 0; q < q1 - q0; q += ATT_Q) {
			hd_n n = att_min(q1 - q0 - q, ATT_Q);
			att_pack_tile(qt + q * a->d, att_at(qs, q * a->ld, a->type), a->ld, n, a->d, a->type);
			att_pack_tile(gt + q * a->d, att_at(gs, q * a->ld, a->type), a->ld, n, a->d, a->type);
		}
		att_fill(max, block, -INFINITY);
		att_fill(sum, block, 0);
		att_fill(dot, block, 0);

		for (hd_n k0 = 0; k0 < keys; k0 += t->p.chunk) {
			hd_n n = att_min(keys - k0, t->p.chunk);
			for (hd_n q = 0; q < q1 - q0; q += ATT_Q) {
				int nv = att_tile_vectors(a->lq, q0 + q);
				float *pq = p + k0 * block + q, *gpq = gp + k0 * block + q, m[ATT_Q], factor[ATT_Q];
				att_scores(nv, n, a->d, k + k0 * a->d, qt + q * a->d, pq, block, m);
				att_scores(nv, n, a->d, v + k0 * a->d, gt + q * a->d, gpq, block, NULL);
				if (a->causal && k0 + n > q0 + q)
					att_mask(nv, n, k0, q0 + q, pq, block, m);
				att_raise_max(nv, log2_scale, m, max + q, factor);
				memcpy(chunk_max + k0 / t->p.chunk * block + q, max + q, sizeof m);
				att_exponentials_dot(nv, n, log2_scale, pq, gpq, block, max + q, factor, sum + q, dot + q);
			}
		}
		for (hd_n q = 0; q < block; q++)
			dot[q] /= sum[q];

		for (hd_n k0 = 0; k0 < keys; k0 += t->p.chunk) {
			hd_n n = att_min(keys - k0, t->p.chunk);
			for (hd_n q = 0; q < q1 - q0; q += ATT_Q) {
				int nv = att_tile_vectors(a->lq, q0 + q);
				float *pq = p + k0 * block + q, *gpq = gp + k0 * block + q, factor[ATT_Q], one[ATT_Q];
				const float *m = chunk_max + k0 / t->p.chunk * block + q;
				for (int j = 0; j < nv * VL; j += VL) {
					st(factor + j, att_exp2(ld(m + j) - ld(max + q + j)) / ld(sum + q + j));
					st(one + j, bc(1));
				}
				att_score_gradient(nv, n, pq, gpq, block, factor, dot + q);
				att_accumulate(nv, n, d, kp + k0 * d, att_min(a->lk - k0, t->p.chunk), gpq, block, gqt + q * d, k0 ? one : NULL);
			}
			att_key_gradient(n, q1 - q0, p + k0 * block, block, gr, gv + k0 * dv, dv);
			att_key_gradient(n, q1 - q0, gp + k0 * block, block, qr, gk + k0 * dv, dv);
		}
		float scale[ATT_Q];
		att_fill(scale, ATT_Q, a->scale);
		for (hd_n q = q0; q < q1; q += ATT_Q)
			att_store_tile(att_at(t->gq, (b * a->lq + q) * a->ld + h * a->d, a->type), a->ld, att_min(q1 - q, ATT_Q), a->d,
			               gqt + (q - q0) * d, scale, a->type);
	}
	if (t->p.parts == 1)
		att_store_key_gradients(t, head, gk, 0, a->lk);
}

static void attention_grad(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v,
                           const void *go, void *gq, void *gk, void *gv, void *ws) {
	att_backward_job t = {.p = att_plan_backward(c, a), .a = a, .q = q, .k = k, .v = v, .go = go, .gq = gq, .gk = gk,
	                      .gv = gv};
	hd_n heads = a->batch * a->heads;
	t.sums = ws;
	t.scratch = t.sums + t.p.sums * t.p.sums_floats;
	hd_pool_for(c->pool, heads * t.p.parts, att_backward_task, &t);
	if (t.p.parts > 1)
		hd_pool_for(c->pool, heads * t.p.chunks, att_reduce_task, &t);
}
