// Element by element: activations, sums and products, conversions; broadcasts and the sums that are their gradients;
// copies.
//
// Each kernel is an INLINE step over up to VL neighbours, called in a loop with the constant VL, which drops the
// bounds checks, and once for the rest. Types and operations are constants too where a step is inlined.

enum {
	RW_TILE = 16384, // elements in a task: 64 KiB of each tensor
	RW_COLS = 512,   // most columns of a tile; values for each column fit the L1 cache, on the stack
	RW_ROWS = 256,   // most rows of a tile, and of a sum in float32: longer ones go on in float64
};

INLINE hd_n rw_min(hd_n a, hd_n b) { return a < b ? a : b; }
INLINE hd_n rw_max(hd_n a, hd_n b) { return a > b ? a : b; }
INLINE hd_n rw_div(hd_n n, hd_n by) { return (n + by - 1) / by; }
INLINE hd_n rw_size(hd_dtype t) { return t == HD_BF16 ? 2 : 4; }
INLINE void *rw_at(const void *p, hd_n i, hd_dtype t) { return (char *)p + i * rw_size(t); }

// Load and store n ≤ VL elements; the lanes past n are 0. The rest of a row goes out of line: it is rare,
// and inlined everywhere it would be most of the code.
static __attribute__((noinline)) void rw_ld_rest(float *v, const void *p, hd_n i, hd_n n, hd_dtype t) {
	for (hd_n k = 0; k < VL; k++)
		v[k] = k < n ? ld1(p, i + k, t) : 0;
}
static __attribute__((noinline)) void rw_st_rest(void *p, hd_n i, const float *v, hd_n n, hd_dtype t) {
	for (hd_n k = 0; k < n; k++)
		st1(p, i + k, v[k], t);
}
INLINE vf rw_ld(const void *p, hd_n i, hd_n n, hd_dtype t) {
	if (n == VL)
		return ldt(p, i, t);
	float v[VL];
	rw_ld_rest(v, p, i, n, t);
	return ld(v);
}
INLINE void rw_st(void *p, hd_n i, vf x, hd_n n, hd_dtype t) {
	if (n == VL) {
		stt(p, i, x, t);
		return;
	}
	float v[VL];
	st(v, x);
	rw_st_rest(p, i, v, n, t);
}

// f(…, type) with a constant type.
#define RW_TYPED(type, f, ...) \
	do { \
		if ((type) == HD_BF16) \
			f(__VA_ARGS__, HD_BF16); \
		else \
			f(__VA_ARGS__, HD_F32); \
	} while (0)

// The statement for i, i + VL, … in [i0, i1), each time for n elements: the constant VL, and at the end the rest.
#define RW_RANGE(i, n, i0, i1, ...) \
	do { \
		hd_n i = (i0), rw_end = (i1); \
		for (; i + VL <= rw_end; i += VL) { \
			enum { n = VL }; \
			__VA_ARGS__; \
		} \
		if (i < rw_end) { \
			hd_n n = rw_end - i; \
			__VA_ARGS__; \
		} \
	} while (0)

// A matrix of rows × cols cut into tiles of up to RW_TILE elements, for each of several images.
typedef struct {
	hd_n rows, cols;
	hd_n row_block, col_block;   // of a tile
	hd_n row_blocks, col_blocks; // tiles down and across
} rw_grid;

typedef struct {
	hd_n image, row_block; // which
	hd_n r0, r1, c0, c1;
} rw_tile;

static rw_grid rw_split(hd_n rows, hd_n cols) {
	rw_grid g = {.rows = rows, .cols = cols};
	g.col_block = rw_min(rw_div(rw_div(cols, rw_div(cols, RW_COLS)), 16) * 16, cols);
	g.col_blocks = rw_div(cols, g.col_block);
	g.row_block = rw_min(rw_max(RW_TILE / g.col_block, 1), rw_min(rows, RW_ROWS));
	g.row_blocks = rw_div(rows, g.row_block);
	return g;
}

