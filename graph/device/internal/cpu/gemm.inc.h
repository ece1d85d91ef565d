// The packed product: C[M,N] = A·B, A in rows or columns of floats, B in panels of MM_COLS columns.
//
//     for each task: a block of rows × a group of panels           (the threads' share)
//       for each block of K                                        (panel: L1 cache, block of A: L2 cache)
//         for each panel
//           for each strip of MM_ROWS rows                         (registers)
//
// The factors are words along K: floats, or, if A is bfloat16 and the instruction set has products of it
// (HD_DOT), pairs of bfloat16, of which the last is filled up with a zero. From mm_plan on all lengths along K count
// words, and a word takes the room of a float; only what reads the operands sees elements. Sums are floats always.
//
// A is read in place if it is words in rows, otherwise a block is copied into scratch memory: that is where
// bfloat16 is widened or paired, and where conv.inc.h gathers an image. B is packed once ahead, or once a call if it is
// read often, or panel by panel as it is used; for pairs it is rounded to bfloat16 there.

enum {
#if defined(HD_NEON)
	MM_ROWS = 6, // 6×4 accumulators + 6 of A, four words of K each, + 2 of B: all 32 registers
	MM_VECTORS = 4,
#elif VL == 16
	MM_ROWS = 14, // 14×2 accumulators + 2 loads + 1 broadcast of 32 registers
	MM_VECTORS = 2,
#else
	MM_ROWS = 6, // 6×2 + 2 + 1 of 16 registers
	MM_VECTORS = 2,
#endif
	MM_COLS = MM_VECTORS * VL,
	MM_BLOCK_K = 352,                // a panel takes 22 KiB of the L1 cache with AVX2 and NEON
	MM_BLOCK_ROWS = 192,             // 264 KiB of the L2 cache at most
	MM_GROUP_COLS = 1280,            // widest group, where sums wait in scratch memory
	MM_PACK_ONCE = 16 * 1024 * 1024, // bytes of A, or of B, that a call may copy or pack ahead
	MM_PAIR_ROWS = 2 * VL,           // rows of K that are paired at a time
};

INLINE hd_n mm_min(hd_n a, hd_n b) { return a < b ? a : b; }
INLINE hd_n mm_max(hd_n a, hd_n b) { return a > b ? a : b; }
INLINE hd_n mm_div(hd_n n, hd_n by) { return (n + by - 1) / by; }
INLINE hd_n mm_round(hd_n n, hd_n to) { return mm_div(n, to) * to; }
INLINE hd_n mm_line(hd_n floats) { return mm_round(floats, 16); } // whole cache lines
INLINE const void *mm_at(const void *p, hd_n i, hd_dtype t) { return (const char *)p + i * (t == HD_BF16 ? 2 : 4); }
INLINE int mm_pairs(hd_dtype a) { return HD_DOT && a == HD_BF16; } // whether A's type makes the words pairs
INLINE hd_n mm_words(hd_n k, int pairs) { return pairs ? mm_div(k, 2) : k; }

// ---- Registers

// Keeps the compiler from rewriting how a pointer walks, or from mixing two rounds of a loop: both spill accumulators.
#define MM_PIN(p) __asm__ volatile("" : "+r"(p)::"memory")

INLINE vf mm_broadcast(const float *a, const int pairs) { return pairs ? (vf)bcpair(a) : bc(*a); }
INLINE vf mm_multiply_add(vf sum, vf a, vf b, const int pairs) {
	if (pairs)
		return vdot(sum, (vi)a, (vi)b);
	return sum + a * b;
}

#define MM_EACH_ROW(i, m) UNROLL for (int i = 0; i < (m); i++)
#define MM_EACH_VECTOR(j) UNROLL for (int j = 0; j < MM_VECTORS; j++)

