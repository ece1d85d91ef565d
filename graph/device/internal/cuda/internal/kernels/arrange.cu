// Elements that move.
#include "device.cuh"
#include "vectors.cuh"

template <int V, class X, class Y>
__device__ inline void move_rows(X x, Y y, i64 n, i64 width, i64 from, i64 from_at, i64 to, i64 to_at) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, width);
    float v[V];
    read(v, x, s.row * from + from_at + s.column);
    write(v, y, s.row * to + to_at + s.column);
  }
}

// copy_rows copies rows of width elements from one place of rows of from elements to one of rows of to elements. A
// number goes there and back between bfloat16 and float32 without a change.
KERNEL(copy_rows, In x, Out y, i64 n, i64 width, i64 from, i64 from_at, i64 to, i64 to_at) {
  bool whole = (width | from | from_at | to | to_at) % FLAT == 0 && x.bf16 == y.bf16 && aligned(x.p, y.p);
  if (!whole)
    move_rows<1>(x, y, n, width, from, from_at, to, to_at);
  else if (y.bf16)
    move_rows<FLAT>((const bf16*)x.p, (bf16*)y.p, n, width, from, from_at, to, to_at);
  else
    move_rows<FLAT>((const float*)x.p, (float*)y.p, n, width, from, from_at, to, to_at);
}

template <int V, class A, class B, class Y>
__device__ inline void join_rows(A a, B b, Y y, i64 n, i64 left, i64 right) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, left + right);
    float v[V];
    if (s.column < left)
      read(v, a, s.row * left + s.column);
    else
      read(v, b, s.row * right + s.column - left);
    write(v, y, i);
  }
}

// concat puts rows of a, of `left` elements, and of b, of `right` elements, side by side; n is the number of y's
// elements.
KERNEL(concat, In a, In b, Out y, i64 n, i64 left, i64 right) {
  if ((left | right) % FLAT != 0 || a.bf16 || b.bf16 || y.bf16 || !aligned(a.p, b.p, y.p))
    join_rows<1>(a, b, y, n, left, right);
  else
    join_rows<FLAT>((const float*)a.p, (const float*)b.p, (float*)y.p, n, left, right);
}

template <int V, class X, class Y>
__device__ inline void pad_rows(X x, Y y, i64 n, i64 width, i64 before, i64 whole) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, whole);
    i64 c = s.column - before;
    float v[V] = {};
    if (c >= 0 && c < width) read(v, x, s.row * width + c);
    write(v, y, i);
  }
}

// zero_pad puts rows of width elements between zeros: y [n/whole,whole].
KERNEL(zero_pad, In x, Out y, i64 n, i64 width, i64 before, i64 whole) {
  if ((width | before | whole) % FLAT != 0 || x.bf16 || y.bf16 || !aligned(x.p, y.p))
    pad_rows<1>(x, y, n, width, before, whole);
  else
    pad_rows<FLAT>((const float*)x.p, (float*)y.p, n, width, before, whole);
}

// Resized says how images [N,h,w,C] become [N,height,width,C].
struct Resized {
  i64 h, w, height, width, c;
  float scale_y, scale_x;
};

template <int V, class X, class Y>
__device__ inline void upsamples(X x, Y y, i64 n, const Resized& g) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, g.c);
    i64 line = divide(s.row, g.width), column = s.row - line * g.width, image = divide(line, g.height);
    i64 from = (image * g.h + nearest(line - image * g.height, g.scale_y, g.h)) * g.w + nearest(column, g.scale_x, g.w);
    float v[V];
    read(v, x, from * g.c + s.column);
    write(v, y, i);
  }
}

// upsample: x [N,h,w,C] → y [N,height,width,C], n being y's elements.
KERNEL(upsample, In x, Out y, i64 n, Resized g) {
  if (g.c % FLAT != 0 || x.bf16 || !aligned(x.p, y.p))
    upsamples<1>(x, y, n, g);
  else if (y.bf16)
    upsamples<FLAT>((const float*)x.p, (bf16*)y.p, n, g);
  else
    upsamples<FLAT>((const float*)x.p, (float*)y.p, n, g);
}

// first_copy is the first of size rows that is a copy of row at of the source, or that of a later one if there is none.
__device__ inline i64 first_copy(i64 at, float scale, i64 source, i64 size) {
  i64 i = (i64)((float)at / scale); // a guess, off by one or two
  if (i > size) i = size;
  while (i > 0 && nearest(i - 1, scale, source) >= at) i--;
  while (i < size && nearest(i, scale, source) < at) i++;
  return i;
}

template <int V, class D, class Y>
__device__ inline void upsample_grads(D dy, Y out, i64 n, const Resized& g) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, g.c);
    i64 line = divide(s.row, g.w), column = s.row - line * g.w, image = divide(line, g.h), sy = line - image * g.h;
    i64 top = first_copy(sy, g.scale_y, g.h, g.height), left = first_copy(column, g.scale_x, g.w, g.width);
    float sum[V] = {};
    LOOP (i64 y = top; y < g.height && nearest(y, g.scale_y, g.h) == sy; y++)
      LOOP (i64 x = left; x < g.width && nearest(x, g.scale_x, g.w) == column; x++) {
        float v[V];
        read(v, dy, ((image * g.height + y) * g.width + x) * g.c + s.column);
        UNROLLED (int j = 0; j < V; j++) sum[j] += v[j];
      }
    write(sum, out, i);
  }
}

// upsample_grad sums dy [N,height,width,C] over the copies of each element of the source [N,h,w,C], whose number is n.
KERNEL(upsample_grad, In dy, Out out, i64 n, Resized g) {
  if (g.c % FLAT != 0 || dy.bf16 || out.bf16 || !aligned(dy.p, out.p))
    upsample_grads<1>(dy, out, n, g);
  else
    upsample_grads<FLAT>((const float*)dy.p, (float*)out.p, n, g);
}

// Fault is where kernels report errors: memory of the host that the device reaches. The first one is kept.
struct Fault {
  int set, id, at, limit;
};

__device__ inline bool in_vocabulary(int id, i64 at, i64 limit, Fault* fault) {
  if (id >= 0 && id < limit) return true;
  if (atomicCAS(&fault->set, 0, 1) == 0) {
    fault->id = id;
    fault->at = (int)at;
    fault->limit = (int)limit;
  }
  return false;
}

// embedding: ids [n/c], table [rows,c] → y [n/c,c].
KERNEL(embedding, const int* ids, In table, Out y, i64 n, i64 c, i64 rows, Fault* fault) {
  EACH(i, n) {
    int id = ids[i / c];
    store(y, i, in_vocabulary(id, i / c, rows, fault) ? load(table, id * c + i % c) : 0.0f);
  }
}
