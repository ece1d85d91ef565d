// What comes before and after a product of NVIDIA's library.
#include "vectors.cuh"

// finish8 is product_finish for rows of a multiple of 8, at addresses that are multiples of 16.
template <class Y, class R>
__device__ inline void finish8(Y* y, const float* bias, const R* residual, i64 n, i64 columns, i64 act) {
  EACH_OF(8, i, n) {
    float v[8], w[8];
    read(v, (const Y*)y, i);
    if (bias) {
      read(w, bias, i % columns);
      UNROLLED (int k = 0; k < 8; k++) v[k] += w[k];
    }
    if (residual) {
      read(w, residual, i);
      UNROLLED (int k = 0; k < 8; k++) v[k] += w[k];
    }
    UNROLLED (int k = 0; k < 8; k++) v[k] = activate(v[k], act);
    write(v, y, i);
  }
}

// product_finish: y [n/columns,columns] becomes act(y + bias[columns] + residual). bias and residual may be nil.
KERNEL(product_finish, Out y, const float* bias, In residual, i64 n, i64 columns, i64 act) {
  if (columns % 8 == 0 && aligned(y.p, bias, residual.p) && (!residual.p || !residual.bf16)) {
    const float* r = (const float*)residual.p;
    if (y.bf16)
      finish8((bf16*)y.p, bias, r, n, columns, act);
    else
      finish8((float*)y.p, bias, r, n, columns, act);
    return;
  }
  In x{y.p, y.bf16};
  EACH(i, n) {
    float v = load(x, i);
    if (bias) v += bias[i % columns];
    if (residual.p) v += load(residual, i);
    store(y, i, activate(v, act));
  }
}

// product_round: x [n] in bfloat16.
KERNEL(product_round, const float* x, bf16* y, i64 n) {
  i64 whole = aligned(x, y) ? n / 8 * 8 : 0;
  EACH_OF(8, i, whole) {
    float v[8];
    read(v, x, i);
    write(v, y, i);
  }
  EACH(i, n - whole) y[whole + i].bits = to_bf16(x[whole + i]);
}

// product_rest: what product_round leaves of x [n], in bfloat16: both together have 16 bits of it.
KERNEL(product_rest, const float* x, bf16* y, i64 n) {
  i64 whole = aligned(x, y) ? n / 8 * 8 : 0;
  EACH_OF(8, i, whole) {
    float v[8];
    read(v, x, i);
    UNROLLED (int k = 0; k < 8; k++) v[k] -= from_bf16(to_bf16(v[k]));
    write(v, y, i);
  }
  EACH(i, n - whole) y[whole + i].bits = to_bf16(x[whole + i] - from_bf16(to_bf16(x[whole + i])));
}
