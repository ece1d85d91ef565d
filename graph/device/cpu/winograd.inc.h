// Winograd convolutions for 3×3 kernels at stride 1 (Lavin and Gray 2016, "Fast algorithms for convolutional neural networks").
//
// An R×R tile of the result comes from an E×E tile of the image, E = R+2, that overlaps its neighbours by two pixels:
//
//     Y = Aᵀ [ Σ_c (G g Gᵀ) ∘ (Bᵀ d B) ] A         F(R×R,3×3)
//
// The sum over channels is a product [tiles,C]·[C,O] for each of the F = E² places of the tile. Three loops with all threads:
// images to V[f][tile][c], the products to M[f][tile][o], M to the result with bias, residual and activation. They run over
// blocks of tiles so that V and M stay in the L3 cache.
//
// F(2×2): points 0, ±1, ∞. F(4×4): points 0, ±√½, ±√2, ∞, whose rounding error is half of that of 0, ±1, ±2, ∞.

enum {
	WINO_BLOCK = 512 * 1024,          // floats of V and M: so many for each thread, and for two at least, or half as many
	WINO_BLOCK_MOST = 8 * 1024 * 1024, // again as there are of filters, up to so many
	WINO_FILTERS = 2 * 1024 * 1024,   // floats of filters that are transformed for a call at a time, if V is there only once,
	WINO_ALL_FILTERS = 16 * 1024 * 1024, // and if V would be made anew for each
	WINO_PAD = 16,                    // floats between rows and between places, so that they do not meet in one cache set
	WINO_FILTER_PAD = 9 * 16,         // the same between the filters of two places, which are written VL rows at a time
	WINO_FILTER_ROWS = 16,            // rows of filters that are transformed together: a cache line of the weight if it is rotated,
	WINO_FILTER_RUN = 64,             // and in a task
	WINO_PANEL_SUMS = 64 * 1024,      // floats of M for one panel at most, if its filters are transformed as they are used,
	WINO_GROUP_SUMS = 64 * 1024,      // and for a group of panels, if that many leave it at all more than one
	WINO_USED_FILTERS = 48 * 1024,    // floats of filters that wait for their product in the L2 cache
};

#define WINO_UNROLL _Pragma("GCC unroll 6")
#define WINO_Q 0.70710678118654752440 // √½

// One axis of a transform: T is vf or vd, s the distance between the elements.
INLINE void wino_input_axis(const int r, const vf *d, const int s, vf *v, const int sv) { // Bᵀ d
	if (r == 4) {
		const float q = (float)WINO_Q, q2 = (float)(2 * WINO_Q);
		vf a = d[4 * s] - 2.0f * d[2 * s], b = q * d[3 * s] - q2 * d[s];
		vf c = d[4 * s] - 0.5f * d[2 * s], e = q2 * d[3 * s] - q * d[s];
		v[0] = d[0] + (d[4 * s] - 2.5f * d[2 * s]);
		v[sv] = a + b;
		v[2 * sv] = a - b;
		v[3 * sv] = c + e;
		v[4 * sv] = c - e;
		v[5 * sv] = d[s] + (d[5 * s] - 2.5f * d[3 * s]);
	} else {
		v[0] = d[0] - d[2 * s];
		v[sv] = d[s] + d[2 * s];
		v[2 * sv] = d[2 * s] - d[s];
		v[3 * sv] = d[3 * s] - d[s];
	}
}
INLINE void wino_output_axis(const int r, const vf *m, const int s, vf *y, const int sy) { // Aᵀ m
	if (r == 4) {
		const float q = (float)WINO_Q, q2 = (float)(2 * WINO_Q);
		vf a = m[s] + m[2 * s], b = m[s] - m[2 * s], c = m[3 * s] + m[4 * s], e = m[3 * s] - m[4 * s];
		y[0] = m[0] + a + c;
		y[sy] = q * b + q2 * e;
		y[2 * sy] = 0.5f * a + 2.0f * c;
		y[3 * sy] = (0.5f * q) * b + (2.0f * q2) * e + m[5 * s];
	} else {
		y[0] = m[0] + m[s] + m[2 * s];
		y[sy] = m[s] - m[2 * s] + m[3 * s];
	}
}

