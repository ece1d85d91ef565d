// Normalisation: group and layer normalisation with their gradients.

// ---- Group normalisation

typedef struct {
	rw_grid grid; // hw × c
	hd_n groups, size; // channels in a group
	float eps;
	hd_act act;
	hd_dtype type;
	const void *dy;
	const float *x, *stats, *gamma, *beta, *sums;
	void *y;
	float *partial, *scratch;
	double *moments;
} gn_job;

static gn_job gn_new(const hd_group_norm_shape *s) {
	gn_job j = {.grid = rw_split(s->hw, s->c), .groups = s->groups, .size = s->c / s->groups};
	j.eps = s->eps, j.act = s->act, j.type = s->type;
	return j;
}

// Statistics take one pass over tiles that are whole rows. Sums of x - shift and its square, in float32 for each
// channel of a tile, where shift is the group's mean in the tile's first row; then everything in float64, tiles merged
// as Chan et al. 1983. E[x²] - E[x]² in float32 would fail for a mean of 30 and a standard deviation of 0.01.

static rw_grid gn_stats_grid(const hd_group_norm_shape *s) {
	rw_grid g = {.rows = s->hw, .cols = s->c, .col_block = s->c, .col_blocks = 1};
	g.row_block = rw_min(rw_min(rw_max(2 * RW_TILE / s->c, 16), RW_ROWS), s->hw);
	g.row_blocks = rw_div(s->hw, g.row_block);
	return g;
}

static size_t group_norm_stats_workspace(const hd_ctx *c, const hd_group_norm_shape *s) {
	return 2 * s->n * gn_stats_grid(s).row_blocks * s->groups * sizeof(double) +
		3 * hd_pool_threads(c->pool) * s->c * sizeof(float);
}

static void gn_stats_tile(const gn_job *j, const rw_tile *t, float *shift) {
	hd_n cols = j->grid.cols, at = (t->image * j->grid.rows + t->r0) * cols;
	float *sum = shift + cols, *square = sum + cols;
	for (hd_n g = 0, ch = 0; g < j->groups; g++) {
		float mean = 0;
		for (hd_n k = 0; k < j->size; k++)
			mean += j->x[at + ch + k];
		mean /= j->size;
		for (hd_n k = 0; k < j->size; k++, ch++)
			shift[ch] = mean;
	}
	memset(sum, 0, 2 * cols * sizeof *sum);
	hd_n r = t->r0;
	for (; r + 4 <= t->r1; r += 4, at += 4 * cols)
		RW_RANGE(i, n, 0, cols, {
			vf m = rw_ld(shift, i, n, HD_F32);
			vf a = rw_ld(j->x, at + i, n, HD_F32) - m, b = rw_ld(j->x, at + cols + i, n, HD_F32) - m;
			vf c = rw_ld(j->x, at + 2 * cols + i, n, HD_F32) - m, d = rw_ld(j->x, at + 3 * cols + i, n, HD_F32) - m;
			rw_st(sum, i, rw_ld(sum, i, n, HD_F32) + ((a + b) + (c + d)), n, HD_F32);
			rw_st(square, i, rw_ld(square, i, n, HD_F32) + ((a * a + b * b) + (c * c + d * d)), n, HD_F32);
		});
	for (; r < t->r1; r++, at += cols)
		RW_RANGE(i, n, 0, cols, {
			vf a = rw_ld(j->x, at + i, n, HD_F32) - rw_ld(shift, i, n, HD_F32);
			rw_st(sum, i, rw_ld(sum, i, n, HD_F32) + a, n, HD_F32);
			rw_st(square, i, rw_ld(square, i, n, HD_F32) + a * a, n, HD_F32);
		});
	double *moments = j->moments + 2 * (t->image * j->grid.row_blocks + t->row_block) * j->groups;
	double count = (double)(t->r1 - t->r0) * j->size;
	for (hd_n g = 0; g < j->groups; g++, moments += 2, shift += j->size) {
		double s = 0, q = 0;
		for (hd_n k = 0; k < j->size; k++) {
			s += *sum++;
			q += *square++;
		}
		moments[0] = *shift + s / count;
		moments[1] = q - s * s / count;
	}
}

