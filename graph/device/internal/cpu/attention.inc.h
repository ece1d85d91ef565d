// Attention with queries in the vector lanes; attention_grad.inc.h has its gradient.
//
// A tile is ATT_Q queries. Its scores are computed transposed, Sᵀ[key][query], so that the softmax over keys runs down
// the rows: maximum, sum and rescaling are one vector operation each, never a reduction across lanes. Every product is
// then the same register tile: ATT_R rows (keys or channels, broadcast) × up to ATT_NV vectors (queries or channels).
//
//     Sᵀ[key][query]     = Σ_channel K[key][channel] · Qᵀ[channel][query]
//     Oᵀ[channel][query] = Σ_key     V[key][channel] · Pᵀ[key][query]
//
// K is packed in panels of ATT_R keys and V in panels of ATT_R channels, chunk of keys by chunk of keys, so that the
// inner loop reads both in sequence; a chunk stays in the L2 cache while the tiles of a block of queries pass over it.
//
// Where products of bfloat16 are of pairs (HD_DOT), channels are paired in K and Qᵀ, and keys in V and Pᵀ: two rows of
// floats become one row of pairs, and the same sums take half as many steps.

enum {
#if VL == 16 || defined(HD_NEON)
	ATT_R = 8, // 8×3 accumulators of 32 registers
#else
	ATT_R = 4, // 4×3 accumulators + 3 loads + 1 broadcast: all 16 registers
#endif
	ATT_NV = 3,
	ATT_Q = ATT_NV * VL,
	ATT_DEPTH = 80, // channels in one chain of sums: bounds its rounding error; a Qᵀ tile (8 KiB with AVX2) stays in L1
};

// For functions with a register tile inside: inlined into a long function, GCC spills its accumulators.
#define ATT_NOINLINE __attribute__((noinline))

INLINE hd_n att_min(hd_n a, hd_n b) { return a < b ? a : b; }
INLINE hd_n att_max(hd_n a, hd_n b) { return a > b ? a : b; }
INLINE hd_n att_round(hd_n n, hd_n to) { return (n + to - 1) / to * to; }
INLINE hd_n att_div(hd_n n, hd_n by) { return (n + by - 1) / by; }
INLINE float *att_take(float **p, hd_n n) { // n floats off the workspace, in whole cache lines
	float *r = *p;
	*p += att_round(n, 16);
	return r;
}
INLINE void *att_at(const void *p, hd_n i, hd_dtype t) { return (char *)p + i * (t == HD_BF16 ? 2 : 4); }

// 2^t for t up to about 127, to 1.6e-7; 2^-125 below t = -125, which in a sum with a term of 1 is as 0. Minimax
// polynomial for the relative error on [-1/2, 1/2]. The integer part of t sits in the low bits of t + 1.5·2^23.
INLINE vf att_exp2(vf t) {
	t = vmaxf(bc(-125.0f), t); // in this order a NaN stays a NaN
	vf z = t + 12582912.0f;
	vf f = t - (z - 12582912.0f);
	vf g = f * f; // Estrin's scheme: the latency of the chain, not the count of operations, sets the pace
	vf p = f * 6.931470037e-1f + 1.0f, r = f * 5.550733581e-2f + 2.402224243e-1f,
		s = f * 1.326472731e-3f + 9.671512991e-3f;
	p = (s * g + r) * g + p;
	return (vf)((vi)p + ((vi)z << 23));
}

// ---- Packing

