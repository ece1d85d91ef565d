// The end of a training step.
#include "device.cuh"

// accumulate: total ← keep·total + x; where keep is 0 the old total is not read.
KERNEL(accumulate, float* sum, const float* x, const float* keep, i64 n) {
  float k = *keep;
  EACH(i, n) sum[i] = k == 0.0f ? x[i] : k * sum[i] + x[i];
}

// adamw is op.AdamW; scale may be nil.
KERNEL(adamw, float* p, const float* gradient, float* m, float* v, const float* hyper, const float* scale, i64 n) {
  float rate = hyper[0], gain1 = hyper[1], gain2 = hyper[2], epsilon = hyper[3], decay = hyper[4];
  float size = rate / hyper[5], root = 1.0f / hyper[6], clip = scale ? *scale : 1.0f;
  EACH(i, n) {
    float g = clip * gradient[i];
    float mean = m[i] + gain1 * (g - m[i]);
    float square = v[i] + gain2 * (g * g - v[i]);
    p[i] = p[i] - rate * decay * p[i] - size * mean / (sqrtf(square) * root + epsilon);
    m[i] = mean;
    v[i] = square;
  }
}

// clip_scale: norm → min(1, max/(norm + 1e-6)).
KERNEL(clip_scale, const float* norm, float* y, float max) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *y = fminf(1.0f, max / (*norm + 1e-6f));
}
