// Pooling: windows walk over images as a convolution's kernel does, and each gives the maximum or the mean of what it sees.

typedef enum { PW_MAX, PW_WHICH, PW_MEAN } pw_op; // PW_WHICH: the number of the tap with the maximum, as a float32

typedef struct {
	const hd_windows *s;
	const void *x; // dy for a gradient
	void *y;
	const float *which; // the tap with the maximum; NULL for means
	pw_op op;
} pw_job;

typedef struct {
	long begin, end;
} pw_range;

// The taps of window i that see the image, along one axis.
INLINE pw_range pw_taps(long i, long stride, long pad, long kernel, long size) {
	long first = i * stride - pad;
	return (pw_range){rw_max(-first, 0), rw_min(size - first, kernel)};
}

// The windows that see pixel i, along one axis.
INLINE pw_range pw_windows(long i, long stride, long pad, long kernel, long windows) {
	long at = i + pad;
	return (pw_range){at < kernel ? 0 : (at - kernel) / stride + 1, rw_min(at / stride + 1, windows)};
}

// What a window's sum is divided by.
INLINE float pw_divisor(const hd_windows *s, pw_range ty, pw_range tx) {
	return s->count_padding ? s->kh * s->kw : (ty.end - ty.begin) * (tx.end - tx.begin);
}

// One row of windows.
INLINE void pw_row(const pw_job *j, long task, pw_op op, hd_dtype type) {
	const hd_windows *s = j->s;
	long image = task / s->oh, oy = task % s->oh;
	pw_range ty = pw_taps(oy, s->stride, s->top, s->kh, s->h);
	for (long ox = 0; ox < s->ow; ox++) {
		pw_range tx = pw_taps(ox, s->stride, s->left, s->kw, s->w);
		long corner = (image * s->h + oy * s->stride - s->top) * s->w + ox * s->stride - s->left; // pixel of tap 0
		float divisor = pw_divisor(s, ty, tx);
		RW_RANGE(ch, n, 0, s->c, {
			vf v = bc(op == PW_MEAN ? 0 : -INFINITY), which = bc(ty.begin * s->kw + tx.begin);
			for (long y = ty.begin; y < ty.end; y++)
				for (long x = tx.begin; x < tx.end; x++) {
					vf a = rw_ld(j->x, (corner + y * s->w + x) * s->c + ch, n, type);
					if (op == PW_MEAN) {
						v += a;
						continue;
					}
					vi larger = (vi)(a > v) | (vi)(a != a); // a NaN is larger than any number
					v = vsel(larger, a, v);
					if (op == PW_WHICH)
						which = vsel(larger, bc(y * s->kw + x), which);
				}
			if (op == PW_MEAN)
				v /= divisor;
			rw_st(j->y, (task * s->ow + ox) * s->c + ch, op == PW_WHICH ? which : v, n, op == PW_WHICH ? HD_F32 : type);
		});
	}
}

// One row of the gradient of the images.
INLINE void pw_grad_row(const pw_job *j, long task, pw_op op, hd_dtype type) {
	const hd_windows *s = j->s;
	long image = task / s->h, y = task % s->h;
	pw_range wy = pw_windows(y, s->stride, s->top, s->kh, s->oh);
	for (long x = 0; x < s->w; x++) {
		pw_range wx = pw_windows(x, s->stride, s->left, s->kw, s->ow);
		RW_RANGE(ch, n, 0, s->c, {
			vf sum = bc(0);
			for (long oy = wy.begin; oy < wy.end; oy++)
				for (long ox = wx.begin; ox < wx.end; ox++) {
					long at = ((image * s->oh + oy) * s->ow + ox) * s->c + ch;
					vf dy = rw_ld(j->x, at, n, type);
					if (op == PW_MEAN) {
						sum += dy / pw_divisor(s, pw_taps(oy, s->stride, s->top, s->kh, s->h),
						                       pw_taps(ox, s->stride, s->left, s->kw, s->w));
						continue;
					}
					float tap = (y + s->top - oy * s->stride) * s->kw + x + s->left - ox * s->stride;
					sum += vsel((vi)(rw_ld(j->which, at, n, HD_F32) == tap), dy, bc(0));
				}
			rw_st(j->y, (task * s->w + x) * s->c + ch, sum, n, type);
		});
	}
}

static void pw_task(void *arg, long task, int thread) {
	(void)thread;
	const pw_job *j = arg;
	switch (j->op) {
	case PW_MAX:
		RW_TYPED(j->s->type, pw_row, j, task, PW_MAX);
		break;
	case PW_WHICH:
		RW_TYPED(j->s->type, pw_row, j, task, PW_WHICH);
		break;
	default:
		RW_TYPED(j->s->type, pw_row, j, task, PW_MEAN);
	}
}

static void pw_grad_task(void *arg, long task, int thread) {
	(void)thread;
	const pw_job *j = arg;
	if (j->op == PW_MEAN)
		RW_TYPED(j->s->type, pw_grad_row, j, task, PW_MEAN);
	else
		RW_TYPED(j->s->type, pw_grad_row, j, task, PW_WHICH);
}

static void pw_max(const hd_ctx *c, const hd_windows *s, const void *x, void *y) {
	pw_job j = {.s = s, .x = x, .y = y, .op = PW_MAX};
	hd_pool_for(c->pool, s->n * s->oh, pw_task, &j);
}

static void pw_mean(const hd_ctx *c, const hd_windows *s, const void *x, void *y) {
	pw_job j = {.s = s, .x = x, .y = y, .op = PW_MEAN};
	hd_pool_for(c->pool, s->n * s->oh, pw_task, &j);
}

static void pw_max_grad(const hd_ctx *c, const hd_windows *s, const void *x, const void *dy, void *dx, void *ws) {
	pw_job which = {.s = s, .x = x, .y = ws, .op = PW_WHICH};
	hd_pool_for(c->pool, s->n * s->oh, pw_task, &which);
	pw_job j = {.s = s, .x = dy, .y = dx, .which = ws, .op = PW_WHICH};
	hd_pool_for(c->pool, s->n * s->h, pw_grad_task, &j);
}

static size_t pw_max_grad_workspace(const hd_ctx *c, const hd_windows *s) {
	(void)c;
	return s->n * s->oh * s->ow * s->c * sizeof(float);
}

static void pw_mean_grad(const hd_ctx *c, const hd_windows *s, const void *dy, void *dx) {
	pw_job j = {.s = s, .x = dy, .y = dx, .op = PW_MEAN};
	hd_pool_for(c->pool, s->n * s->h, pw_grad_task, &j);
}