// VL×VL block, dst[c*ldd + r] = src[r*VL + c].
#if defined(__x86_64__) && (defined(HD_AVX2) || defined(HD_AVX512))
INLINE void att_transpose8(float *dst, hd_n ldd, const float *src) {
	__m256 r[8], t[8];
	UNROLL
	for (int i = 0; i < 8; i++)
		r[i] = _mm256_loadu_ps(src + i * VL);
	UNROLL
	for (int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
	}
	UNROLL
	for (int i = 0; i < 8; i += 4) {
		r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
		r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
		r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		_mm256_storeu_ps(dst + i * ldd, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
		_mm256_storeu_ps(dst + (i + 4) * ldd, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
	}
}
INLINE void att_transpose(float *dst, hd_n ldd, const float *src) {
	for (int r = 0; r < VL; r += 8)
		for (int c = 0; c < VL; c += 8)
			att_transpose8(dst + c * ldd + r, ldd, src + r * VL + c);
}
#elif defined(HD_NEON)
INLINE void att_transpose(float *dst, hd_n ldd, const float *src) {
	vf rows[VL] = {ld(src), ld(src + VL), ld(src + 2 * VL), ld(src + 3 * VL)}, columns[VL];
	vtranspose(columns, rows);
	UNROLL
	for (int c = 0; c < VL; c++)
		st(dst + c * ldd, columns[c]);
}
#else
INLINE void att_transpose(float *dst, hd_n ldd, const float *src) {
	for (int c = 0; c < VL; c++)
		for (int r = 0; r < VL; r++)
			dst[c * ldd + r] = src[r * VL + c];
}
#endif

// n ≤ VL values src[at …] as floats; the lanes past n keep theirs.
INLINE void att_load_row(float *dst, const void *src, hd_n at, hd_n n, hd_dtype type) {
	if (n == VL)
		st(dst, ldt(src, at, type));
	else
		for (hd_n i = 0; i < n; i++)
			dst[i] = ld1(src, at + i, type);
}

// n ≤ ATT_Q rows of d channels, src[r*lds + c] → dst[c][r] with rows of ATT_Q; missing rows are zero.
INLINE void att_pack_tile_t(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	float block[VL * VL], out[VL * VL];
	for (hd_n r0 = 0; r0 < n; r0 += VL) {
		hd_n nr = att_min(n - r0, VL);
		for (hd_n c0 = 0; c0 < d; c0 += VL) {
			hd_n nc = att_min(d - c0, VL);
			if (nr < VL)
				memset(block, 0, sizeof block);
			for (hd_n r = 0; r < nr; r++)
				att_load_row(block + r * VL, src, (r0 + r) * lds + c0, nc, type);
			if (nc == VL) {
				att_transpose(dst + c0 * ATT_Q + r0, ATT_Q, block);
			} else {
				att_transpose(out, VL, block);
				for (hd_n c = 0; c < nc; c++)
					st(dst + (c0 + c) * ATT_Q + r0, ld(out + c * VL));
			}
		}
	}
}
static void att_pack_tile(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	if (type == HD_BF16)
		att_pack_tile_t(dst, src, lds, n, d, HD_BF16);
	else
		att_pack_tile_t(dst, src, lds, n, d, HD_F32);
}

// The way back: src[c][r] with rows of ATT_Q, times factor[r], → n rows of d channels, dst[r*ldd + c].
INLINE void att_store_tile_t(void *dst, hd_n ldd, hd_n n, hd_n d, const float *src, const float *factor,
                             hd_dtype type) {
	float block[VL * VL], out[VL * VL];
	for (hd_n r0 = 0; r0 < n; r0 += VL) {
		hd_n nr = att_min(n - r0, VL);
		vf f = ld(factor + r0);
		for (hd_n c0 = 0; c0 < d; c0 += VL) {
			hd_n nc = att_min(d - c0, VL);
			if (nc < VL)
				memset(block, 0, sizeof block);
			for (hd_n c = 0; c < nc; c++)
				st(block + c * VL, ld(src + (c0 + c) * ATT_Q + r0) * f);
			att_transpose(out, VL, block);
			for (hd_n r = 0; r < nr; r++) {
				if (nc == VL)
					stt(dst, (r0 + r) * ldd + c0, ld(out + r * VL), type);
				else
					for (hd_n c = 0; c < nc; c++)
						st1(dst, (r0 + r) * ldd + c0 + c, out[r * VL + c], type);
			}
		}
	}
}
static void att_store_tile(void *dst, hd_n ldd, hd_n n, hd_n d, const float *src, const float *factor, hd_dtype type) {
	if (type == HD_BF16)
		att_store_tile_t(dst, ldd, n, d, src, factor, HD_BF16);
	else
		att_store_tile_t(dst, ldd, n, d, src, factor, HD_F32);
}

// Packs n keys of d channels in panels of ATT_R keys for att_scores: dst[key/ATT_R][c][key%ATT_R]. The last panel is
// filled up with copies of the last key: they can't raise a maximum of scores, and nothing else reads them.
INLINE void att_pack_keys_t(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	enum { PART = VL < ATT_R ? VL : ATT_R }; // keys of one panel in a block
	float block[VL * VL], out[VL * VL];
	for (hd_n r0 = 0; r0 < att_round(n, ATT_R); r0 += VL) {
		hd_n rows = att_min(att_round(n, ATT_R) - r0, VL);
		for (hd_n c0 = 0; c0 < d; c0 += VL) {
			hd_n nc = att_min(d - c0, VL);
			for (hd_n r = 0; r < VL; r++)
				att_load_row(block + r * VL, src, att_min(r0 + r, n - 1) * lds + c0, nc, type);
			att_transpose(out, VL, block);
			for (hd_n r = 0; r < rows; r += PART) {
				float *panel = dst + (r0 + r) / ATT_R * ATT_R * d + (r0 + r) % ATT_R;
				for (hd_n c = 0; c < nc; c++)
					memcpy(panel + (c0 + c) * ATT_R, out + c * VL + r, PART * sizeof *dst);
			}
		}
	}
}
static void att_pack_keys(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	if (type == HD_BF16)
		att_pack_keys_t(dst, src, lds, n, d, HD_BF16);
	else
		att_pack_keys_t(dst, src, lds, n, d, HD_F32);
}

// Packs n rows of d values in panels of ATT_R channels for att_accumulate: dst[c/ATT_R][row][c%ATT_R], zero past d.
INLINE void att_pack_panels_t(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	for (hd_n c0 = 0; c0 < d; c0 += ATT_R) {
		hd_n nc = att_min(d - c0, ATT_R);
		for (hd_n r = 0; r < n; r++, dst += ATT_R) {
			if (nc == ATT_R) {
				for (int c = 0; c < ATT_R; c++)
					dst[c] = ld1(src, r * lds + c0 + c, type);
			} else {
				for (hd_n c = 0; c < ATT_R; c++)
					dst[c] = c < nc ? ld1(src, r * lds + c0 + c, type) : 0;
			}
		}
	}
}
static void att_pack_panels(float *dst, const void *src, hd_n lds, hd_n n, hd_n d, hd_dtype type) {
	if (type == HD_BF16)
		att_pack_panels_t(dst, src, lds, n, d, HD_BF16);
	else
		att_pack_panels_t(dst, src, lds, n, d, HD_F32);
}

// ---- Pairs

// Makes pairs of bfloat16 of rows of floats, in place: row r of pairs is rows 2r and 2r+1, with zeros for a row that is
// missing.
static void att_pair_rows(float *x, hd_n rows, hd_n width) {
	for (hd_n r = 0; r < rows; r += 2) {
		const float *first = x + r * width, *second = first + width;
		float *pairs = x + r / 2 * width;
		for (hd_n i = 0; i < width; i++) {
			uint32_t pair = f32_to_bf16(first[i]) | (r + 1 < rows ? (uint32_t)f32_to_bf16(second[i]) << 16 : 0);
			memcpy(pairs + i, &pair, sizeof pair);
		}
	}
}
// The same for a tile of queries.
static void att_pair_tile(float *x, hd_n rows) {
	for (hd_n r = 0; r < rows; r += 2)
		for (hd_n i = 0; i < ATT_Q; i += VL)
			st(x + r / 2 * ATT_Q + i,
			   (vf)vpair(ld(x + r * ATT_Q + i), r + 1 < rows ? ld(x + (r + 1) * ATT_Q + i) : bc(0)));
}

// ---- Products

// x[i][j] = Σ_k a[i*ra + k*ca] · b[k*ldb + j*VL …]. Longer sums are made of such pieces, each begun at zero, and so
// have smaller rounding errors than one long chain. With pairs, an element of a and a lane of b is a pair.
INLINE void att_mac(vf x[ATT_R][ATT_NV], const int nv, const int pairs, hd_n n, const float *a, hd_n ra, hd_n ca,
                    const float *b, hd_n ldb) {
	UNROLL
	for (int i = 0; i < ATT_R; i++)
		UNROLL
		for (int j = 0; j < nv; j++)
			x[i][j] = bc(0);
	for (hd_n k = 0; k < n; k++) {
		vf bv[ATT_NV];
		UNROLL
		for (int j = 0; j < nv; j++)
			bv[j] = ld(b + j * VL);
		UNROLL
		for (int i = 0; i < ATT_R; i++) {
#if defined(HD_NEON)
			const int whole = ca == ATT_R; // words of a are whole vectors: ra is 1
			UNROLL
			for (int j = 0; j < nv; j++)
				x[i][j] = whole ? vfma_lane(x[i][j], ld(a + i / VL * VL), i % VL, bv[j])
				                : vfma_scalar(x[i][j], a[i * ra], bv[j]);
			if (!whole)
				MM_PIN(a);
#else
			vf av = pairs ? (vf)bcpair(a + i * ra) : bc(a[i * ra]);
			UNROLL
			for (int j = 0; j < nv; j++) {
				if (pairs)
					x[i][j] = vdot(x[i][j], (vi)av, (vi)bv[j]);
				else
					x[i][j] += av * bv[j];
			}
#endif
		}
		a += ca;
		b += ldb;
	}
}
// c = x, or c = c·factor + x; factor is a vector for each column of x.
INLINE void att_put(vf x[ATT_R][ATT_NV], const int nv, float *c, hd_n ldc) {
	UNROLL
	for (int i = 0; i < ATT_R; i++)
		UNROLL
		for (int j = 0; j < nv; j++)
			st(c + i * ldc + j * VL, x[i][j]);
}
INLINE void att_add(vf x[ATT_R][ATT_NV], const int nv, float *c, hd_n ldc, const float *factor) {
	UNROLL
	for (int j = 0; j < nv; j++) {
		vf f = factor ? ld(factor + j * VL) : bc(1);
		UNROLL
		for (int i = 0; i < ATT_R; i++)
			x[i][j] += ld(c + i * ldc + j * VL) * f;
	}
	att_put(x, nv, c, ldc);
}

// s[key][query] = Σ_c k[key/ATT_R][c][key%ATT_R] q[c][query] for n keys (rounded up to ATT_R) and nv vectors of
// queries; unless max is NULL, max[query] is the greatest. s has rows of lds.
INLINE void att_scores_nv(const int nv, const int pairs, hd_n n, hd_n d, const float *k, const float *q, float *s,
                          hd_n lds, float *max) {
	hd_n words = pairs ? att_div(d, 2) : d;
	for (hd_n c0 = 0; c0 < words; c0 += ATT_DEPTH) {
		hd_n nc = att_min(words - c0, ATT_DEPTH);
		vf m[ATT_NV];
		UNROLL
		for (int j = 0; j < nv; j++)
			m[j] = bc(-INFINITY);
		for (hd_n r = 0; r < n; r += ATT_R) {
			vf x[ATT_R][ATT_NV];
			att_mac(x, nv, pairs, nc, k + r * d + c0 * ATT_R, 1, ATT_R, q + c0 * ATT_Q, ATT_Q);
			if (c0)
				att_add(x, nv, s + r * lds, lds, NULL);
			else
				att_put(x, nv, s + r * lds, lds);
			UNROLL
			for (int i = 0; i < ATT_R; i++)
				UNROLL
				for (int j = 0; j < nv; j++)
					m[j] = vmaxf(m[j], x[i][j]);
		}
		if (max)
			UNROLL
			for (int j = 0; j < nv; j++)
				st(max + j * VL, m[j]);
	}
}
static ATT_NOINLINE void att_scores(int nv, hd_n n, hd_n d, const float *k, const float *q, float *s, hd_n lds,
                                    float *max) {
	if (nv == 3)
		att_scores_nv(3, 0, n, d, k, q, s, lds, max);
	else if (nv == 2)
		att_scores_nv(2, 0, n, d, k, q, s, lds, max);
	else
		att_scores_nv(1, 0, n, d, k, q, s, lds, max);
}

// o[c][query] = o[c][query]·factor[query] + Σ_key v[c/ATT_R][key][c%ATT_R] p[key][query] over n keys of panels that are
// ldv keys long; with no factor o is not read. o has rows of ATT_Q, p of ldp.
INLINE void att_accumulate_nv(const int nv, const int pairs, hd_n n, hd_n d, const float *v, hd_n ldv, const float *p,
                              hd_n ldp, float *o, const float *factor) {
	for (hd_n c = 0; c < d; c += ATT_R, v += ldv * ATT_R, o += ATT_R * ATT_Q) {
		vf x[ATT_R][ATT_NV];
		att_mac(x, nv, pairs, pairs ? att_div(n, 2) : n, v, 1, ATT_R, p, ldp);
		if (factor)
			att_add(x, nv, o, ATT_Q, factor);
		else
			att_put(x, nv, o, ATT_Q);
	}
}
static ATT_NOINLINE void att_accumulate(int nv, hd_n n, hd_n d, const float *v, hd_n ldv, const float *p, hd_n ldp,
                                        float *o, const float *factor) {
	if (nv == 3)
		att_accumulate_nv(3, 0, n, d, v, ldv, p, ldp, o, factor);
	else if (nv == 2)
		att_accumulate_nv(2, 0, n, d, v, ldv, p, ldp, o, factor);
	else
		att_accumulate_nv(1, 0, n, d, v, ldv, p, ldp, o, factor);
}

#if HD_DOT
static ATT_NOINLINE void att_scores_pairs(int nv, hd_n n, hd_n d, const float *k, const float *q, float *s, hd_n lds,
                                          float *max) {
	if (nv == 3)
		att_scores_nv(3, 1, n, d, k, q, s, lds, max);
	else if (nv == 2)
		att_scores_nv(2, 1, n, d, k, q, s, lds, max);
	else
		att_scores_nv(1, 1, n, d, k, q, s, lds, max);
}
static ATT_NOINLINE void att_accumulate_pairs(int nv, hd_n n, hd_n d, const float *v, hd_n ldv, const float *p,
                                              hd_n ldp, float *o, const float *factor) {
	if (nv == 3)
		att_accumulate_nv(3, 1, n, d, v, ldv, p, ldp, o, factor);
	else if (nv == 2)
		att_accumulate_nv(2, 1, n, d, v, ldv, p, ldp, o, factor);
	else
		att_accumulate_nv(1, 1, n, d, v, ldv, p, ldp, o, factor);
}
#else
#define att_scores_pairs att_scores
#define att_accumulate_pairs att_accumulate
#endif

// ---- Softmax

// Causal mask: -∞ for keys after a query, and a new max. s has n keys from key k0 on; query q0 is lane 0.
static void att_mask(int nv, hd_n n, hd_n k0, hd_n q0, float *s, hd_n lds, float *max) {
	vi lane;
	for (int i = 0; i < VL; i++)
		lane[i] = i;
	for (int j = 0; j < nv; j++) {
		vf m = bc(-INFINITY);
		for (hd_n r = 0; r < n; r++) {
			float *p = s + r * lds + j * VL;
			vf x = vsel((vi)(lane + (int)(q0 + j * VL) < (int)(k0 + r)), bc(-INFINITY), ld(p));
			st(p, x);
			m = vmaxf(m, x);
		}
		st(max + j * VL, m);
	}
}

// Takes in the greatest scores of one more chunk of keys: max becomes the running maximum in units of log2, and factor
// is what sums made with the old one are to be multiplied by.
INLINE void att_raise_max(int nv, float log2_scale, const float *chunk_max, float *max, float *factor) {
	for (int j = 0; j < nv; j++) {
		vf old = ld(max + j * VL), m = vmaxf(old, ld(chunk_max + j * VL) * log2_scale);
		st(max + j * VL, m);
		st(factor + j * VL, att_exp2(old - m));
	}
}

// s → p = 2^(s·log2_scale - max) in place for n keys, sum = sum·factor + Σ p.
static void att_exponentials(int nv, hd_n n, float log2_scale, float *s, const float *max, const float *factor,
                             float *sum) {
	for (int j = 0; j < nv * VL; j += VL) { // a column at a time: every constant fits in a register
		vf m = ld(max + j), t = bc(0);
		for (hd_n r = 0; r < n; r++) {
			float *sr = s + r * ATT_Q + j;
			vf p = att_exp2(ld(sr) * log2_scale - m);
			st(sr, p);
			t += p;
		}
		st(sum + j, ld(sum + j) * ld(factor + j) + t);
	}
}

INLINE void att_fill(float *p, hd_n n, float x) {
	for (hd_n i = 0; i < n; i++)
		p[i] = x;
}

// Vectors of queries in the tile that begins at query q.
INLINE int att_tile_vectors(hd_n lq, hd_n q) { return (int)att_div(att_min(lq - q, ATT_Q), VL); }

// Keys in a chunk, a multiple of ATT_R: K and V of a chunk take about 128 KiB.
INLINE hd_n att_chunk(const hd_attention *a) { return att_min(att_max(16384 / a->d / ATT_R * ATT_R, 32), 256); }

// ---- Forward

typedef struct {
	hd_n chunk, chunks; // keys in a chunk; chunks of keys
	hd_n tiles, blocks; // tiles in a block of queries; blocks of queries
	hd_n head_floats;   // packed K and V of one head
	hd_n group;         // heads (of all images) packed at a time
	hd_n thread_floats;
	int pairs; // products are of pairs of bfloat16
} att_forward_plan;

typedef struct {
	att_forward_plan p;
	const hd_attention *a;
	const void *q, *k, *v;
	void *o;
	float *packed, *scratch;
	hd_n first; // head of the group
} att_forward_job;

static att_forward_plan att_plan_forward(const hd_ctx *c, const hd_attention *a) {
	att_forward_plan p;
	hd_n threads = hd_pool_threads(c->pool), heads = a->batch * a->heads, d = att_round(a->d, ATT_R);
	p.pairs = HD_DOT && a->type == HD_BF16;
	p.chunk = att_chunk(a);
	p.chunks = att_div(a->lk, p.chunk);
	// Qᵀ and Oᵀ of a block share the L2 cache with a chunk of K and V; four blocks or more for each thread balance the
	// work.
	hd_n tiles = att_div(a->lq, ATT_Q);
	p.tiles = att_min(att_max(192 * 1024 / (2 * d * ATT_Q * 4), 1), 8);
	p.tiles = att_min(p.tiles, att_max(tiles * heads / (4 * threads), 1));
	p.tiles = att_min(p.tiles, tiles);
	p.blocks = att_div(tiles, p.tiles);
	p.head_floats = att_round(att_round(a->lk, ATT_R) * a->d, 16) + att_round(a->lk * d, 16);
	// 16 MiB, and work for each thread
	p.group = att_min(att_max(att_max(4 * 1024 * 1024 / p.head_floats, threads), 1), heads);
	p.thread_floats = att_round(p.tiles * ATT_Q * a->d, 16) + att_round(p.tiles * ATT_Q * d, 16) +
		2 * att_round(p.tiles * ATT_Q, 16) +
	                  att_round(att_round(p.chunk, ATT_R) * ATT_Q, 16);
	return p;
}

static size_t attention_workspace(const hd_ctx *c, const hd_attention *a) {
	att_forward_plan p = att_plan_forward(c, a);
	return (p.group * p.head_floats + hd_pool_threads(c->pool) * p.thread_floats) * sizeof(float);
}

// Packs one chunk of one head.
static void att_pack_task(void *arg, hd_n task, int thread) {
	const att_forward_job *t = arg;
	const hd_attention *a = t->a;
	hd_n g = task / t->p.chunks, k0 = task % t->p.chunks * t->p.chunk, n = att_min(a->lk - k0, t->p.chunk);
	hd_n b = (t->first + g) / a->heads, h = (t->first + g) % a->heads, row = b * a->lk + k0;
	float *k = t->packed + g * t->p.head_floats, *v = k + att_round(att_round(a->lk, ATT_R) * a->d, 16);
	att_pack_keys(k + k0 * a->d, att_at(t->k, row * a->ld + h * a->d, a->type), a->ld, n, a->d, a->type);
	att_pack_panels(v + k0 * att_round(a->d, ATT_R), att_at(t->v, row * a->ld + h * a->d, a->type), a->ld, n, a->d,
	                a->type);
	if (t->p.pairs) {
		for (hd_n r = 0; r < n; r += ATT_R)
			att_pair_rows(k + (k0 + r) * a->d, a->d, ATT_R);
		for (hd_n c = 0; c < a->d; c += ATT_R)
			att_pair_rows(v + k0 * att_round(a->d, ATT_R) + c * n, n, ATT_R);
	}
}

// One block of queries of one head.
static void att_forward_task(void *arg, hd_n task, int thread) {
	const att_forward_job *t = arg;
	const hd_attention *a = t->a;
	hd_n g = task / t->p.blocks, q0 = task % t->p.blocks * t->p.tiles * ATT_Q,
		q1 = att_min(q0 + t->p.tiles * ATT_Q, a->lq);
	hd_n b = (t->first + g) / a->heads, h = (t->first + g) % a->heads, d = att_round(a->d, ATT_R);
	const float *k = t->packed + g * t->p.head_floats, *v = k + att_round(att_round(a->lk, ATT_R) * a->d, 16);
	float log2_scale = a->scale * 1.44269504088896341f;
	float *w = t->scratch + thread * t->p.thread_floats;
	float *qt = att_take(&w, t->p.tiles * ATT_Q * a->d), *ot = att_take(&w, t->p.tiles * ATT_Q * d);
	float *max = att_take(&w, t->p.tiles * ATT_Q), *sum = att_take(&w, t->p.tiles * ATT_Q), *s = w;

	att_fill(max, t->p.tiles * ATT_Q, -INFINITY);
	att_fill(sum, t->p.tiles * ATT_Q, 0);
	for (hd_n q = q0; q < q1; q += ATT_Q) {
		float *tile = qt + (q - q0) * a->d;
		att_pack_tile(tile, att_at(t->q, (b * a->lq + q) * a->ld + h * a->d, a->type), a->ld, att_min(q1 - q, ATT_Q), a->d,
		              a->type);
		if (t->p.pairs)
			att_pair_tile(tile, a->d);
	}
	for (hd_n k0 = 0; k0 < a->lk; k0 += t->p.chunk) {
		hd_n chunk = att_min(a->lk - k0, t->p.chunk);
		for (hd_n q = q0; q < q1; q += ATT_Q) {
			hd_n n = a->causal ? att_min(chunk, q + ATT_Q - k0) : chunk, i = q - q0;
			if (n <= 0)
				continue;
			int nv = att_tile_vectors(a->lq, q);
			float chunk_max[ATT_Q], factor[ATT_Q];
			(t->p.pairs ? att_scores_pairs : att_scores)(nv, n, a->d, k + k0 * a->d, qt + i * a->d, s, ATT_Q, chunk_max);
			if (a->causal && k0 + n > q)
				att_mask(nv, n, k0, q, s, ATT_Q, chunk_max);
			att_raise_max(nv, log2_scale, chunk_max, max + i, factor);
			att_exponentials(nv, n, log2_scale, s, max + i, factor, sum + i);
			if (t->p.pairs)
				att_pair_tile(s, n);
			(t->p.pairs ? att_accumulate_pairs : att_accumulate)(nv, n, d, v + k0 * d, chunk, s, ATT_Q, ot + i * d,
			                                                     k0 ? factor : NULL);
		}
	}
	for (hd_n q = q0; q < q1; q += ATT_Q) {
		float inverse[ATT_Q];
		for (hd_n i = 0; i < ATT_Q; i++)
			inverse[i] = 1.0f / sum[q - q0 + i];
		void *o = att_at(t->o, (b * a->lq + q) * a->ld + h * a->d, a->type);
		att_store_tile(o, a->ld, att_min(q1 - q, ATT_Q), a->d, ot + (q - q0) * d, inverse, a->type);
	}
}

static void attention(const hd_ctx *c, const hd_attention *a, const void *q, const void *k, const void *v, void *o,
                      void *ws) {
	att_forward_job t = {.p = att_plan_forward(c, a), .a = a, .q = q, .k = k, .v = v, .o = o, .packed = ws};
	t.scratch = t.packed + t.p.group * t.p.head_floats;
	for (t.first = 0; t.first < a->batch * a->heads; t.first += t.p.group) {
		hd_n heads = att_min(a->batch * a->heads - t.first, t.p.group);
		hd_pool_for(c->pool, heads * t.p.chunks, att_pack_task, &t);
		hd_pool_for(c->pool, heads * t.p.blocks, att_forward_task, &t);
	}
}

#include "attention_grad.inc.h"

#define ATTENTION_KERNELS {attention, attention_grad, attention_workspace, attention_grad_workspace}