// The filter's transform G g is done in double precision: it is done once, and its error would be in all results.
typedef double vd __attribute__((vector_size(VL * 4), aligned(8), may_alias)); // as wide as vf, so half as many lanes
typedef float vfd __attribute__((vector_size(VL * 2), aligned(4), may_alias));
INLINE void wino_filter_axis(const int r, const vd *g, const int s, vd *u, const int su) { // G g
	if (r == 4) {
		vd a = g[0] * (-2.0 / 3) - g[2 * s] * (1.0 / 3), b = g[s] * (2 * WINO_Q / 3);
		vd c = g[0] * (1.0 / 6) + g[2 * s] * (1.0 / 3), e = g[s] * (WINO_Q / 3);
		u[0] = g[0];
		u[su] = a - b;
		u[2 * su] = a + b;
		u[3 * su] = c + e;
		u[4 * su] = c - e;
		u[5 * su] = g[2 * s];
	} else {
		vd a = 0.5 * (g[0] + g[2 * s]), b = 0.5 * g[s];
		u[0] = g[0];
		u[su] = a + b;
		u[2 * su] = a - b;
		u[3 * su] = g[2 * s];
	}
}

// ---- Filters

// Filters of columns n0 … n0+columns-1 of a [3,3,K,N] weight, to u[f][panel][K][MM_COLS]. K is C and N is O in the forward
// pass; in the data gradient K is O, N is C, and the weight, which stays [3,3,C,O], is read rotated and transposed.
typedef struct {
	const float *weight;
	long c, o;
	int rotated;
	long n0, columns;
	float *u;
} wino_filters;

INLINE long wino_k(const wino_filters *f) { return f->rotated ? f->o : f->c; }
INLINE long wino_places(const int r) { return (r + 2) * (r + 2); }
// Floats from one place's filters to the next's.
INLINE long wino_filter_place(long columns, long k) { return mm_round(columns, MM_COLS) * k + WINO_FILTER_PAD; }

// The filters of VL columns, in[tap][MM_COLS], to u[f*place].
INLINE void wino_filter(const int r, const float *in, float *u, long place) {
	const int e = r + 2;
	for (int half = 0; half < VL; half += VL / 2) {
		vd g[9], t[18], w[6];
		for (int i = 0; i < 9; i++)
			g[i] = __builtin_convertvector(*(const vfd *)(in + i * MM_COLS + half), vd);
		WINO_UNROLL
		for (int i = 0; i < 3; i++)
			wino_filter_axis(r, g + i, 3, t + i, 3);
		for (int i = 0; i < e; i++) {
			wino_filter_axis(r, t + 3 * i, 1, w, 1);
			WINO_UNROLL
			for (int k = 0; k < e; k++)
				*(vfd *)(u + (i * e + k) * place + half) = __builtin_convertvector(w[k], vfd);
		}
	}
}

// One panel and WINO_FILTER_ROWS rows of K from k0 on, to u[f*place][row][MM_COLS]. The weight is first copied, and transposed
// if it is rotated, so that each of its cache lines is read once: the nine taps of a filter may all lie in one cache set.
INLINE void wino_filter_block(const int r, const wino_filters *f, long panel, long k0, float *u, long place) {
	long rows = mm_min(wino_k(f) - k0, WINO_FILTER_ROWS), n = f->rotated ? f->c : f->o, n0 = f->n0 + panel * MM_COLS;
	float in[WINO_FILTER_ROWS][9 * MM_COLS];
	for (int tap = 0; tap < 9; tap++) {
		// Each row of the weight lies in a page of its own, so the hardware does not foresee what comes next.
		if (f->rotated) {
			for (long half = 0; half < MM_COLS; half += VL) {
				long at = ((8 - tap) * f->c + n0 + half) * f->o + k0;
				for (long i = 0; i < VL; i++)
					__builtin_prefetch((const void *)((uintptr_t)f->weight + (at + i * f->o + WINO_FILTER_ROWS) * sizeof(float)));
				for (long k = 0; k < rows; k += VL) {
					vf v[VL];
					for (long i = 0; i < VL; i++)
						v[i] = n0 + half + i < n ? mm_load_part(f->weight, at + i * f->o + k, rows - k, HD_F32) : bc(0);
					mm_transpose(in[k] + tap * MM_COLS + half, 9 * MM_COLS, v);
				}
			}
		} else {
			for (long i = 0; i < rows; i++) {
				long at = (tap * f->c + k0 + i) * f->o + n0;
				__builtin_prefetch((const void *)((uintptr_t)f->weight + (at + WINO_FILTER_ROWS * f->o) * sizeof(float)));
				st(in[i] + tap * MM_COLS, mm_load_part(f->weight, at, n - n0, HD_F32));
				st(in[i] + tap * MM_COLS + VL, mm_load_part(f->weight, at + VL, n - n0 - VL, HD_F32));
			}
		}
	}
	for (long i = 0; i < rows; i++) {
		wino_filter(r, in[i], u + i * MM_COLS, place);
		wino_filter(r, in[i] + VL, u + i * MM_COLS + VL, place);
	}
}
INLINE void wino_filter_task_r(const int r, const wino_filters *f, long task) {
	long k = wino_k(f), runs = mm_div(k, WINO_FILTER_RUN), k0 = task % runs * WINO_FILTER_RUN;
	for (long i = k0; i < mm_min(k0 + WINO_FILTER_RUN, k); i += WINO_FILTER_ROWS)
		wino_filter_block(r, f, task / runs, i, f->u + (task / runs * k + i) * MM_COLS, wino_filter_place(f->columns, k));
}
static void wino_filter_task2(void *arg, long task, int thread) {
	(void)thread;
	wino_filter_task_r(2, arg, task);
}
static void wino_filter_task4(void *arg, long task, int thread) {
	(void)thread;
	wino_filter_task_r(4, arg, task);
}
static void wino_transform_filters(const hd_ctx *c, int r, wino_filters *f) {
	hd_pool_for(c->pool, mm_div(f->columns, MM_COLS) * mm_div(wino_k(f), WINO_FILTER_RUN), r == 4 ? wino_filter_task4 : wino_filter_task2, f);
}

