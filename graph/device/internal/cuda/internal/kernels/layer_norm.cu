// Layer norms.
#include "device.cuh"
#include "parts.cuh"

// A layer norm's row of up to 4·32·K channels is in the registers of a warp, 4·K in each thread, for K of 3, 6 or 10:
// 320, 640 and 768, 1280 channels. Longer and odd rows are the work of a block and are read again for each sum. A block
// of ROW threads has WARPS rows.
enum { WARPS = ROW / 32, MOST_CHANNELS = 1280 };

// warp_sum adds a number of each thread of a warp, always in the same order; all get the sum.
__device__ inline float warp_sum(float v) {
  UNROLLED (int mask = 16; mask > 0; mask /= 2) v += __shfl_xor_sync(0xffffffffu, v, mask);
  return v;
}

// Row is one thread's part of a row; the rest of its registers is 0.
template <int K>
struct Row {
  float v[K][4];
};

// place is where piece k of a thread's row begins.
__device__ inline int place(int k) { return (k * 32 + (int)threadIdx.x % 32) * 4; }

template <int K, class X>
__device__ inline void read_row(Row<K>& row, X x, i64 at, int c) {
  UNROLLED (int k = 0; k < K; k++) {
    UNROLLED (int j = 0; j < 4; j++) row.v[k][j] = 0.0f;
    if (place(k) < c) read(row.v[k], x, at + place(k));
  }
}

// normal turns a row into x̂ = (x − mean)/deviation, and returns 1/deviation.
template <int K>
__device__ inline float normal(Row<K>& row, int c, float eps) {
  float sum = 0.0f;
  UNROLLED (int k = 0; k < K; k++) sum += (row.v[k][0] + row.v[k][1]) + (row.v[k][2] + row.v[k][3]);
  float mean = warp_sum(sum) / (float)c;
  sum = 0.0f;
  UNROLLED (int k = 0; k < K; k++) {
    bool there = place(k) < c;
    UNROLLED (int j = 0; j < 4; j++) {
      row.v[k][j] = there ? row.v[k][j] - mean : 0.0f;
      sum += row.v[k][j] * row.v[k][j];
    }
  }
  float inverse = 1.0f / sqrtf(warp_sum(sum) / (float)c + eps);
  UNROLLED (int k = 0; k < K; k++)
    UNROLLED (int j = 0; j < 4; j++) row.v[k][j] *= inverse;
  return inverse;
}

// row_moments is the mean and 1/deviation of one row, by a block.
struct RowMoments {
  float mean, inverse;
};

__device__ inline RowMoments row_moments(const In& x, i64 at, i64 c, float eps) {
  float sum = 0.0f;
  SHARE(k, c) sum += load(x, at + k);
  float mean = block_sum(sum) / (float)c;
  sum = 0.0f;
  SHARE(k, c) {
    float d = load(x, at + k) - mean;
    sum += d * d;
  }
  return RowMoments{mean, 1.0f / sqrtf(block_sum(sum) / (float)c + eps)};
}

// EACH_ROW walks over a block's rows, one after the other.
#define EACH_ROW(r, rows) \
  LOOP (i64 r = (i64)blockIdx.x * WARPS; r < (rows) && r < ((i64)blockIdx.x + 1) * WARPS; r++)

template <int K, class Y>
__device__ inline void layer_norm_row(const float* x, const float* gamma, const float* beta, Y y, i64 r, int c,
                                      float eps) {
  Row<K> row;
  read_row(row, x, r * c, c);
  normal(row, c, eps);
  UNROLLED (int k = 0; k < K; k++) {
    if (place(k) >= c) continue;
    float g[4], b[4];
    read(g, gamma, place(k));
    read(b, beta, place(k));
    UNROLLED (int j = 0; j < 4; j++) row.v[k][j] = row.v[k][j] * g[j] + b[j];
    write(row.v[k], y, r * c + place(k));
  }
}

// IN_REGISTERS chooses K and calls f<K>(…).
#define IN_REGISTERS(f, c, ...)             \
  do {                                      \
    if ((c) <= 384) f<3>(__VA_ARGS__);      \
    else if ((c) <= 768) f<6>(__VA_ARGS__); \
    else f<10>(__VA_ARGS__);                \
  } while (0)

// layer_norm: x [rows,C] → y [rows,C].
ROW_KERNEL(layer_norm, In x, const float* gamma, const float* beta, Out y, i64 rows, i64 c, float eps) {
  if (!x.bf16 && c % 4 == 0 && c <= MOST_CHANNELS && aligned(x.p, gamma, beta, y.p)) {
    i64 r = (i64)blockIdx.x * WARPS + threadIdx.x / 32;
    if (r >= rows) return;
    if (y.bf16)
      IN_REGISTERS(layer_norm_row, c, (const float*)x.p, gamma, beta, (bf16*)y.p, r, (int)c, eps);
    else
      IN_REGISTERS(layer_norm_row, c, (const float*)x.p, gamma, beta, (float*)y.p, r, (int)c, eps);
    return;
  }
  EACH_ROW(r, rows) {
    i64 at = r * c;
    RowMoments m = row_moments(x, at, c, eps);
    SHARE(k, c) store(y, at + k, (load(x, at + k) - m.mean) * m.inverse * gamma[k] + beta[k]);
  }
}