static void gn_stats_task(void *arg, hd_n task, int thread) {
	const gn_job *j = arg;
	rw_tile t = rw_tile_of(&j->grid, task);
	gn_stats_tile(j, &t, j->scratch + 3 * thread * j->grid.cols);
}

// One group of one image: from the tiles' means and sums of squared deviations.
static void gn_merge_task(void *arg, hd_n task, int thread) {
	const gn_job *j = arg;
	hd_n image = task / j->groups, g = task % j->groups, blocks = j->grid.row_blocks;
	const double *m = j->moments + 2 * (image * blocks * j->groups + g);
	double mean = 0, deviation = 0, total = (double)j->grid.rows * j->size;
	for (hd_n b = 0; b < blocks; b++)
		mean += m[2 * b * j->groups] * rw_min(j->grid.row_block, j->grid.rows - b * j->grid.row_block);
	mean /= j->grid.rows;
	for (hd_n b = 0; b < blocks; b++) {
		double d = m[2 * b * j->groups] - mean;
		deviation += m[2 * b * j->groups + 1] +
			d * d * j->size * rw_min(j->grid.row_block, j->grid.rows - b * j->grid.row_block);
	}
	float *stats = (float *)j->y + 2 * task;
	stats[0] = (float)mean;
	stats[1] = (float)(1 / sqrt(fmax(deviation, 0) / total + j->eps));
}

static void group_norm_stats(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, float *stats, void *ws) {
	gn_job j = gn_new(s);
	j.grid = gn_stats_grid(s);
	j.x = x;
	j.y = stats;
	j.moments = ws;
	j.scratch = (float *)(j.moments + 2 * s->n * j.grid.row_blocks * s->groups);
	hd_pool_for(c->pool, rw_tiles(&j.grid, s->n), gn_stats_task, &j);
	hd_pool_for(c->pool, s->n * s->groups, gn_merge_task, &j);
}

// The kernels' values for each column of a tile.
typedef struct {
	float mean[RW_COLS + 16], rstd[RW_COLS + 16], gamma[RW_COLS + 16], beta[RW_COLS + 16];
	float mean_dz[RW_COLS + 16], mean_dzx[RW_COLS + 16]; // the group's means of dz·gamma and dz·gamma·x̂
} gn_columns;

static void gn_columns_of(const gn_job *j, const rw_tile *t, gn_columns *k) {
	double total = (double)j->grid.rows * j->size;
	for (hd_n g = t->c0 / j->size; g * j->size < t->c1; g++) {
		const float *stats = j->stats + 2 * (t->image * j->groups + g);
		double dz = 0, dzx = 0;
		if (j->sums) {
			const float *sums = j->sums + 2 * t->image * j->grid.cols;
			for (hd_n c = g * j->size; c < (g + 1) * j->size; c++) {
				dz += (double)sums[c] * j->gamma[c];
				dzx += (double)sums[j->grid.cols + c] * j->gamma[c];
			}
		}
		for (hd_n c = rw_max(g * j->size, t->c0); c < rw_min((g + 1) * j->size, t->c1); c++) {
			k->mean[c - t->c0] = stats[0];
			k->rstd[c - t->c0] = stats[1];
			k->gamma[c - t->c0] = j->gamma[c];
			k->beta[c - t->c0] = j->beta[c];
			k->mean_dz[c - t->c0] = (float)(dz / total);
			k->mean_dzx[c - t->c0] = (float)(dzx / total);
		}
	}
}

INLINE vf gn_xhat(const gn_job *j, const gn_columns *k, hd_n at, hd_n i, hd_n n) {
	return (rw_ld(j->x, at + i, n, HD_F32) - ld(k->mean + i)) * ld(k->rstd + i);
}
// The gradient of z = x̂·gamma + beta from that of act(z).
INLINE vf gn_dz(const gn_job *j, const gn_columns *k, vf xhat, hd_n at, hd_n i, hd_n n, hd_act act, hd_dtype type) {
	vf dy = rw_ld(j->dy, at + i, n, type);
	if (act != HD_ACT_NONE)
		dy *= vact_grad(xhat * ld(k->gamma + i) + ld(k->beta + i), act);
	return dy;
}

