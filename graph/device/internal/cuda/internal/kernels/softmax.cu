// Softmax.
#include "device.cuh"
#include "vectors.cuh"

// SOFTMAX_PIECES times 4·ROW elements are the longest row of softmax that stays in the registers of a block.
enum { SOFTMAX_PIECES = 8 };

// softmax_row has a row of c elements, of which the first n count.
template <class X, class Y>
__device__ inline void softmax_row(const X* x, Y* y, i64 at, int c, int n) {
  float v[SOFTMAX_PIECES][4], top = -3.402823466e38f, sum = 0.0f;
  UNROLLED (int k = 0; k < SOFTMAX_PIECES; k++) {
    int i = (k * ROW + (int)threadIdx.x) * 4;
    if (i < c) read(v[k], x, at + i);
    UNROLLED (int j = 0; j < 4; j++)
      if (i + j < n) top = fmaxf(top, v[k][j]);
  }
  top = block_max(top);
  UNROLLED (int k = 0; k < SOFTMAX_PIECES; k++) {
    int i = (k * ROW + (int)threadIdx.x) * 4;
    UNROLLED (int j = 0; j < 4; j++) {
      v[k][j] = i + j < n ? Rounding<Y*>::exp(v[k][j] - top) : 0.0f;
      sum += v[k][j];
    }
  }
  float factor = 1.0f / block_sum(sum);
  UNROLLED (int k = 0; k < SOFTMAX_PIECES; k++) {
    int i = (k * ROW + (int)threadIdx.x) * 4;
    UNROLLED (int j = 0; j < 4; j++) v[k][j] *= factor;
    if (i < c) write(v[k], y, at + i);
  }
}

// softmax: x [rows,C] → y [rows,C]; y may be x. One block is one row. With period > 0 row r sees the first `seen` + r
// mod period elements only, and the others become 0: a causal mask.
ROW_KERNEL(softmax, In x, Out y, i64 c, i64 period, i64 seen) {
  i64 at = blockIdx.x * c, n = period ? seen + blockIdx.x % period : c;
  if (c % 4 == 0 && c <= SOFTMAX_PIECES * 4 * ROW && (x.bf16 == y.bf16 || y.bf16) && aligned(x.p, y.p)) {
    if (x.bf16)
      softmax_row((const bf16*)x.p, (bf16*)y.p, at, (int)c, (int)n);
    else if (y.bf16)
      softmax_row((const float*)x.p, (bf16*)y.p, at, (int)c, (int)n);
    else
      softmax_row((const float*)x.p, (float*)y.p, at, (int)c, (int)n);
    return;
  }
  float top = -3.402823466e38f;
  SHARE(k, n) top = fmaxf(top, load(x, at + k));
  top = block_max(top);
  float sum = 0.0f;
  SHARE(k, n) sum += expf(load(x, at + k) - top);
  sum = block_sum(sum);
  SHARE(k, c) store(y, at + k, k < n ? expf(load(x, at + k) - top) / sum : 0.0f);
}

template <class T>
__device__ inline void softmax_grad_row(const T* y, const T* dy, T* out, i64 at, int c) {
  float v[SOFTMAX_PIECES][4], d[SOFTMAX_PIECES][4], sum = 0.0f;
  UNROLLED (int k = 0; k < SOFTMAX_PIECES; k++) {
    int i = (k * ROW + (int)threadIdx.x) * 4;
    if (i >= c) continue;
    read(v[k], y, at + i);
    read(d[k], dy, at + i);
    UNROLLED (int j = 0; j < 4; j++) sum += v[k][j] * d[k][j];
  }
  sum = block_sum(sum);
  UNROLLED (int k = 0; k < SOFTMAX_PIECES; k++) {
    int i = (k * ROW + (int)threadIdx.x) * 4;
    if (i >= c) continue;
    UNROLLED (int j = 0; j < 4; j++) d[k][j] = v[k][j] * (d[k][j] - sum);
    write(d[k], out, at + i);
  }
}

// softmax_grad is y·(dy − Σ y·dy); out may be dy. One block is one row.
ROW_KERNEL(softmax_grad, In y, In dy, Out out, i64 c) {
  i64 at = blockIdx.x * c;
  if (c % 4 == 0 && c <= SOFTMAX_PIECES * 4 * ROW && y.bf16 == dy.bf16 && y.bf16 == out.bf16 &&
      aligned(y.p, dy.p, out.p)) {
    if (y.bf16)
      softmax_grad_row((const bf16*)y.p, (const bf16*)dy.p, (bf16*)out.p, at, (int)c);
    else
      softmax_grad_row((const float*)y.p, (const float*)dy.p, (float*)out.p, at, (int)c);
    return;
  }
  float sum = 0.0f;
  SHARE(k, c) sum += load(y, at + k) * load(dy, at + k);
  sum = block_sum(sum);
  SHARE(k, c) store(out, at + k, load(y, at + k) * (load(dy, at + k) - sum));
}
