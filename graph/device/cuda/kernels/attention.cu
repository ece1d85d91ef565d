// Attention in bfloat16 without its matrix of probabilities (Dao 2023, "FlashAttention-2"): a block has some queries of one head and goes over the
// keys a tile at a time, with the sums of the softmax so far. Probabilities are rounded to bfloat16 for the products; all sums are float32.
#include "device.cuh"
#include "mma.cuh"

// Attention is one of N samples: q, dy, o, dq [N,queries,heads·d] and k, v, dk, dv [N,keys,heads·d]. stats is [N·heads,2,padded]: for each query
// log₂ of its softmax's denominator and Σ o·dy. scale is log₂(e)/√d.
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

__device__ inline bool wide(const Attention& a, const void* p) { return a.d % 8 == 0 && (unsigned long long)p % 16 == 0; }

__device__ inline Source tokens(const Attention& a, const u16* x, i64 rows) {
  return Source{x + head_of(a, rows), a.heads * a.d, (int)rows, (int)a.d, wide(a, x)};
}

// write stores 16 rows, times a factor for the upper and one for the lower half of them, to x [N,rows,heads·d].
template <int D>
__device__ inline void write(const Attention& a, u16* x, i64 rows, i64 first, const float (&sum)[D / 8][4], float upper, float lower) {
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

// Softmax is a warp's M·16 queries: their sums of probabilities times values, and for the two queries of a C's thread the largest score so far
// and the sum of the probabilities relative to it, this thread's columns only.
template <int D, int M>
struct Softmax {
  float sum[M][D / 8][4], top[M][2], total[M][2];
};

// attend goes over the keys. A block has M·16 queries for each warp, and tiles of KEYS keys: two of keys and two of values, 4·KEYS·PITCH elements.
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

template <int D, int M, int KEYS>
__device__ inline void attention_forward(const Attention& a, u16* shared) {
  Softmax<D, M> f;
  attend<D, M, KEYS>(f, a, shared);
  UNROLLED (int m = 0; m < M; m++)
    write<D>(a, a.o, a.queries, blockIdx.x * (ATTENTION_WARPS * M * 16) + warp() * (M * 16) + m * 16, f.sum[m], 1.0f / f.total[m][0], 1.0f / f.total[m][1]);
}

// attention_statistics writes stats, by which the gradients compute the probabilities again. For queries beyond the last one they make zeros of them.
template <int D, int KEYS>
__device__ inline void attention_statistics(const Attention& a, u16* shared) {
  Softmax<D, 1> f;
  attend<D, 1, KEYS>(f, a, shared);
  Source dy = tokens(a, a.dy, a.queries);
  UNROLLED (int i = 0; i < 2; i++) {
    int row = blockIdx.x * (ATTENTION_WARPS * 16) + warp() * 16 + lane() / 4 + i * 8;
    float sum = 0.0f;
    UNROLLED (int n = 0; n < D / 8; n++) {
      u32 d = pair(dy, row, n * 8 + lane() % 4 * 2);
      sum += f.sum[0][n][2 * i] * from_bf16((u16)d) + f.sum[0][n][2 * i + 1] * from_bf16((u16)(d >> 16));
    }
    sum = quad_sum(sum) / f.total[0][i];
    if (lane() % 4 != 0) continue;
    float* to = a.stats + (blockIdx.z * a.heads + blockIdx.y) * 2 * a.padded + row;
    bool there = row < a.queries;
    to[0] = there ? f.top[0][i] * a.scale + log2f(f.total[0][i]) : infinity();
    to[a.padded] = there ? sum : 0.0f;
  }
}

// Gradients: with P the probabilities, S the scores and D = Σ o·dy of each query
//
//	dv = Pᵀ·dy    dP = dy·vᵀ    dS = P∘(dP − D)    dq = dS·k/√d    dk = dSᵀ·q/√d
//
// A block has 64 rows, 16 for each warp, and goes over tiles of COLS columns. For dq the rows are queries and the columns keys; for dk and dv it
// is the other way round, and all matrices are transposed: x and y are then k and v in place of q and dy. No sum is shared by blocks.
template <int D, int COLS, bool TRANSPOSED, bool HELD>
__device__ inline void attention_gradient(const Attention& a, u16* shared) {
  enum { TILE_ = COLS * PITCH<D>, ROWS = ATTENTION_WARPS * 16 };
  // Shared memory: two stages, each of two tiles and, if TRANSPOSED, the columns' statistics; then the block's rows if registers can't hold them.
  enum { STAGE = 2 * TILE_ + (TRANSPOSED ? 4 * COLS : 0) };
  i64 count_rows = TRANSPOSED ? a.keys : a.queries, count_cols = TRANSPOSED ? a.queries : a.keys;
  Source x = tokens(a, TRANSPOSED ? a.k : a.q, count_rows), y = tokens(a, TRANSPOSED ? a.v : a.dy, count_rows);
  Source u = tokens(a, TRANSPOSED ? a.q : a.k, count_cols), w = tokens(a, TRANSPOSED ? a.dy : a.v, count_cols);
  const float* stats = a.stats + (blockIdx.z * a.heads + blockIdx.y) * 2 * a.padded;
  int block = blockIdx.x * ROWS, mine = block + warp() * 16;
  int begin = 0, end = (int)count_cols;
  if (a.causal) {
    if (TRANSPOSED)
      begin = block / COLS * COLS;
    else if (end > block + ROWS)
      end = block + ROWS;
  }
  auto fetch = [&](u16* to, int at) {
    copy_rows<D, COLS, ATTENTION_THREADS>(to, u, at);
    copy_rows<D, COLS, ATTENTION_THREADS>(to + TILE_, w, at);
    int i = threadIdx.x;
    if (TRANSPOSED && i < COLS / 2) // 4 numbers of one statistic each; `padded` is a multiple of the tile
      copy16(address(to + 2 * TILE_ + i * 8), (const u16*)(stats + (i < COLS / 4 ? 0 : a.padded - COLS) + at + i * 4), true);
    commit();
  };
  Rows<D> rows[2][1];
  u16* held = shared + 2 * STAGE;
  if (!HELD) {
    copy_rows<D, ROWS, ATTENTION_THREADS>(held, x, block);
    copy_rows<D, ROWS, ATTENTION_THREADS>(held + ROWS * PITCH<D>, y, block);
  }
  fetch(shared, begin);
  if (HELD) {
    read_rows(rows[0][0], x, mine);
    read_rows(rows[1][0], y, mine);
  }
  float lse[2], mean[2];
  if (!TRANSPOSED)
    UNROLLED (int i = 0; i < 2; i++) {
      lse[i] = stats[mine + lane() / 4 + i * 8];
      mean[i] = stats[a.padded + mine + lane() / 4 + i * 8];
    }
  float dx[1][D / 8][4], dy[1][D / 8][4];
  UNROLLED (int n = 0; n < D / 8; n++)
    UNROLLED (int i = 0; i < 4; i++) dx[0][n][i] = dy[0][n][i] = 0.0f;
  int stage = 0;
  LOOP (int at = begin; at < end; at += COLS) {
    copied<0>();
    __syncthreads(); // the tiles are there, and all warps are done with the other ones
    const u16* tile = shared + stage * STAGE;
    stage ^= 1;
    if (at + COLS < end) fetch(shared + stage * STAGE, at + COLS);
    float s[1][COLS / 8][4], d[1][COLS / 8][4];
    if constexpr (!HELD) {
      load_rows(rows[0][0], held + warp() * 16 * PITCH<D>);
      times_transposed<D, 1, COLS>(s, rows[0], tile);
      load_rows(rows[1][0], held + (ROWS + warp() * 16) * PITCH<D>);
      times_transposed<D, 1, COLS>(d, rows[1], tile + TILE_);
    } else {
      times_transposed<D, 1, COLS>(s, rows[0], tile);
      times_transposed<D, 1, COLS>(d, rows[1], tile + TILE_);
    }
    // Queries beyond the last one have probabilities of 0 by their statistics.
    if ((!TRANSPOSED && at + COLS > count_cols) || (a.causal && (TRANSPOSED ? at < mine + 16 : at + COLS > mine))) {
      UNROLLED (int n = 0; n < COLS / 8; n++)
        UNROLLED (int i = 0; i < 4; i++) {
          int col = at + n * 8 + lane() % 4 * 2 + i % 2, row = mine + lane() / 4 + i / 2 * 8;
          if ((!TRANSPOSED && col >= count_cols) || (a.causal && (TRANSPOSED ? row > col : col > row))) s[0][n][i] = -infinity();
        }
    }
    const float* column = (const float*)(tile + 2 * TILE_) + lane() % 4 * 2;
    UNROLLED (int n = 0; n < COLS / 8; n++)
      UNROLLED (int i = 0; i < 4; i++) {
        int c = n * 8 + i % 2;
        float p = power2(fmaf(s[0][n][i], a.scale, -(TRANSPOSED ? column[c] : lse[i / 2])));
        s[0][n][i] = p;
        d[0][n][i] = p * (d[0][n][i] - (TRANSPOSED ? column[COLS + c] : mean[i / 2]));
      }
    u32 r[1][COLS / 16][4];
    if (TRANSPOSED) {
      rounded<COLS>(r[0], s[0]);
      times<D, 1, COLS>(dy, r, tile + TILE_);
    }
    rounded<COLS>(r[0], d[0]);
    times<D, 1, COLS>(dx, r, tile);
  }
  float scale = a.scale * 0.69314718055994531f;
  write<D>(a, TRANSPOSED ? a.dk : a.o, count_rows, mine, dx[0], scale, scale);
  if (TRANSPOSED) write<D>(a, a.dv, count_rows, mine, dy[0], 1.0f, 1.0f);
}

// The numbers in the names are d, rounded up to the next of 40, 64, 80 and 160, and the queries of a block. graph/device/cuda/attention.go has the
// sizes of tiles once more.
#define ATTENTION(name, ...)                           \
  KERNEL_OF(ATTENTION_THREADS, name, Attention a) {    \
    SHARED(shared);                                    \
    __VA_ARGS__(a, shared);                            \
  }

ATTENTION(attention_40_64, attention_forward<40, 1, 64>)
ATTENTION(attention_64_64, attention_forward<64, 1, 64>)
ATTENTION(attention_80_64, attention_forward<80, 1, 64>)
ATTENTION(attention_160_64, attention_forward<160, 1, 32>)
ATTENTION(attention_40_128, attention_forward<40, 2, 64>)
ATTENTION(attention_64_128, attention_forward<64, 2, 64>)
ATTENTION(attention_80_128, attention_forward<80, 2, 64>)

ATTENTION(attention_statistics_40, attention_statistics<40, 64>)
ATTENTION(attention_statistics_64, attention_statistics<64, 64>)
ATTENTION(attention_statistics_80, attention_statistics<80, 64>)
ATTENTION(attention_statistics_160, attention_statistics<160, 32>)

ATTENTION(attention_queries_40, attention_gradient<40, 64, false, true>)
ATTENTION(attention_queries_64, attention_gradient<64, 64, false, true>)
ATTENTION(attention_queries_80, attention_gradient<80, 64, false, true>)
ATTENTION(attention_queries_160, attention_gradient<160, 32, false, true>)

ATTENTION(attention_keys_40, attention_gradient<40, 64, true, true>)
ATTENTION(attention_keys_64, attention_gradient<64, 64, true, true>)
ATTENTION(attention_keys_80, attention_gradient<80, 64, true, true>)
ATTENTION(attention_keys_160, attention_gradient<160, 32, true, false>)