// ---- The convolution

typedef struct {
	// The image, [n,h,w,c], in memory [n,sh,sw,c]; the result [n,oh,ow,o]. Tile (0,0) begins at pixel y0, x0.
	long n, h, w, c, sh, sw, oh, ow, o, y0, x0;
	int r; // 2 or 4
	hd_dtype type;
	hd_act act;
	const void *x, *residual;
	const float *bias;
	void *y;
	long tw, th;            // tiles across and down
	long tile0, tiles;      // the block of tiles at work
	long n0, columns;       // the columns of the result at work
	const float *u;         // filters of those
	long places_u;          // floats from one place's filters to the next's
	float *v, *m;           // V[f][c/vs][tile][vs], of which c/vs is 0 but for the weight gradient; M[f][tile][ms]
	long vs, ms, places_v, places_m;
	long block, row_blocks, groups; // tiles in a block; split of the products
	// Filters that are transformed as they are used (see wino_used_task), or 0:
	long group, block_k, thread_floats; // panels of a task; channels; scratch memory of a thread: U, M
	const wino_filters *filters;
	float *scratch;
} wino_job;

// Tile t of the job: which image, and its pixel position.
INLINE void wino_tile(const wino_job *j, long t, long *image, long *y, long *x) {
	*x = t % j->tw * j->r;
	*y = t / j->tw % j->th * j->r;
	*image = t / j->tw / j->th;
}

enum { WINO_TILES = 4 }; // tiles a task

INLINE void wino_input_task_r(const int r, const wino_job *j, long task, hd_dtype type) {
	const int e = r + 2;
	for (long t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		long image, ty, tx, at[36];
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		for (int i = 0; i < e * e; i++) {
			long y = ty + j->y0 + i / e, x = tx + j->x0 + i % e;
			at[i] = y < 0 || y >= j->h || x < 0 || x >= j->w
			            ? -1
			            : ((image * j->sh + mm_nearest(y, j->h, j->sh)) * j->sw + mm_nearest(x, j->w, j->sw)) * j->c;
		}
		for (long c = 0; c < j->c; c += VL) {
			long n = j->c - c;
			vf d[6], s[36], v[6];
			for (int k = 0; k < e; k++) {
				WINO_UNROLL
				for (int i = 0; i < e; i++)
					d[i] = at[i * e + k] < 0 ? bc(0) : mm_load_part(j->x, at[i * e + k] + c, n, type);
				wino_input_axis(r, d, 1, s + k, e);
			}
			float *out = j->v + (c / j->vs * j->block + t) * j->vs + c % j->vs;
			for (int i = 0; i < e; i++) {
				wino_input_axis(r, s + i * e, 1, v, 1);
				WINO_UNROLL
				for (int k = 0; k < e; k++)
					st(out + (i * e + k) * j->places_v, v[k]);
			}
		}
	}
}
static void wino_input_task(void *arg, long task, int thread) {
	(void)thread;
	const wino_job *j = arg;
	if (j->r == 4 && j->type == HD_F32)
		wino_input_task_r(4, j, task, HD_F32);
	else if (j->r == 4)
		wino_input_task_r(4, j, task, HD_BF16);
	else if (j->type == HD_F32)
		wino_input_task_r(2, j, task, HD_F32);
	else
		wino_input_task_r(2, j, task, HD_BF16);
}

