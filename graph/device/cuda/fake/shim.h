// Gives CUDA C++ a meaning on the processor. A block's threads are fibers of one thread of the system: each runs until __syncthreads,
// where the next one goes on. Included by ../kernels/device.cuh when the compiler is not CUDA's.
#pragma once

#include <math.h>
#include <stddef.h>
#include <string.h>

#include <utility>

#define __device__
#define __shared__ static thread_local // a thread of the system runs one block at a time

namespace shim {

struct Index {
  unsigned x, y, z;
};

// yield ends a fiber's part between two barriers.
void yield();

// Kernel is a function that the driver can launch by name. invoke calls it for the fiber's thread with packed arguments.
struct Kernel {
  const char* name;
  size_t bytes; // of the packed arguments
  void (*invoke)(const char* arguments);
  const Kernel* next;
  Kernel(const char* name, size_t bytes, void (*invoke)(const char*));
};

// all is the list of kernels.
extern const Kernel* all;

// Invoke unpacks arguments, each at a multiple of its alignment, as CUDA packs them.
template <auto F>
struct Invoke;
template <class... A, void (*F)(A...)>
struct Invoke<F> {
  static constexpr size_t offset(size_t n) {
    constexpr size_t sizes[] = {sizeof(A)...}, aligns[] = {alignof(A)...};
    size_t at = 0;
    for (size_t i = 0; i < sizeof...(A); i++) {
      at = (at + aligns[i] - 1) / aligns[i] * aligns[i];
      if (i == n) return at;
      at += sizes[i];
    }
    return at;
  }
  static constexpr size_t bytes = offset(sizeof...(A));
  template <class T>
  static T at(const char* p) {
    T v;
    memcpy(&v, p, sizeof v);
    return v;
  }
  template <size_t... I>
  static void call(const char* p, std::index_sequence<I...>) {
    F(at<A>(p + offset(I))...);
  }
  static void run(const char* p) { call(p, std::index_sequence_for<A...>{}); }
};

} // namespace shim

extern thread_local shim::Index threadIdx, blockIdx, blockDim, gridDim;

#define KERNEL(name, ...)                                                                          \
  static void name(__VA_ARGS__);                                                                   \
  static shim::Kernel name##_kernel(#name, shim::Invoke<name>::bytes, shim::Invoke<name>::run);    \
  static void name(__VA_ARGS__)

inline void __syncthreads() { shim::yield(); }

inline float __uint_as_float(unsigned u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}
inline unsigned __float_as_uint(float f) {
  unsigned u;
  memcpy(&u, &f, sizeof u);
  return u;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int atomicCAS(int* p, int expected, int value) { return __sync_val_compare_and_swap(p, expected, value); }
