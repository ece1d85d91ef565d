// The normal distribution that an autoencoder's moments describe: samples of it, its divergence from the standard
// normal one, and the gradients of both.

typedef enum { PO_SAMPLE, PO_SAMPLE_GRAD, PO_KL, PO_KL_GRAD } po_op;

typedef struct {
	const hd_posterior *p;
	hd_n row_block;
	const void *moments, *noise, *dy;
	void *y;
	float scale;
	double *partial; // of each task
	po_op op;
} po_job;

INLINE void po_rows(const po_job *j, hd_n task, po_op op, hd_dtype type) {
	hd_n c = j->p->c, end = rw_min((task + 1) * j->row_block, j->p->m);
	vf low = bc(j->p->low), high = bc(j->p->high);
	wide_half s0 = {0}, s1 = {0};
	for (hd_n r = task * j->row_block; r < end; r++)
		RW_RANGE(i, n, 0, c, {
			hd_n at = r * c + i, means = at + r * c, variances = means + c;
			vf mean = rw_ld(j->moments, means, n, type), logvar = rw_ld(j->moments, variances, n, type);
			vi below = (vi)(logvar < low), above = (vi)(logvar > high); // a NaN stays a NaN
			logvar = vsel(above, high, vsel(below, low, logvar));
			if (op == PO_SAMPLE) {
				rw_st(j->y, at, mean + vexp(0.5f * logvar) * rw_ld(j->noise, at, n, type), n, type);
			} else if (op == PO_SAMPLE_GRAD) {
				vf dy = rw_ld(j->dy, at, n, type), d = dy * rw_ld(j->noise, at, n, type) * (0.5f * vexp(0.5f * logvar));
				rw_st(j->y, means, dy, n, type);
				rw_st(j->y, variances, vsel(below | above, bc(0), d), n, type);
			} else if (op == PO_KL) {
				float twice[VL]; // 0 in the lanes past n
				st(twice, mean * mean + (vexp(logvar) - 1.0f - logvar));
				s0 += opt_widen(twice);
				s1 += opt_widen(twice + OPT_HALF);
			} else {
				vf d = (0.5f * j->scale) * (vexp(logvar) - 1.0f);
				rw_st(j->y, means, mean * j->scale, n, type);
				rw_st(j->y, variances, vsel(below | above, bc(0), d), n, type);
			}
		});
	if (op == PO_KL)
		j->partial[task] = 0.5 * opt_vsum(s0 + s1);
}

static void po_task(void *arg, hd_n task, int thread) {
	const po_job *j = arg;
	switch (j->op) {
	case PO_SAMPLE:
		RW_TYPED(j->p->type, po_rows, j, task, PO_SAMPLE);
		break;
	case PO_SAMPLE_GRAD:
		RW_TYPED(j->p->type, po_rows, j, task, PO_SAMPLE_GRAD);
		break;
	case PO_KL:
		RW_TYPED(j->p->type, po_rows, j, task, PO_KL);
		break;
	default:
		RW_TYPED(j->p->type, po_rows, j, task, PO_KL_GRAD);
	}
}

static hd_n po_row_block(const hd_posterior *p) { return rw_max(RW_TILE / (2 * p->c), 1); }

static hd_n po_tasks(const hd_posterior *p) { return rw_div(p->m, po_row_block(p)); }

static void po_run(const hd_ctx *c, po_job j) {
	j.row_block = po_row_block(j.p);
	hd_pool_for(c->pool, po_tasks(j.p), po_task, &j);
}

static void posterior_sample(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise, void *y) {
	po_run(c, (po_job){.p = p, .moments = moments, .noise = noise, .y = y, .op = PO_SAMPLE});
}

static void posterior_sample_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, const void *noise,
                                  const void *dy, void *dmoments) {
	po_run(c, (po_job){.p = p, .moments = moments, .noise = noise, .dy = dy, .y = dmoments, .op = PO_SAMPLE_GRAD});
}

static void posterior_kl(const hd_ctx *c, const hd_posterior *p, const void *moments, float *kl, void *ws) {
	double *partial = ws, sum = 0;
	po_run(c, (po_job){.p = p, .moments = moments, .partial = partial, .op = PO_KL});
	for (hd_n i = 0; i < po_tasks(p); i++)
		sum += partial[i];
	*kl = (float)(sum / p->n);
}

static size_t posterior_kl_workspace(const hd_ctx *c, const hd_posterior *p) {
	return po_tasks(p) * sizeof(double);
}

static void posterior_kl_grad(const hd_ctx *c, const hd_posterior *p, const void *moments, float dkl, void *dmoments) {
	po_run(c, (po_job){.p = p, .moments = moments, .y = dmoments, .scale = dkl / p->n, .op = PO_KL_GRAD});
}
