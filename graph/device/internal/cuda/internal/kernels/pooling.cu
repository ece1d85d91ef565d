// Windows over images [N,H,W,C].
#include "device.cuh"

struct Windows {
  i64 h, w, c, oh, ow, kh, kw, stride, top, left, count_padding;
};

// Box is the part of an image that a window sees.
struct Box {
  i64 y0, y1, x0, x1;
};

__device__ inline Box box(const Windows& g, i64 oy, i64 ox) {
  i64 y = oy * g.stride - g.top, x = ox * g.stride - g.left;
  Box b;
  b.y0 = y > 0 ? y : 0;
  b.x0 = x > 0 ? x : 0;
  b.y1 = y + g.kh < g.h ? y + g.kh : g.h;
  b.x1 = x + g.kw < g.w ? x + g.kw : g.w;
  return b;
}

// largest is the window's largest element. NaN is larger than any number.
__device__ inline float largest(const Windows& g, const In& x, i64 image, i64 oy, i64 ox, i64 c) {
  Box b = box(g, oy, ox);
  float best = load(x, ((image * g.h + b.y0) * g.w + b.x0) * g.c + c);
  LOOP (i64 y = b.y0; y < b.y1; y++)
    LOOP (i64 z = b.x0; z < b.x1; z++) {
      float v = load(x, ((image * g.h + y) * g.w + z) * g.c + c);
      if (v > best || v != v) best = v;
    }
  return best;
}

// max_pool: n is the number of elements of y [N,H',W',C].
KERNEL(max_pool, In x, Out y, Windows g, i64 n) {
  EACH(i, n) {
    i64 window = i / g.c, image = window / g.ow / g.oh;
    store(y, i, largest(g, x, image, window / g.ow % g.oh, window % g.ow, i % g.c));
  }
}

__device__ inline float divisor(const Windows& g, const Box& b) {
  return g.count_padding ? (float)(g.kh * g.kw) : (float)((b.y1 - b.y0) * (b.x1 - b.x0));
}

KERNEL(avg_pool, In x, Out y, Windows g, i64 n) {
  EACH(i, n) {
    i64 window = i / g.c, image = window / g.ow / g.oh;
    Box b = box(g, window / g.ow % g.oh, window % g.ow);
    float sum = 0.0f;
    LOOP (i64 py = b.y0; py < b.y1; py++)
      LOOP (i64 px = b.x0; px < b.x1; px++) sum += load(x, ((image * g.h + py) * g.w + px) * g.c + i % g.c);
    store(y, i, sum / divisor(g, b));
  }
}