// One place, a block of tiles, a group of panels.
static void wino_product_task(void *arg, long task, int thread) {
	(void)thread;
	const wino_job *j = arg;
	long rows = task % j->row_blocks, group = task / j->row_blocks % j->groups, f = task / j->row_blocks / j->groups;
	long m0 = j->tiles * rows / j->row_blocks, m = j->tiles * (rows + 1) / j->row_blocks - m0;
	long panels = mm_div(j->columns, MM_COLS), p0 = panels * group / j->groups, p1 = panels * (group + 1) / j->groups;
	const float *a = j->v + f * j->places_v + m0 * j->vs, *u = j->u + f * j->places_u;
	float *out = j->m + f * j->places_m + m0 * j->ms;
	long blocks = mm_div(j->c, MM_BLOCK_K), block = mm_div(j->c, blocks);
	for (long k0 = 0; k0 < j->c; k0 += block) {
		for (long p = p0; p < p1; p++)
			mm_panel(m, 0, mm_min(j->c - k0, block), a + k0, j->vs, u + (p * j->c + k0) * MM_COLS, out + p * MM_COLS, j->ms,
			         k0 ? out + p * MM_COLS : NULL, j->ms, NULL);
	}
}

INLINE void wino_output_task_r(const int r, const wino_job *j, long task, hd_dtype type) {
	const int e = r + 2;
	for (long t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		long image, ty, tx;
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		long ny = mm_min(j->oh - ty, r), nx = mm_min(j->ow - tx, r);
		for (long o = 0; o < j->columns; o += VL) {
			long n = j->o - j->n0 - o;
			vf m[6], s[24], y[4];
			const float *in = j->m + t * j->ms + o;
			for (int k = 0; k < e; k++) {
				WINO_UNROLL
				for (int i = 0; i < e; i++)
					m[i] = ld(in + (i * e + k) * j->places_m);
				wino_output_axis(r, m, 1, s + k, e);
			}
			vf bias = j->bias ? mm_load_part(j->bias, j->n0 + o, n, HD_F32) : bc(0);
			for (long i = 0; i < ny; i++) {
				wino_output_axis(r, s + i * e, 1, y, 1);
				long at = ((image * j->oh + ty + i) * j->ow + tx) * j->o + j->n0 + o;
				for (long k = 0; k < nx; k++, at += j->o) {
					vf z = y[k] + bias;
					if (j->residual)
						z += mm_load_part(j->residual, at, n, type);
					mm_store_part(j->y, at, n, vact(z, j->act), type);
				}
			}
		}
	}
}
static void wino_output_task(void *arg, long task, int thread) {
	(void)thread;
	const wino_job *j = arg;
	if (j->r == 4 && j->type == HD_F32)
		wino_output_task_r(4, j, task, HD_F32);
	else if (j->r == 4)
		wino_output_task_r(4, j, task, HD_BF16);
	else if (j->type == HD_F32)
		wino_output_task_r(2, j, task, HD_F32);
	else
		wino_output_task_r(2, j, task, HD_BF16);
}

// A group of panels, all tiles, all places, with filters that are never written to memory: for each panel and block of channels
// they are transformed in the L2 cache and used at once.
static void wino_used_task(void *arg, long task, int thread) {
	wino_job j = *(const wino_job *)arg;
	long p0 = task * j.group, p1 = mm_min(p0 + j.group, mm_div(j.o, MM_COLS));
	float *u = j.scratch + thread * j.thread_floats;
	j.m = u + wino_places(j.r) * j.places_u;
	for (long k0 = 0; k0 < j.c; k0 += j.block_k) {
		long k = mm_min(j.c - k0, j.block_k);
		for (long p = p0; p < p1; p++) {
			for (long i = 0; i < k; i += WINO_FILTER_ROWS) {
				if (j.r == 4)
					wino_filter_block(4, j.filters, p, k0 + i, u + i * MM_COLS, j.places_u);
				else
					wino_filter_block(2, j.filters, p, k0 + i, u + i * MM_COLS, j.places_u);
			}
			for (long f = 0; f < wino_places(j.r); f++) {
				float *out = j.m + f * j.places_m + (p - p0) * MM_COLS;
				mm_panel(j.tiles, 0, k, j.v + f * j.places_v + k0, j.vs, u + f * j.places_u, out, j.ms, k0 ? out : NULL, j.ms, NULL);
			}
		}
	}
	j.n0 = p0 * MM_COLS;
	j.columns = mm_min(p1 * MM_COLS, j.o) - j.n0;
	for (long t = 0; t < mm_div(j.tiles, WINO_TILES); t++)
		wino_output_task(&j, t, thread);
}

