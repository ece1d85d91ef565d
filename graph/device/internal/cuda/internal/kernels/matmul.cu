// Matrix products: one kernel for all of them, over what gives its two factors' elements. A block computes TILE × TILE
// elements of the product from DEPTH columns of its factors at a time, each thread 4 × 4 of them; sums are float32.
#include "device.cuh"

enum { TILE = 64, DEPTH = 16, THREADS = 256 };

// Matrix is the element (i,j) at i·row + j·col, of heads matrices of each of many samples.
struct Matrix {
  In x;
  i64 row, col, sample, head;
  __device__ i64 place(i64 z, i64 heads) const { return z / heads * sample + z % heads * head; }
};

// Epilogue is act(alpha·product + bias[n] + residual), the residual lying as the output does. bias and residual may be
// nil.
struct Epilogue {
  const float* bias;
  In residual;
  Out y;
  i64 row, col, sample, head, act;
  float alpha;
};

// A factor of a product gives its elements by row and column, in two steps: row(i) and col(j) do what depends on one of
// them alone, and at puts them together. The right factor is given transposed, so that both have the product's rows and
// columns as rows. inner: neighbours in a row are contiguous, otherwise those in a column. output is the
// output's row for a row of the left one.

// Strided is one of a Matrix.
struct Strided {
  typedef i64 Row;
  typedef i64 Col;
  In x;
  i64 base, down, along;
  __device__ i64 row(i64 i) const { return base + i * down; }
  __device__ i64 col(i64 j) const { return j * along; }
  __device__ float at(i64 row, i64 col) const { return load(x, row + col); }
  __device__ bool inner() const { return along == 1; }
  __device__ i64 output(i64 i) const { return i; }
};

__device__ inline Strided strided(const Matrix& m, i64 z, i64 heads) {
  return Strided{m.x, m.place(z, heads), m.row, m.col};
}

// Stage is DEPTH columns of TILE rows.
typedef float Stage[DEPTH][TILE + 4];

// fill copies columns k0 … of a factor; a thread always has the same rows.
template <class M>
__device__ inline void fill(Stage& to, const M& m, const typename M::Row* row, i64 first, i64 rows, i64 k0, i64 k) {
  int t = threadIdx.x;
  if (m.inner()) {
    int c = t % DEPTH;
    bool there = k0 + c < k;
    typename M::Col col = m.col(there ? k0 + c : 0);
    UNROLLED (int q = 0; q < 4; q++) {
      int r = t / DEPTH + q * (THREADS / DEPTH);
      to[c][r] = there && first + r < rows ? m.at(row[q], col) : 0.0f;
    }
    return;
  }
  int r = t % TILE;
  UNROLLED (int q = 0; q < 4; q++) {
    int c = t / TILE + q * (THREADS / TILE);
    to[c][r] = k0 + c < k && first + r < rows ? m.at(row[0], m.col(k0 + c)) : 0.0f;
  }
}

// begin finds the rows that fill wants.
template <class M>
__device__ inline void begin(const M& m, typename M::Row* row, i64 first, i64 rows) {
  UNROLLED (int q = 0; q < 4; q++) {
    i64 i = first + (m.inner() ? threadIdx.x / DEPTH + q * (THREADS / DEPTH) : threadIdx.x % TILE);
    row[q] = m.row(i < rows ? i : 0);
  }
}