INLINE void gn_forward_tile(const gn_job *j, const rw_tile *t, hd_act act, hd_dtype type) {
	gn_columns k;
	gn_columns_of(j, t, &k);
	for (hd_n r = t->r0; r < t->r1; r++) {
		hd_n at = (t->image * j->grid.rows + r) * j->grid.cols + t->c0;
		RW_RANGE(i, n, 0, t->c1 - t->c0, {
			vf z = gn_xhat(j, &k, at, i, n) * ld(k.gamma + i) + ld(k.beta + i);
			rw_st(j->y, at + i, vact(z, act), n, type);
		});
	}
}

INLINE void gn_grad_sums_tile(const gn_job *j, const rw_tile *t, hd_act act, hd_dtype type) {
	gn_columns k;
	gn_columns_of(j, t, &k);
	float *dz_sum = j->partial + 2 * (t->image * j->grid.row_blocks + t->row_block) * j->grid.cols + t->c0;
	float *dzx_sum = dz_sum + j->grid.cols;
	memset(dz_sum, 0, (t->c1 - t->c0) * sizeof *dz_sum);
	memset(dzx_sum, 0, (t->c1 - t->c0) * sizeof *dzx_sum);
	for (hd_n r = t->r0; r < t->r1; r++) {
		hd_n at = (t->image * j->grid.rows + r) * j->grid.cols + t->c0;
		RW_RANGE(i, n, 0, t->c1 - t->c0, {
			vf xhat = gn_xhat(j, &k, at, i, n), dz = gn_dz(j, &k, xhat, at, i, n, act, type);
			rw_st(dz_sum, i, rw_ld(dz_sum, i, n, HD_F32) + dz, n, HD_F32);
			rw_st(dzx_sum, i, rw_ld(dzx_sum, i, n, HD_F32) + dz * xhat, n, HD_F32);
		});
	}
}

INLINE void gn_grad_input_tile(const gn_job *j, const rw_tile *t, hd_act act, hd_dtype type) {
	gn_columns k;
	gn_columns_of(j, t, &k);
	for (hd_n r = t->r0; r < t->r1; r++) {
		hd_n at = (t->image * j->grid.rows + r) * j->grid.cols + t->c0;
		RW_RANGE(i, n, 0, t->c1 - t->c0, {
			vf xhat = gn_xhat(j, &k, at, i, n), dz = gn_dz(j, &k, xhat, at, i, n, act, type);
			vf dx = dz * ld(k.gamma + i) - ld(k.mean_dz + i) - xhat * ld(k.mean_dzx + i);
			rw_st(j->y, at + i, dx * ld(k.rstd + i), n, HD_F32);
		});
	}
}

INLINE void gn_tile(const gn_job *j, const rw_tile *t, hd_act act, hd_dtype type) {
	if (j->partial)
		gn_grad_sums_tile(j, t, act, type);
	else if (j->dy)
		gn_grad_input_tile(j, t, act, type);
	else
		gn_forward_tile(j, t, act, type);
}

static void gn_task(void *arg, hd_n task, int thread) {
	const gn_job *j = arg;
	rw_tile t = rw_tile_of(&j->grid, task);
	if (j->act == HD_ACT_SILU)
		RW_TYPED(j->type, gn_tile, j, &t, HD_ACT_SILU);
	else
		RW_TYPED(j->type, gn_tile, j, &t, HD_ACT_NONE);
}

static void group_norm(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
                       const float *gamma, const float *beta, void *y) {
	gn_job j = gn_new(s);
	j.x = x, j.stats = stats, j.gamma = gamma, j.beta = beta, j.y = y;
	hd_pool_for(c->pool, rw_tiles(&j.grid, s->n), gn_task, &j);
}

static size_t group_norm_grad_sums_workspace(const hd_ctx *c, const hd_group_norm_shape *s) {
	return 2 * s->n * rw_split(s->hw, s->c).row_blocks * s->c * sizeof(float);
}