// Sizes of the blocks. Few tiles keep V and M in the cache, many tiles read the filters from memory seldom: 128 channels at
// 256×256 pixels are a third faster in blocks of 100 tiles than of 200, 512 channels a tenth slower. If the filters must be
// transformed here, then for as many columns as keep them in the cache too.
static void wino_plan(wino_job *j, int threads, int packed) {
	long places = wino_places(j->r), all = j->n * j->tw * j->th;
	j->vs = mm_round(j->c, 16) + WINO_PAD;
	j->columns = j->o;
	int one_block = 0;
	long panels = mm_div(j->o, MM_COLS), sums = places * all * MM_COLS; // M of a panel
	if (!packed && sums <= WINO_PANEL_SUMS && panels >= 2 * threads && places * j->vs * all <= WINO_BLOCK_MOST) {
		j->group = mm_max(mm_min(WINO_GROUP_SUMS / sums, panels / (4 * threads)), 1);
		j->block_k = WINO_USED_FILTERS / (places * MM_COLS) / WINO_FILTER_ROWS * WINO_FILTER_ROWS;
		j->block_k = mm_min(mm_round(j->c, WINO_FILTER_ROWS), mm_max(j->block_k, WINO_FILTER_ROWS));
		j->block = j->tiles = all;
		j->ms = j->group * MM_COLS;
		j->places_v = all * j->vs + WINO_PAD;
		j->places_m = all * j->ms + WINO_PAD;
		j->places_u = wino_filter_place(MM_COLS, j->block_k);
		j->thread_floats = places * (j->places_u + j->places_m);
		return;
	}
	if (!packed) {
		one_block = places * j->vs * all <= WINO_BLOCK_MOST;
		long floats = one_block ? WINO_FILTERS : WINO_ALL_FILTERS;
		j->columns = mm_min(mm_max(floats / (places * j->c * MM_COLS), 4) * MM_COLS, j->o);
	}
	j->ms = mm_round(j->columns, MM_COLS) + WINO_PAD;
	long floats = mm_max(mm_min(places * j->c * j->columns * 3 / 2, WINO_BLOCK_MOST), WINO_BLOCK * mm_max(threads, 2));
	j->block = mm_min(mm_max(floats / (places * (j->vs + j->ms)), MM_BLOCK_ROWS / 2), all);
	j->block = one_block ? all : mm_div(all, mm_div(all, j->block));
	j->places_v = j->block * j->vs + WINO_PAD;
	j->places_m = j->block * j->ms + WINO_PAD;
	j->places_u = wino_filter_place(j->columns, j->c);
}

static size_t wino_floats(const wino_job *j, int threads, int packed) {
	long places = wino_places(j->r);
	if (j->group)
		return places * j->places_v + threads * j->thread_floats;
	return places * (j->places_v + j->places_m + (packed ? 0 : j->places_u));
}

// Runs a planned job with packed filters, or with filters from f.
static void wino_run(const hd_ctx *c, wino_job *j, const float *packed, wino_filters *f, void *ws) {
	long places = wino_places(j->r), all = j->n * j->tw * j->th, threads = hd_pool_threads(c->pool), step = j->columns;
	j->v = ws;
	if (j->group) {
		j->scratch = j->v + places * j->places_v;
		j->filters = f;
		hd_pool_for(c->pool, mm_div(all, WINO_TILES), wino_input_task, j);
		hd_pool_for(c->pool, mm_div(mm_div(j->o, MM_COLS), j->group), wino_used_task, j);
		return;
	}
	j->m = j->v + places * j->places_v;
	j->u = packed;
	if (!packed) {
		f->u = j->m + places * j->places_m;
		j->u = f->u;
	}
	for (j->n0 = 0; j->n0 < j->o; j->n0 += step) {
		j->columns = mm_min(j->o - j->n0, step);
		j->places_u = wino_filter_place(j->columns, j->c);
		if (!packed) {
			f->n0 = j->n0;
			f->columns = j->columns;
			wino_transform_filters(c, j->r, f);
		}
		long panels = mm_div(j->columns, MM_COLS);
		for (j->tile0 = 0; j->tile0 < all; j->tile0 += j->block) {
			j->tiles = mm_min(all - j->tile0, j->block);
			j->row_blocks = mm_div(j->tiles, MM_BLOCK_ROWS);
			j->groups = mm_min(mm_div(4 * threads, places * j->row_blocks), panels);
			if (j->n0 == 0 || j->block < all)
				hd_pool_for(c->pool, mm_div(j->tiles, WINO_TILES), wino_input_task, j);
			hd_pool_for(c->pool, places * j->groups * j->row_blocks, wino_product_task, j);
			hd_pool_for(c->pool, mm_div(j->tiles, WINO_TILES), wino_output_task, j);
		}
	}
}

static int wino_r(const hd_conv *v) { return v->algorithm == HD_CONV_F4 ? 4 : 2; }

