// Convolutions as products: the left operand is an image whose pixels are gathered block by block.
//
// Row m of that matrix is a pixel of a grid over all images, column (kernel row, kernel column, channel) is what the
// kernel sees there. The forward pass multiplies it by the weight, which is stored as [KH·KW·C, O]. The weight's
// gradient multiplies its transpose by dy. The data gradient is such a product too: of the pixels of dy with the weight
// rotated by 180° and transposed. With a stride s, it falls into s×s of them, one for each phase of the pixel's
// position, each with the kernel's taps of one phase.

typedef struct {
	hd_n gh, gw, step;   // grid of rows: its size, and how many pixels apart
	hd_n y0, x0;         // pixel that the first tap of the first grid point sees
	hd_n kh, kw;         // taps
	hd_n h, w, c;        // image; zeros around it
	hd_n sh, sw;         // image in memory, resized to h×w by nearest neighbour
} mm_image;

// Source row or column of a resized image, in the float32 arithmetic of
// torch.nn.functional.interpolate(mode="nearest"), which is one off the exact quotient for a few pairs of sizes, such
// as 14 → 46.
INLINE hd_n mm_nearest(hd_n i, hd_n size, hd_n source) {
	if (size == source)
		return i;
	return mm_min((hd_n)((float)i * ((float)source / (float)size)), source - 1);
}

static void mm_copy_image(const mm_left *a, hd_n r, hd_n nr, hd_n c0, hd_n nc, char *dst, hd_n ldd) {
	const mm_image *g = a->image;
	if (!nc) // no taps
		return;
	hd_n gx = r % g->gw, gy = r / g->gw % g->gh, image = r / g->gw / g->gh;
	hd_n row = g->kw * g->c, ty0 = c0 / row, tx0 = c0 % row / g->c, channel0 = c0 % g->c;
	int resized = g->sh != g->h || g->sw != g->w;
	for (; nr > 0; nr--, dst += mm_bytes(a, ldd)) {
		hd_n ty = ty0, tx = tx0, channel = channel0;
		for (hd_n i = 0; i < nc;) {
			// As many taps of one kernel row as lie next to each other, in the image or outside.
			hd_n y = gy * g->step + g->y0 + ty, x = gx * g->step + g->x0 + tx, taps = g->kw - tx;
			int outside = y < 0 || y >= g->h || x < 0 || x >= g->w;
			if (y >= 0 && y < g->h) {
				if (x < 0)
					taps = mm_min(taps, -x);
				else if (!outside)
					taps = resized ? 1 : mm_min(taps, g->w - x);
			}
			hd_n n = mm_min(taps * g->c - channel, nc - i);
			if (outside) {
				memset(dst + mm_bytes(a, i), 0, mm_bytes(a, n));
			} else {
				hd_n pixel = (image * g->sh + mm_nearest(y, g->h, g->sh)) * g->sw + mm_nearest(x, g->w, g->sw);
				mm_move(dst + mm_bytes(a, i), a->p, pixel * g->c + channel, n, a->type, !a->pairs);
			}
			i += n;
			tx += taps;
			channel = 0;
			if (tx == g->kw) {
				tx = 0;
				ty++;
			}
		}
		if (++gx == g->gw) {
			gx = 0;
			if (++gy == g->gh) {
				gy = 0;
				image++;
			}
		}
	}
}

// ---- Forward

INLINE hd_n conv_oh(const hd_conv *v) { return (v->h + v->top + v->bottom - v->kh) / v->stride + 1; }
INLINE hd_n conv_ow(const hd_conv *v) { return (v->w + v->left + v->right - v->kw) / v->stride + 1; }

// The image under a forward convolution, with one row for each pixel of the result.
static mm_image conv_image(const hd_conv *v) {
	return (mm_image){
	    .gh = conv_oh(v), .gw = conv_ow(v), .step = v->stride, .y0 = -v->top, .x0 = -v->left, .kh = v->kh, .kw = v->kw,
	    .h = v->h, .w = v->w, .c = v->c, .sh = v->sh, .sw = v->sw,
	};
}

// Makes image the left operand. A 1×1 convolution at stride 1 is a plain matrix.
static mm_left conv_left(const mm_image *g, const void *x, hd_dtype type) {
	mm_left a = {.p = x, .ld = g->c, .type = type, .copy = mm_copy_image, .image = g};
	if (g->kh == 1 && g->kw == 1 && g->step == 1 && !g->y0 && !g->x0 && g->gh == g->h && g->gw == g->w &&
	    g->h == g->sh && g->w == g->sw)
		a.copy = NULL;
	return a;
}

