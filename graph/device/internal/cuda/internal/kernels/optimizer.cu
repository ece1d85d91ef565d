// The end of a training step.
#include "device.cuh"
#include "lists.cuh"

template <int V>
__device__ inline void accumulations(Some e, float* sum, const float* x, float keep, i64 n) {
  LOOP (i64 i = e.begin; i < n; i += e.step) {
    float v[V], s[V];
    read(v, x, i);
    if (keep != 0.0f) {
      read(s, sum, i);
      UNROLLED (int j = 0; j < V; j++) v[j] += keep * s[j];
    }
    write(v, sum, i);
  }
}

// accumulate: total ← keep·total + x; where keep is 0 the old total is not read.
KERNEL(accumulate, float* sum, const float* x, const float* keep, i64 n) {
  if (n % 4 == 0 && aligned(sum, x))
    accumulations<4>(some<4>(blockIdx.x, gridDim.x), sum, x, *keep, n);
  else
    accumulations<1>(some<1>(blockIdx.x, gridDim.x), sum, x, *keep, n);
}

typedef List<2, 120> Accumulated;

// accumulate_all is accumulate for many: sum and x.
KERNEL(accumulate_all, Accumulated l, const float* keep) {
  int k = of_block(l);
  float *sum = l.p[k][0], *x = l.p[k][1];
  i64 n = l.n[k];
  if (n % 4 == 0 && aligned(sum, x))
    accumulations<4>(share<4>(l, k), sum, x, *keep, n);
  else
    accumulations<1>(share<1>(l, k), sum, x, *keep, n);
}

template <int V>
__device__ inline void updates(Some e, float* p, const float* gradient, float* m, float* v, const float* hyper,
                               const float* scale, i64 n) {
  float rate = hyper[0], gain1 = hyper[1], gain2 = hyper[2], epsilon = hyper[3], decay = hyper[4];
  float size = rate / hyper[5], root = 1.0f / hyper[6], clip = scale ? *scale : 1.0f;
  LOOP (i64 i = e.begin; i < n; i += e.step) {
    float g[V], w[V], mean[V], square[V];
    read(g, gradient, i);
    read(w, p, i);
    read(mean, m, i);
    read(square, v, i);
    UNROLLED (int j = 0; j < V; j++) {
      g[j] *= clip;
      mean[j] += gain1 * (g[j] - mean[j]);
      square[j] += gain2 * (g[j] * g[j] - square[j]);
      w[j] = w[j] - rate * decay * w[j] - size * mean[j] / (sqrtf(square[j]) * root + epsilon);
    }
    write(w, p, i);
    write(mean, m, i);
    write(square, v, i);
  }
}

// adamw is op.AdamW; scale may be nil.
KERNEL(adamw, float* p, const float* gradient, float* m, float* v, const float* hyper, const float* scale, i64 n) {
  if (n % 4 == 0 && aligned(p, gradient, m, v))
    updates<4>(some<4>(blockIdx.x, gridDim.x), p, gradient, m, v, hyper, scale, n);
  else
    updates<1>(some<1>(blockIdx.x, gridDim.x), p, gradient, m, v, hyper, scale, n);
}

typedef List<4, 80> Updated;

// adamw_all is adamw for many: p, gradient, m and v.
KERNEL(adamw_all, Updated l, const float* hyper, const float* scale) {
  int k = of_block(l);
  float *p = l.p[k][0], *gradient = l.p[k][1], *m = l.p[k][2], *v = l.p[k][3];
  i64 n = l.n[k];
  if (n % 4 == 0 && aligned(p, gradient, m, v))
    updates<4>(share<4>(l, k), p, gradient, m, v, hyper, scale, n);
  else
    updates<1>(share<1>(l, k), p, gradient, m, v, hyper, scale, n);
}

template <int V>
__device__ inline void averages(Some e, float* average, const float* p, float weight, i64 n) {
  LOOP (i64 i = e.begin; i < n; i += e.step) {
    float a[V], w[V];
    read(a, average, i);
    read(w, p, i);
    UNROLLED (int j = 0; j < V; j++) a[j] -= __fmul_rn(weight, a[j] - w[j]);
    write(a, average, i);
  }
}

// moving_average: average ← average − weight·(average − p), the product rounded by itself.
KERNEL(moving_average, float* average, const float* p, const float* weight, i64 n) {
  if (n % 4 == 0 && aligned(average, p))
    averages<4>(some<4>(blockIdx.x, gridDim.x), average, p, *weight, n);
  else
    averages<1>(some<1>(blockIdx.x, gridDim.x), average, p, *weight, n);
}

// moving_average_all is moving_average for many: average and p.
KERNEL(moving_average_all, Accumulated l, const float* weight) {
  int k = of_block(l);
  float *average = l.p[k][0], *p = l.p[k][1];
  i64 n = l.n[k];
  if (n % 4 == 0 && aligned(average, p))
    averages<4>(share<4>(l, k), average, p, *weight, n);
  else
    averages<1>(share<1>(l, k), average, p, *weight, n);
}

// clip_scale: norm → min(1, max/(norm + 1e-6)).
KERNEL(clip_scale, const float* norm, float* y, float max) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *y = fminf(1.0f, max / (*norm + 1e-6f));
}