static wino_job wino_forward_job(const hd_ctx *c, const hd_conv *v, int packed) {
	wino_job j = {.n = v->n, .h = v->h, .w = v->w, .c = v->c, .sh = v->sh, .sw = v->sw, .oh = conv_oh(v), .ow = conv_ow(v), .o = v->o,
	              .y0 = -v->top, .x0 = -v->left, .r = wino_r(v), .type = v->type, .act = v->act};
	j.tw = mm_div(j.ow, j.r);
	j.th = mm_div(j.oh, j.r);
	wino_plan(&j, hd_pool_threads(c->pool), packed);
	return j;
}

static wino_job wino_data_grad_job(const hd_ctx *c, const hd_conv *v) {
	long oh = conv_oh(v), ow = conv_ow(v);
	wino_job j = {.n = v->n, .h = oh, .w = ow, .c = v->o, .sh = oh, .sw = ow, .oh = v->h, .ow = v->w, .o = v->c,
	              .y0 = v->top - 2, .x0 = v->left - 2, .r = wino_r(v), .type = v->type};
	j.tw = mm_div(j.ow, j.r);
	j.th = mm_div(j.oh, j.r);
	wino_plan(&j, hd_pool_threads(c->pool), 0);
	return j;
}

// ---- Weight gradient
//
// The transpose of the above with respect to g:
//
//     dg = Gᵀ [ Σ_tiles (A dy Aᵀ) ∘ (Bᵀ d B) ] G
//
// Now the sum is over tiles: for each place a product [C,tiles]·[tiles,O]. It is done for a few channels and columns at a time
// but for all places, so that Gᵀ…G can follow at once.

enum {
	WINO_CHUNK = 48, // channels in a task
	WINO_CHUNK_PANELS = 64 / MM_COLS,
	WINO_GRAD_BLOCK = 2 * 1024 * 1024, // floats of V and Q
};

INLINE void wino_output_axis_t(const int r, const vf *y, const int s, vf *q, const int sq) { // A y
	if (r == 4) {
		const float h = (float)WINO_Q, h2 = (float)(2 * WINO_Q);
		vf a = y[0] + 0.5f * y[2 * s], b = h * y[s] + (0.5f * h) * y[3 * s];
		vf c = y[0] + 2.0f * y[2 * s], e = h2 * y[s] + (2.0f * h2) * y[3 * s];
		q[0] = y[0];
		q[sq] = a + b;
		q[2 * sq] = a - b;
		q[3 * sq] = c + e;
		q[4 * sq] = c - e;
		q[5 * sq] = y[3 * s];
	} else {
		q[0] = y[0];
		q[sq] = y[0] + y[s];
		q[2 * sq] = y[0] - y[s];
		q[3 * sq] = y[s];
	}
}
INLINE void wino_filter_axis_t(const int r, const vf *u, const int s, vf *g, const int sg) { // Gᵀ u
	if (r == 4) {
		vf a = u[s] + u[2 * s], b = u[2 * s] - u[s], c = u[3 * s] + u[4 * s], e = u[3 * s] - u[4 * s];
		g[0] = u[0] - (float)(2.0 / 3) * a + (float)(1.0 / 6) * c;
		g[sg] = (float)(2 * WINO_Q / 3) * b + (float)(WINO_Q / 3) * e;
		g[2 * sg] = u[5 * s] + (float)(1.0 / 3) * (c - a);
	} else {
		vf a = 0.5f * (u[s] + u[2 * s]);
		g[0] = u[0] + a;
		g[sg] = 0.5f * (u[s] - u[2 * s]);
		g[2 * sg] = u[3 * s] + a;
	}
}

typedef struct {
	wino_job in; // x to V, in chunks of channels
	const void *dy;
	float *q, *dw, *scratch; // Q[f][panel][tile][MM_COLS]
	long places_q, thread_floats, chunks, panels, groups;
} wino_grad_job;

INLINE void wino_grad_output_r(const int r, const wino_grad_job *g, long task, hd_dtype type) {
	const wino_job *j = &g->in;
	const int e = r + 2;
	for (long t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		long image, ty, tx;
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		for (long o = 0; o < g->panels * MM_COLS; o += VL) {
			vf y[4], s[24], q[6];
			for (int k = 0; k < r; k++) {
				WINO_UNROLL
				for (int i = 0; i < r; i++) {
					int inside = ty + i < j->oh && tx + k < j->ow;
					y[i] = inside ? mm_load_part(g->dy, ((image * j->oh + ty + i) * j->ow + tx + k) * j->o + o, j->o - o, type) : bc(0);
				}
				wino_output_axis_t(r, y, 1, s + k, r);
			}
			float *out = g->q + (o / MM_COLS * j->block + t) * MM_COLS + o % MM_COLS;
			for (int i = 0; i < e; i++) {
				wino_output_axis_t(r, s + i * r, 1, q, 1);
				WINO_UNROLL
				for (int k = 0; k < e; k++)
					st(out + (i * e + k) * g->places_q, q[k]);
			}
		}
	}
}
static void wino_grad_output_task(void *arg, long task, int thread) {
	(void)thread;
	const wino_grad_job *g = arg;
	if (g->in.r == 4 && g->in.type == HD_F32)
		wino_grad_output_r(4, g, task, HD_F32);
	else if (g->in.r == 4)
		wino_grad_output_r(4, g, task, HD_BF16);
	else if (g->in.type == HD_F32)
		wino_grad_output_r(2, g, task, HD_F32);
	else
		wino_grad_output_r(2, g, task, HD_BF16);
}

