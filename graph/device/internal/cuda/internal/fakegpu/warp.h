// The instructions that ../kernels/mma.cuh has of the GPU, on the processor. Fragments are laid out as in PTX.
#pragma once

#include "shim.h"

#define KERNEL_OF(count, blocks, name, ...)                                                                      \
  static void name(__VA_ARGS__);                                                                         \
  static shim::Kernel name##_kernel(#name, shim::Invoke<name>::bytes, shim::Invoke<name>::run, count);   \
  static void name(__VA_ARGS__)

#define SHARED(name) unsigned short* name = (unsigned short*)shim::shared()

typedef unsigned char* Address;

inline Address address(const void* p) { return (Address)p; }

namespace shim {

inline float number(unsigned bf16) { return __uint_as_float(bf16 << 16); }

inline unsigned round_bf16(float x) {
  unsigned u = __float_as_uint(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

// Product is a thread's part of a product: registers of a and b, and four numbers of c.
struct Product {
  float* c;
  const unsigned* a;
  unsigned b[2];
};

template <int K>
inline void product(void* const* lanes) {
  float a[16][K], b[K][8];
  for (int lane = 0; lane < 32; lane++) {
    const Product& p = *(const Product*)lanes[lane];
    int g = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < K / 4; i++)
      for (int j = 0; j < 2; j++) a[g + i % 2 * 8][i / 2 * 8 + t + j] = number(p.a[i] >> 16 * j & 0xffff);
    for (int i = 0; i < K / 8; i++)
      for (int j = 0; j < 2; j++) b[i * 8 + t + j][g] = number(p.b[i] >> 16 * j & 0xffff);
  }
  for (int lane = 0; lane < 32; lane++) {
    float* c = ((const Product*)lanes[lane])->c;
    int g = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < 4; i++) {
      float sum = c[i];
      for (int k = 0; k < K; k++) sum += a[g + i / 2 * 8][k] * b[k][t + i % 2];
      c[i] = sum;
    }
  }
}

// Matrices is a thread's part of a load of matrices 8×8.
struct Matrices {
  unsigned* to;
  const unsigned char* row;
};

template <int COUNT, bool TRANSPOSED>
inline void matrices(void* const* lanes) {
  for (int lane = 0; lane < 32; lane++) {
    const Matrices& m = *(const Matrices*)lanes[lane];
    int g = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < COUNT; i++) {
      unsigned short pair[2];
      for (int j = 0; j < 2; j++) {
        const unsigned char* row = ((const Matrices*)lanes[i * 8 + (TRANSPOSED ? t + j : g)])->row;
        if ((size_t)row % 16 != 0 || !within(row, 16)) fail("ldmatrix wants a multiple of 16 bytes in shared memory");
        memcpy(&pair[j], row + 2 * (TRANSPOSED ? g : t + j), 2);
      }
      m.to[i] = pair[0] | (unsigned)pair[1] << 16;
    }
  }
}

} // namespace shim

inline void mma16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  shim::Product p{c, a, {b0, b1}};
  shim::together(shim::product<16>, &p);
}
inline void mma8(float (&c)[4], const unsigned (&a)[2], unsigned b) {
  shim::Product p{c, a, {b, 0}};
  shim::together(shim::product<8>, &p);
}

inline void ldmatrix4(unsigned (&r)[4], Address row) {
  shim::Matrices m{r, row};
  shim::together(shim::matrices<4, false>, &m);
}
inline void ldmatrix4_trans(unsigned (&r)[4], Address row) {
  shim::Matrices m{r, row};
  shim::together(shim::matrices<4, true>, &m);
}
inline void ldmatrix2_trans(unsigned (&r)[2], Address row) {
  shim::Matrices m{r, row};
  shim::together(shim::matrices<2, true>, &m);
}

inline void copy16(Address to, const unsigned short* from, bool there) {
  if ((size_t)to % 16 != 0 || (size_t)from % 16 != 0 || !shim::within(to, 16))
    shim::fail("cp.async wants multiples of 16 bytes, to shared memory");
  shim::copy(to, there ? from : nullptr, 16);
}
inline void commit() { shim::commit(); }
template <int N>
inline void copied() {
  shim::copied(N);
}

inline unsigned pack(float low, float high) { return shim::round_bf16(low) | shim::round_bf16(high) << 16; }

inline float power2(float x) { return exp2f(x); }
