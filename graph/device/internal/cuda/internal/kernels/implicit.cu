// Convolutions in bfloat16 on tensor cores, as products of matrices that are never written down: a row of the left one
// has what the kernel sees of the image at one output pixel.
#include "device.cuh"
#include "mma.cuh"

// Convolution: x [N,h,w,c], weight [kh·kw·c,n] → y [m,n], m being all output pixels and act(product + bias + residual)
// what is stored. Images are read as if resized to height×width. c and n are multiples of 8. Where parts is not nil the
// grid's z has parts of the sum, `steps` steps of DEPTH_ terms each, which go to parts [z,m,n] and wait for
// implicit_sum.
struct Convolution {
  const u16 *x, *weight;
  float* parts;
  const float* bias;
  In residual;
  Out y;
  i64 h, w, c, height, width, oh, ow, kh, kw, stride, top, left;
  float scale_y, scale_x;
  i64 m, n, act, steps;
};

__device__ inline void finish(const Convolution& g, i64 i, i64 col, float v) {
  if (g.bias) v += g.bias[col];
  if (g.residual.p) v += load(g.residual, i);
  store(g.y, i, activate(v, g.act));
}

// copy8 begins to copy 8 elements, or zeros, to shared memory.
__device__ inline void copy8(u16* to, const u16* from, bool there, bool wide) {
  if (wide) {
    copy16(address(to), from, there);
    return;
  }
  LOOP (int i = 0; i < 8; i++) to[i] = there ? from[i] : (u16)0;
}

// Shape is how a block computes a tile of BM×BN elements: DOWN×ACROSS warps, each M·16 × N·8 of them, and STAGES tiles
// of DEPTH_ terms in shared memory.
template <int BM_, int BN_, int DOWN_, int ACROSS_, int STAGES_>
struct Shape {
  enum {
    BM = BM_, BN = BN_, DOWN = DOWN_, ACROSS = ACROSS_, STAGES = STAGES_, DEPTH_ = 32, THREADS_ = 32 * DOWN * ACROSS,
    M = BM / DOWN / 16, N = BN / ACROSS / 8, LEFT = BM * PITCH<DEPTH_>, STAGE = LEFT + DEPTH_ * PITCH<BN>,
    ROWS = BM * (DEPTH_ / 8) / THREADS_, COLS = DEPTH_ * (BN / 8) / THREADS_
  };
};

// Fetch is a thread's part of a copy: the same 8 of a step's terms at ROWS output pixels, and COLS parts of rows of the
// weight.
template <class S>
struct Fetch {
  const u16* image[S::ROWS];
  int y[S::ROWS], x[S::ROWS]; // of the kernel's first tap
  int ky, kx, c;              // the tap and the channel of the next step's terms
  int k;                      // the next step's first term
};

template <class S>
__device__ inline void begin(Fetch<S>& f, const Convolution& g, int k) {
  UNROLLED (int j = 0; j < S::ROWS; j++) {
    u32 row = blockIdx.x * S::BM + threadIdx.x / 4 + j * (S::THREADS_ / 4), p = row < g.m ? row : 0;
    u32 line = p / (u32)g.ow;
    f.image[j] = g.x + line / (u32)g.oh * (g.h * g.w * g.c);
    f.y[j] = row < g.m ? (int)(line % (u32)g.oh * g.stride - g.top) : -(1 << 30);
    f.x[j] = (int)(p % (u32)g.ow * g.stride - g.left);
  }
  u32 at = k + threadIdx.x % 4 * 8, tap = at / (u32)g.c;
  f.k = k;
  f.c = at % (u32)g.c;
  f.ky = tap / (u32)g.kw;
  f.kx = tap % (u32)g.kw;
}

// fetch begins to copy the next step's tiles.
template <class S>
__device__ inline void fetch(Fetch<S>& f, const Convolution& g, u16* stage, bool wide) {
  UNROLLED (int j = 0; j < S::ROWS; j++) {
    int y = f.y[j] + f.ky, x = f.x[j] + f.kx;
    bool there = f.ky < g.kh && (u32)y < (u32)g.height && (u32)x < (u32)g.width;
    if (g.height != g.h) y = (int)nearest(y, g.scale_y, g.h);
    if (g.width != g.w) x = (int)nearest(x, g.scale_x, g.w);
    u16* to = stage + (threadIdx.x / 4 + j * (S::THREADS_ / 4)) * PITCH<S::DEPTH_> + threadIdx.x % 4 * 8;
    copy8(to, there ? f.image[j] + (y * (int)g.w + x) * (int)g.c + f.c : g.x, there, wide);
  }
  int all = (int)(g.kh * g.kw * g.c);
  UNROLLED (int j = 0; j < S::COLS; j++) {
    int i = threadIdx.x + j * S::THREADS_, row = i / (S::BN / 8), col = i % (S::BN / 8) * 8,
        n = blockIdx.y * S::BN + col;
    bool there = f.k + row < all && n < g.n;
    copy8(stage + S::LEFT + row * PITCH<S::BN> + col, there ? g.weight + (i64)(f.k + row) * g.n + n : g.weight, there,
          wide);
  }
  f.k += S::DEPTH_;
  f.c += S::DEPTH_;
  while (f.c >= g.c) {
    f.c -= (int)g.c;
    if (++f.kx == g.kw) {
      f.kx = 0;
      f.ky++;
    }
  }
}

