// An autoencoder's moments [pixels,2c]: c means, then c logarithms of variances, which are clamped to [low, high].
#include "device.cuh"

__device__ inline float clamped(float v, float low, float high) { return fminf(fmaxf(v, low), high); }

// posterior_sample: mean + exp(logvar/2)·noise; n is pixels·c.
KERNEL(posterior_sample, In moments, In noise, Out y, i64 n, i64 c, float low, float high) {
  EACH(i, n) {
    i64 at = i / c * 2 * c + i % c;
    store(y, i, load(moments, at) + expf(clamped(load(moments, at + c), low, high) / 2) * load(noise, i));
  }
}

// posterior_sample_grad may write over the moments.
KERNEL(posterior_sample_grad, In moments, In noise, In dy, Out out, i64 n, i64 c, float low, float high) {
  EACH(i, n) {
    i64 at = i / c * 2 * c + i % c;
    float v = load(moments, at + c), d = load(dy, i);
    store(out, at, d);
    store(out, at + c, v >= low && v <= high ? d * load(noise, i) * expf(v / 2) / 2 : 0.0f);
  }
}

// kl_sums: Σ (mean² + exp(logvar) − 1 − logvar)/2 of a share of the elements for each block.
KERNEL(kl_sums, In moments, float* partial, i64 n, i64 c, float low, float high) {
  float sum = 0.0f;
  EACH(i, n) {
    i64 at = i / c * 2 * c + i % c;
    float mean = load(moments, at), v = clamped(load(moments, at + c), low, high);
    sum += (mean * mean + (expm1f(v) - v)) / 2;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

KERNEL(kl_grad, In moments, const float* dloss, Out out, i64 n, i64 c, i64 samples, float low, float high) {
  float factor = *dloss / (float)samples;
  EACH(i, n) {
    i64 at = i / c * 2 * c + i % c;
    float v = load(moments, at + c);
    store(out, at, factor * load(moments, at));
    store(out, at + c, v >= low && v <= high ? factor * expm1f(v) / 2 : 0.0f);
  }
}