static rw_tile rw_tile_of(const rw_grid *g, hd_n task) {
	rw_tile t;
	hd_n c = task % g->col_blocks, rest = task / g->col_blocks;
	t.row_block = rest % g->row_blocks;
	t.image = rest / g->row_blocks;
	t.r0 = t.row_block * g->row_block;
	t.r1 = rw_min(t.r0 + g->row_block, g->rows);
	t.c0 = c * g->col_block;
	t.c1 = rw_min(t.c0 + g->col_block, g->cols);
	return t;
}

INLINE hd_n rw_tiles(const rw_grid *g, hd_n images) { return images * g->row_blocks * g->col_blocks; }

// ---- Maps of whole tensors

typedef struct {
	hd_map f;
	hd_n n;
	const void *a, *b;
	void *y;
} ew_job;

INLINE void ew_step(const ew_job *j, hd_n i, hd_n n, hd_map_op op, hd_act act, hd_dtype type) {
	vf a = rw_ld(j->a, i, n, type), y;
	switch (op) {
	case HD_ACTIVATION:
		y = vact(a, act);
		break;
	case HD_ACTIVATION_GRAD:
		y = vact_grad(a, act) * rw_ld(j->b, i, n, type);
		break;
	case HD_ADD:
		y = a + rw_ld(j->b, i, n, type);
		break;
	case HD_MUL:
		y = a * rw_ld(j->b, i, n, type);
		break;
	case HD_SCALE:
		y = a * j->f.alpha;
		break;
	default:
		y = a * j->f.alpha + rw_ld(j->b, i, n, type) * j->f.beta;
	}
	rw_st(j->y, i, y, n, type);
}

INLINE void ew_range(const ew_job *j, hd_n i0, hd_n i1, hd_map_op op, hd_act act, hd_dtype type) {
	RW_RANGE(i, n, i0, i1, ew_step(j, i, n, op, act, type));
}

INLINE void ew_acts(const ew_job *j, hd_n i0, hd_n i1, hd_map_op op, hd_dtype type) {
	switch (j->f.act) {
	case HD_ACT_SILU:
		ew_range(j, i0, i1, op, HD_ACT_SILU, type);
		break;
	case HD_ACT_GELU:
		ew_range(j, i0, i1, op, HD_ACT_GELU, type);
		break;
	case HD_ACT_QUICK_GELU:
		ew_range(j, i0, i1, op, HD_ACT_QUICK_GELU, type);
		break;
	case HD_ACT_RELU:
		ew_range(j, i0, i1, op, HD_ACT_RELU, type);
		break;
	default:
		ew_range(j, i0, i1, op, HD_ACT_NONE, type);
	}
}

INLINE void ew_ops(const ew_job *j, hd_n i0, hd_n i1, hd_dtype type) {
	switch (j->f.op) {
	case HD_ACTIVATION:
		ew_acts(j, i0, i1, HD_ACTIVATION, type);
		break;
	case HD_ACTIVATION_GRAD:
		ew_acts(j, i0, i1, HD_ACTIVATION_GRAD, type);
		break;
	case HD_ADD:
		ew_range(j, i0, i1, HD_ADD, HD_ACT_NONE, type);
		break;
	case HD_MUL:
		ew_range(j, i0, i1, HD_MUL, HD_ACT_NONE, type);
		break;
	case HD_SCALE:
		ew_range(j, i0, i1, HD_SCALE, HD_ACT_NONE, type);
		break;
	default:
		ew_range(j, i0, i1, HD_SCALE_ADD, HD_ACT_NONE, type);
	}
}

static void ew_task(void *arg, hd_n task, int thread) {
	const ew_job *j = arg;
	hd_n i0 = task * RW_TILE, i1 = rw_min(i0 + RW_TILE, j->n);
	RW_TYPED(j->f.type, ew_ops, j, i0, i1);
}

