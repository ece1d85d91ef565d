// Products on tensor cores: the instructions that a warp of 32 threads does together, and products of tiles made of
// them.
//
// A fragment is a thread's part of a matrix. Within a warp, thread `lane` has g = lane/4 and t = lane%4 (PTX ISA,
// "Matrix Fragments for mma.m16n8k16"; a register holds two bfloat16, the lower half first):
//
//	A 16×16   4 registers: (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8), each with the element to its right
//	B 16×8    2 registers: (2t, g), (2t+8, g), each with the element below it
//	C 16×8    4 floats: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
//
// So C's of two neighbours, rounded to bfloat16, are an A. With 8 in place of 16 in the middle, A has its first two
// registers and B its first.
#pragma once

#include "device.cuh"

typedef unsigned short u16;
typedef unsigned u32;

#ifdef __CUDACC__

// KERNEL_OF is a KERNEL for blocks of that many threads, of which a multiprocessor has registers for at least so many
// blocks.
#define KERNEL_OF(threads, blocks, name, ...) extern "C" __global__ void __launch_bounds__(threads, blocks) name(__VA_ARGS__)

// SHARED names the block's shared memory whose size is the launch's.
#define SHARED(name) extern __shared__ __align__(16) u16 name[]

// Address is a place in shared memory, in bytes: offsets that the compiler knows go into the instructions.
typedef u32 Address;

__device__ inline Address address(const void* p) {
  unsigned long long a;
  asm("cvta.to.shared.u64 %0, %1;" : "=l"(a) : "l"(p));
  return (u32)a;
}

// mma16 adds a (16×16) times b (16×8) to c, mma8 a (16×8) times b (8×8).
__device__ inline void mma16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void mma8(float (&c)[4], const u32 (&a)[2], u32 b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
}

// ldmatrix4 loads four matrices 8×8 from shared memory: threads 8i … 8i+7 name the rows of matrix i, 16 bytes at a
// multiple of 16. Thread (g,t) gets the elements (g, 2t) and (g, 2t+1) of each.
__device__ inline void ldmatrix4(u32 (&r)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

// ldmatrix4_trans transposes them: thread (g,t) gets (2t, g) and (2t+1, g). ldmatrix2_trans does so with two, for
// threads 0 … 15.
__device__ inline void ldmatrix4_trans(u32 (&r)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ inline void ldmatrix2_trans(u32 (&r)[2], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1]) : "r"(row) : "memory");
}

