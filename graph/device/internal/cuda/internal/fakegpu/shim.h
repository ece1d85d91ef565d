// Gives CUDA C++ a meaning on the processor. A block's threads are fibers of one thread of the system: each runs until
// __syncthreads, where the next one goes on; at what waits for its warp alone the next one of the warp goes on.
// Included by ../kernels/device.cuh when the compiler is not CUDA's.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <utility>

#define __device__
#define __shared__ static thread_local // a thread of the system runs one block at a time

namespace shim {

struct Index {
  unsigned x, y, z;
};

// yield ends a fiber's part between two barriers of its block, and warp_yield that between two of its warp.
void yield();
void warp_yield();

// slot is where the fiber of a lane of the current one's warp leaves a word for the others.
unsigned& slot(unsigned lane);

// exchange returns what the warp's thread `from` brought; its lanes must all come.
template <class T>
inline T exchange(T mine, unsigned lane, unsigned from) {
  static_assert(sizeof(T) == sizeof(unsigned), "a word");
  memcpy(&slot(lane), &mine, sizeof mine);
  warp_yield();
  T other;
  memcpy(&other, &slot(from), sizeof other);
  warp_yield();
  return other;
}

// together is an instruction that a whole warp does: `what` gets the operands of its 32 threads when all are there.
void together(void (*what)(void* const* operands), void* operands);

// shared is the block's shared memory whose size is the launch's; within reports whether that has n bytes at p.
unsigned char* shared();
bool within(const void* p, size_t n);

// copy begins to copy to shared memory, or zeros from nullptr. Until copied says so, what is there is undefined: it is
// NaN, and the copy is made as late as possible. commit closes a group of copies, and copied returns when all but the
// last `open` groups have been copied.
void copy(void* to, const void* from, size_t n);
void commit();
void copied(size_t open);

// fail ends the process.
[[noreturn]] void fail(const char* what);

// Kernel is a function that the driver can launch by name. invoke calls it for the fiber's thread with packed
// arguments.
struct Kernel {
  const char* name;
  size_t bytes; // of the packed arguments
  void (*invoke)(const char* arguments);
  unsigned threads; // of a block; 0: up to 256
  const Kernel* next;
  Kernel(const char* name, size_t bytes, void (*invoke)(const char*), unsigned threads = 0);
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

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

#define ROW_KERNEL KERNEL

inline void __syncthreads() { shim::yield(); }
inline void __syncwarp(unsigned = 0xffffffffu) { shim::warp_yield(); }

template <class T>
inline T __shfl_xor_sync(unsigned, T v, int mask, int = 32) {
  unsigned lane = threadIdx.x % 32;
  return shim::exchange(v, lane, lane ^ (unsigned)mask);
}
template <class T>
inline T __shfl_sync(unsigned, T v, int from, int width = 32) {
  unsigned lane = threadIdx.x % 32;
  return shim::exchange(v, lane, lane / (unsigned)width * (unsigned)width + (unsigned)from % (unsigned)width);
}

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
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int atomicCAS(int* p, int expected, int value) { return __sync_val_compare_and_swap(p, expected, value); }
