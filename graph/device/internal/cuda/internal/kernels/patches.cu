// The patches that a convolution's kernel sees, side by side in memory, so that a convolution is a product of matrices
// ("im2col").
#include "vectors.cuh"

// Sight is how a kernel goes over images [N,H,W,C], which are stored as h×w pixels and are read as if resized to
// height×width: Walk of matmul.cu.
struct Sight {
  i64 h, w, c, height, width, oh, ow, kh, kw, stride, top, left;
  float scale_y, scale_x;
};

// see copies V channels at a time. Numbers of elements fit into 32 bits.
template <int V, class X, class Y>
__device__ inline void see(X x, Y y, const Sight& g, i64 first, i64 n, i64 rest) {
  unsigned c = (unsigned)g.c, terms = (unsigned)(g.kh * g.kw * g.c);
  EACH_OF(V, i, n) {
    unsigned row = (unsigned)i / terms, term = (unsigned)i - row * terms, tap = term / c, channel = term - tap * c;
    unsigned pixel = (unsigned)first + row, line = pixel / (unsigned)g.ow, column = pixel - line * (unsigned)g.ow;
    unsigned image = line / (unsigned)g.oh, ty = tap / (unsigned)g.kw;
    i64 sy = (i64)(line - image * (unsigned)g.oh) * g.stride + ty - g.top,
        sx = (i64)column * g.stride + (tap - ty * (unsigned)g.kw) - g.left;
    float v[V] = {};
    if (sy >= 0 && sy < g.height && sx >= 0 && sx < g.width) {
      if (g.height != g.h) sy = nearest(sy, g.scale_y, g.h);
      if (g.width != g.w) sx = nearest(sx, g.scale_x, g.w);
      read(v, x, ((image * g.h + sy) * g.w + sx) * g.c + channel);
      if (rest) UNROLLED (int k = 0; k < V; k++) v[k] -= from_bf16(to_bf16(v[k]));
    }
    write(v, y, i);
  }
}

// patches: x [N,h,w,C] → y [rows,KH·KW·C], a row for each of n/(KH·KW·C) output pixels from the first on. With rest it
// is of what rounding to bfloat16 leaves of x.
KERNEL(patches, In x, Out y, Sight g, i64 first, i64 n, i64 rest) {
  if (g.c % FLAT != 0 || !aligned(x.p, y.p))
    see<1>(x, y, g, first, n, rest);
  else if (x.bf16 && y.bf16)
    see<FLAT>((const bf16*)x.p, (bf16*)y.p, g, first, n, rest);
  else if (!x.bf16 && y.bf16)
    see<FLAT>((const float*)x.p, (bf16*)y.p, g, first, n, rest);
  else if (!x.bf16 && !y.bf16)
    see<FLAT>((const float*)x.p, (float*)y.p, g, first, n, rest);
  else
    see<1>(x, y, g, first, n, rest);
}