static void map(const hd_ctx *c, const hd_map *f, hd_n n, const void *a, const void *b, void *y) {
	ew_job j = {*f, n, a, b, y};
	if (f->op == HD_SCALE_ADD && f->beta == 0)
		j.f.op = HD_SCALE;
	hd_pool_for(c->pool, rw_div(n, RW_TILE), ew_task, &j);
}

typedef struct {
	hd_n n;
	const void *src;
	void *dst;
	hd_dtype src_type, dst_type;
} ew_convert_job;

INLINE void ew_convert_range(const ew_convert_job *j, hd_n i0, hd_n i1, hd_dtype src_type, hd_dtype dst_type) {
	RW_RANGE(i, n, i0, i1, rw_st(j->dst, i, rw_ld(j->src, i, n, src_type), n, dst_type));
}

static void ew_convert_task(void *arg, hd_n task, int thread) {
	const ew_convert_job *j = arg;
	hd_n i0 = task * RW_TILE, i1 = rw_min(i0 + RW_TILE, j->n);
	if (j->src_type == j->dst_type)
		memcpy(rw_at(j->dst, i0, j->dst_type), rw_at(j->src, i0, j->src_type), (i1 - i0) * rw_size(j->src_type));
	else if (j->src_type == HD_F32)
		ew_convert_range(j, i0, i1, HD_F32, HD_BF16);
	else
		ew_convert_range(j, i0, i1, HD_BF16, HD_F32);
}

static void convert(const hd_ctx *c, hd_n n, const void *src, hd_dtype src_type, void *dst, hd_dtype dst_type) {
	ew_convert_job j = {n, src, dst, src_type, dst_type};
	hd_pool_for(c->pool, rw_div(n, RW_TILE), ew_convert_task, &j);
}

// ---- GEGLU

typedef struct {
	rw_grid grid;
	const void *x, *dy;
	void *y;
	hd_dtype type;
} ew_geglu_job;

INLINE void ew_geglu_rows(const ew_geglu_job *j, const rw_tile *t, hd_dtype type) {
	hd_n f = j->grid.cols;
	for (hd_n r = t->r0; r < t->r1; r++)
		RW_RANGE(i, n, t->c0, t->c1, {
			vf a = rw_ld(j->x, 2 * r * f + i, n, type), g = rw_ld(j->x, (2 * r + 1) * f + i, n, type);
			rw_st(j->y, r * f + i, a * vact(g, HD_ACT_GELU), n, type);
		});
}

INLINE void ew_geglu_grad_rows(const ew_geglu_job *j, const rw_tile *t, hd_dtype type) {
	hd_n f = j->grid.cols;
	for (hd_n r = t->r0; r < t->r1; r++)
		RW_RANGE(i, n, t->c0, t->c1, {
			vf a = rw_ld(j->x, 2 * r * f + i, n, type), g = rw_ld(j->x, (2 * r + 1) * f + i, n, type);
			vf dy = rw_ld(j->dy, r * f + i, n, type), e = vexp(-0.5f * g * g), cdf = vnormal_cdf(g, e);
			rw_st(j->y, 2 * r * f + i, dy * (g * cdf), n, type);
			rw_st(j->y, (2 * r + 1) * f + i, dy * a * (cdf + g * (e * 0.39894228040143268f)), n, type);
		});
}

static void ew_geglu_task(void *arg, hd_n task, int thread) {
	const ew_geglu_job *j = arg;
	rw_tile t = rw_tile_of(&j->grid, task);
	if (j->dy)
		RW_TYPED(j->type, ew_geglu_grad_rows, j, &t);
	else
		RW_TYPED(j->type, ew_geglu_rows, j, &t);
}

static void geglu(const hd_ctx *c, hd_n m, hd_n f, const void *x, void *y, hd_dtype type) {
	ew_geglu_job j = {.grid = rw_split(m, f), .x = x, .y = y, .type = type};
	hd_pool_for(c->pool, rw_tiles(&j.grid, 1), ew_geglu_task, &j);
}
static void geglu_grad(const hd_ctx *c, hd_n m, hd_n f, const void *x, const void *dy, void *dx, hd_dtype type) {
	ew_geglu_job j = {.grid = rw_split(m, f), .x = x, .dy = dy, .y = dx, .type = type};
	hd_pool_for(c->pool, rw_tiles(&j.grid, 1), ew_geglu_task, &j);
}