// Gᵀ u G of m channels from c0 on and of the columns from n0 on; u[f][WINO_CHUNK][ldu].
INLINE void wino_grad_finish(const int r, const wino_job *j, const float *u, long ldu, long c0, long m, long n0, long columns, float *dw) {
	const int e = r + 2;
	for (long i = 0; i < m; i++) {
		for (long o = 0; o < columns; o += VL) {
			vf in[6], s[18], g[3];
			long n = j->o - n0 - o;
			for (int k = 0; k < e; k++) {
				WINO_UNROLL
				for (int l = 0; l < e; l++)
					in[l] = ld(u + ((l * e + k) * WINO_CHUNK + i) * ldu + o);
				wino_filter_axis_t(r, in, 1, s + k, e);
			}
			for (int k = 0; k < 3 && n > 0; k++) {
				wino_filter_axis_t(r, s + k * e, 1, g, 1);
				for (int l = 0; l < 3; l++) {
					long at = ((k * 3 + l) * j->c + c0 + i) * j->o + n0 + o;
					if (j->tile0)
						g[l] += mm_load_part(dw, at, n, HD_F32);
					mm_store_part(dw, at, n, g[l], HD_F32);
				}
			}
		}
	}
}

// A chunk of channels, a group of panels.
static void wino_grad_task(void *arg, long task, int thread) {
	const wino_grad_job *g = arg;
	const wino_job *j = &g->in;
	long chunk = task % g->chunks, p0 = task / g->chunks * WINO_CHUNK_PANELS, p1 = mm_min(p0 + WINO_CHUNK_PANELS, g->panels);
	long m = mm_min(j->c - chunk * WINO_CHUNK, WINO_CHUNK), ldu = (p1 - p0) * MM_COLS;
	long blocks = mm_div(j->tiles, MM_BLOCK_K), block = mm_div(j->tiles, blocks);
	float *u = g->scratch + thread * g->thread_floats;
	for (long f = 0; f < wino_places(j->r); f++) {
		const float *v = j->v + f * j->places_v + chunk * j->block * WINO_CHUNK, *q = g->q + f * g->places_q;
		for (long t = 0; t < j->tiles; t += block) {
			for (long p = p0; p < p1; p++) {
				float *c = u + f * WINO_CHUNK * ldu + (p - p0) * MM_COLS;
				mm_panel(m, 1, mm_min(j->tiles - t, block), v + t * WINO_CHUNK, WINO_CHUNK, q + (p * j->block + t) * MM_COLS, c, ldu,
				         t ? c : NULL, ldu, NULL);
			}
		}
	}
	if (j->r == 4)
		wino_grad_finish(4, j, u, ldu, chunk * WINO_CHUNK, m, p0 * MM_COLS, ldu, g->dw);
	else
		wino_grad_finish(2, j, u, ldu, chunk * WINO_CHUNK, m, p0 * MM_COLS, ldu, g->dw);
}

static wino_grad_job wino_grad_plan(const hd_ctx *c, const hd_conv *v) {
	wino_grad_job g = {.in = wino_forward_job(c, v, 1)};
	wino_job *j = &g.in;
	long places = wino_places(j->r), all = j->n * j->tw * j->th;
	g.chunks = mm_div(j->c, WINO_CHUNK);
	g.panels = mm_div(j->o, MM_COLS);
	g.groups = mm_div(g.panels, WINO_CHUNK_PANELS);
	long tile = g.chunks * WINO_CHUNK + g.panels * MM_COLS;
	j->vs = WINO_CHUNK;
	j->block = mm_min(mm_max(WINO_GRAD_BLOCK / (places * tile), MM_BLOCK_ROWS), all);
	j->block = mm_div(all, mm_div(all, j->block));
	j->places_v = g.chunks * WINO_CHUNK * j->block + WINO_PAD;
	g.places_q = g.panels * MM_COLS * j->block + WINO_PAD;
	g.thread_floats = places * WINO_CHUNK * WINO_CHUNK_PANELS * MM_COLS;
	return g;
}