static mm_job direct_job(const hd_ctx *c, const hd_conv *v, const mm_image *g, const void *x, const float *weight,
                         const float *packed, const float *bias, const float *residual, void *y) {
	mm_job j = {
	    .m = v->n * g->gh * g->gw, .n = v->o, .k = v->kh * v->kw * v->c,
	    .a = conv_left(g, x, v->type),
	    .b = {.packed = packed, .p = weight, .ld = v->o, .layout = HD_ROWS},
	    .c = {.p = y, .ld = v->o, .type = v->out_type, .residual = residual, .ldr = v->o, .bias = bias, .act = v->act},
	};
	mm_plan(&j, hd_pool_threads(c->pool));
	return j;
}

static void direct_conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed,
                        const float *bias, const float *residual, void *y, void *ws) {
	mm_image g = conv_image(v);
	mm_job j = direct_job(c, v, &g, x, weight, packed, bias, residual, y);
	mm_run(c, &j, ws);
}

static size_t direct_workspace(const hd_ctx *c, const hd_conv *v, int packed) {
	mm_image g = conv_image(v);
	float some;
	mm_job j = direct_job(c, v, &g, NULL, NULL, packed ? &some : NULL, NULL, NULL, NULL);
	return mm_workspace(&j, hd_pool_threads(c->pool));
}

// ---- Data gradient

// Which taps of a kernel reach the pixels phase, phase + stride, …, along one axis, in the order of the gradient's
// pixels that they come from: taps last, last - stride, …, of which the first comes from pixel `from` of dy for the
// first pixel.
typedef struct {
	hd_n count, last, from;
} mm_phase;

static mm_phase conv_phase(hd_n phase, hd_n stride, hd_n pad, hd_n kernel) {
	// Pixel i = phase + stride·a contributes to output (i + pad - tap)/stride.
	hd_n first = (phase + pad) % stride;
	mm_phase p = {0, 0, 0};
	if (first < kernel) {
		p.count = (kernel - 1 - first) / stride + 1;
		p.last = first + (p.count - 1) * stride;
		p.from = (phase + pad - p.last) / stride; // exact, so its sign does not matter
	}
	return p;
}

typedef struct {
	const hd_conv *v;
	mm_phase y, x;
	hd_n px, py, gh, gw; // phase, and how many pixels it has
} mm_phases;

// Rows are (tap, o), columns are channels of x; the weight is [KH,KW,C,O].
static void mm_pack_rotated(const mm_right *b, hd_n k, hd_n nk, hd_n n, hd_n nn, float *dst) {
	const mm_phases *f = b->filter;
	const hd_conv *v = f->v;
	for (hd_n end = k + nk; k < end;) {
		hd_n tap = k / v->o, o = k % v->o, len = mm_min(v->o - o, end - k);
		hd_n ky = f->y.last - tap / f->x.count * v->stride, kx = f->x.last - tap % f->x.count * v->stride;
		mm_pack_from_columns(dst, b->p, ((ky * v->kw + kx) * v->c + n) * v->o + o, v->o, len, nn, HD_F32);
		dst += len * MM_COLS;
		k += len;
	}
}

static hd_n mm_phase_row(const mm_out *c, hd_n m) {
	const mm_phases *f = c->grid;
	const hd_conv *v = f->v;
	hd_n x = m % f->gw, y = m / f->gw % f->gh, image = m / f->gw / f->gh;
	return ((image * v->h + y * v->stride + f->py) * v->w + x * v->stride + f->px) * v->c;
}

static mm_job direct_data_grad_job(const hd_ctx *c, const hd_conv *v, hd_n phase, mm_phases *f, mm_image *g,
                                   const void *dy, const float *weight, const float *residual, void *dx) {
	hd_n s = v->stride;
	*f = (mm_phases){.v = v, .py = phase / s, .px = phase % s};
	f->y = conv_phase(f->py, s, v->top, v->kh);
	f->x = conv_phase(f->px, s, v->left, v->kw);
	f->gh = v->h > f->py ? mm_div(v->h - f->py, s) : 0;
	f->gw = v->w > f->px ? mm_div(v->w - f->px, s) : 0;
	*g = (mm_image){.gh = f->gh, .gw = f->gw, .step = 1, .y0 = f->y.from, .x0 = f->x.from, .kh = f->y.count,
	                .kw = f->x.count, .h = conv_oh(v), .w = conv_ow(v), .c = v->o, .sh = conv_oh(v), .sw = conv_ow(v)};
	mm_job j = {
	    .m = v->n * f->gh * f->gw, .n = v->c, .k = f->y.count * f->x.count * v->o,
	    .a = conv_left(g, dy, v->type),
	    .b = {.p = weight, .pack = mm_pack_rotated, .filter = f},
	    .c = {.p = dx, .ld = v->c, .type = v->out_type, .residual = residual, .ldr = v->c,
	          .row = s > 1 ? mm_phase_row : NULL, .grid = f},
	};
	if (j.m)
		mm_plan(&j, hd_pool_threads(c->pool));
	return j;
}

