// Sums over rows that are taken in parts, whose sums a second launch adds up: no atomics, so that the same inputs give the same bytes.
#pragma once

// Part is the rows that one block of a grid (columns, parts, outer) sums up.
struct Part {
  i64 begin, end;
};

__device__ inline Part part_of(i64 rows) {
  i64 length = (rows + gridDim.y - 1) / gridDim.y, begin = length * blockIdx.y;
  return Part{begin, begin + length < rows ? begin + length : rows};
}

// Threads of a block are COLUMNS columns times LANES rows that are added up at last.
enum { COLUMNS = 32, LANES = 8 };

// lanes_sum adds up the rows of a block of COLUMNS·LANES threads; the first COLUMNS threads get the sums.
__device__ inline float lanes_sum(float v) {
  __shared__ float part[COLUMNS * LANES];
  int t = threadIdx.x;
  part[t] = v;
  __syncthreads();
  for (int width = LANES / 2; width > 0; width /= 2) {
    if (t < width * COLUMNS) part[t] += part[t + width * COLUMNS];
    __syncthreads();
  }
  float sum = part[t % COLUMNS];
  __syncthreads();
  return sum;
}
