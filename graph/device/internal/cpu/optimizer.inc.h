// The loss, the gradients' norm and the AdamW step.

#define OPT_HALF (VL / 2)
typedef float opt_half __attribute__((vector_size(OPT_HALF * 4), aligned(4), may_alias));
typedef double wide_half __attribute__((vector_size(OPT_HALF * 8), aligned(8), may_alias));

INLINE wide_half opt_widen(const float *p) { return __builtin_convertvector(*(const opt_half *)p, wide_half); }
INLINE double opt_vsum(wide_half v) {
	double s = 0;
	for (int i = 0; i < OPT_HALF; i++)
		s += v[i];
	return s;
}

// ---- Mean squared error

typedef struct {
	hd_n n, r, blocks; // blocks of RW_TILE elements in a row
	const void *pred, *target;
	const float *weights;
	float scale;
	void *dpred;
	double *partial; // [n][blocks]
	hd_dtype type;
} opt_mse_job;

INLINE void opt_mse_range(const opt_mse_job *j, hd_n i0, hd_n i1, double *sum, hd_dtype type) {
	wide_half s0 = {0}, s1 = {0};
	RW_RANGE(i, n, i0, i1, {
		float d[VL];
		st(d, rw_ld(j->pred, i, n, type) - rw_ld(j->target, i, n, type));
		wide_half a = opt_widen(d), b = opt_widen(d + OPT_HALF);
		s0 += a * a;
		s1 += b * b;
	});
	*sum = opt_vsum(s0 + s1);
}
INLINE void opt_mse_grad_range(const opt_mse_job *j, hd_n i0, hd_n i1, float scale, hd_dtype type) {
	RW_RANGE(i, n, i0, i1, {
		rw_st(j->dpred, i, (rw_ld(j->pred, i, n, type) - rw_ld(j->target, i, n, type)) * scale, n, type);
	});
}

static void opt_mse_task(void *arg, hd_n task, int thread) {
	const opt_mse_job *j = arg;
	hd_n row = task / j->blocks, i0 = task % j->blocks * RW_TILE, i1 = rw_min(i0 + RW_TILE, j->r);
	if (j->partial)
		RW_TYPED(j->type, opt_mse_range, j, row * j->r + i0, row * j->r + i1, j->partial + task);
	else
		RW_TYPED(j->type, opt_mse_grad_range, j, row * j->r + i0, row * j->r + i1,
		         j->scale * (j->weights ? j->weights[row] : 1));
}

static size_t mse_workspace(const hd_ctx *c, hd_n n, hd_n r) {
	return n * rw_div(r, RW_TILE) * sizeof(double);
}

static void mse(const hd_ctx *c, hd_n n, hd_n r, const void *pred, const void *target, const float *weights,
                float *loss, hd_dtype type, void *ws) {
	opt_mse_job j = {.n = n, .r = r, .blocks = rw_div(r, RW_TILE), .pred = pred, .target = target, .partial = ws,
	                 .type = type};
	hd_pool_for(c->pool, n * j.blocks, opt_mse_task, &j);
	double sum = 0;
	for (hd_n i = 0; i < n * j.blocks; i++)
		sum += j.partial[i] * (weights ? weights[i / j.blocks] : 1);
	*loss = (float)(sum / ((double)n * r));
}

static void mse_grad(const hd_ctx *c, hd_n n, hd_n r, const void *pred, const void *target, const float *weights,
                     float dloss, void *dpred, hd_dtype type) {
	opt_mse_job j = {.n = n, .r = r, .blocks = rw_div(r, RW_TILE), .pred = pred, .target = target, .weights = weights,
	                 .type = type};
	j.dpred = dpred;
	j.scale = (float)(2.0 * dloss / ((double)n * r));
	hd_pool_for(c->pool, n * j.blocks, opt_mse_task, &j);
}

// ---- Sum of squares

typedef struct {
	hd_n n;
	const float *x;
	double *partial;
} opt_squares_job;

static void opt_squares_task(void *arg, hd_n task, int thread) {
	const opt_squares_job *j = arg;
	hd_n i = task * RW_TILE, end = rw_min(i + RW_TILE, j->n);
	wide_half s[4] = {{0}, {0}, {0}, {0}};
	double rest = 0;
	for (; i + 4 * OPT_HALF <= end; i += 4 * OPT_HALF)
		for (int k = 0; k < 4; k++) {
			wide_half a = opt_widen(j->x + i + k * OPT_HALF);
			s[k] += a * a;
		}
	for (; i < end; i++)
		rest += (double)j->x[i] * j->x[i];
	j->partial[task] = opt_vsum((s[0] + s[1]) + (s[2] + s[3])) + rest;
}

static size_t sum_squares_workspace(const hd_ctx *c, hd_n n) {
	return rw_div(n, RW_TILE) * sizeof(double);
}

static void sum_squares(const hd_ctx *c, hd_n n, const float *x, double *sum, void *ws) {
	opt_squares_job j = {n, x, ws};
	hd_pool_for(c->pool, rw_div(n, RW_TILE), opt_squares_task, &j);
	*sum = 0;
	for (hd_n i = 0; i < rw_div(n, RW_TILE); i++)
		*sum += j.partial[i];
}

// ---- AdamW

typedef struct {
	hd_n n;
	float decay, beta2, grad_weight, square_weight, step, correction, eps, grad_scale;
	float *p, *m, *v;
	const float *g;
} opt_adamw_job;

static void opt_adamw_task(void *arg, hd_n task, int thread) {
	const opt_adamw_job *j = arg;
	hd_n i0 = task * RW_TILE, i1 = rw_min(i0 + RW_TILE, j->n);
	RW_RANGE(i, n, i0, i1, {
		vf g = rw_ld(j->g, i, n, HD_F32) * j->grad_scale, p = rw_ld(j->p, i, n, HD_F32) * j->decay;
		vf m = rw_ld(j->m, i, n, HD_F32), v = rw_ld(j->v, i, n, HD_F32) * j->beta2;
		m += j->grad_weight * (g - m);
		v += j->square_weight * g * g;
		p -= j->step * m / (vsqrtf(v) / j->correction + j->eps);
		rw_st(j->p, i, p, n, HD_F32);
		rw_st(j->m, i, m, n, HD_F32);
		rw_st(j->v, i, v, n, HD_F32);
	});
}

static void adamw(const hd_ctx *c, hd_n n, const hd_adamw_step *h, float *p, const float *g, float *m, float *v) {
	opt_adamw_job j = {.n = n, .p = p, .g = g, .m = m, .v = v};
	j.decay = (float)(1 - h->lr * h->weight_decay);
	j.grad_weight = (float)(1 - h->beta1);
	j.beta2 = (float)h->beta2;
	j.square_weight = (float)(1 - h->beta2);
	j.step = (float)(h->lr / h->bias_correction1);
	j.correction = (float)h->bias_correction2_sqrt;
	j.eps = (float)h->eps;
	j.grad_scale = (float)h->grad_scale;
	hd_pool_for(c->pool, rw_div(n, RW_TILE), opt_adamw_task, &j);
}
