// Sums over rows, and losses.
#include "device.cuh"
#include "lists.cuh"
#include "parts.cuh"

enum { SUM_ROWS = 4 };

template <int V, class X>
__device__ inline void sum_columns(X x, const Out& y, i64 rows, i64 c) {
  Part p = part_of(rows);
  EACH_COLUMN(V, column, c) {
    float sum[V] = {};
    if (column < c) {
      i64 at = blockIdx.z * rows * c + column;
      LOOP (i64 r = p.begin + lane_of_rows(); r < p.end; r += LANES * SUM_ROWS) {
        float v[SUM_ROWS][V] = {};
        UNROLLED (int k = 0; k < SUM_ROWS; k++)
          if (r + k * LANES < p.end) read(v[k], x, at + (r + k * LANES) * c);
        UNROLLED (int k = 0; k < SUM_ROWS; k++)
          UNROLLED (int j = 0; j < V; j++) sum[j] += v[k][j];
      }
    }
    lanes_sum(sum);
    if (threadIdx.x < COLUMNS && column < c)
      UNROLLED (int j = 0; j < V; j++) store(y, ((i64)blockIdx.z * gridDim.y + blockIdx.y) * c + column + j, sum[j]);
  }
}

// column_sums: x [outer,rows,c] → y [outer,parts,c].
KERNEL(column_sums, In x, Out y, i64 rows, i64 c) {
  if (c % 4 != 0 || !aligned(x.p))
    sum_columns<1>(x, y, rows, c);
  else if (x.bf16)
    sum_columns<4>((const bf16*)x.p, y, rows, c);
  else
    sum_columns<4>((const float*)x.p, y, rows, c);
}

// mse_sums: Σ w·(a − b)² of a share of the elements for each block, w being that of the sample of per elements; weights
// may be nil.
ROW_KERNEL(mse_sums, In a, In b, const float* weights, float* partial, i64 n, i64 per) {
  float sum = 0.0f;
  EACH(i, n) {
    float d = load(a, i) - load(b, i);
    sum += weights ? weights[i / per] * d * d : d * d;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

typedef List<1, 160> Squared;

// square_sums: Σ x² of a share of a tensor for each block. The blocks of a launch write from `at` on.
ROW_KERNEL(square_sums, Squared l, float* partial, i64 at) {
  int k = of_block(l);
  const float* x = l.p[k][0];
  i64 n = l.n[k];
  float sum = 0.0f;
  if (n % 4 == 0 && aligned(x)) {
    Some e = share<4>(l, k);
    LOOP (i64 i = e.begin; i < n; i += 4 * e.step) {
      float v[4][4] = {};
      UNROLLED (int q = 0; q < 4; q++)
        if (i + q * e.step < n) read(v[q], x, i + q * e.step);
      UNROLLED (int q = 0; q < 4; q++) sum += (v[q][0] * v[q][0] + v[q][1] * v[q][1]) +
          (v[q][2] * v[q][2] + v[q][3] * v[q][3]);
    }
  } else {
    Some e = share<1>(l, k);
    LOOP (i64 i = e.begin; i < n; i += e.step) sum += x[i] * x[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[at + blockIdx.x] = sum;
}

// total is factor · Σ partial, or the root of that; one block.
ROW_KERNEL(total, const float* partial, float* y, i64 n, float factor, i64 root) {
  float sum = 0.0f;
  LOOP (i64 i = threadIdx.x; i < n; i += 8 * ROW) {
    float v[8] = {};
    UNROLLED (int k = 0; k < 8; k++)
      if (i + k * ROW < n) v[k] = partial[i + k * ROW];
    UNROLLED (int k = 0; k < 8; k++) sum += v[k];
  }
  sum = factor * block_sum(sum);
  if (threadIdx.x == 0) *y = root ? sqrtf(sum) : sum;
}

// mse_grad is 2·w·dloss·(a − b)/n.
KERNEL(mse_grad, In a, In b, const float* dloss, const float* weights, Out y, i64 n, i64 per) {
  float factor = 2.0f * *dloss / (float)n;
  EACH(i, n) store(y, i, factor * (weights ? weights[i / per] : 1.0f) * (load(a, i) - load(b, i)));
}
