// Winograd convolutions for 3×3 kernels at stride 1 (Lavin and Gray 2016, "Fast algorithms for convolutional neural
// networks").
//
// An R×R tile of the result comes from an E×E tile of the image, E = R+2, that overlaps its neighbours by two pixels:
//
//     Y = Aᵀ [ Σ_c (G g Gᵀ) ∘ (Bᵀ d B) ] A         F(R×R,3×3)
//
// The sum over channels is a product [tiles,C]·[C,O] for each of the F = E² places of the tile. Three loops with all
// threads: images to V[f][tile][c], the products to M[f][tile][o], M to the result with bias, residual and activation.
// They run over blocks of tiles so that V and M stay in the L3 cache.
//
// F(2×2): points 0, ±1, ∞. F(4×4): points 0, ±√½, ±√2, ∞, whose rounding error is half of that of 0, ±1, ±2, ∞.

enum {
	WINO_BLOCK = 512 * 1024,          // floats of V and M: so many for each thread, and for two at least, or half as many
	WINO_BLOCK_MOST = 8 * 1024 * 1024, // again as there are of filters, up to so many
	WINO_FILTERS = 16 * 1024 * 1024,  // floats of filters that are transformed at a time
	WINO_PAD = 16,                    // floats between rows and between places, so that they do not share a cache set
	WINO_FILTER_PAD = 9 * 16,         // the same between the filters of two places, which are written VL at a time
	WINO_FILTER_ROWS = 16,            // rows of filters transformed together: a cache line of the weight if it is rotated
	WINO_FILTER_RUN = 64,             // rows,
	WINO_FILTER_PANELS = 4,           // and panels, in a task
	WINO_USED_TILES = 80,             // with so many tiles at most, filters are transformed as they are used,
	WINO_USED_FILTERS = 48 * 1024,    // so many floats of them at a time, which wait in the L2 cache
	WINO_FEW_TILES = 8,               // so few that the time goes into reading the weight
};

#define WINO_Q 0.70710678118654752440 // √½

// One axis of a transform; s, sv and sy are the distances between the elements.
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

// Row i of G, 0 < i < R+1, times a column. The first and the last row copy g0 and g2.
INLINE vf wino_filter_row(const int r, const int i, vf g0, vf g1, vf g2) {
	if (r == 4) {
		const float q = (float)(i < 3 ? 2 * WINO_Q / 3 : WINO_Q / 3);
		vf a = i < 3 ? g0 * (float)(-2.0 / 3) - g2 * (float)(1.0 / 3) : g0 * (float)(1.0 / 6) + g2 * (float)(1.0 / 3);
		return i == 1 || i == 4 ? a - q * g1 : a + q * g1;
	}
	return i == 1 ? 0.5f * (g0 + g2) + 0.5f * g1 : 0.5f * (g0 + g2) - 0.5f * g1;
}
// ---- Filters

// Filters of columns n0 … n0+columns-1 of a [3,3,K,N] weight, to u[f][panel][K][MM_COLS]. K is C and N is O in the
// forward pass; in the data gradient K is O, N is C, and the weight, which stays [3,3,C,O], is read rotated and
// transposed.
typedef struct {
	const float *weight;
	hd_n c, o;
	int rotated;
	hd_n n0, columns;
	float *u;
} wino_filters;

INLINE hd_n wino_k(const wino_filters *f) { return f->rotated ? f->o : f->c; }
INLINE hd_n wino_places(const int r) { return (r + 2) * (r + 2); }
// Floats from one place's filters to the next's.
INLINE hd_n wino_filter_place(hd_n columns, hd_n k) { return mm_round(columns, MM_COLS) * k + WINO_FILTER_PAD; }

