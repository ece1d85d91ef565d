// Attention in bfloat16 without its matrix of probabilities (Dao 2023, "FlashAttention-2"): a block has some queries of
// one head and goes over the keys a tile at a time, with the sums of the softmax so far. Probabilities are rounded to
// bfloat16 for the products; all sums are float32.
#pragma once

#include "device.cuh"
#include "mma.cuh"

// Attention is one of N samples: q, dy, o, dq [N,queries,heads·d] and k, v, dk, dv [N,keys,heads·d]. stats is
// [N·heads,2,padded]: for each query log₂ of its softmax's denominator and Σ o·dy. scale is log₂(e)/√d.
struct Attention {
  const u16 *q, *k, *v, *dy;
  u16 *o, *dk, *dv;
  float* stats;
  i64 queries, keys, heads, d, causal, padded;
  float scale;
};

enum { ATTENTION_WARPS = 4, ATTENTION_THREADS = 32 * ATTENTION_WARPS };

// head_of is the part of x [N,rows,heads·d] that belongs to the block's head and sample.
__device__ inline i64 head_of(const Attention& a, i64 rows) { return (blockIdx.z * rows * a.heads + blockIdx.y) * a.d; }

__device__ inline bool wide(const Attention& a, const void* p) {
  return a.d % 8 == 0 && (unsigned long long)p % 16 == 0;
}

__device__ inline Source tokens(const Attention& a, const u16* x, i64 rows) {
  return Source{x + head_of(a, rows), a.heads * a.d, (int)rows, (int)a.d, wide(a, x)};
}

// write stores 16 rows, times a factor for the upper and one for the lower half of them, to x [N,rows,heads·d].
template <int D>
__device__ inline void write(const Attention& a, u16* x, i64 rows, i64 first, const float (&sum)[D / 8][4],
                             float upper, float lower) {
  bool pairs = a.d % 2 == 0 && (unsigned long long)x % 4 == 0;
  UNROLLED (int half = 0; half < 2; half++) {
    i64 r = first + lane() / 4 + half * 8;
    if (r >= rows) continue;
    u16* to = x + head_of(a, rows) + r * a.heads * a.d;
    float by = half ? lower : upper;
    UNROLLED (int n = 0; n < D / 8; n++) {
      int c = n * 8 + lane() % 4 * 2;
      if (c >= a.d) continue;
      u32 v = pack(sum[n][half * 2] * by, sum[n][half * 2 + 1] * by);
      if (pairs) {
        *(u32*)(to + c) = v;
        continue;
      }
      to[c] = (u16)v;
      if (c + 1 < a.d) to[c + 1] = (u16)(v >> 16);
    }
  }
}

// Softmax is a warp's M·16 queries: their sums of probabilities times values, and for the two queries of a C's thread
// the largest score so far and the sum of the probabilities relative to it, this thread's columns only.
template <int D, int M>
struct Softmax {
  float sum[M][D / 8][4], top[M][2], total[M][2];
};

// attend goes over the keys. A block has M·16 queries for each warp, and tiles of KEYS keys: two of keys and two of
// values, 4·KEYS·PITCH elements.
template <int D, int M, int KEYS>
__device__ inline void attend(Softmax<D, M>& f, const Attention& a, u16* shared) {
  enum { TILE_ = KEYS * PITCH<D> };
  Source k = tokens(a, a.k, a.keys), v = tokens(a, a.v, a.keys), q = tokens(a, a.q, a.queries);
  int block = blockIdx.x * (ATTENTION_WARPS * M * 16), mine = block + warp() * (M * 16), last = (int)a.keys;
  if (a.causal && last > block + ATTENTION_WARPS * M * 16) last = block + ATTENTION_WARPS * M * 16;
  copy_rows<D, KEYS, ATTENTION_THREADS>(shared, k, 0);
  copy_rows<D, KEYS, ATTENTION_THREADS>(shared + TILE_, v, 0);
  commit();
  Rows<D> rows[M];
  UNROLLED (int m = 0; m < M; m++) {
    read_rows(rows[m], q, mine + m * 16);
    UNROLLED (int i = 0; i < 2; i++) {
      f.top[m][i] = -infinity();
      f.total[m][i] = 0.0f;
    }
    UNROLLED (int n = 0; n < D / 8; n++)
      UNROLLED (int i = 0; i < 4; i++) f.sum[m][n][i] = 0.0f;
  }
  int stage = 0;
  LOOP (int at = 0; at < last; at += KEYS) {
    copied<0>();
    __syncthreads(); // the tiles are there, and all warps are done with the other ones
    const u16* tile = shared + stage * 2 * TILE_;
    stage ^= 1;
    if (at + KEYS < last) {
      copy_rows<D, KEYS, ATTENTION_THREADS>(shared + stage * 2 * TILE_, k, at + KEYS);
      copy_rows<D, KEYS, ATTENTION_THREADS>(shared + stage * 2 * TILE_ + TILE_, v, at + KEYS);
      commit();
    }
    float s[M][KEYS / 8][4];
    times_transposed<D, M, KEYS>(s, rows, tile);
    if (at + KEYS > k.rows || (a.causal && at + KEYS > mine)) {
      UNROLLED (int m = 0; m < M; m++)
        UNROLLED (int n = 0; n < KEYS / 8; n++)
          UNROLLED (int i = 0; i < 4; i++) {
            int key = at + n * 8 + lane() % 4 * 2 + i % 2, query = mine + m * 16 + lane() / 4 + i / 2 * 8;
            if (key >= k.rows || (a.causal && key > query)) s[m][n][i] = -infinity();
          }
    }
    u32 p[M][KEYS / 16][4];
    UNROLLED (int m = 0; m < M; m++) {
      UNROLLED (int i = 0; i < 2; i++) {
        float top = f.top[m][i];
        UNROLLED (int n = 0; n < KEYS / 8; n++) top = fmaxf(top, fmaxf(s[m][n][2 * i], s[m][n][2 * i + 1]));
        top = quad_max(top); // a number: each query sees a key of the first tile
        float factor = power2((f.top[m][i] - top) * a.scale), base = -top * a.scale, total = 0.0f;
        f.top[m][i] = top;
        UNROLLED (int n = 0; n < KEYS / 8; n++)
          UNROLLED (int j = 2 * i; j < 2 * i + 2; j++) {
            s[m][n][j] = power2(fmaf(s[m][n][j], a.scale, base));
            total += s[m][n][j];
          }
        f.total[m][i] = f.total[m][i] * factor + total;
        UNROLLED (int n = 0; n < D / 8; n++)
          UNROLLED (int j = 2 * i; j < 2 * i + 2; j++) f.sum[m][n][j] *= factor;
      }
      rounded<KEYS>(p[m], s[m]);
    }
    times<D, M, KEYS>(f.sum, p, tile + TILE_);
  }
  UNROLLED (int m = 0; m < M; m++)
    UNROLLED (int i = 0; i < 2; i++) f.total[m][i] = quad_sum(f.total[m][i]);
}

// ATTENTION is a kernel for blocks of ATTENTION_WARPS warps.
#define ATTENTION(name, blocks, ...)                          \
  KERNEL_OF(ATTENTION_THREADS, blocks, name, Attention a) {   \
    SHARED(shared);                                           \
    __VA_ARGS__(a, shared);                                   \
  }