template <class S>
__device__ inline void implicit(const Convolution& g, u16* shared) {
  bool wide = ((unsigned long long)g.x | (unsigned long long)g.weight) % 16 == 0;
  int all = ((int)(g.kh * g.kw * g.c) + S::DEPTH_ - 1) / S::DEPTH_, step = (int)(blockIdx.z * g.steps),
      last = step + (int)g.steps;
  if (last > all) last = all;
  Fetch<S> f;
  begin(f, g, step * S::DEPTH_);
  float sum[S::M][S::N][4];
  UNROLLED (int m = 0; m < S::M; m++)
    UNROLLED (int n = 0; n < S::N; n++)
      UNROLLED (int i = 0; i < 4; i++) sum[m][n][i] = 0.0f;
  int ahead = step;
  UNROLLED (int s = 0; s < S::STAGES - 1; s++) {
    if (ahead < last) fetch(f, g, shared + s * S::STAGE, wide);
    ahead++;
    commit();
  }
  int down = warp() / S::ACROSS * (S::M * 16), across = warp() % S::ACROSS * (S::N * 8);
  int from = 0, to = S::STAGES - 1;
  LOOP (; step < last; step++) {
    copied<S::STAGES - 2>();
    __syncthreads(); // this step's tiles are there, and all warps are done with the last one's
    if (ahead < last) fetch(f, g, shared + to * S::STAGE, wide);
    ahead++;
    commit();
    const u16* stage = shared + from * S::STAGE;
    Address left = address(stage + (down + lane() % 16) * PITCH<S::DEPTH_> + lane() / 16 * 8);
    Address right = address(stage + S::LEFT + lane() % 16 * PITCH<S::BN> + across + lane() / 16 * 8);
    UNROLLED (int k = 0; k < S::DEPTH_; k += 16) {
      u32 a[S::M][4];
      UNROLLED (int m = 0; m < S::M; m++) ldmatrix4(a[m], left + (m * 16 * PITCH<S::DEPTH_> + k) * 2);
      UNROLLED (int n = 0; n < S::N; n += 2) {
        u32 b[4];
        ldmatrix4_trans(b, right + (k * PITCH<S::BN> + n * 8) * 2);
        UNROLLED (int m = 0; m < S::M; m++) {
          mma16(sum[m][n], a[m], b[0], b[1]);
          mma16(sum[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
    if (++from == S::STAGES) from = 0;
    if (++to == S::STAGES) to = 0;
  }
  float* parts = g.parts ? g.parts + blockIdx.z * g.m * g.n : nullptr;
  UNROLLED (int m = 0; m < S::M; m++)
    UNROLLED (int n = 0; n < S::N; n++)
      UNROLLED (int half = 0; half < 2; half++) {
        i64 row = (i64)blockIdx.x * S::BM + down + m * 16 + lane() / 4 + half * 8,
            col = blockIdx.y * S::BN + across + n * 8 + lane() % 4 * 2;
        if (row >= g.m || col >= g.n) continue;
        UNROLLED (int j = 0; j < 2; j++) {
          i64 i = row * g.n + col + j;
          if (parts)
            parts[i] = sum[m][n][half * 2 + j];
          else
            finish(g, i, col + j, sum[m][n][half * 2 + j]);
        }
      }
}

typedef Shape<128, 128, 2, 4, 3> Large;
typedef Shape<64, 64, 2, 2, 4> Small;

// sizes.go repeats the numbers.
KERNEL_OF(Large::THREADS_, 2, implicit_large, Convolution g) {
  SHARED(shared);
  implicit<Large>(g, shared);
}
KERNEL_OF(Small::THREADS_, 4, implicit_small, Convolution g) {
  SHARED(shared);
  implicit<Small>(g, shared);
}

// implicit_sum adds up the parts.
KERNEL(implicit_sum, Convolution g, i64 count) {
  i64 n = g.m * g.n;
  EACH(i, n) {
    float sum = 0.0f;
    LOOP (i64 z = 0; z < count; z++) sum += g.parts[z * n + i];
    finish(g, i, i % g.n, sum);
  }
}

// implicit_turn: a weight [taps,in,out] → [taps,out,in] with the taps in the opposite order, by which a gradient with
// respect to the image is a convolution of that with respect to the output. A block is 32×32 elements of a tap.
KERNEL(implicit_turn, In weight, Out y, i64 in, i64 out) {
  __shared__ float part[32][33];
  i64 i0 = (i64)blockIdx.x * 32, o0 = (i64)blockIdx.y * 32, from = blockIdx.z * in * out,
      to = (gridDim.z - 1 - blockIdx.z) * in * out;
  int t = threadIdx.x % 32;
  LOOP (int r = threadIdx.x / 32; r < 32; r += 8)
    if (i0 + r < in && o0 + t < out) part[r][t] = load(weight, from + (i0 + r) * out + o0 + t);
  __syncthreads();
  LOOP (int r = threadIdx.x / 32; r < 32; r += 8)
    if (o0 + r < out && i0 + t < in) store(y, to + (o0 + r) * in + i0 + t, part[t][r]);
}