// product is a [m,k] times the transposed of b [n,k]; the output's elements begin at `at`.
template <class A, class B>
__device__ inline void product(const A& a, const B& b, const Epilogue& e, i64 m, i64 n, i64 k, i64 at) {
  __shared__ Stage left, right;
  i64 m0 = (i64)blockIdx.x * TILE, n0 = (i64)blockIdx.y * TILE;
  int t = threadIdx.x, tm = t / 16 * 4, tn = t % 16 * 4;
  typename A::Row rows_a[4];
  typename B::Row rows_b[4];
  begin(a, rows_a, m0, m);
  begin(b, rows_b, n0, n);
  float sum[4][4] = {};
  LOOP (i64 k0 = 0; k0 < k; k0 += DEPTH) {
    fill(left, a, rows_a, m0, m, k0, k);
    fill(right, b, rows_b, n0, n, k0, k);
    __syncthreads();
    UNROLLED (int d = 0; d < DEPTH; d++) {
      float l[4], r[4];
      UNROLLED (int i = 0; i < 4; i++) {
        l[i] = left[d][tm + i];
        r[i] = right[d][tn + i];
      }
      UNROLLED (int i = 0; i < 4; i++)
        UNROLLED (int j = 0; j < 4; j++) sum[i][j] += l[i] * r[j];
    }
    __syncthreads();
  }
  LOOP (int i = 0; i < 4; i++)
    LOOP (int j = 0; j < 4; j++) {
      i64 row = m0 + tm + i, col = n0 + tn + j;
      if (row >= m || col >= n) continue;
      i64 to = at + a.output(row) * e.row + col * e.col;
      float v = e.alpha * sum[i][j];
      if (e.bias) v += e.bias[col];
      if (e.residual.p) v += load(e.residual, to);
      store(e.y, to, activate(v, e.act));
    }
}

// gemm: a [m,k] times the transposed of b [n,k], for each of the grid's z.
KERNEL(gemm, Matrix a, Matrix b, Epilogue e, i64 m, i64 n, i64 k, i64 heads) {
  i64 z = blockIdx.z;
  product(strided(a, z, heads), strided(b, z, heads), e, m, n, k, z / heads * e.sample + z % heads * e.head);
}

// Walk is how a kernel goes over images [N,H,W,C], which are stored as h×w pixels and are read as if resized to
// height×width.
struct Walk {
  i64 h, w, c, height, width, oh, ow, kh, kw, stride, top, left;
  float scale_y, scale_x;
};

// Place is a pixel of an image: where the image begins in memory, in pixels, and a row and a column.
struct Place {
  i64 image, y, x;
};

// Tap is a place of the kernel, and a channel.
struct Tap {
  i64 y, x, c;
};

__device__ inline Tap tap(const Walk& g, i64 j) {
  unsigned k = (unsigned)j, c = (unsigned)g.c, w = (unsigned)g.kw, at = k / c;
  return Tap{at / w, at % w, k % c};
}

__device__ inline Place place(i64 i, i64 h, i64 w, i64 image) {
  unsigned p = (unsigned)i, x = p % (unsigned)w, line = p / (unsigned)w;
  return Place{line / (unsigned)h * image, line % (unsigned)h, x};
}

// Patches has a row for each output pixel, with the kh·kw·c values that the kernel sees.
struct Patches {
  typedef Place Row;
  typedef Tap Col;
  In x;
  Walk g;
  __device__ Place row(i64 i) const {
    Place p = place(i, g.oh, g.ow, g.h * g.w);
    return Place{p.image, p.y * g.stride - g.top, p.x * g.stride - g.left};
  }
  __device__ Tap col(i64 j) const { return tap(g, j); }
  __device__ float at(const Place& p, const Tap& t) const {
    i64 y = p.y + t.y, z = p.x + t.x;
    if (y < 0 || y >= g.height || z < 0 || z >= g.width) return 0.0f;
    if (g.height != g.h) y = nearest(y, g.scale_y, g.h);
    if (g.width != g.w) z = nearest(z, g.scale_x, g.w);
    return load(x, (p.image + y * g.w + z) * g.c + t.c);
  }
  __device__ bool inner() const { return true; }
  __device__ i64 output(i64 i) const { return i; }
};

// Transposed exchanges rows and columns.
template <class M>
struct Transposed {
  typedef typename M::Col Row;
  typedef typename M::Row Col;
  M of;
  __device__ Row row(i64 i) const { return of.col(i); }
  __device__ Col col(i64 j) const { return of.row(j); }
  __device__ float at(const Row& row, const Col& col) const { return of.at(col, row); }
  __device__ bool inner() const { return !of.inner(); }
  __device__ i64 output(i64 i) const { return i; }
};

// Phase is one of stride² parts of a convolution's gradient with respect to its image: the pixels (y0 + stride·i, x0 +
// stride·j), h×w of them. The taps (ky + stride·i, kx + stride·j) of the kernel, kh×kw of them, and no others were put
// on these pixels.
struct Phase {
  i64 y0, x0, h, w, ky, kx, kh, kw;
};