// copy16 begins to copy 16 bytes to shared memory, or zeros where `there` is false; both addresses are multiples of 16.
__device__ inline void copy16(Address to, const u16* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

// commit closes a group of copies; copied waits for all but the last N groups of this thread.
__device__ inline void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ inline void copied() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// pack rounds two numbers to bfloat16.
__device__ inline u32 pack(float low, float high) {
  u32 d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

// power2 is 2^x, with an error of 2 units in the last place.
__device__ inline float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else
#include "../fakegpu/warp.h"
#endif

__device__ inline int lane() { return threadIdx.x % 32; }
__device__ inline int warp() { return threadIdx.x / 32; }

__device__ inline float infinity() { return __uint_as_float(0x7f800000u); }

// partner is the value of the thread whose number differs in the bits of a mask.
__device__ inline float partner(float v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }

// Sums and maxima over the four threads that share a row of a C.
__device__ inline float quad_sum(float v) {
  v += partner(v, 1);
  return v + partner(v, 2);
}
__device__ inline float quad_max(float v) {
  v = fmaxf(v, partner(v, 1));
  return fmaxf(v, partner(v, 2));
}

// PITCH is the distance of rows of D elements in shared memory: an odd number of 16 bytes, so that the 8 rows of a
// matrix lie in different banks.
template <int D>
constexpr int PITCH = (D / 8 | 1) * 8;

// Rows is an A of 16 rows of D elements, D being a multiple of 8.
template <int D>
struct Rows {
  u32 a[D / 16][4];
  u32 rest[2]; // the last 8 columns, if D is no multiple of 16
};

// Source is a matrix of bfloat16 in the device's memory: rows of d elements, `stride` apart; wide says that d and
// stride are multiples of 8 and that it begins at a multiple of 16 bytes. What is read outside of it is zero.
struct Source {
  const u16* p;
  i64 stride;
  int rows, d;
  bool wide;
};

// pair reads two elements of a row.
__device__ inline u32 pair(const Source& x, int row, int col) {
  if (row >= x.rows || col >= x.d) return 0;
  const u16* p = x.p + row * x.stride + col;
  if (x.wide) return *(const u32*)p;
  return p[0] | (col + 1 < x.d ? (u32)p[1] << 16 : 0);
}

// read_rows reads 16 rows to registers.
template <int D>
__device__ inline void read_rows(Rows<D>& to, const Source& x, int first) {
  int g = first + lane() / 4, t = lane() % 4 * 2;
  UNROLLED (int k = 0; k < D / 16; k++)
    UNROLLED (int i = 0; i < 4; i++) to.a[k][i] = pair(x, g + i % 2 * 8, k * 16 + i / 2 * 8 + t);
  if (D % 16 != 0)
    UNROLLED (int i = 0; i < 2; i++) to.rest[i] = pair(x, g + i * 8, D / 16 * 16 + t);
}

// copy_rows begins to copy COUNT rows to shared memory, with all THREADS of a block.
template <int D, int COUNT, int THREADS_>
__device__ inline void copy_rows(u16* to, const Source& x, int first) {
  if (x.wide) {
    Address at = address(to);
    UNROLLED (int j = 0; j < (COUNT * (D / 8) + THREADS_ - 1) / THREADS_; j++) {
      int i = threadIdx.x + j * THREADS_, r = i / (D / 8), c = i % (D / 8) * 8;
      if (i >= COUNT * (D / 8)) break;
      bool there = first + r < x.rows && c < x.d;
      copy16(at + (r * PITCH<D> + c) * 2, there ? x.p + (first + r) * x.stride + c : x.p, there);
    }
    return;
  }
  LOOP (int i = threadIdx.x; i < COUNT * D; i += THREADS_) {
    int r = i / D, c = i % D;
    to[r * PITCH<D> + c] = first + r < x.rows && c < x.d ? x.p[(first + r) * x.stride + c] : (u16)0;
  }
}

// load_rows is an A of 16 rows in shared memory.
template <int D>
__device__ inline void load_rows(Rows<D>& to, const u16* tile) {
  Address at = address(tile + lane() % 16 * PITCH<D> + lane() / 16 * 8);
  UNROLLED (int k = 0; k < D / 16; k++) ldmatrix4(to.a[k], at + k * 32);
  static_assert(D % 16 == 0, "no such tile is in use");
}

// times_transposed: s = a (M·16 rows) times the transposed of a tile of COLS rows: both have D columns.
template <int D, int M, int COLS>
__device__ inline void times_transposed(float (&s)[M][COLS / 8][4], const Rows<D> (&a)[M], const u16* tile) {
  static_assert(COLS % 32 == 0, "");
  UNROLLED (int m = 0; m < M; m++)
    UNROLLED (int n = 0; n < COLS / 8; n++)
      UNROLLED (int i = 0; i < 4; i++) s[m][n][i] = 0.0f;
  Address at = address(tile + (lane() / 16 * 8 + lane() % 8) * PITCH<D> + lane() / 8 % 2 * 8);
  UNROLLED (int k = 0; k < D / 16; k++)
    UNROLLED (int n = 0; n < COLS / 16; n++) {
      u32 b[4];
      ldmatrix4(b, at + (n * 16 * PITCH<D> + k * 16) * 2);
      UNROLLED (int m = 0; m < M; m++) {
        mma16(s[m][2 * n], a[m].a[k], b[0], b[1]);
        mma16(s[m][2 * n + 1], a[m].a[k], b[2], b[3]);
      }
    }
  if (D % 16 != 0) {
    at = address(tile + lane() * PITCH<D> + D / 16 * 16);
    UNROLLED (int n = 0; n < COLS / 32; n++) {
      u32 b[4];
      ldmatrix4(b, at + n * 32 * PITCH<D> * 2);
      UNROLLED (int m = 0; m < M; m++)
        UNROLLED (int i = 0; i < 4; i++) mma8(s[m][4 * n + i], a[m].rest, b[i]);
    }
  }
}

// times: sum += p (M·16 rows, COLS columns) times a tile of COLS rows and D columns.
template <int D, int M, int COLS>
__device__ inline void times(float (&sum)[M][D / 8][4], const u32 (&p)[M][COLS / 16][4], const u16* tile) {
  Address at = address(tile + lane() % 16 * PITCH<D> + lane() / 16 * 8),
      end = address(tile + lane() % 16 * PITCH<D> + D / 16 * 16);
  UNROLLED (int k = 0; k < COLS / 16; k++) {
    UNROLLED (int n = 0; n < D / 16; n++) {
      u32 b[4];
      ldmatrix4_trans(b, at + (k * 16 * PITCH<D> + n * 16) * 2);
      UNROLLED (int m = 0; m < M; m++) {
        mma16(sum[m][2 * n], p[m][k], b[0], b[1]);
        mma16(sum[m][2 * n + 1], p[m][k], b[2], b[3]);
      }
    }
    if (D % 16 != 0) {
      u32 b[2];
      ldmatrix2_trans(b, end + k * 16 * PITCH<D> * 2);
      UNROLLED (int m = 0; m < M; m++) mma16(sum[m][D / 8 - 1], p[m][k], b[0], b[1]);
    }
  }
}

// rounded makes an A of a C.
template <int COLS>
__device__ inline void rounded(u32 (&a)[COLS / 16][4], const float (&c)[COLS / 8][4]) {
  UNROLLED (int k = 0; k < COLS / 16; k++)
    UNROLLED (int i = 0; i < 4; i++) a[k][i] = pack(c[2 * k + i / 2][i % 2 * 2], c[2 * k + i / 2][i % 2 * 2 + 1]);
}
