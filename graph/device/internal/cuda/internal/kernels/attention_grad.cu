// The gradients of attention in bfloat16. The probabilities are computed again from what the softmax came to for each
// query.
#include "attention.cuh"

// attention_statistics writes stats, by which the gradients compute the probabilities again. For queries beyond the
// last one they make zeros of them.
template <int D, int M, int KEYS>
__device__ inline void attention_statistics(const Attention& a, u16* shared) {
  Softmax<D, M> f;
  attend<D, M, KEYS>(f, a, shared);
  Source dy = tokens(a, a.dy, a.queries);
  UNROLLED (int m = 0; m < M; m++)
    UNROLLED (int i = 0; i < 2; i++) {
      int row = blockIdx.x * (ATTENTION_WARPS * M * 16) + (warp() * M + m) * 16 + lane() / 4 + i * 8;
      float sum = 0.0f;
      UNROLLED (int n = 0; n < D / 8; n++) {
        u32 d = pair(dy, row, n * 8 + lane() % 4 * 2);
        sum += f.sum[m][n][2 * i] * from_bf16((u16)d) + f.sum[m][n][2 * i + 1] * from_bf16((u16)(d >> 16));
      }
      sum = quad_sum(sum) / f.total[m][i];
      if (lane() % 4 != 0 || row >= a.padded) continue;
      float* to = a.stats + (blockIdx.z * a.heads + blockIdx.y) * 2 * a.padded + row;
      bool there = row < a.queries;
      to[0] = there ? f.top[m][i] * a.scale + log2f(f.total[m][i]) : infinity();
      to[a.padded] = there ? sum : 0.0f;
    }
}

// Gradients: with P the probabilities, S the scores and D = Σ o·dy of each query
//
//	dv = Pᵀ·dy    dP = dy·vᵀ    dS = P∘(dP − D)    dq = dS·k/√d    dk = dSᵀ·q/√d
//
// A block has 64 rows, 16 for each warp, and goes over tiles of COLS columns. For dq the rows are queries and the
// columns keys; for dk and dv it is the other way round, and all matrices are transposed: x and y are then k and v in
// place of q and dy. No sum is shared by blocks.
template <int D, int COLS, bool TRANSPOSED, bool HELD>
__device__ inline void attention_gradient(const Attention& a, u16* shared) {
  enum { TILE_ = COLS * PITCH<D>, ROWS = ATTENTION_WARPS * 16 };
  // Shared memory: two stages, each of two tiles and, if TRANSPOSED, the columns' statistics; then the block's rows if
  // registers can't hold them.
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
      copy16(address(to + 2 * TILE_ + i * 8), (const u16*)(stats + (i < COLS / 4 ? 0 : a.padded - COLS) + at + i * 4),
             true);
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
          if ((!TRANSPOSED && col >= count_cols) ||
              (a.causal && (TRANSPOSED ? row > col : col > row))) s[0][n][i] = -infinity();
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

ATTENTION(attention_statistics_40_64, 4, attention_statistics<40, 1, 64>)
ATTENTION(attention_statistics_64_64, 3, attention_statistics<64, 1, 64>)
ATTENTION(attention_statistics_80_64, 3, attention_statistics<80, 1, 64>)
ATTENTION(attention_statistics_160_64, 2, attention_statistics<160, 1, 32>)
ATTENTION(attention_statistics_40_128, 2, attention_statistics<40, 2, 64>)
ATTENTION(attention_statistics_64_128, 2, attention_statistics<64, 2, 64>)
ATTENTION(attention_statistics_80_128, 2, attention_statistics<80, 2, 64>)

ATTENTION(attention_queries_40, 3, attention_gradient<40, 64, false, true>)
ATTENTION(attention_queries_64, 3, attention_gradient<64, 64, false, true>)
ATTENTION(attention_queries_80, 2, attention_gradient<80, 64, false, true>)
ATTENTION(attention_queries_160, 2, attention_gradient<160, 32, false, true>)

ATTENTION(attention_keys_40, 3, attention_gradient<40, 64, true, true>)
ATTENTION(attention_keys_64, 2, attention_gradient<64, 64, true, true>)
ATTENTION(attention_keys_80, 2, attention_gradient<80, 64, true, true>)
ATTENTION(attention_keys_160, 2, attention_gradient<160, 32, true, false>)