__device__ inline i64 every(i64 first, i64 size, i64 stride) {
  return first < size ? (size - first - 1) / stride + 1 : 0;
}

__device__ inline Phase phase(const Walk& g, i64 z) {
  Phase p;
  p.y0 = z / g.stride;
  p.x0 = z % g.stride;
  p.h = every(p.y0, g.height, g.stride);
  p.w = every(p.x0, g.width, g.stride);
  p.ky = (p.y0 + g.top) % g.stride;
  p.kx = (p.x0 + g.left) % g.stride;
  p.kh = every(p.ky, g.kh, g.stride);
  p.kw = every(p.kx, g.kw, g.stride);
  return p;
}

// Seen has a row for each pixel of a phase, with the gradients of the output pixels that saw it; g.c counts outputs
// here.
struct Seen {
  typedef Place Row;
  typedef Tap Col;
  In dy;
  Walk g;
  Phase p;
  __device__ Place row(i64 i) const {
    Place q = place(i, p.h, p.w, g.oh * g.ow);
    q.y += (p.y0 + g.top - p.ky) / g.stride;
    q.x += (p.x0 + g.left - p.kx) / g.stride;
    return q;
  }
  __device__ Tap col(i64 j) const {
    unsigned k = (unsigned)j, c = (unsigned)g.c, w = (unsigned)p.kw, at = k / c;
    return Tap{at / w, at % w, k % c};
  }
  __device__ float at(const Place& q, const Tap& t) const {
    i64 y = q.y - t.y, x = q.x - t.x;
    if (y < 0 || x < 0 || y >= g.oh || x >= g.ow) return 0.0f;
    return load(dy, (q.image + y * g.ow + x) * g.c + t.c);
  }
  __device__ bool inner() const { return true; }
  __device__ i64 output(i64 i) const {
    Place q = place(i, p.h, p.w, g.height * g.width);
    return q.image + (p.y0 + q.y * g.stride) * g.width + p.x0 + q.x * g.stride;
  }
};

// Taps is the weight [kh,kw,in,out] with a row for each input channel, of a phase's kh·kw·out values.
struct Taps {
  typedef i64 Row;
  typedef i64 Col;
  In w;
  i64 in, out, full, stride; // full is the kernel's width
  Phase p;
  __device__ i64 row(i64 i) const { return i * out; }
  __device__ i64 col(i64 j) const {
    unsigned k = (unsigned)j, at = k / (unsigned)out;
    i64 y = p.ky + at / (unsigned)p.kw * stride, x = p.kx + at % (unsigned)p.kw * stride;
    return (y * full + x) * in * out + k % (unsigned)out;
  }
  __device__ float at(i64 row, i64 col) const { return load(w, row + col); }
  __device__ bool inner() const { return true; }
};

// conv: images x, weight [kh·kw·c,n], element (i,j) at i·row + j·col → [m,n], m being all output pixels.
KERNEL(conv, In x, In weight, i64 row, i64 col, Walk g, Epilogue e, i64 m, i64 n) {
  product(Patches{x, g}, Strided{weight, 0, col, row}, e, m, n, g.kh * g.kw * g.c, 0);
}

// conv_data_grad: dy, weight [kh,kw,n,g.c] → images of n channels. The grid's z is the phase.
KERNEL(conv_data_grad, In dy, In weight, Walk g, Epilogue e, i64 images, i64 n) {
  Phase p = phase(g, blockIdx.z);
  i64 m = images * p.h * p.w;
  if ((i64)blockIdx.x * TILE >= m) return;
  product(Seen{dy, g, p}, Taps{weight, n, g.c, g.kw, g.stride, p}, e, m, n, p.kh * p.kw * g.c, 0);
}

// conv_weight_grad: images x, dy [k,n] → [kh·kw·c,n], k being all output pixels.
KERNEL(conv_weight_grad, In x, In dy, Walk g, Epilogue e, i64 n, i64 k) {
  product(Transposed<Patches>{{x, g}}, Strided{dy, 0, 1, n}, e, g.kh * g.kw * g.c, n, k, 0);
}