// ---- Broadcasts

typedef struct {
	rw_grid grid;
	const void *x, *t; // t: one row an image
	void *y;
	hd_dtype type, t_type;
} ew_broadcast_job;

INLINE void ew_broadcast_rows(const ew_broadcast_job *j, const rw_tile *t, hd_dtype t_type, hd_dtype type) {
	hd_n cols = j->grid.cols;
	float row[RW_COLS + 16];
	RW_RANGE(i, n, t->c0, t->c1, st(row + (i - t->c0), rw_ld(j->t, t->image * cols + i, n, t_type)));
	for (hd_n r = t->r0; r < t->r1; r++) {
		hd_n at = (t->image * j->grid.rows + r) * cols;
		RW_RANGE(i, n, t->c0, t->c1, rw_st(j->y, at + i, rw_ld(j->x, at + i, n, type) + ld(row + (i - t->c0)), n, type));
	}
}

static void ew_broadcast_task(void *arg, hd_n task, int thread) {
	const ew_broadcast_job *j = arg;
	rw_tile t = rw_tile_of(&j->grid, task);
	if (j->type == HD_F32)
		ew_broadcast_rows(j, &t, HD_F32, HD_F32);
	else
		ew_broadcast_rows(j, &t, j->t_type, HD_BF16);
}

static void add_rows(const hd_ctx *c, hd_n n, hd_n rows, hd_n cols, const void *x, const void *t, hd_dtype t_type,
                     void *y, hd_dtype type) {
	ew_broadcast_job j = {rw_split(rows, cols), x, t, y, type, t_type};
	hd_pool_for(c->pool, rw_tiles(&j.grid, n), ew_broadcast_task, &j);
}

// ---- Sums over rows: tiles into partial sums in float32, then those in float64

typedef struct {
	rw_grid grid;
	const void *x;
	float *partial; // [images][row_blocks][cols]
	hd_dtype type;
} rw_sum_job;

typedef struct {
	const float *partial; // [images][blocks][cols]
	hd_n blocks, cols;
	void *y; // [images][cols]
	hd_dtype type;
} rw_total_job;

enum { RW_TOTAL = 64 }; // columns of a task

static void rw_total_task(void *arg, hd_n task, int thread) {
	const rw_total_job *j = arg;
	hd_n across = rw_div(j->cols, RW_TOTAL), image = task / across, c0 = task % across * RW_TOTAL,
		n = rw_min(j->cols - c0, RW_TOTAL);
	double sum[RW_TOTAL] = {0};
	const float *p = j->partial + image * j->blocks * j->cols + c0;
	for (hd_n b = 0; b < j->blocks; b++, p += j->cols)
		for (hd_n i = 0; i < n; i++)
			sum[i] += p[i];
	for (hd_n i = 0; i < n; i++)
		st1(j->y, image * j->cols + c0 + i, (float)sum[i], j->type);
}

// y [images][cols] = Σ partial [images][blocks][cols] over the blocks.
static void rw_total(const hd_ctx *c, hd_n images, hd_n blocks, hd_n cols, const float *partial, void *y,
                     hd_dtype type) {
	rw_total_job j = {partial, blocks, cols, y, type};
	hd_pool_for(c->pool, images * rw_div(cols, RW_TOTAL), rw_total_task, &j);
}

