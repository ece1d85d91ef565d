// Elements that a thread takes several at a time, 16 bytes an instruction. Where sizes or addresses don't allow it, or
// element types come together that no program has, a kernel goes on with single elements: In and Out of device.cuh,
// whose type shows at run time.
#pragma once
#include "device.cuh"

// bf16 is an element of bfloat16, for the type of a pointer.
struct bf16 {
  unsigned short bits;
};

// FLAT is how many elements of values without rows a thread processes.
enum { FLAT = 8 };

// aligned reports whether addresses are multiples of 16.
__device__ inline bool aligned(const void* p) { return ((unsigned long long)p & 15) == 0; }
template <class... P>
__device__ inline bool aligned(const void* p, const P*... others) {
  return aligned(p) && aligned(others...);
}

__device__ inline float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// pair_bf16 rounds two numbers as to_bf16 does.
__device__ inline unsigned pair_bf16(float low, float high) {
#ifdef __CUDACC__
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return to_bf16(low) | (unsigned)to_bf16(high) << 16;
#endif
}

// read gets V elements from `at` on.
template <int V>
__device__ inline void read(float (&to)[V], const float* x, i64 at) {
  if constexpr (V == 1) {
    to[0] = x[at];
  } else {
    UNROLLED (int k = 0; k < V; k += 4) {
      uint4 w = *(const uint4*)(x + at + k);
      to[k] = __uint_as_float(w.x);
      to[k + 1] = __uint_as_float(w.y);
      to[k + 2] = __uint_as_float(w.z);
      to[k + 3] = __uint_as_float(w.w);
    }
  }
}

template <int V>
__device__ inline void read(float (&to)[V], const bf16* x, i64 at) {
  if constexpr (V == 4) {
    uint2 w = *(const uint2*)(x + at);
    to[0] = low_bf16(w.x);
    to[1] = high_bf16(w.x);
    to[2] = low_bf16(w.y);
    to[3] = high_bf16(w.y);
  } else {
    UNROLLED (int k = 0; k < V; k += 8) {
      uint4 w = *(const uint4*)(x + at + k);
      to[k] = low_bf16(w.x);
      to[k + 1] = high_bf16(w.x);
      to[k + 2] = low_bf16(w.y);
      to[k + 3] = high_bf16(w.y);
      to[k + 4] = low_bf16(w.z);
      to[k + 5] = high_bf16(w.z);
      to[k + 6] = low_bf16(w.w);
      to[k + 7] = high_bf16(w.w);
    }
  }
}

__device__ inline void read(float (&to)[1], const In& x, i64 at) { to[0] = load(x, at); }

// put stores words with one instruction. The compiler makes single ones of some vectors, and not always of the same.
__device__ inline void put(uint4* to, uint4 w) {
#ifdef __CUDACC__
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(w.x), "r"(w.y),
               "r"(w.z), "r"(w.w) : "memory");
#else
  *to = w;
#endif
}

__device__ inline void put(uint2* to, uint2 w) {
#ifdef __CUDACC__
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(w.x), "r"(w.y) : "memory");
#else
  *to = w;
#endif
}

// write puts V elements from `at` on.
template <int V>
__device__ inline void write(const float (&v)[V], float* y, i64 at) {
  if constexpr (V == 1) {
    y[at] = v[0];
  } else {
    UNROLLED (int k = 0; k < V; k += 4) {
      uint4 w;
      w.x = __float_as_uint(v[k]);
      w.y = __float_as_uint(v[k + 1]);
      w.z = __float_as_uint(v[k + 2]);
      w.w = __float_as_uint(v[k + 3]);
      put((uint4*)(y + at + k), w);
    }
  }
}

template <int V>
__device__ inline void write(const float (&v)[V], bf16* y, i64 at) {
  if constexpr (V == 4) {
    uint2 w;
    w.x = pair_bf16(v[0], v[1]);
    w.y = pair_bf16(v[2], v[3]);
    put((uint2*)(y + at), w);
  } else {
    UNROLLED (int k = 0; k < V; k += 8) {
      uint4 w;
      w.x = pair_bf16(v[k], v[k + 1]);
      w.y = pair_bf16(v[k + 2], v[k + 3]);
      w.z = pair_bf16(v[k + 4], v[k + 5]);
      w.w = pair_bf16(v[k + 6], v[k + 7]);
      put((uint4*)(y + at + k), w);
    }
  }
}

__device__ inline void write(const float (&v)[1], const Out& y, i64 at) { store(y, at, v[0]); }

// EACH_OF walks over n elements, V at a time, n being a multiple of V; i is the first of them.
#define EACH_OF(V, i, n) \
  LOOP (i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * V; i < (n); i += (i64)gridDim.x * blockDim.x * V)

// divide is a / b for numbers that are not negative. A division of 32 bits costs a fifth of one of 64.
__device__ inline i64 divide(i64 a, i64 b) {
  return ((a | b) >> 32) == 0 ? (i64)((unsigned)a / (unsigned)b) : a / b;
}

// Split is a place in rows.
struct Split {
  i64 row, column;
};

// split finds element i of rows of c elements, both multiples of V.
template <int V>
__device__ inline Split split(i64 i, i64 c) {
  i64 at = (i64)((unsigned long long)i / V), width = (i64)((unsigned long long)c / V), row = divide(at, width);
  return Split{row, (at - row * width) * V};
}

// rough functions are for results that are rounded to bfloat16: within 1e-5 of themselves, where bfloat16 has 4e-3.
__device__ inline float rough_sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

// rough_normal_cdf is Φ(x) = erfc(−x/√2)/2 with Chebyshev's approximation of erfc (Press et al., Numerical Recipes,
// section 6.2), whose relative error is 1.2e-7 everywhere.
__device__ inline float rough_normal_cdf(float x) {
  float z = fabsf(x) * 0.70710678118654752f, t = __fdividef(1.0f, 1.0f + 0.5f * z);
  float s = 0.17087277f;
  s = s * t - 0.82215223f;
  s = s * t + 1.48851587f;
  s = s * t - 1.13520398f;
  s = s * t + 0.27886807f;
  s = s * t - 0.18628806f;
  s = s * t + 0.09678418f;
  s = s * t + 0.37409196f;
  s = s * t + 1.00002368f;
  s = s * t - 1.26551223f;
  float tail = 0.5f * t * __expf(s - z * z);
  return x < 0.0f ? tail : 1.0f - tail;
}

// Rounding says how exact a result has to be, by the type that it is stored in.
template <class Y>
struct Rounding {
  __device__ static float silu(float x) { return x * sigmoid(x); }
  __device__ static float cdf(float x) { return normal_cdf(x); }
  __device__ static float exp(float x) { return expf(x); }
};
template <>
struct Rounding<bf16*> {
  __device__ static float silu(float x) { return x * rough_sigmoid(x); }
  __device__ static float cdf(float x) { return rough_normal_cdf(x); }
  __device__ static float exp(float x) { return __expf(x); }
};