// x = Σ_k a·b, where a[i,k] is a[i*lda + k], or a[k*lda + i] if by_column.
#if defined(HD_NEON)
// A is loaded a vector at a time, along K or, by_column, along M, and multiplied from its lanes.
INLINE void mm_multiply(const int m, const int by_column, const int pairs, hd_n k, const float *restrict a, hd_n lda,
                        const float *restrict b, vf x[MM_ROWS][MM_VECTORS]) {
	vf v[MM_ROWS];
	for (; !by_column && k >= VL; k -= VL) {
		MM_EACH_ROW(i, m)
			v[i] = ld(a + i * lda);
		a += VL;
		UNROLL
		for (int l = 0; l < VL; l++)
			MM_EACH_VECTOR(j) {
				vf w = ld(b);
				MM_EACH_ROW(i, m)
					x[i][j] = vfma_lane(x[i][j], v[i], l, w);
				b += VL;
				// Both spill: GCC loads more of B ahead, Clang puts multiplications off until it has.
				MM_EACH_ROW(i, m)
					__asm__ volatile("" : "+w"(x[i][j]));
				MM_PIN(b);
			}
	}
	const int whole = by_column ? m / VL * VL : 0; // rows of whole vectors
	for (; k > 0; k--) {
		float rest[MM_ROWS];
		MM_EACH_ROW(i, m)
			if (i >= whole)
				rest[i] = a[by_column ? i : i * lda];
			else if (i % VL == 0)
				v[i] = ld(a + i);
		a += by_column ? lda : 1;
		MM_EACH_VECTOR(j) {
			vf w = ld(b);
			MM_EACH_ROW(i, m)
				x[i][j] = i < whole ? vfma_lane(x[i][j], v[i / VL * VL], i % VL, w) : vfma_scalar(x[i][j], rest[i], w);
			b += VL;
			MM_PIN(b);
		}
	}
}
#else
INLINE void mm_multiply(const int m, const int by_column, const int pairs, hd_n k, const float *restrict a, hd_n lda,
                        const float *restrict b, vf x[MM_ROWS][MM_VECTORS]) {
	// A pointer for every four rows: one for each would take more registers than there are.
	const float *p[(MM_ROWS + 3) / 4];
	UNROLL
	for (int q = 0; 4 * q < m; q++)
		p[q] = a + (by_column ? 4 * q : 4 * q * lda);
	for (hd_n l = 0; l < k; l++) {
		vf b0 = ld(b), b1 = ld(b + VL);
		MM_EACH_ROW(i, m) {
			vf v = mm_broadcast(by_column ? p[0] + i : p[i / 4] + i % 4 * lda, pairs);
			x[i][0] = mm_multiply_add(x[i][0], v, b0, pairs);
			x[i][1] = mm_multiply_add(x[i][1], v, b1, pairs);
		}
		b += MM_COLS;
		UNROLL
		for (int q = 0; 4 * q < m; q++) {
			p[q] += by_column ? lda : 1;
			MM_PIN(p[q]);
		}
	}
}
#endif

// c[m×MM_COLS] = Σ_k a·b + add + bias. add (which may be c) and bias may be NULL. Each block of K is summed from zero,
// which rounds less than one long chain.
INLINE void mm_strip(const int m, const int by_column, const int pairs, hd_n k, const float *restrict a, hd_n lda,
                     const float *restrict b, float *c, hd_n ldc, const float *add, hd_n ldadd, const float *bias) {
	vf x[MM_ROWS][MM_VECTORS];
	MM_EACH_ROW(i, m)
		MM_EACH_VECTOR(j)
			x[i][j] = bc(0);
	mm_multiply(m, by_column, pairs, k, a, lda, b, x);
	if (bias) {
		MM_EACH_VECTOR(j) {
			vf v = ld(bias + j * VL);
			MM_EACH_ROW(i, m)
				x[i][j] += v;
		}
	}
	if (add) {
		MM_EACH_ROW(i, m)
			MM_EACH_VECTOR(j)
				x[i][j] += ld(add + i * ldadd + j * VL);
	}
	MM_EACH_ROW(i, m)
		MM_EACH_VECTOR(j)
			st(c + i * ldc + j * VL, x[i][j]);
}

typedef void (*mm_kernel)(hd_n k, const float *a, hd_n lda, const float *b, float *c, hd_n ldc, const float *add,
                          hd_n ldadd, const float *bias);
#define MM_STRIP_OF(name, m, by_column, pairs) \
	static void name##m(hd_n k, const float *a, hd_n lda, const float *b, float *c, hd_n ldc, const float *add, \
	                    hd_n ldadd, const float *bias) { \
		mm_strip(m, by_column, pairs, k, a, lda, b, c, ldc, add, ldadd, bias); \
	}
#if HD_DOT
#define MM_STRIP(m) \
	MM_STRIP_OF(mm_row_strip, m, 0, 0) \
	MM_STRIP_OF(mm_column_strip, m, 1, 0) \
	MM_STRIP_OF(mm_row_pairs, m, 0, 1) \
	MM_STRIP_OF(mm_column_pairs, m, 1, 1)
#else
#define MM_STRIP(m) \
	MM_STRIP_OF(mm_row_strip, m, 0, 0) \
	MM_STRIP_OF(mm_column_strip, m, 1, 0)
#endif
MM_STRIP(1)
MM_STRIP(2)
MM_STRIP(3)
MM_STRIP(4)
MM_STRIP(5)
MM_STRIP(6)
#if VL == 16
MM_STRIP(7)
MM_STRIP(8)
MM_STRIP(9)
MM_STRIP(10)
MM_STRIP(11)
MM_STRIP(12)
MM_STRIP(13)
MM_STRIP(14)
#define MM_WIDE(kind) \
	, kind##7, kind##8, kind##9, kind##10, kind##11, kind##12, kind##13, kind##14