static void group_norm_grad_sums(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
                                 const float *gamma, const float *beta, const void *dy, float *sums, void *ws) {
	gn_job j = gn_new(s);
	j.x = x, j.stats = stats, j.gamma = gamma, j.beta = beta, j.dy = dy, j.partial = ws;
	hd_pool_for(c->pool, rw_tiles(&j.grid, s->n), gn_task, &j);
	rw_total(c, s->n, j.grid.row_blocks, 2 * s->c, j.partial, sums, HD_F32);
}

static void group_norm_grad_input(const hd_ctx *c, const hd_group_norm_shape *s, const float *x, const float *stats,
                                  const float *gamma, const float *beta, const void *dy, const float *sums, float *dx) {
	gn_job j = gn_new(s);
	j.x = x, j.stats = stats, j.gamma = gamma, j.beta = beta, j.dy = dy, j.sums = sums, j.y = dx;
	hd_pool_for(c->pool, rw_tiles(&j.grid, s->n), gn_task, &j);
}

// ---- Layer normalisation: rows are short, so their passes after the first find them in the L1 cache

typedef struct {
	hd_n m, c, row_block;
	float eps;
	hd_dtype type;
	const void *dy;
	const float *x, *gamma, *beta;
	void *y;
	float *partial;
} ln_job;

static ln_job ln_new(const hd_layer_norm_shape *s) {
	return (ln_job){.m = s->m, .c = s->c, .row_block = rw_max(RW_TILE / s->c, 1), .eps = s->eps, .type = s->type};
}

typedef struct {
	float mean, rstd;
} ln_moments;

// Mean and 1/sqrt(variance + eps) of a row. The second pass sums deviations from the first one's mean, and
// corrects it.
INLINE ln_moments ln_moments_of(const float *x, hd_n c, float eps) {
	vf s[4] = {bc(0), bc(0), bc(0), bc(0)}, q[4] = {bc(0), bc(0), bc(0), bc(0)};
	hd_n i = 0;
	float rest = 0, rest_squares = 0;
	for (; i + 4 * VL <= c; i += 4 * VL)
		for (int k = 0; k < 4; k++)
			s[k] += ld(x + i + k * VL);
	for (; i + VL <= c; i += VL)
		s[0] += ld(x + i);
	for (; i < c; i++)
		rest += x[i];
	float mean = (vsum((s[0] + s[1]) + (s[2] + s[3])) + rest) / c;
	for (int k = 0; k < 4; k++)
		s[k] = bc(0);
	rest = 0;
	for (i = 0; i + 4 * VL <= c; i += 4 * VL)
		for (int k = 0; k < 4; k++) {
			vf d = ld(x + i + k * VL) - mean;
			s[k] += d;
			q[k] += d * d;
		}
	for (; i + VL <= c; i += VL) {
		vf d = ld(x + i) - mean;
		s[0] += d;
		q[0] += d * d;
	}
	for (; i < c; i++) {
		float d = x[i] - mean;
		rest += d;
		rest_squares += d * d;
	}
	float d = (vsum((s[0] + s[1]) + (s[2] + s[3])) + rest) / c;
	float variance = (vsum((q[0] + q[1]) + (q[2] + q[3])) + rest_squares) / c - d * d;
	return (ln_moments){mean + d, 1 / sqrtf(fmaxf(variance, 0) + eps)};
}

INLINE void ln_forward_rows(const ln_job *j, hd_n r0, hd_n r1, hd_dtype type) {
	for (hd_n at = r0 * j->c; at < r1 * j->c; at += j->c) {
		ln_moments m = ln_moments_of(j->x + at, j->c, j->eps);
		RW_RANGE(i, n, 0, j->c, {
			vf xhat = (rw_ld(j->x, at + i, n, HD_F32) - m.mean) * m.rstd;
			rw_st(j->y, at + i, xhat * rw_ld(j->gamma, i, n, HD_F32) + rw_ld(j->beta, i, n, HD_F32), n, type);
		});
	}
}

