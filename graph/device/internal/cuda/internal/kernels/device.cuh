// What all kernels share: how values are stored, activations, sums over a block.
//
// The sources are CUDA C++ without any header, and at the same time C++ for the processor: ../fakegpu/shim.h gives
// __syncthreads and the rest their meaning there, so that the arithmetic of indices is tested where there is no GPU.
#pragma once

#ifdef __CUDACC__
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(256) name(__VA_ARGS__)
// ROW_KERNEL has blocks of ROW threads, and more registers for each.
#define ROW_KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(128, 2) name(__VA_ARGS__)
#else
#include "../fakegpu/shim.h"
#endif

typedef long long i64;

// In and Out are values of float32 or, where bf16 is not 0, of bfloat16. The type is the same for a whole launch, so
// that the branch costs nothing next to the memory access.
struct In {
  const void* p;
  i64 bf16;
};
struct Out {
  void* p;
  i64 bf16;
};

__device__ inline float from_bf16(unsigned short h) { return __uint_as_float((unsigned)h << 16); }

// to_bf16 rounds to nearest even; a NaN stays one.
__device__ inline unsigned short to_bf16(float x) {
  unsigned u = __float_as_uint(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return (unsigned short)(u >> 16 | 0x40);
  return (unsigned short)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

__device__ inline float load(const In& x, i64 i) {
  return x.bf16 ? from_bf16(((const unsigned short*)x.p)[i]) : ((const float*)x.p)[i];
}

__device__ inline void store(const Out& y, i64 i, float v) {
  if (y.bf16)
    ((unsigned short*)y.p)[i] = to_bf16(v);
  else
    ((float*)y.p)[i] = v;
}

// LOOP is a for that is not unrolled: unrolled loops would make the program three times as large and no faster, they
// wait for memory.
#define LOOP _Pragma("unroll 1") for

// UNROLLED is a for over a few registers: without it they would be in memory.
#define UNROLLED _Pragma("unroll") for

// EACH walks over n elements with all threads of a launch.
#define EACH(i, n) LOOP (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (i64)gridDim.x * blockDim.x)

// The numbers of op.Act.
enum { NO_ACT, SILU, GELU, QUICK_GELU, RELU };

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// normal_cdf is Φ. (1 + erf(x/√2))/2 is the same but has no digits left where x is far below zero.
__device__ inline float normal_cdf(float x) { return 0.5f * erfcf(x * -0.70710678118654752f); }

__device__ inline float activate(float x, i64 act) {
  switch (act) {
    case SILU: return x * sigmoid(x);
    case GELU: return x * normal_cdf(x);
    case QUICK_GELU: return x * sigmoid(1.702f * x);
    case RELU: return x > 0.0f || x != x ? x : 0.0f;
  }
  return x;
}

// derivative is that of an activation at x.
__device__ inline float derivative(float x, i64 act) {
  switch (act) {
    case SILU: {
      float s = sigmoid(x);
      return s * (1.0f + x * (1.0f - s));
    }
    case GELU: return normal_cdf(x) + x * expf(-0.5f * x * x) * 0.39894228040143268f;
    case QUICK_GELU: {
      float s = sigmoid(1.702f * x);
      return s * (1.0f + 1.702f * x * (1.0f - s));
    }
    case RELU: return x > 0.0f ? 1.0f : 0.0f;
  }
  return 1.0f;
}

// ROW is the number of threads that share a row, a group of channels or a sum.
enum { ROW = 128 };

// SHARE walks over n elements with the ROW threads of a block.
#define SHARE(i, n) LOOP (i64 i = threadIdx.x; i < (n); i += ROW)

// block_sum adds a number of each of a block's ROW threads, always in the same order; all get the sum.
__device__ inline float block_sum(float v) {
  __shared__ float part[ROW];
  int t = threadIdx.x;
  part[t] = v;
  __syncthreads();
  for (int width = ROW / 2; width > 0; width /= 2) {
    if (t < width) part[t] += part[t + width];
    __syncthreads();
  }
  float sum = part[0];
  __syncthreads();
  return sum;
}

// block_max is the largest number of a block's ROW threads.
__device__ inline float block_max(float v) {
  __shared__ float part[ROW];
  int t = threadIdx.x;
  part[t] = v;
  __syncthreads();
  for (int width = ROW / 2; width > 0; width /= 2) {
    if (t < width) part[t] = fmaxf(part[t], part[t + width]);
    __syncthreads();
  }
  float top = part[0];
  __syncthreads();
  return top;
}

// nearest maps one of the rows of a resized image to that of the source; scale is source/size, rounded to float32.
__device__ inline i64 nearest(i64 i, float scale, i64 source) {
  i64 at = (i64)((float)i * scale);
  return at < source - 1 ? at : source - 1;
}
