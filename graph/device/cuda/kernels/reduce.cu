// Sums over rows, and losses.
#include "device.cuh"
#include "parts.cuh"

// column_sums: x [outer,rows,c] → y [outer,parts,c].
KERNEL(column_sums, In x, Out y, i64 rows, i64 c) {
  i64 column = (i64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
  Part p = part_of(rows);
  float sum = 0.0f;
  if (column < c)
    LOOP (i64 r = p.begin + threadIdx.x / COLUMNS; r < p.end; r += LANES) sum += load(x, (blockIdx.z * rows + r) * c + column);
  sum = lanes_sum(sum);
  if (threadIdx.x < COLUMNS && column < c) store(y, ((i64)blockIdx.z * gridDim.y + blockIdx.y) * c + column, sum);
}

// mse_sums: Σ w·(a − b)² of a share of the elements for each block, w being that of the sample of per elements; weights may be nil.
KERNEL(mse_sums, In a, In b, const float* weights, float* partial, i64 n, i64 per) {
  float sum = 0.0f;
  EACH(i, n) {
    float d = load(a, i) - load(b, i);
    sum += weights ? weights[i / per] * d * d : d * d;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// square_sums: Σ x² of a share of the elements for each block.
KERNEL(square_sums, In x, float* partial, i64 n) {
  float sum = 0.0f;
  EACH(i, n) sum += load(x, i) * load(x, i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// total is factor · Σ partial, or the root of that; one block.
KERNEL(total, const float* partial, float* y, i64 n, float factor, i64 root) {
  float sum = 0.0f;
  SHARE(i, n) sum += partial[i];
  sum = factor * block_sum(sum);
  if (threadIdx.x == 0) *y = root ? sqrtf(sum) : sum;
}

// mse_grad is 2·w·dloss·(a − b)/n.
KERNEL(mse_grad, In a, In b, const float* dloss, const float* weights, Out y, i64 n, i64 per) {
  float factor = 2.0f * *dloss / (float)n;
  EACH(i, n) store(y, i, factor * (weights ? weights[i / per] : 1.0f) * (load(a, i) - load(b, i)));
}