// The filters of VL columns, in[tap][MM_COLS], to u[f*place]. Row by row of G g Gᵀ, so that all but the input stays in
// registers.
INLINE void wino_filter(const int r, const float *in, float *u, hd_n place) {
	const int e = r + 2;
	UNROLL
	for (int i = 0; i < e; i++) {
		vf t[3], w[6];
		UNROLL
		for (int k = 0; k < 3; k++) {
			const float *g = in + k * MM_COLS, *h = g + 3 * MM_COLS, *l = g + 6 * MM_COLS;
			t[k] = i == 0 ? ld(g) : i == e - 1 ? ld(l) : wino_filter_row(r, i, ld(g), ld(h), ld(l));
		}
		UNROLL
		for (int k = 0; k < e; k++)
			w[k] = k == 0 ? t[0] : k == e - 1 ? t[2] : wino_filter_row(r, k, t[0], t[1], t[2]);
		UNROLL
		for (int k = 0; k < e; k++)
			st(u + (i * e + k) * place, w[k]);
	}
}

// One panel and WINO_FILTER_ROWS rows of K from k0 on, to u[f*place][row][MM_COLS]. The weight is first copied, and
// transposed if it is rotated, so that each of its cache lines is read once: the nine taps of a filter may all be in
// one cache set.
INLINE void wino_filter_block(const int r, const wino_filters *f, hd_n panel, hd_n k0, float *u, hd_n place) {
	hd_n rows = mm_min(wino_k(f) - k0, WINO_FILTER_ROWS), n = f->rotated ? f->c : f->o, n0 = f->n0 + panel * MM_COLS;
	float in[WINO_FILTER_ROWS][9 * MM_COLS];
	for (int tap = 0; tap < 9; tap++) {
		if (f->rotated) {
			for (hd_n half = 0; half < MM_COLS; half += VL) {
				hd_n at = ((8 - tap) * f->c + n0 + half) * f->o + k0;
				for (hd_n k = 0; k < rows; k += VL) {
					vf v[VL];
					for (hd_n i = 0; i < VL; i++)
						v[i] = n0 + half + i < n ? mm_load_part(f->weight, at + i * f->o + k, rows - k, HD_F32) : bc(0);
					mm_transpose(in[k] + tap * MM_COLS + half, 9 * MM_COLS, v);
				}
			}
		} else if (n - n0 >= MM_COLS) {
			const float *g = f->weight + (tap * f->c + k0) * f->o + n0;
			for (hd_n i = 0; i < rows; i++, g += f->o) {
				MM_EACH_VECTOR(j)
					st(in[i] + tap * MM_COLS + j * VL, ld(g + j * VL));
			}
		} else {
			for (hd_n i = 0; i < rows; i++) {
				hd_n at = (tap * f->c + k0 + i) * f->o + n0;
				MM_EACH_VECTOR(j)
					st(in[i] + tap * MM_COLS + j * VL, mm_load_part(f->weight, at + j * VL, n - n0 - j * VL, HD_F32));
			}
		}
	}
	for (hd_n i = 0; i < rows; i++) {
		MM_EACH_VECTOR(j)
			wino_filter(r, in[i] + j * VL, u + i * MM_COLS + j * VL, place);
	}
}

// Asks for the weight under k rows of K from k0 on and some columns from n0 on: for its part number `part` of `parts`.
// Each row of the weight is in another page, so the hardware does not prefetch the next.
INLINE void wino_prefetch(const wino_filters *f, hd_n n0, hd_n columns, hd_n k0, hd_n k, hd_n part, hd_n parts) {
	hd_n rows = f->rotated ? columns : k, run = f->rotated ? k : columns, row0 = f->rotated ? n0 : k0,
		at = f->rotated ? k0 : n0;
	hd_n i = 9 * rows * part / parts, end = 9 * rows * (part + 1) / parts, tap = i / rows;
	for (i -= tap * rows, end -= tap * rows; i < end; i++) {
		if (i == rows) {
			i = 0;
			end -= rows;
			tap++;
		}
		uintptr_t p = (uintptr_t)f->weight + ((tap * f->c + row0 + i) * f->o + at) * sizeof(float);
		for (hd_n q = 0; q < run * (hd_n)sizeof(float); q += 64)
			__builtin_prefetch((const void *)(p + q), 0, 2);
	}
}

