// Windows over images [N,H,W,C]. The gradients are gathered, element by element of the image, from the windows that see it: no
// atomics, so that the same inputs give the same bytes.
#include "device.cuh"

struct Windows {
  i64 h, w, c, oh, ow, kh, kw, stride, top, left, count_padding;
};

// Box is what a window sees of an image.
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

// largest is where the window's largest element lies, the first of several. NaN is larger than any number.
__device__ inline i64 largest(const Windows& g, const In& x, i64 image, i64 oy, i64 ox, i64 c) {
  Box b = box(g, oy, ox);
  i64 at = ((image * g.h + b.y0) * g.w + b.x0) * g.c + c;
  float best = load(x, at);
  LOOP (i64 y = b.y0; y < b.y1; y++)
    LOOP (i64 z = b.x0; z < b.x1; z++) {
      i64 i = ((image * g.h + y) * g.w + z) * g.c + c;
      float v = load(x, i);
      if (v > best || v != v) {
        best = v;
        at = i;
      }
    }
  return at;
}

// max_pool: n is the number of elements of y [N,H',W',C].
KERNEL(max_pool, In x, Out y, Windows g, i64 n) {
  EACH(i, n) {
    i64 window = i / g.c, image = window / g.ow / g.oh;
    store(y, i, load(x, largest(g, x, image, window / g.ow % g.oh, window % g.ow, i % g.c)));
  }
}

// first_window and last_window bound the windows that see pixel y.
__device__ inline i64 first_window(i64 y, i64 k, i64 stride) { return y < k ? 0 : (y - k) / stride + 1; }
__device__ inline i64 last_window(i64 y, i64 stride, i64 windows) { return y / stride < windows - 1 ? y / stride : windows - 1; }

// max_pool_grad: n is the number of elements of x [N,H,W,C].
KERNEL(max_pool_grad, In x, In dy, Out out, Windows g, i64 n) {
  EACH(i, n) {
    i64 pixel = i / g.c, c = i % g.c, px = pixel % g.w + g.left, py = pixel / g.w % g.h + g.top, image = pixel / g.w / g.h;
    float sum = 0.0f;
    LOOP (i64 oy = first_window(py, g.kh, g.stride); oy <= last_window(py, g.stride, g.oh); oy++)
      LOOP (i64 ox = first_window(px, g.kw, g.stride); ox <= last_window(px, g.stride, g.ow); ox++)
        if (largest(g, x, image, oy, ox, c) == i) sum += load(dy, ((image * g.oh + oy) * g.ow + ox) * g.c + c);
    store(out, i, sum);
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

KERNEL(avg_pool_grad, In dy, Out out, Windows g, i64 n) {
  EACH(i, n) {
    i64 pixel = i / g.c, px = pixel % g.w + g.left, py = pixel / g.w % g.h + g.top, image = pixel / g.w / g.h;
    float sum = 0.0f;
    LOOP (i64 oy = first_window(py, g.kh, g.stride); oy <= last_window(py, g.stride, g.oh); oy++)
      LOOP (i64 ox = first_window(px, g.kw, g.stride); ox <= last_window(px, g.stride, g.ow); ox++)
        sum += load(dy, ((image * g.oh + oy) * g.ow + ox) * g.c + i % g.c) / divisor(g, box(g, oy, ox));
    store(out, i, sum);
  }
}