static void direct_data_grad(const hd_ctx *c, const hd_conv *v, const void *dy, const float *weight,
                             const float *residual, void *dx, void *ws) {
	for (hd_n phase = 0; phase < v->stride * v->stride; phase++) {
		mm_phases f;
		mm_image g;
		mm_job j = direct_data_grad_job(c, v, phase, &f, &g, dy, weight, residual, dx);
		if (j.m)
			mm_run(c, &j, ws);
	}
}

static size_t direct_data_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	size_t most = 0;
	for (hd_n phase = 0; phase < v->stride * v->stride; phase++) {
		mm_phases f;
		mm_image g;
		mm_job j = direct_data_grad_job(c, v, phase, &f, &g, NULL, NULL, NULL, NULL);
		size_t bytes = j.m ? mm_workspace(&j, hd_pool_threads(c->pool)) : 0;
		if (bytes > most)
			most = bytes;
	}
	return most;
}

// ---- Weight gradient

static mm_job direct_weight_grad_job(const hd_ctx *c, const hd_conv *v, const mm_image *g, const void *x,
                                     const void *dy, float *dw) {
	mm_job j = {
	    .m = v->kh * v->kw * v->c, .n = v->o, .k = v->n * g->gh * g->gw,
	    .a = conv_left(g, x, v->type),
	    .b = {.p = dy, .ld = v->o, .type = v->type, .layout = HD_ROWS},
	    .c = {.p = dw, .ld = v->o},
	};
	j.a.by_column = 1;
	mm_plan(&j, hd_pool_threads(c->pool));
	return j;
}

static void direct_weight_grad(const hd_ctx *c, const hd_conv *v, const void *x, const void *dy, float *dw, void *ws) {
	mm_image g = conv_image(v);
	mm_job j = direct_weight_grad_job(c, v, &g, x, dy, dw);
	mm_run(c, &j, ws);
}

static size_t direct_weight_grad_workspace(const hd_ctx *c, const hd_conv *v) {
	mm_image g = conv_image(v);
	mm_job j = direct_weight_grad_job(c, v, &g, NULL, NULL, NULL);
	return mm_workspace(&j, hd_pool_threads(c->pool));
}

// ---- Few outputs
//
// With O = 3 a panel of the direct product would have three columns in use. Instead z[pixel][tap,o] = Σ_c x·weight
// for all taps at once, and y[pixel][o] = Σ_tap z[pixel + tap][tap,o].

enum { TAPS_ROWS = 16 }; // rows of y in a task, at the price of kh-1 rows of z that its neighbours also make

typedef struct {
	const hd_conv *v;
	mm_left x;
	const float *packed, *bias, *residual;
	void *y;
	hd_n oh, ow, k, panels, bands, run; // k: words of a pixel; run: pixels of one product
	float *scratch;
	hd_n thread_floats;
} taps_job;

// Rows are channels, columns are (tap, o).
static void mm_pack_taps(const mm_right *b, hd_n k, hd_n nk, hd_n n, hd_n nn, float *dst) {
	const hd_conv *v = b->filter;
	const float *w = b->p;
	for (hd_n i = 0; i < nk; i++)
		for (hd_n j = 0; j < MM_COLS; j++)
			dst[i * MM_COLS + j] = j < nn ? w[((n + j) / v->o * v->c + k + i) * v->o + (n + j) % v->o] : 0;
}

static taps_job taps_plan(const hd_conv *v) {
	taps_job j = {.v = v, .oh = conv_oh(v), .ow = conv_ow(v), .panels = mm_div(v->kh * v->kw * v->o, MM_COLS)};
	j.x = (mm_left){.ld = v->c, .type = v->type, .pairs = mm_pairs(v->type), .depth = v->c};
	j.k = mm_words(v->c, j.x.pairs);
	j.bands = mm_div(j.oh, TAPS_ROWS);
	j.run = mm_min(v->w, MM_BLOCK_ROWS);
	hd_n z = (TAPS_ROWS + v->kh - 1) * v->w * j.panels * MM_COLS + VL; // the last tap's vector may end past its outputs
	j.thread_floats = mm_line(j.run * j.k) + mm_line(z);
	return j;
}