INLINE void ln_grad_input_rows(const ln_job *j, hd_n r0, hd_n r1, hd_dtype type) {
	for (hd_n at = r0 * j->c; at < r1 * j->c; at += j->c) {
		ln_moments m = ln_moments_of(j->x + at, j->c, j->eps);
		vf s = bc(0), sx = bc(0);
		RW_RANGE(i, n, 0, j->c, {
			vf g = rw_ld(j->dy, at + i, n, type) * rw_ld(j->gamma, i, n, HD_F32);
			s += g;
			sx += g * ((rw_ld(j->x, at + i, n, HD_F32) - m.mean) * m.rstd);
		});
		float mean_g = vsum(s) / j->c, mean_gx = vsum(sx) / j->c;
		RW_RANGE(i, n, 0, j->c, {
			vf g = rw_ld(j->dy, at + i, n, type) * rw_ld(j->gamma, i, n, HD_F32);
			vf xhat = (rw_ld(j->x, at + i, n, HD_F32) - m.mean) * m.rstd;
			rw_st(j->y, at + i, (g - mean_g - xhat * mean_gx) * m.rstd, n, HD_F32);
		});
	}
}

INLINE void ln_grad_params_rows(const ln_job *j, hd_n r0, hd_n r1, hd_dtype type) {
	float *dy_sum = j->partial + 2 * r0 / j->row_block * j->c, *dyx_sum = dy_sum + j->c;
	memset(dy_sum, 0, 2 * j->c * sizeof *dy_sum);
	for (hd_n at = r0 * j->c; at < r1 * j->c; at += j->c) {
		ln_moments m = ln_moments_of(j->x + at, j->c, j->eps);
		RW_RANGE(i, n, 0, j->c, {
			vf dy = rw_ld(j->dy, at + i, n, type), xhat = (rw_ld(j->x, at + i, n, HD_F32) - m.mean) * m.rstd;
			rw_st(dy_sum, i, rw_ld(dy_sum, i, n, HD_F32) + dy, n, HD_F32);
			rw_st(dyx_sum, i, rw_ld(dyx_sum, i, n, HD_F32) + dy * xhat, n, HD_F32);
		});
	}
}

INLINE void ln_rows(const ln_job *j, hd_n r0, hd_n r1, hd_dtype type) {
	if (j->partial)
		ln_grad_params_rows(j, r0, r1, type);
	else if (j->dy)
		ln_grad_input_rows(j, r0, r1, type);
	else
		ln_forward_rows(j, r0, r1, type);
}

static void ln_task(void *arg, hd_n task, int thread) {
	const ln_job *j = arg;
	hd_n r0 = task * j->row_block, r1 = rw_min(r0 + j->row_block, j->m);
	RW_TYPED(j->type, ln_rows, j, r0, r1);
}

static void layer_norm(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma,
                       const float *beta, void *y) {
	ln_job j = ln_new(s);
	j.x = x, j.gamma = gamma, j.beta = beta, j.y = y;
	hd_pool_for(c->pool, rw_div(j.m, j.row_block), ln_task, &j);
}

static void layer_norm_grad_input(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const float *gamma,
                                  const void *dy, float *dx) {
	ln_job j = ln_new(s);
	j.x = x, j.gamma = gamma, j.dy = dy, j.y = dx;
	hd_pool_for(c->pool, rw_div(j.m, j.row_block), ln_task, &j);
}

// Rows whose sums are in float32; few enough that a task is small, many enough that the partial sums are.
INLINE hd_n ln_params_block(const hd_layer_norm_shape *s) { return rw_min(rw_max(2 * RW_TILE / s->c, 16), RW_ROWS); }

static size_t layer_norm_grad_params_workspace(const hd_ctx *c, const hd_layer_norm_shape *s) {
	return 2 * rw_div(s->m, ln_params_block(s)) * s->c * sizeof(float);
}

static void layer_norm_grad_params(const hd_ctx *c, const hd_layer_norm_shape *s, const float *x, const void *dy,
                                   float *sums, void *ws) {
	ln_job j = ln_new(s);
	j.row_block = ln_params_block(s);
	j.x = x, j.dy = dy, j.partial = ws;
	hd_n blocks = rw_div(j.m, j.row_block);
	hd_pool_for(c->pool, blocks, ln_task, &j);
	rw_total(c, 1, blocks, 2 * j.c, j.partial, sums, HD_F32);
}