template <int K, class D>
__device__ inline void layer_norm_grad_row(const float* x, const float* gamma, D dy, float* y, i64 r, int c,
                                           float eps) {
  Row<K> row, d;
  read_row(row, x, r * c, c);
  read_row(d, dy, r * c, c);
  float inverse = normal(row, c, eps), mean = 0.0f, slope = 0.0f;
  UNROLLED (int k = 0; k < K; k++) {
    if (place(k) >= c) continue;
    float g[4];
    read(g, gamma, place(k));
    UNROLLED (int j = 0; j < 4; j++) {
      d.v[k][j] *= g[j];
      mean += d.v[k][j];
      slope += d.v[k][j] * row.v[k][j];
    }
  }
  mean = warp_sum(mean) / (float)c;
  slope = warp_sum(slope) / (float)c;
  UNROLLED (int k = 0; k < K; k++) {
    if (place(k) >= c) continue;
    UNROLLED (int j = 0; j < 4; j++) d.v[k][j] = inverse * (d.v[k][j] - mean - row.v[k][j] * slope);
    write(d.v[k], y, r * c + place(k));
  }
}

// layer_norm_grad_input: y may be dy.
ROW_KERNEL(layer_norm_grad_input, In x, const float* gamma, In dy, Out y, i64 rows, i64 c, float eps) {
  if (!x.bf16 && !y.bf16 && c % 4 == 0 && c <= MOST_CHANNELS && aligned(x.p, gamma, dy.p, y.p)) {
    i64 r = (i64)blockIdx.x * WARPS + threadIdx.x / 32;
    if (r >= rows) return;
    if (dy.bf16)
      IN_REGISTERS(layer_norm_grad_row, c, (const float*)x.p, gamma, (const bf16*)dy.p, (float*)y.p, r, (int)c, eps);
    else
      IN_REGISTERS(layer_norm_grad_row, c, (const float*)x.p, gamma, (const float*)dy.p, (float*)y.p, r, (int)c, eps);
    return;
  }
  EACH_ROW(r, rows) {
    i64 at = r * c;
    RowMoments m = row_moments(x, at, c, eps);
    float mean = 0.0f, slope = 0.0f;
    SHARE(k, c) {
      float d = gamma[k] * load(dy, at + k);
      mean += d;
      slope += d * (load(x, at + k) - m.mean) * m.inverse;
    }
    mean = block_sum(mean) / (float)c;
    slope = block_sum(slope) / (float)c;
    SHARE(k, c) {
      float d = gamma[k] * load(dy, at + k);
      store(y, at + k, m.inverse * (d - mean - (load(x, at + k) - m.mean) * m.inverse * slope));
    }
  }
}

// layer_norm_params adds up a block's rows: each warp those of its own, and then the warps one after the other.
template <int K, class D>
__device__ inline void layer_norm_params(const float* x, D dy, float* y, i64 rows, int c, float eps,
                                         float (*sums)[MOST_CHANNELS]) {
  Row<K> sum = {}, slope = {};
  Part p = part_of(rows);
  int warp = threadIdx.x / 32;
  LOOP (i64 r = p.begin + warp; r < p.end; r += WARPS) {
    Row<K> row, d;
    read_row(row, x, r * c, c);
    read_row(d, dy, r * c, c);
    normal(row, c, eps);
    UNROLLED (int k = 0; k < K; k++)
      UNROLLED (int j = 0; j < 4; j++) {
        sum.v[k][j] += d.v[k][j];
        slope.v[k][j] += d.v[k][j] * row.v[k][j];
      }
  }
  LOOP (int w = 0; w < WARPS; w++) {
    if (w == warp)
      UNROLLED (int k = 0; k < K; k++)
        UNROLLED (int j = 0; j < 4; j++) {
          int at = place(k) + j;
          sums[0][at] = (w > 0 ? sums[0][at] : 0.0f) + sum.v[k][j];
          sums[1][at] = (w > 0 ? sums[1][at] : 0.0f) + slope.v[k][j];
        }
    __syncthreads();
  }
  SHARE(k, c) {
    y[(i64)blockIdx.y * 2 * c + k] = sums[0][k];
    y[(i64)blockIdx.y * 2 * c + c + k] = sums[1][k];
  }
}

// layer_norm_grad_params: Σ dy and Σ dy·x̂ over a part of the rows: [parts,2,C]. The grid is (1, parts, 1).
ROW_KERNEL(layer_norm_grad_params, In x, In dy, float* y, i64 rows, i64 c, float eps) {
  __shared__ float sums[2][MOST_CHANNELS];
  if (!x.bf16 && c % 4 == 0 && c <= MOST_CHANNELS && aligned(x.p, dy.p)) {
    if (dy.bf16)
      IN_REGISTERS(layer_norm_params, c, (const float*)x.p, (const bf16*)dy.p, y, rows, (int)c, eps, sums);
    else
      IN_REGISTERS(layer_norm_params, c, (const float*)x.p, (const float*)dy.p, y, rows, (int)c, eps, sums);
    return;
  }
  Part p = part_of(rows);
  float* to = y + (i64)blockIdx.y * 2 * c;
  SHARE(k, 2 * c) to[k] = 0.0f;
  __syncthreads();
  LOOP (i64 r = p.begin; r < p.end; r++) {
    RowMoments m = row_moments(x, r * c, c, eps);
    SHARE(k, c) { // a column has one thread, which is not the one that cleared it
      float d = load(dy, r * c + k);
      to[k] += d;
      to[c + k] += d * (load(x, r * c + k) - m.mean) * m.inverse;
    }
  }
}