static void wino_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	wino_grad_job g = wino_grad_plan(c, v);
	wino_job *j = &g.in;
	long all = j->n * j->tw * j->th;
	j->x = x;
	j->v = ws;
	g.dy = dy;
	g.q = j->v + wino_places(j->r) * j->places_v;
	g.scratch = g.q + wino_places(j->r) * g.places_q;
	g.dw = dw;
	for (; j->tile0 < all; j->tile0 += j->block) {
		j->tiles = mm_min(all - j->tile0, j->block);
		hd_pool_for(c->pool, mm_div(j->tiles, WINO_TILES), wino_input_task, j);
		hd_pool_for(c->pool, mm_div(j->tiles, WINO_TILES), wino_grad_output_task, &g);
		hd_pool_for(c->pool, g.chunks * g.groups, wino_grad_task, &g);
	}
}

static size_t wino_weight_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	wino_grad_job g = wino_grad_plan(c, v);
	return (wino_places(g.in.r) * (g.in.places_v + g.places_q) + hd_pool_threads(c->pool) * g.thread_floats) * sizeof(float);
}

// ---- Entry points

static void conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed, const float *bias,
                 const void *residual, void *y, void *ws) {
	switch (v->algorithm) {
	case HD_CONV_F2:
	case HD_CONV_F4: {
		wino_job j = wino_forward_job(c, v, packed != NULL);
		wino_filters f = {.weight = weight, .c = v->c, .o = v->o};
		j.x = x;
		j.bias = bias;
		j.residual = residual;
		j.y = y;
		wino_run(c, &j, packed, &f, ws);
		break;
	}
	case HD_CONV_TAPS:
		taps_conv(c, v, x, weight, packed, bias, residual, y, ws);
		break;
	default:
		direct_conv(c, v, x, weight, packed, bias, residual, y, ws);
	}
}

static size_t conv_workspace(const hd_ctx *c, const hd_conv *v, int packed) {
	switch (v->algorithm) {
	case HD_CONV_F2:
	case HD_CONV_F4: {
		wino_job j = wino_forward_job(c, v, packed);
		return wino_floats(&j, hd_pool_threads(c->pool), packed) * sizeof(float);
	}
	case HD_CONV_TAPS:
		return taps_workspace(c, v, packed);
	default:
		return direct_workspace(c, v, packed);
	}
}

static void conv_pack(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed) {
	switch (v->algorithm) {
	case HD_CONV_F2:
	case HD_CONV_F4: {
		wino_filters f = {.weight = weight, .c = v->c, .o = v->o, .columns = v->o, .u = packed};
		wino_transform_filters(c, wino_r(v), &f);
		break;
	}
	case HD_CONV_TAPS:
		taps_pack(c, v, weight, packed);
		break;
	default:
		mm_pack_all(c, &(mm_right){.p = weight, .ld = v->o, .layout = HD_ROWS}, v->kh * v->kw * v->c, v->o, packed);
	}
}

static size_t conv_packed_bytes(const hd_conv *v) {
	long floats = mm_round(v->o, MM_COLS) * v->c;
	switch (v->algorithm) {
	case HD_CONV_F2:
	case HD_CONV_F4:
		floats = wino_places(wino_r(v)) * wino_filter_place(v->o, v->c);
		break;
	case HD_CONV_TAPS:
		floats = taps_filter_floats(v);
		break;
	default:
		floats *= v->kh * v->kw;
	}
	return floats * sizeof(float);
}

static void conv_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight, const void *residual, void *dx,
                           void *ws) {
	if (v->algorithm != HD_CONV_F2 && v->algorithm != HD_CONV_F4) {
		direct_data_grad(c, v, dy, weight, residual, dx, ws);
		return;
	}
	wino_job j = wino_data_grad_job(c, v);
	wino_filters f = {.weight = weight, .c = v->c, .o = v->o, .rotated = 1};
	j.x = dy;
	j.residual = residual;
	j.y = dx;
	wino_run(c, &j, NULL, &f, ws);
}

static size_t conv_data_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	if (v->algorithm != HD_CONV_F2 && v->algorithm != HD_CONV_F4)
		return direct_data_grad_workspace(c, v);
	wino_job j = wino_data_grad_job(c, v);
	return wino_floats(&j, hd_pool_threads(c->pool), 0) * sizeof(float);
}

static void conv_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	if (v->algorithm == HD_CONV_F2 || v->algorithm == HD_CONV_F4)
		wino_weight_grad(c, v, x, dy, dw, ws);
	else
		direct_weight_grad(c, v, x, dy, dw, ws);
}

static size_t conv_weight_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	if (v->algorithm == HD_CONV_F2 || v->algorithm == HD_CONV_F4)
		return wino_weight_grad_workspace(c, v);
	return direct_weight_grad_workspace(c, v);
}
