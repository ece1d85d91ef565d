// The weight gradient of winograd.inc.h's convolutions: their transpose with respect to g,
//
//     dg = Gᵀ [ Σ_tiles (A dy Aᵀ) ∘ (Bᵀ d B) ] G
//
// The sum is over tiles: for each place a product [C,tiles]·[tiles,O]. It is done for a few channels and columns at a
// time but for all positions, so that Gᵀ…G can follow at once.

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
	hd_n places_q, thread_floats, chunks, panels, groups;
} wino_grad_job;

INLINE void wino_grad_output_r(const int r, const wino_grad_job *g, hd_n task, hd_dtype type) {
	const wino_job *j = &g->in;
	const int e = r + 2;
	for (hd_n t = task * WINO_TILES; t < mm_min((task + 1) * WINO_TILES, j->tiles); t++) {
		hd_n image, ty, tx;
		wino_tile(j, j->tile0 + t, &image, &ty, &tx);
		for (hd_n o = 0; o < g->panels * MM_COLS; o += VL) {
			vf y[4], s[24], q[6];
			for (int k = 0; k < r; k++) {
				UNROLL
				for (int i = 0; i < r; i++) {
					int inside = ty + i < j->oh && tx + k < j->ow;
					hd_n at = ((image * j->oh + ty + i) * j->ow + tx + k) * j->o + o;
					y[i] = inside ? mm_load_part(g->dy, at, j->o - o, type) : bc(0);
				}
				wino_output_axis_t(r, y, 1, s + k, r);
			}
			float *out = g->q + (o / MM_COLS * j->block + t) * MM_COLS + o % MM_COLS;
			for (int i = 0; i < e; i++) {
				wino_output_axis_t(r, s + i * r, 1, q, 1);
				UNROLL
				for (int k = 0; k < e; k++)
					st(out + (i * e + k) * g->places_q, q[k]);
			}
		}
	}
}
static void wino_grad_output_task(void *arg, hd_n task, int thread) {
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
INLINE void wino_grad_finish(const int r, const wino_job *j, const float *u, hd_n ldu, hd_n c0, hd_n m, hd_n n0,
                             hd_n columns, float *dw) {
	const int e = r + 2;
	for (hd_n i = 0; i < m; i++) {
		for (hd_n o = 0; o < columns; o += VL) {
			vf in[6], s[18], g[3];
			hd_n n = j->o - n0 - o;
			for (int k = 0; k < e; k++) {
				UNROLL
				for (int l = 0; l < e; l++)
					in[l] = ld(u + ((l * e + k) * WINO_CHUNK + i) * ldu + o);
				wino_filter_axis_t(r, in, 1, s + k, e);
			}
			for (int k = 0; k < 3 && n > 0; k++) {
				wino_filter_axis_t(r, s + k * e, 1, g, 1);
				for (int l = 0; l < 3; l++) {
					hd_n at = ((k * 3 + l) * j->c + c0 + i) * j->o + n0 + o;
					if (j->tile0)
						g[l] += mm_load_part(dw, at, n, HD_F32);
					mm_store_part(dw, at, n, g[l], HD_F32);
				}
			}
		}
	}
}

// A chunk of channels, a group of panels.
static void wino_grad_task(void *arg, hd_n task, int thread) {
	const wino_grad_job *g = arg;
	const wino_job *j = &g->in;
	hd_n chunk = task % g->chunks, p0 = task / g->chunks * WINO_CHUNK_PANELS,
		p1 = mm_min(p0 + WINO_CHUNK_PANELS, g->panels);
	hd_n m = mm_min(j->c - chunk * WINO_CHUNK, WINO_CHUNK), ldu = (p1 - p0) * MM_COLS;
	hd_n blocks = mm_div(j->tiles, MM_BLOCK_K), block = mm_div(j->tiles, blocks);
	float *u = g->scratch + thread * g->thread_floats;
	for (hd_n f = 0; f < wino_places(j->r); f++) {
		const float *v = j->v + f * j->places_v + chunk * j->block * WINO_CHUNK, *q = g->q + f * g->places_q;
		for (hd_n t = 0; t < j->tiles; t += block) {
			for (hd_n p = p0; p < p1; p++) {
				float *c = u + f * WINO_CHUNK * ldu + (p - p0) * MM_COLS;
				mm_panel(m, 1, mm_min(j->tiles - t, block), v + t * WINO_CHUNK, WINO_CHUNK, q + (p * j->block + t) * MM_COLS, c,
				         ldu, t ? c : NULL, ldu, NULL);
			}
		}
	}
	if (j->r == 4)
		wino_grad_finish(4, j, u, ldu, chunk * WINO_CHUNK, m, p0 * MM_COLS, ldu, g->dw);
	else
		wino_grad_finish(2, j, u, ldu, chunk * WINO_CHUNK, m, p0 * MM_COLS, ldu, g->dw);
}

static wino_grad_job wino_grad_plan(const hd_conv *v) {
	wino_grad_job g = {.in = wino_forward_job(v)};
	wino_job *j = &g.in;
	hd_n places = wino_places(j->r), all = j->n * j->tw * j->th;
	g.chunks = mm_div(j->c, WINO_CHUNK);
	g.panels = mm_div(j->o, MM_COLS);
	g.groups = mm_div(g.panels, WINO_CHUNK_PANELS);
	hd_n tile = g.chunks * WINO_CHUNK + g.panels * MM_COLS;
	j->vs = WINO_CHUNK;
	j->block = mm_min(mm_max(WINO_GRAD_BLOCK / (places * tile), MM_BLOCK_ROWS), all);
	j->block = mm_div(all, mm_div(all, j->block));
	j->places_v = g.chunks * WINO_CHUNK * j->block + WINO_PAD;
	g.places_q = g.panels * MM_COLS * j->block + WINO_PAD;
	g.thread_floats = places * WINO_CHUNK * WINO_CHUNK_PANELS * MM_COLS;
	return g;
}

static void wino_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	wino_grad_job g = wino_grad_plan(v);
	wino_job *j = &g.in;
	hd_n all = j->n * j->tw * j->th;
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
	wino_grad_job g = wino_grad_plan(v);
	return (wino_places(g.in.r) * (g.in.places_v + g.places_q) + hd_pool_threads(c->pool) * g.thread_floats) *
		sizeof(float);
}
