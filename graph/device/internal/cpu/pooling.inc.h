// Pooling: windows walk over images as a convolution's kernel does, and each gives the maximum or the mean of what it
// sees.

typedef struct {
	const hd_windows *s;
	const void *x;
	void *y;
} pw_job;

typedef struct {
	hd_n begin, end;
} pw_range;

// The taps of window i that see the image, along one axis.
INLINE pw_range pw_taps(hd_n i, hd_n stride, hd_n pad, hd_n kernel, hd_n size) {
	hd_n first = i * stride - pad;
	return (pw_range){rw_max(-first, 0), rw_min(size - first, kernel)};
}

// The divisor of a window's sum.
INLINE float pw_divisor(const hd_windows *s, pw_range ty, pw_range tx) {
	return s->count_padding ? s->kh * s->kw : (ty.end - ty.begin) * (tx.end - tx.begin);
}

// One row of windows.
INLINE void pw_row(const pw_job *j, hd_n task, int mean, hd_dtype type) {
	const hd_windows *s = j->s;
	hd_n image = task / s->oh, oy = task % s->oh;
	pw_range ty = pw_taps(oy, s->stride, s->top, s->kh, s->h);
	for (hd_n ox = 0; ox < s->ow; ox++) {
		pw_range tx = pw_taps(ox, s->stride, s->left, s->kw, s->w);
		hd_n corner = (image * s->h + oy * s->stride - s->top) * s->w + ox * s->stride - s->left; // pixel of tap 0
		float divisor = pw_divisor(s, ty, tx);
		RW_RANGE(ch, n, 0, s->c, {
			vf v = bc(mean ? 0 : -INFINITY);
			for (hd_n y = ty.begin; y < ty.end; y++)
				for (hd_n x = tx.begin; x < tx.end; x++) {
					vf a = rw_ld(j->x, (corner + y * s->w + x) * s->c + ch, n, type);
					if (mean)
						v += a;
					else // a NaN is larger than any number
						v = vsel((vi)(a > v) | (vi)(a != a), a, v);
				}
			if (mean)
				v /= divisor;
			rw_st(j->y, (task * s->ow + ox) * s->c + ch, v, n, type);
		});
	}
}

static void pw_task(void *arg, hd_n task, int thread) {
	const pw_job *j = arg;
	if (j->s->mean)
		RW_TYPED(j->s->type, pw_row, j, task, 1);
	else
		RW_TYPED(j->s->type, pw_row, j, task, 0);
}

static void pool(const hd_ctx *c, const hd_windows *s, const void *x, void *y) {
	hd_pool_for(c->pool, s->n * s->oh, pw_task, &(pw_job){s, x, y});
}