static size_t taps_filter_bytes(const hd_conv *v) { return mm_packed_bytes(v->type, v->c, v->kh * v->kw * v->o); }

static void taps_pack(const hd_ctx *c, const hd_conv *v, const float *weight, float *packed) {
	mm_right b = {.p = weight, .pack = mm_pack_taps, .filter = v};
	mm_pack_all(c, &b, v->type, v->c, v->kh * v->kw * v->o, packed);
}

// Sums of shifted z, for one row of y.
INLINE void taps_sum_t(const taps_job *j, const float *z, hd_n first, hd_n image, hd_n y, hd_dtype type) {
	const hd_conv *v = j->v;
	hd_n ldz = j->panels * MM_COLS;
	hd_n ky0 = mm_max(v->top - y, 0), ky1 = mm_min(v->h + v->top - y, v->kh);
	for (hd_n x = 0; x < j->ow; x++) {
		hd_n kx0 = mm_max(v->left - x, 0), kx1 = mm_min(v->w + v->left - x, v->kw);
		hd_n at = ((image * j->oh + y) * j->ow + x) * v->o;
		for (hd_n o = 0; o < v->o; o += VL) {
			hd_n n = v->o - o;
			vf s = j->bias ? mm_load_part(j->bias, o, n, HD_F32) : bc(0);
			for (hd_n ky = ky0; ky < ky1; ky++) {
				const float *row = z + ((y - v->top + ky - first) * v->w + x - v->left) * ldz + ky * v->kw * v->o + o;
				for (hd_n kx = kx0; kx < kx1; kx++)
					s += ld(row + kx * (ldz + v->o));
			}
			if (j->residual)
				s += mm_load_part(j->residual, at + o, n, HD_F32);
			mm_store_part(j->y, at + o, n, vact(s, v->act), type);
		}
	}
}

static void taps_task(void *arg, hd_n task, int thread) {
	const taps_job *j = arg;
	const hd_conv *v = j->v;
	hd_n image = task / j->bands, y0 = task % j->bands * TAPS_ROWS, y1 = mm_min(y0 + TAPS_ROWS, j->oh);
	float *copied = j->scratch + thread * j->thread_floats, *z = copied + mm_line(j->run * j->k);
	hd_n ldz = j->panels * MM_COLS;
	hd_n first = mm_max(y0 - v->top, 0), end = mm_min(y1 - 1 - v->top + v->kh, v->h); // rows of x
	hd_n pixels = mm_max(end - first, 0) * v->w, from = (image * v->h + first) * v->w;
	for (hd_n p = 0; p < pixels; p += j->run) {
		hd_n n = mm_min(pixels - p, j->run);
		const float *x = (const float *)j->x.p + (from + p) * j->k;
		if (v->type != HD_F32 && (!j->x.pairs || v->c % 2)) {
			mm_copy(&j->x, from + p, n, 0, j->k, copied);
			x = copied;
		}
		for (hd_n panel = 0; panel < j->panels; panel++)
			mm_panel_words(n, 0, j->x.pairs, j->k, x, j->k, j->packed + panel * j->k * MM_COLS, z + p * ldz + panel * MM_COLS,
			               ldz, NULL, 0, NULL);
	}
	for (hd_n y = y0; y < y1; y++) {
		if (v->out_type == HD_BF16)
			taps_sum_t(j, z, first, image, y, HD_BF16);
		else
			taps_sum_t(j, z, first, image, y, HD_F32);
	}
}

static void taps_conv(const hd_ctx *c, const hd_conv *v, const void *x, const float *weight, const float *packed,
                      const float *bias, const float *residual, void *y, void *ws) {
	taps_job j = taps_plan(v);
	j.x.p = x;
	j.bias = bias;
	j.residual = residual;
	j.y = y;
	j.packed = packed;
	j.scratch = ws;
	if (!packed) {
		taps_pack(c, v, weight, ws);
		j.packed = ws;
		j.scratch += taps_filter_bytes(v) / sizeof(float);
	}
	hd_pool_for(c->pool, v->n * j.bands, taps_task, &j);
}

static size_t taps_workspace(const hd_ctx *c, const hd_conv *v, int packed) {
	return hd_pool_threads(c->pool) * taps_plan(v).thread_floats * sizeof(float) + (packed ? 0 : taps_filter_bytes(v));
}