#else
#define MM_WIDE(kind)
#endif
#define MM_STRIPS(kind) {NULL, kind##1, kind##2, kind##3, kind##4, kind##5, kind##6 MM_WIDE(kind)}
static const mm_kernel mm_kernels[][2][MM_ROWS + 1] = {
    {MM_STRIPS(mm_row_strip), MM_STRIPS(mm_column_strip)},
#if HD_DOT
    {MM_STRIPS(mm_row_pairs), MM_STRIPS(mm_column_pairs)},
#endif
};

// The same for any number of rows: strips of nearly equal height, because a strip of one row costs half of a full one.
static void mm_panel_words(hd_n m, int by_column, int pairs, hd_n k, const float *a, hd_n lda, const float *b,
                           float *c, hd_n ldc, const float *add, hd_n ldadd, const float *bias) {
	hd_n strips = mm_div(m, MM_ROWS), height = m / strips, taller = m % strips;
	for (hd_n s = 0; s < strips; s++) {
		hd_n h = height + (s < taller);
		mm_kernels[pairs][by_column][h](k, a, lda, b, c, ldc, add, ldadd, bias);
		a += by_column ? h : h * lda;
		c += h * ldc;
		if (add)
			add += h * ldadd;
	}
}
static void mm_panel(hd_n m, int by_column, hd_n k, const float *a, hd_n lda, const float *b, float *c, hd_n ldc,
                     const float *add, hd_n ldadd, const float *bias) {
	mm_panel_words(m, by_column, 0, k, a, lda, b, c, ldc, add, ldadd, bias);
}

// ---- Packing

// n values, to floats, or as they are.
INLINE void mm_widen_t(float *dst, const void *src, hd_n at, hd_n n, hd_dtype type) {
	hd_n i = 0;
	for (; i + VL <= n; i += VL)
		st(dst + i, ldt(src, at + i, type));
	for (; i < n; i++)
		dst[i] = ld1(src, at + i, type);
}
static void mm_widen(float *dst, const void *src, hd_n at, hd_n n, hd_dtype type) {
	if (type == HD_BF16)
		mm_widen_t(dst, src, at, n, HD_BF16);
	else
		mm_widen_t(dst, src, at, n, HD_F32);
}
static void mm_move(void *dst, const void *src, hd_n at, hd_n n, hd_dtype type, int widen) {
	if (widen)
		mm_widen(dst, src, at, n, type);
	else
		memcpy(dst, mm_at(src, at, type), n * (type == HD_BF16 ? 2 : 4));
}

// A vector of the n ≤ VL values from i on, zero past them.
INLINE vf mm_load_part(const void *p, hd_n i, hd_n n, hd_dtype t) {
	if (n >= VL)
		return ldt(p, i, t);
	float v[VL] = {0};
	for (hd_n l = 0; l < n; l++)
		v[l] = ld1(p, i + l, t);
	return ld(v);
}
INLINE void mm_store_part(void *p, hd_n i, hd_n n, vf v, hd_dtype t) {
	if (n >= VL) {
		stt(p, i, v, t);
		return;
	}
	float f[VL];
	st(f, v);
	for (hd_n l = 0; l < n; l++)
		st1(p, i + l, f[l], t);
}