// A run of rows of a few panels: 256 bytes at a time are read twice as fast as 64.
INLINE void wino_filter_task_r(const int r, const wino_filters *f, hd_n task) {
	hd_n k = wino_k(f), runs = mm_div(k, WINO_FILTER_RUN), k0 = task % runs * WINO_FILTER_RUN,
		k1 = mm_min(k0 + WINO_FILTER_RUN, k);
	hd_n p0 = task / runs * WINO_FILTER_PANELS, p1 = mm_min(p0 + WINO_FILTER_PANELS, mm_div(f->columns, MM_COLS));
	for (hd_n i = k0; i < k1; i += WINO_FILTER_ROWS) {
		if (i + WINO_FILTER_ROWS < k1)
			wino_prefetch(f, f->n0 + p0 * MM_COLS, (p1 - p0) * MM_COLS, i + WINO_FILTER_ROWS, WINO_FILTER_ROWS, 0, 1);
		for (hd_n p = p0; p < p1; p++)
			wino_filter_block(r, f, p, i, f->u + (p * k + i) * MM_COLS, wino_filter_place(f->columns, k));
	}
}
static void wino_filter_task2(void *arg, hd_n task, int thread) {
	wino_filter_task_r(2, arg, task);
}
static void wino_filter_task4(void *arg, hd_n task, int thread) {
	wino_filter_task_r(4, arg, task);
}
static void wino_transform_filters(const hd_ctx *c, int r, wino_filters *f) {
	hd_n groups = mm_div(mm_div(f->columns, MM_COLS), WINO_FILTER_PANELS);
	hd_pool_for(c->pool, groups * mm_div(wino_k(f), WINO_FILTER_RUN), r == 4 ? wino_filter_task4 : wino_filter_task2, f);
}

// ---- The convolution

typedef struct {
	// The image, [n,h,w,c], in memory [n,sh,sw,c]; the result [n,oh,ow,o]. Tile (0,0) begins at pixel y0, x0.
	hd_n n, h, w, c, sh, sw, oh, ow, o, y0, x0;
	int r; // 2 or 4
	hd_dtype type, out_type; // of the image, of the result
	hd_act act;
	const void *x;
	const float *bias, *residual;
	void *y;
	hd_n tw, th;            // tiles across and down
	hd_n tile0, tiles;      // the block of tiles at work
	hd_n n0, columns;       // the columns of the result at work
	const float *u;         // filters of those
	hd_n places_u;          // floats from one place's filters to the next's
	float *v, *m;           // V[f][c/vs][tile][vs]; M[f][tile][ms]
	hd_n vs, ms, places_v, places_m;
	hd_n block, row_blocks, groups; // tiles in a block; split of the products
	// Filters that are transformed as they are used, vs channels at a time (see wino_used_task):
	hd_n group, thread_floats; // panels of a task, 0: not so; scratch memory of a thread: U, M
	const wino_filters *filters;
	float *scratch;
} wino_job;

// Tile t of the job: which image, and its pixel position.
INLINE void wino_tile(const wino_job *j, hd_n t, hd_n *image, hd_n *y, hd_n *x) {
	*x = t % j->tw * j->r;
	*y = t / j->tw % j->th * j->r;
	*image = t / j->tw / j->th;
}

enum { WINO_TILES = 4 }; // tiles a task

