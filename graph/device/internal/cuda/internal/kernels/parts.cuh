// Walks down the rows of [rows,C], and sums over them. Long sums are taken in parts, whose sums a second launch adds
// up: no atomics, so that the same inputs give the same bytes.
#pragma once
#include "vectors.cuh"

// A block of COLUMNS·LANES threads walks over COLUMNS columns of V channels each, 128 bytes of float32 where V is 4;
// its grid is (columns, parts, outer). LANES rows are done at once.
enum { COLUMNS = 8, LANES = 32, BLOCK = COLUMNS * LANES };

__device__ inline int lane_of_rows() { return threadIdx.x / COLUMNS; }

// EACH_COLUMN walks over c channels, V at a time; the whole block stays together, so that it may wait within: a thread
// has no column where column is not less than c.
#define EACH_COLUMN(V, column, c)                                                                                      \
  LOOP (i64 first_ = (i64)blockIdx.x * COLUMNS * V, column = first_ + threadIdx.x % COLUMNS * V; first_ < (c);        \
        first_ += (i64)gridDim.x * COLUMNS * V, column += (i64)gridDim.x * COLUMNS * V)

// Part is the rows that one block sums up.
struct Part {
  i64 begin, end;
};

// part is number i of n parts of rows.
__device__ inline Part part(i64 rows, i64 i, i64 n) {
  i64 length = (rows + n - 1) / n, begin = length * i;
  if (begin > rows) begin = rows;
  return Part{begin, begin + length < rows ? begin + length : rows};
}

__device__ inline Part part_of(i64 rows) { return part(rows, blockIdx.y, gridDim.y); }

// lanes_sum adds up A numbers of each thread over the lanes of a block; lane 0 gets the sums.
template <int A>
__device__ inline void lanes_sum(float (&v)[A]) {
  __shared__ float sums[A][BLOCK];
  int t = threadIdx.x;
  UNROLLED (int a = 0; a < A; a++) sums[a][t] = v[a];
  __syncthreads();
  for (int width = LANES / 2; width > 0; width /= 2) {
    if (t < width * COLUMNS) UNROLLED (int a = 0; a < A; a++) sums[a][t] += sums[a][t + width * COLUMNS];
    __syncthreads();
  }
  UNROLLED (int a = 0; a < A; a++) v[a] = sums[a][t % COLUMNS];
  __syncthreads();
}