INLINE void rw_sum_tile(const rw_sum_job *j, const rw_tile *t, hd_dtype type) {
	hd_n cols = j->grid.cols;
	float *sum = j->partial + (t->image * j->grid.row_blocks + t->row_block) * cols;
	memset(sum + t->c0, 0, (t->c1 - t->c0) * sizeof *sum);
	hd_n r = t->r0, at = (t->image * j->grid.rows + r) * cols;
	for (; r + 4 <= t->r1; r += 4, at += 4 * cols)
		RW_RANGE(i, n, t->c0, t->c1, {
			vf s = rw_ld(j->x, at + i, n, type) + rw_ld(j->x, at + cols + i, n, type);
			vf u = rw_ld(j->x, at + 2 * cols + i, n, type) + rw_ld(j->x, at + 3 * cols + i, n, type);
			rw_st(sum, i, rw_ld(sum, i, n, HD_F32) + (s + u), n, HD_F32);
		});
	for (; r < t->r1; r++, at += cols)
		RW_RANGE(i, n, t->c0, t->c1, rw_st(sum, i, rw_ld(sum, i, n, HD_F32) + rw_ld(j->x, at + i, n, type), n, HD_F32));
}

static void rw_sum_task(void *arg, hd_n task, int thread) {
	const rw_sum_job *j = arg;
	rw_tile t = rw_tile_of(&j->grid, task);
	RW_TYPED(j->type, rw_sum_tile, j, &t);
}

static size_t sum_rows_workspace(const hd_ctx *c, hd_n n, hd_n rows, hd_n cols) {
	return n * rw_split(rows, cols).row_blocks * cols * sizeof(float);
}

static void sum_rows(const hd_ctx *c, hd_n n, hd_n rows, hd_n cols, const void *x, hd_dtype type, void *y,
                     hd_dtype y_type, void *ws) {
	rw_sum_job j = {.grid = rw_split(rows, cols), .x = x, .partial = ws, .type = type};
	hd_pool_for(c->pool, rw_tiles(&j.grid, n), rw_sum_task, &j);
	rw_total(c, n, j.grid.row_blocks, cols, j.partial, y, y_type);
}

// ---- Copies

typedef struct {
	hd_n rows, row_block, width, lds, ldd; // width and strides in bytes
	const char *src;                       // NULL: zeros
	char *dst;
} cp_rows_job;

static void cp_rows_task(void *arg, hd_n task, int thread) {
	const cp_rows_job *j = arg;
	hd_n r0 = task * j->row_block, r1 = rw_min(r0 + j->row_block, j->rows);
	for (hd_n r = r0; r < r1; r++) {
		if (j->src)
			memcpy(j->dst + r * j->ldd, j->src + r * j->lds, j->width);
		else
			memset(j->dst + r * j->ldd, 0, j->width);
	}
}

static void copy_rows(const hd_ctx *c, hd_n rows, hd_n width, const void *src, hd_n lds, void *dst, hd_n ldd,
                      hd_dtype type) {
	hd_n size = rw_size(type);
	if (lds == width && ldd == width) { // one run of bytes: cut where it suits
		hd_n tile = rw_min(rows * width, RW_TILE), whole = rows * width / tile * tile;
		cp_rows_job j = {whole / tile, 1, tile * size, tile * size, tile * size, src, dst};
		hd_pool_for(c->pool, j.rows, cp_rows_task, &j);
		j = (cp_rows_job){1, 1, (rows * width - whole) * size, 0, 0, src ? rw_at(src, whole, type) : NULL,
		                  rw_at(dst, whole, type)};
		cp_rows_task(&j, 0, 0);
		return;
	}
	cp_rows_job j = {rows, rw_max(RW_TILE / width, 1), width * size, lds * size, ldd * size, src, dst};
	hd_pool_for(c->pool, rw_div(rows, j.row_block), cp_rows_task, &j);
}

// ---- Nearest-neighbour upsampling

typedef struct {
	hd_n hs, ws, h, w, c;
	const char *x;
	char *y;
	hd_dtype type;
} cp_upsample_job;

// The source of pixel i on an axis of n pixels made from ns; torch's rounding, with a float32 quotient.
INLINE hd_n cp_source(hd_n i, hd_n ns, hd_n n) {
	if (n == 2 * ns)
		return i / 2;
	return rw_min((hd_n)(i * ((float)ns / n)), ns - 1);
}