INLINE void wino_input_task_r(const int r, const wino_job *j, hd_n task, hd_dtype type) {
	const int e = r + 2;
	for (hd_n t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		hd_n image, ty, tx, at[36];
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		for (int i = 0; i < e * e; i++) {
			hd_n y = ty + j->y0 + i / e, x = tx + j->x0 + i % e;
			at[i] = y < 0 || y >= j->h || x < 0 || x >= j->w
			            ? -1
			            : ((image * j->sh + mm_nearest(y, j->h, j->sh)) * j->sw + mm_nearest(x, j->w, j->sw)) * j->c;
		}
		for (hd_n c = 0; c < j->c; c += VL) {
			hd_n n = j->c - c;
			vf d[6], s[36], v[6];
			for (int k = 0; k < e; k++) {
				UNROLL
				for (int i = 0; i < e; i++)
					d[i] = at[i * e + k] < 0 ? bc(0) : mm_load_part(j->x, at[i * e + k] + c, n, type);
				wino_input_axis(r, d, 1, s + k, e);
			}
			float *out = j->v + (c / j->vs * j->block + t) * j->vs + c % j->vs;
			for (int i = 0; i < e; i++) {
				wino_input_axis(r, s + i * e, 1, v, 1);
				UNROLL
				for (int k = 0; k < e; k++)
					st(out + (i * e + k) * j->places_v, v[k]);
			}
		}
	}
}
static void wino_input_task(void *arg, hd_n task, int thread) {
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
static void wino_product_task(void *arg, hd_n task, int thread) {
	const wino_job *j = arg;
	hd_n rows = task % j->row_blocks, group = task / j->row_blocks % j->groups, f = task / j->row_blocks / j->groups;
	hd_n m0 = j->tiles * rows / j->row_blocks, m = j->tiles * (rows + 1) / j->row_blocks - m0;
	hd_n panels = mm_div(j->columns, MM_COLS), p0 = panels * group / j->groups, p1 = panels * (group + 1) / j->groups;
	const float *a = j->v + f * j->places_v + m0 * j->vs, *u = j->u + f * j->places_u;
	float *out = j->m + f * j->places_m + m0 * j->ms;
	hd_n blocks = mm_div(j->c, MM_BLOCK_K), block = mm_div(j->c, blocks);
	for (hd_n k0 = 0; k0 < j->c; k0 += block) {
		for (hd_n p = p0; p < p1; p++)
			mm_panel(m, 0, mm_min(j->c - k0, block), a + k0, j->vs, u + (p * j->c + k0) * MM_COLS, out + p * MM_COLS, j->ms,
			         k0 ? out + p * MM_COLS : NULL, j->ms, NULL);
	}
}

INLINE void wino_output_task_r(const int r, const wino_job *j, hd_n task, hd_dtype type) {
	const int e = r + 2;
	for (hd_n t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		hd_n image, ty, tx;
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		hd_n ny = mm_min(j->oh - ty, r), nx = mm_min(j->ow - tx, r);
		for (hd_n o = 0; o < j->columns; o += VL) {
			hd_n n = j->o - j->n0 - o;
			vf m[6], s[24], y[4];
			const float *in = j->m + t * j->ms + o;
			for (int k = 0; k < e; k++) {
				UNROLL
				for (int i = 0; i < e; i++)
					m[i] = ld(in + (i * e + k) * j->places_m);
				wino_output_axis(r, m, 1, s + k, e);
			}
			vf bias = j->bias ? mm_load_part(j->bias, j->n0 + o, n, HD_F32) : bc(0);
			for (hd_n i = 0; i < ny; i++) {
				wino_output_axis(r, s + i * e, 1, y, 1);
				hd_n at = ((image * j->oh + ty + i) * j->ow + tx) * j->o + j->n0 + o;
				for (hd_n k = 0; k < nx; k++, at += j->o) {
					vf z = y[k] + bias;
					if (j->residual)
						z += mm_load_part(j->residual, at, n, HD_F32);
					mm_store_part(j->y, at, n, vact(z, j->act), type);
				}
			}
		}
	}
}
static void wino_output_task(void *arg, hd_n task, int thread) {
	const wino_job *j = arg;
	if (j->r == 4 && j->out_type == HD_F32)
		wino_output_task_r(4, j, task, HD_F32);
	else if (j->r == 4)
		wino_output_task_r(4, j, task, HD_BF16);
	else if (j->out_type == HD_F32)
		wino_output_task_r(2, j, task, HD_F32);
	else
		wino_output_task_r(2, j, task, HD_BF16);
}

// A group of panels, all tiles, all places, with filters that are never written to memory: for each block of channels
// they are transformed in the L2 cache and used at once, and meanwhile the weight of the next block is on its way.
static void wino_used_task(void *arg, hd_n task, int thread) {
	wino_job j = *(const wino_job *)arg;
	hd_n p0 = task * j.group, panels = mm_min(j.group, mm_div(j.o, MM_COLS) - p0), places = wino_places(j.r);
	float *u = j.scratch + thread * j.thread_floats;
	j.m = u + places * j.places_u;
	for (hd_n k0 = 0; k0 < j.c; k0 += j.vs) {
		hd_n k = mm_min(j.c - k0, j.vs), next = mm_min(j.c - k0 - k, j.vs);
		for (hd_n p = 0; p < panels; p++) {
			for (hd_n i = 0; i < k; i += WINO_FILTER_ROWS) {
				float *to = u + (p * j.vs + i) * MM_COLS;
				if (j.r == 4)
					wino_filter_block(4, j.filters, p0 + p, k0 + i, to, j.places_u);
				else
					wino_filter_block(2, j.filters, p0 + p, k0 + i, to, j.places_u);
			}
		}
		for (hd_n f = 0; f < places; f++) {
			if (next)
				wino_prefetch(j.filters, p0 * MM_COLS, panels * MM_COLS, k0 + k, next, f, places);
			for (hd_n p = 0; p < panels; p++) {
				float *out = j.m + f * j.places_m + p * MM_COLS;
				mm_panel(j.tiles, 0, k, j.v + f * j.places_v + k0 * j.block, j.vs, u + f * j.places_u + p * j.vs * MM_COLS, out,
				         j.ms, k0 ? out : NULL, j.ms, NULL);
			}
		}
	}
	j.n0 = p0 * MM_COLS;
	j.columns = mm_min(j.n0 + panels * MM_COLS, j.o) - j.n0;
	for (hd_n t = 0; t < mm_div(j.tiles, WINO_TILES); t++)
		wino_output_task(&j, t, thread);
}

// Sizes of the blocks. Few tiles keep V and M in the cache, many tiles read the filters from memory seldom: 128
// channels at 256×256 pixels are a third faster in blocks of 100 tiles than of 200, 512 channels a tenth slower.
static void wino_plan(wino_job *j, int threads) {
	hd_n places = wino_places(j->r), all = j->n * j->tw * j->th, panels = mm_div(j->o, MM_COLS);
	j->columns = j->o;
	if (all <= WINO_USED_TILES && panels >= 2 * threads) {
		// Where there are few tiles the time goes into reading filters, and longer runs of them are read faster.
		j->group = mm_max(mm_min(all <= WINO_FEW_TILES ? 4 : 2, panels / (4 * threads)), 1);
		j->vs = WINO_USED_FILTERS / (places * MM_COLS * j->group) / WINO_FILTER_ROWS * WINO_FILTER_ROWS;
		j->vs = mm_min(mm_round(j->c, WINO_FILTER_ROWS), mm_max(j->vs, WINO_FILTER_ROWS));
		j->block = j->tiles = all;
		j->ms = j->group * MM_COLS;
		j->places_v = all * mm_round(j->c, j->vs) + WINO_PAD;
		j->places_m = all * j->ms + WINO_PAD;
		j->places_u = wino_filter_place(j->group * MM_COLS, j->vs);
		j->thread_floats = places * (j->places_u + j->places_m);
		return;
	}
	j->vs = mm_round(j->c, 16) + WINO_PAD;
	j->columns = mm_min(mm_max(WINO_FILTERS / (places * j->c * MM_COLS), 4) * MM_COLS, j->o);
	j->ms = mm_round(j->columns, MM_COLS) + WINO_PAD;
	hd_n floats = mm_max(mm_min(places * j->c * j->columns * 3 / 2, WINO_BLOCK_MOST), WINO_BLOCK * mm_max(threads, 2));
	j->block = mm_min(mm_max(floats / (places * (j->vs + j->ms)), MM_BLOCK_ROWS / 2), all);
	j->block = mm_div(all, mm_div(all, j->block));
	j->places_v = j->block * j->vs + WINO_PAD;
	j->places_m = j->block * j->ms + WINO_PAD;
	j->places_u = wino_filter_place(j->columns, j->c);
}

static size_t wino_floats(const wino_job *j, int threads) {
	hd_n places = wino_places(j->r);
	if (j->group)
		return places * j->places_v + threads * j->thread_floats;
	return places * (j->places_v + j->places_m + j->places_u);
}

// Runs a planned job with the filters of f.
static void wino_run(const hd_ctx *c, wino_job *j, wino_filters *f, void *ws) {
	hd_n places = wino_places(j->r), all = j->n * j->tw * j->th, threads = hd_pool_threads(c->pool), step = j->columns;
	j->v = ws;
	if (j->group) {
		j->scratch = j->v + places * j->places_v;
		j->filters = f;
		hd_pool_for(c->pool, mm_div(all, WINO_TILES), wino_input_task, j);
		hd_pool_for(c->pool, mm_div(mm_div(j->o, MM_COLS), j->group), wino_used_task, j);
		return;
	}
	j->m = j->v + places * j->places_v;
	j->u = f->u = j->m + places * j->places_m;
	for (j->n0 = 0; j->n0 < j->o; j->n0 += step) {
		f->n0 = j->n0;
		f->columns = j->columns = mm_min(j->o - j->n0, step);
		j->places_u = wino_filter_place(j->columns, j->c);
		wino_transform_filters(c, j->r, f);
		hd_n panels = mm_div(j->columns, MM_COLS);
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

// The forward pass, not planned yet.
static wino_job wino_forward_job(const hd_conv *v) {
	wino_job j = {.n = v->n, .h = v->h, .w = v->w, .c = v->c, .sh = v->sh, .sw = v->sw, .oh = conv_oh(v),
	              .ow = conv_ow(v), .o = v->o, .y0 = -v->top, .x0 = -v->left, .r = wino_r(v), .type = v->type,
	              .out_type = v->out_type, .act = v->act};
	j.tw = mm_div(j.ow, j.r);
	j.th = mm_div(j.oh, j.r);
	return j;
}

// The data gradient: a convolution of dy with the rotated weight.
static wino_job wino_data_grad_job(const hd_conv *v) {
	hd_n oh = conv_oh(v), ow = conv_ow(v);
	wino_job j = {.n = v->n, .h = oh, .w = ow, .c = v->o, .sh = oh, .sw = ow, .oh = v->h, .ow = v->w, .o = v->c,
	              .y0 = v->top - 2, .x0 = v->left - 2, .r = wino_r(v), .type = v->type, .out_type = v->out_type};
	j.tw = mm_div(j.ow, j.r);
	j.th = mm_div(j.oh, j.r);
	return j;
}

static void wino_conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *bias,
                      const float *residual, void *y, void *ws) {
	wino_job j = wino_forward_job(v);
	wino_filters f = {.weight = weight, .c = v->c, .o = v->o};
	wino_plan(&j, hd_pool_threads(c->pool));
	j.x = x;
	j.bias = bias;
	j.residual = residual;
	j.y = y;
	wino_run(c, &j, &f, ws);
}

static size_t wino_workspace(const hd_ctx *c, const hd_conv *v) {
	wino_job j = wino_forward_job(v);
	wino_plan(&j, hd_pool_threads(c->pool));
	return wino_floats(&j, hd_pool_threads(c->pool)) * sizeof(float);
}

static void wino_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight,
                           const float *residual, void *dx, void *ws) {
	wino_job j = wino_data_grad_job(v);
	wino_filters f = {.weight = weight, .c = v->c, .o = v->o, .rotated = 1};
	wino_plan(&j, hd_pool_threads(c->pool));
	j.x = dy;
	j.residual = residual;
	j.y = dx;
	wino_run(c, &j, &f, ws);
}

static size_t wino_data_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	wino_job j = wino_data_grad_job(v);
	wino_plan(&j, hd_pool_threads(c->pool));
	return wino_floats(&j, hd_pool_threads(c->pool)) * sizeof(float);
}