// VL×VL: dst[c*ldd + r] = rows[r][c].
INLINE void mm_transpose(float *dst, hd_n ldd, const vf rows[VL]) {
#if defined(__x86_64__) && (defined(HD_AVX2) || defined(HD_AVX512))
	const float *src = (const float *)rows;
	for (int r0 = 0; r0 < VL; r0 += 8) {
		for (int c0 = 0; c0 < VL; c0 += 8) {
			__m256 r[8], t[8];
			UNROLL
			for (int i = 0; i < 8; i++)
				r[i] = _mm256_loadu_ps(src + (r0 + i) * VL + c0);
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
				_mm256_storeu_ps(dst + (c0 + i) * ldd + r0, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
				_mm256_storeu_ps(dst + (c0 + i + 4) * ldd + r0, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
			}
		}
	}
#elif defined(HD_NEON)
	vf columns[VL];
	vtranspose(columns, rows);
	UNROLL
	for (int c = 0; c < VL; c++)
		st(dst + c * ldd, columns[c]);
#else
	for (int c = 0; c < VL; c++)
		for (int r = 0; r < VL; r++)
			dst[c * ldd + r] = rows[r][c];
#endif
}

// One panel, dst[k][MM_COLS], of n ≤ MM_COLS columns; zero past them. from_rows: src[k*ld + column], from_columns:
// src[column*ld + k], both from element `at` on.
INLINE void mm_pack_rows_t(float *dst, const void *src, hd_n at, hd_n ld, hd_n k, hd_n n, hd_dtype type) {
	for (hd_n l = 0; l < k; l++, dst += MM_COLS, at += ld) {
		if (n == MM_COLS) {
			MM_EACH_VECTOR(j)
				st(dst + j * VL, ldt(src, at + j * VL, type));
		} else {
			for (hd_n c = 0; c < MM_COLS; c++)
				dst[c] = c < n ? ld1(src, at + c, type) : 0;
		}
	}
}
INLINE void mm_pack_columns_t(float *dst, const void *src, hd_n at, hd_n ld, hd_n k, hd_n n, hd_dtype type) {
	for (hd_n c0 = 0; c0 < MM_COLS; c0 += VL) {
		hd_n l = 0;
		for (; l < k; l += VL) {
			vf rows[VL];
			for (hd_n c = 0; c < VL; c++)
				rows[c] = c0 + c < n ? mm_load_part(src, at + (c0 + c) * ld + l, k - l, type) : bc(0);
			if (l + VL <= k) {
				mm_transpose(dst + l * MM_COLS + c0, MM_COLS, rows);
			} else {
				float block[VL * VL];
				mm_transpose(block, VL, rows);
				for (hd_n r = 0; r < k - l; r++)
					st(dst + (l + r) * MM_COLS + c0, *(const vf *)(block + r * VL));
			}
		}
	}
}
static void mm_pack_from_rows(float *dst, const void *src, hd_n at, hd_n ld, hd_n k, hd_n n, hd_dtype type) {
	if (type == HD_BF16)
		mm_pack_rows_t(dst, src, at, ld, k, n, HD_BF16);
	else
		mm_pack_rows_t(dst, src, at, ld, k, n, HD_F32);
}
static void mm_pack_from_columns(float *dst, const void *src, hd_n at, hd_n ld, hd_n k, hd_n n, hd_dtype type) {
	if (type == HD_BF16)
		mm_pack_columns_t(dst, src, at, ld, k, n, HD_BF16);
	else
		mm_pack_columns_t(dst, src, at, ld, k, n, HD_F32);
}

// ---- Operands

// The left operand: a matrix of which a block can be read as words. Its rows are M and its columns K, or, by_column,
// the other way round.
typedef struct mm_left mm_left;
struct mm_left {
	const void *p;
	hd_n ld;
	hd_dtype type;
	int by_column, pairs;
	hd_n depth; // elements of K
	// Copies rows r … r+nr-1 and columns c … c+nc-1 to dst[nr][ldd], as floats or, for pairs, as bfloat16; NULL: p is a
	// plain matrix.
	void (*copy)(const mm_left *a, hd_n r, hd_n nr, hd_n c, hd_n nc, char *dst, hd_n ldd);
	const void *image; // for copy
};

// Bytes of n elements that copy has written.
INLINE hd_n mm_bytes(const mm_left *a, hd_n n) { return n * (a->pairs ? sizeof(uint16_t) : sizeof(float)); }

static void mm_copy_matrix(const mm_left *a, hd_n r, hd_n nr, hd_n c, hd_n nc, char *dst, hd_n ldd) {
	for (hd_n i = 0; i < nr; i++)
		mm_move(dst + mm_bytes(a, i * ldd), a->p, (r + i) * a->ld + c, nc, a->type, !a->pairs);
}

// Pairs of rows of K, each row of m elements, to dst[pairs][m].
static void mm_pair_rows(const mm_left *a, hd_n m0, hd_n m, hd_n k0, hd_n k, float *dst) {
	enum { MOST = MM_BLOCK_ROWS + MM_ROWS };
	uint16_t rows[MM_PAIR_ROWS][MOST];
	for (hd_n l = 0; l < k; l += MM_PAIR_ROWS / 2) {
		hd_n words = mm_min(k - l, MM_PAIR_ROWS / 2), n = mm_min(2 * words, a->depth - 2 * (k0 + l));
		(a->copy ? a->copy : mm_copy_matrix)(a, 2 * (k0 + l), n, m0, m, (char *)rows, MOST);
		if (n % 2)
			memset(rows[n], 0, sizeof rows[n]);
		for (hd_n w = 0; w < words; w++, dst += m) {
			for (hd_n i = 0; i < m; i++) {
				uint32_t pair = rows[2 * w][i] | (uint32_t)rows[2 * w + 1][i] << 16;
				memcpy(dst + i, &pair, sizeof pair);
			}
		}
	}
}

// Copies rows m0 … m0+m-1 of A and words k0 … k0+k-1 of K to dst[m][k], or [k][m] if by_column.
static void mm_copy(const mm_left *a, hd_n m0, hd_n m, hd_n k0, hd_n k, float *dst) {
	void (*copy)(const mm_left *, hd_n, hd_n, hd_n, hd_n, char *, hd_n) = a->copy ? a->copy : mm_copy_matrix;
	if (a->by_column && a->pairs) {
		mm_pair_rows(a, m0, m, k0, k, dst);
	} else if (a->by_column) {
		copy(a, k0, k, m0, m, (char *)dst, m);
	} else if (a->pairs) {
		hd_n n = mm_min(2 * k, a->depth - 2 * k0);
		copy(a, m0, m, 2 * k0, n, (char *)dst, 2 * k);
		if (n % 2)
			for (hd_n i = 0; i < m; i++)
				memset((char *)dst + mm_bytes(a, i * 2 * k + n), 0, mm_bytes(a, 1));
	} else {
		copy(a, m0, m, k0, k, (char *)dst, k);
	}
}

// The right operand: panels, or a matrix that can be packed into them.
typedef struct mm_right mm_right;
struct mm_right {
	const float *packed; // [panel][K][MM_COLS], or NULL
	const void *p;
	hd_n ld;
	hd_dtype type;
	hd_layout layout;
	int pairs;
	hd_n depth; // elements of K
	// Packs rows k … k+nk-1 of columns n … n+nn-1 (nn ≤ MM_COLS) to dst[nk][MM_COLS], as floats; NULL: p is a plain
	// matrix.
	void (*pack)(const mm_right *b, hd_n k, hd_n nk, hd_n n, hd_n nn, float *dst);
	const void *filter; // for pack
};

static void mm_pack_floats(const mm_right *b, hd_n k, hd_n nk, hd_n n, hd_n nn, float *dst) {
	if (b->pack)
		b->pack(b, k, nk, n, nn, dst);
	else if (b->layout == HD_ROWS)
		mm_pack_from_rows(dst, b->p, k * b->ld + n, b->ld, nk, nn, b->type);
	else
		mm_pack_from_columns(dst, b->p, n * b->ld + k, b->ld, nk, nn, b->type);
}

// Packs words k … k+nk-1 of columns n … n+nn-1 to dst[nk][MM_COLS].
static void mm_pack(const mm_right *b, hd_n k, hd_n nk, hd_n n, hd_n nn, float *dst) {
	if (!b->pairs) {
		mm_pack_floats(b, k, nk, n, nn, dst);
		return;
	}
	float rows[MM_PAIR_ROWS][MM_COLS];
	for (hd_n l = 0; l < nk; l += MM_PAIR_ROWS / 2) {
		hd_n words = mm_min(nk - l, MM_PAIR_ROWS / 2), elements = mm_min(2 * words, b->depth - 2 * (k + l));
		mm_pack_floats(b, 2 * (k + l), elements, n, nn, rows[0]);
		if (elements % 2)
			memset(rows[elements], 0, sizeof rows[elements]);
		for (hd_n w = 0; w < words; w++, dst += MM_COLS)
			for (hd_n c = 0; c < MM_COLS; c += VL)
				st(dst + c, (vf)vpair(ld(rows[2 * w] + c), ld(rows[2 * w + 1] + c)));
	}
}

// The result, with bias, residual and activation.
typedef struct mm_out mm_out;
struct mm_out {
	void *p;
	hd_n ld;
	hd_dtype type;
	const float *residual;
	hd_n ldr;
	const float *bias;
	hd_act act;
	// Where row m begins, in elements, in p and in residual; NULL: at m*ld and m*ldr.
	hd_n (*row)(const mm_out *c, hd_n m);
	const void *grid; // for row
};

// Stores sums of m rows from row m0 on and n ≤ MM_COLS columns from column n0 on: + residual, activation, to the type.
INLINE void mm_finish_t(const mm_out *c, const float *residual, hd_n m0, hd_n m, hd_n n0, hd_n n, const float *sums,
                        hd_n lds, hd_dtype type) {
	for (hd_n i = 0; i < m; i++) {
		hd_n at = (c->row ? c->row(c, m0 + i) : (m0 + i) * c->ld) + n0, rat = (c->row ? at - n0 : (m0 + i) * c->ldr) + n0;
		for (hd_n j = 0; j < n; j += VL) {
			vf v = ld(sums + i * lds + j);
			if (residual)
				v += mm_load_part(residual, rat + j, n - j, HD_F32);
			mm_store_part(c->p, at + j, n - j, vact(v, c->act), type);
		}
	}
}
static void mm_finish(const mm_out *c, const float *residual, hd_n m0, hd_n m, hd_n n0, hd_n n, const float *sums,
                      hd_n lds) {
	if (c->type == HD_BF16)
		mm_finish_t(c, residual, m0, m, n0, n, sums, lds, HD_BF16);
	else
		mm_finish_t(c, residual, m0, m, n0, n, sums, lds, HD_F32);
}

// ---- The product

typedef struct {
	hd_n m, n, k; // k in elements until mm_plan, in words after it
	mm_left a;
	mm_right b;
	mm_out c;
	// Split of work:
	hd_n block_rows, row_blocks, panels, groups;
	hd_n block_k, blocks_k; // blocks of K, all of one size but the last
	hd_n slices;            // blocks of K go to so many tasks; their sums are added up in order
	int copy_a, copy_a_once, pack_b, pack_b_once;
	// Workspace, in floats:
	hd_n a_floats, b_floats, slice_floats; // all of A, all of B, a slice's sums
	hd_n thread_floats, thread_a, thread_b;
	float *all_a, *all_b, *sums, *scratch;
} mm_job;

// Fills in the split of work for so many threads; the operands' kinds must be set.
static void mm_plan(mm_job *j, int threads) {
	j->a.pairs = j->b.pairs = mm_pairs(j->a.type);
	j->a.depth = j->b.depth = j->k;
	j->k = mm_words(j->k, j->a.pairs);
	j->panels = mm_div(j->n, MM_COLS);
	j->block_rows = mm_min(mm_round(mm_div(j->m, mm_div(j->m, MM_BLOCK_ROWS)), MM_ROWS), j->m);
	j->row_blocks = mm_div(j->m, j->block_rows);
	j->blocks_k = mm_max(mm_div(j->k, MM_BLOCK_K), 1);
	j->block_k = mm_div(j->k, j->blocks_k);
	j->copy_a = j->a.copy || j->a.by_column;
	if (j->a.type == HD_BF16)
		j->copy_a |= !j->a.pairs || j->a.depth % 2 || j->a.ld % 2; // otherwise rows are words
	j->pack_b = !j->b.packed;

	hd_n tasks = (j->copy_a ? 3 : 4) * threads;
	if (threads == 1)
		tasks = 1;
	j->groups = mm_max(mm_div(tasks, j->row_blocks), mm_div(j->panels * MM_COLS, MM_GROUP_COLS));
	j->groups = mm_min(j->groups, j->panels);
	j->slices = 1;
	int plain = !j->c.bias && !j->c.residual && !j->c.act && !j->c.row && j->c.type == HD_F32;
	if (plain && threads > 1 && j->row_blocks * j->groups < 2 * threads)
		j->slices = mm_max(mm_min(mm_div(2 * threads, j->row_blocks * j->groups), j->blocks_k / 4), 1);

	// Packing a block of B takes up to a tenth of the time of its product with one block of rows: done once, it hardly
	// counts.
	j->pack_b_once = j->pack_b && j->row_blocks > 2 && 4 * j->k * j->panels * MM_COLS <= MM_PACK_ONCE;
	j->copy_a_once = j->copy_a && !j->a.by_column && j->groups > 1 && 4 * j->m * j->k <= MM_PACK_ONCE;
	j->a_floats = j->copy_a_once ? mm_line(j->m * j->k) : 0;
	j->b_floats = j->pack_b_once ? j->panels * j->k * MM_COLS : 0;
	j->slice_floats = j->slices > 1 ? mm_line(j->m * j->panels * MM_COLS) : 0;
	j->thread_a = j->copy_a && !j->copy_a_once ? mm_line(j->block_rows * j->block_k) : 0;
	j->thread_b = j->pack_b && !j->pack_b_once ? j->block_k * MM_COLS : 0;
	j->thread_floats = j->thread_a + j->thread_b + mm_line(j->block_rows * mm_div(j->panels, j->groups) * MM_COLS);
}

static size_t mm_workspace(const mm_job *j, int threads) {
	return (j->a_floats + j->b_floats + j->slices * j->slice_floats + threads * j->thread_floats) * sizeof(float);
}

static void mm_copy_task(void *arg, hd_n task, int thread) {
	const mm_job *j = arg;
	hd_n m0 = task * MM_ROWS;
	mm_copy(&j->a, m0, mm_min(j->m - m0, MM_ROWS), 0, j->k, j->all_a + m0 * j->k);
}

static void mm_pack_task(void *arg, hd_n task, int thread) {
	const mm_job *j = arg;
	hd_n panel = task / j->blocks_k, k0 = task % j->blocks_k * j->block_k, n0 = panel * MM_COLS;
	if (k0 < j->k)
		mm_pack(&j->b, k0, mm_min(j->k - k0, j->block_k), n0, mm_min(j->n - n0, MM_COLS),
		        j->all_b + (panel * j->k + k0) * MM_COLS);
}

static void mm_task(void *arg, hd_n task, int thread) {
	const mm_job *j = arg;
	// Tasks that follow each other share a group of panels, which then comes from memory once.
	hd_n block = task % j->row_blocks, group = task / j->row_blocks % j->groups, slice = task / j->row_blocks / j->groups;
	hd_n m0 = block * j->block_rows, m = mm_min(j->m - m0, j->block_rows);
	hd_n p0 = j->panels * group / j->groups, p1 = j->panels * (group + 1) / j->groups;
	hd_n first = j->blocks_k * slice / j->slices, last = j->blocks_k * (slice + 1) / j->slices - 1;
	float *copied = j->scratch + thread * j->thread_floats, *packed = copied + j->thread_a, *sums = packed + j->thread_b;
	hd_n lds = (p1 - p0) * MM_COLS;
	int in_place = j->c.type == HD_F32 && !j->c.row; // whole panels need no sums in scratch memory
	if (j->slices > 1) {
		sums = j->sums + slice * j->slice_floats + m0 * j->panels * MM_COLS + p0 * MM_COLS;
		lds = j->panels * MM_COLS;
		in_place = 0;
	}

	for (hd_n kb = first; kb <= last; kb++) {
		hd_n k0 = kb * j->block_k, k = mm_max(mm_min(j->k - k0, j->block_k), 0), lda;
		const float *a;
		if (!j->copy_a) {
			lda = mm_words(j->a.ld, j->a.pairs);
			a = (const float *)j->a.p + m0 * lda + k0;
		} else if (j->copy_a_once) {
			lda = j->k;
			a = j->all_a + m0 * lda + k0;
		} else {
			lda = j->a.by_column ? m : k;
			a = copied;
			mm_copy(&j->a, m0, m, k0, k, copied);
		}
		for (hd_n p = p0; p < p1; p++) {
			hd_n n0 = p * MM_COLS, n = mm_min(j->n - n0, MM_COLS);
			const float *b = packed;
			if (j->pack_b_once)
				b = j->all_b + (p * j->k + k0) * MM_COLS;
			else if (j->pack_b)
				mm_pack(&j->b, k0, k, n0, n, packed);
			else
				b = j->b.packed + (p * j->k + k0) * MM_COLS;

			int here = in_place && n == MM_COLS;
			float *c = here ? (float *)j->c.p + m0 * j->c.ld + n0 : sums + (p - p0) * MM_COLS;
			hd_n ldc = here ? j->c.ld : lds, ldadd = ldc;
			const float *add = c, *bias = NULL;
			float part[MM_COLS] = {0};
			if (kb == first) {
				add = NULL;
				if (here && j->c.residual) {
					add = j->c.residual + m0 * j->c.ldr + n0;
					ldadd = j->c.ldr;
				}
				if (j->c.bias && n == MM_COLS)
					bias = j->c.bias + n0;
				else if (j->c.bias)
					bias = memcpy(part, j->c.bias + n0, n * sizeof *part);
			}
			mm_panel_words(m, j->a.by_column, j->a.pairs, k, a, lda, b, c, ldc, add, ldadd, bias);
			if (kb == last && j->slices == 1 && (!here || j->c.act))
				mm_finish(&j->c, here ? NULL : j->c.residual, m0, m, n0, n, c, ldc);
		}
	}
}

// Adds up the slices' sums of one row.
static void mm_slices_task(void *arg, hd_n task, int thread) {
	const mm_job *j = arg;
	float *sums = j->sums + task * j->panels * MM_COLS;
	for (hd_n n0 = 0; n0 < j->n; n0 += MM_COLS) {
		for (hd_n s = 1; s < j->slices; s++)
			for (hd_n i = n0; i < n0 + MM_COLS; i += VL)
				st(sums + i, ld(sums + i) + ld(sums + s * j->slice_floats + i));
		mm_finish(&j->c, NULL, task, 1, n0, mm_min(j->n - n0, MM_COLS), sums + n0, 0);
	}
}

// Runs a planned product.
static void mm_run(const hd_ctx *c, mm_job *j, void *ws) {
	j->all_a = ws;
	j->all_b = j->all_a + j->a_floats;
	j->sums = j->all_b + j->b_floats;
	j->scratch = j->sums + j->slices * j->slice_floats;
	if (j->copy_a_once)
		hd_pool_for(c->pool, mm_div(j->m, MM_ROWS), mm_copy_task, j);
	if (j->pack_b_once)
		hd_pool_for(c->pool, j->panels * j->blocks_k, mm_pack_task, j);
	hd_pool_for(c->pool, j->row_blocks * j->groups * j->slices, mm_task, j);
	if (j->slices > 1)
		hd_pool_for(c->pool, j->m, mm_slices_task, j);
}

static mm_job gemm_job(const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias,
                       const float *residual, void *out) {
	mm_job j = {
	    .m = g->m, .n = g->n, .k = g->k,
	    .a = {.p = a, .ld = g->lda, .type = g->a_type, .by_column = g->a == HD_COLUMNS},
	    .b = {.packed = g->b == HD_PACKED ? b : NULL, .p = b, .ld = g->ldb, .type = g->b_type, .layout = g->b},
	    .c = {.p = out, .ld = g->ldc, .type = g->c_type, .residual = residual, .ldr = g->ldr, .bias = bias, .act = g->act},
	};
	mm_plan(&j, hd_pool_threads(c->pool));
	return j;
}

static void gemm(const hd_ctx *c, const hd_gemm *g, const void *a, const void *b, const float *bias,
                 const float *residual, void *out, void *ws) {
	mm_job j = gemm_job(c, g, a, b, bias, residual, out);
	mm_run(c, &j, ws);
}

static size_t gemm_workspace(const hd_ctx *c, const hd_gemm *g) {
	mm_job j = gemm_job(c, g, NULL, NULL, NULL, NULL, NULL); // without bias and residual k may be split, which takes more
	return mm_workspace(&j, hd_pool_threads(c->pool));
}

// Bytes of all of B packed for an A of some type: [k,n].
INLINE size_t mm_packed_bytes(hd_dtype a, hd_n k, hd_n n) {
	return mm_round(n, MM_COLS) * mm_words(k, mm_pairs(a)) * sizeof(float);
}

static void mm_pack_all(const hd_ctx *c, const mm_right *b, hd_dtype a, hd_n k, hd_n n, float *packed) {
	mm_job j = {.n = n, .k = mm_words(k, mm_pairs(a)), .panels = mm_div(n, MM_COLS), .b = *b, .all_b = packed};
	j.b.pairs = mm_pairs(a);
	j.b.depth = k;
	j.blocks_k = mm_max(mm_div(j.k, MM_BLOCK_K), 1);
	j.block_k = mm_div(j.k, j.blocks_k);
	hd_pool_for(c->pool, j.panels * j.blocks_k, mm_pack_task, &j);
}

static size_t gemm_packed_bytes(const hd_ctx *c, const hd_gemm *g) {
	return mm_packed_bytes(g->a_type, g->k, g->n);
}

static void gemm_pack(const hd_ctx *c, const hd_gemm *g, const void *b, float *packed) {
	mm_right r = {.p = b, .ld = g->ldb, .type = g->b_type, .layout = g->b};
	mm_pack_all(c, &r, g->a_type, g->k, g->n, packed);
}

// ---- Sums of columns

enum { SUM_ROWS = 64, SUM_SLICE = 4096, SUM_COLS = 256 }; // rows summed in one go; rows and columns of a task

typedef struct {
	hd_n m, n, slices, chunks;
	hd_dtype type;
	const void *x;
	float *out, *sums; // sums [slice][n]
} mm_sum_job;

INLINE void mm_sum_t(const mm_sum_job *j, hd_n r0, hd_n r1, hd_n c0, hd_n c1, float *out, hd_dtype type) {
	memset(out + c0, 0, (c1 - c0) * sizeof *out);
	for (hd_n r = r0; r < r1; r += SUM_ROWS) {
		hd_n end = mm_min(r + SUM_ROWS, r1);
		for (hd_n c = c0; c < c1; c += VL) {
			hd_n n = c1 - c;
			vf s = mm_load_part(j->x, r * j->n + c, n, type);
			for (hd_n i = r + 1; i < end; i++)
				s += mm_load_part(j->x, i * j->n + c, n, type);
			mm_store_part(out, c, n, s + mm_load_part(out, c, n, HD_F32), HD_F32);
		}
	}
}

static void mm_sum_task(void *arg, hd_n task, int thread) {
	const mm_sum_job *j = arg;
	hd_n slice = task / j->chunks, c0 = task % j->chunks * SUM_COLS, c1 = mm_min(c0 + SUM_COLS, j->n);
	hd_n r0 = slice * SUM_SLICE, r1 = mm_min(r0 + SUM_SLICE, j->m);
	float *out = j->slices > 1 ? j->sums + slice * j->n : j->out;
	if (j->type == HD_BF16)
		mm_sum_t(j, r0, r1, c0, c1, out, HD_BF16);
	else
		mm_sum_t(j, r0, r1, c0, c1, out, HD_F32);
}

static void column_sums(const hd_ctx *c, hd_n m, hd_n n, hd_dtype type, const void *x, float *out, void *ws) {
	mm_sum_job j = {.m = m, .n = n, .slices = mm_div(m, SUM_SLICE), .chunks = mm_div(n, SUM_COLS), .type = type, .x = x,
	                .out = out, .sums = ws};
	hd_pool_for(c->pool, j.slices * j.chunks, mm_sum_task, &j);
	if (j.slices > 1)
		for (hd_n i = 0; i < n; i += VL) {
			vf s = mm_load_part(j.sums, i, n - i, HD_F32);
			for (hd_n k = 1; k < j.slices; k++)
				s += mm_load_part(j.sums, k * n + i, n - i, HD_F32);
			mm_store_part(out, i, n - i, s, HD_F32);
		}
}

static size_t column_sums_workspace(const hd_ctx *c, hd_n m, hd_n n) {
	hd_n slices = mm_div(m, SUM_SLICE);
	return slices > 1 ? slices * n * sizeof(float) : 0;
}