// The first pixel whose source is i or later.
INLINE hd_n cp_first(hd_n i, hd_n ns, hd_n n) {
	hd_n k = rw_min(i * n / ns, n);
	while (k > 0 && cp_source(k - 1, ns, n) >= i)
		k--;
	while (k < n && cp_source(k, ns, n) < i)
		k++;
	return k;
}

// One row of the output.
static void cp_upsample_task(void *arg, hd_n task, int thread) {
	const cp_upsample_job *j = arg;
	hd_n pixel = j->c * rw_size(j->type), image = task / j->h, row = cp_source(task % j->h, j->hs, j->h);
	const char *x = j->x + (image * j->hs + row) * j->ws * pixel;
	char *y = j->y + task * j->w * pixel;
	for (hd_n i = 0; i < j->w; i++)
		memcpy(y + i * pixel, x + cp_source(i, j->ws, j->w) * pixel, pixel);
}

static void upsample_nearest(const hd_ctx *c, hd_n n, hd_n hs, hd_n ws, hd_n h, hd_n w, hd_n channels, const void *x,
                             void *y, hd_dtype type) {
	cp_upsample_job j = {hs, ws, h, w, channels, x, y, type};
	hd_pool_for(c->pool, n * h, cp_upsample_task, &j);
}

// One row of the gradient of the input.
INLINE void cp_upsample_grad_row(const cp_upsample_job *j, hd_n task, hd_dtype type) {
	hd_n image = task / j->hs, row = task % j->hs;
	hd_n i0 = cp_first(row, j->hs, j->h), i1 = cp_first(row + 1, j->hs, j->h);
	hd_n next = 0;
	for (hd_n col = 0; col < j->ws; col++) {
		hd_n k0 = next, k1 = next = cp_first(col + 1, j->ws, j->w);
		RW_RANGE(ch, n, 0, j->c, {
			vf sum = bc(0);
			for (hd_n i = i0; i < i1; i++)
				for (hd_n k = k0; k < k1; k++)
					sum += rw_ld(j->x, ((image * j->h + i) * j->w + k) * j->c + ch, n, type);
			rw_st(j->y, (task * j->ws + col) * j->c + ch, sum, n, type);
		});
	}
}

static void cp_upsample_grad_task(void *arg, hd_n task, int thread) {
	const cp_upsample_job *j = arg;
	RW_TYPED(j->type, cp_upsample_grad_row, j, task);
}

static void upsample_nearest_grad(const hd_ctx *c, hd_n n, hd_n hs, hd_n ws, hd_n h, hd_n w, hd_n channels,
                                  const void *dy, void *dx, hd_dtype type) {
	cp_upsample_job j = {hs, ws, h, w, channels, dy, dx, type};
	hd_pool_for(c->pool, n * hs, cp_upsample_grad_task, &j);
}

// ---- Embeddings

typedef struct {
	hd_n m, c, row_block;
	const int32_t *ids;
	const float *table;
	void *y;
	hd_dtype type;
} cp_embedding_job;

static void cp_embedding_task(void *arg, hd_n task, int thread) {
	const cp_embedding_job *j = arg;
	hd_n r0 = task * j->row_block, r1 = rw_min(r0 + j->row_block, j->m);
	for (hd_n r = r0; r < r1; r++) {
		const float *row = j->table + j->ids[r] * j->c;
		if (j->type == HD_BF16)
			RW_RANGE(i, n, 0, j->c, rw_st(j->y, r * j->c + i, rw_ld(row, i, n, HD_F32), n, HD_BF16));
		else
			memcpy((float *)j->y + r * j->c, row, j->c * sizeof *row);
	}
}

static void embedding(const hd_ctx *c, hd_n m, hd_n channels, const int32_t *ids, const float *table, void *y,
                      hd_dtype type) {
	cp_embedding_job j = {.m = m, .c = channels, .ids = ids, .table = table, .y = y, .type = type};
	j.row_block = rw_max(RW_TILE / channels, 1);
	hd_pool_for(c->pool, rw_div(m, j.row_block), cp_embedding_task, &j);
}
