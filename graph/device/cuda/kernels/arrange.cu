// Elements that move.
#include "device.cuh"

// copy_rows copies rows of width elements from one place of rows of from elements to one of rows of to elements. The elements are
// counted in units of 2 or 4 bytes.
KERNEL(copy_rows, In x, Out y, i64 n, i64 width, i64 from, i64 from_at, i64 to, i64 to_at) {
  EACH(i, n) {
    i64 row = i / width, c = i % width, a = row * from + from_at + c, b = row * to + to_at + c;
    if (y.bf16)
      ((unsigned short*)y.p)[b] = ((const unsigned short*)x.p)[a];
    else
      ((float*)y.p)[b] = ((const float*)x.p)[a];
  }
}

// zero_pad puts rows of width elements between zeros: y [n/whole,whole].
KERNEL(zero_pad, In x, Out y, i64 n, i64 width, i64 before, i64 whole) {
  EACH(i, n) {
    i64 c = i % whole - before;
    store(y, i, c >= 0 && c < width ? load(x, i / whole * width + c) : 0.0f);
  }
}

// upsample: x [N,h,w,C] → y [N,H,W,C], n being y's elements.
KERNEL(upsample, In x, Out y, i64 n, i64 h, i64 w, i64 height, i64 width, i64 c, float scale_y, float scale_x) {
  EACH(i, n) {
    i64 pixel = i / c, image = pixel / width / height;
    i64 from = (image * h + nearest(pixel / width % height, scale_y, h)) * w + nearest(pixel % width, scale_x, w);
    store(y, i, load(x, from * c + i % c));
  }
}

// first_copy is the first of size rows that is a copy of row at of the source, or that of a later one if there is none.
__device__ inline i64 first_copy(i64 at, float scale, i64 source, i64 size) {
  i64 i = (i64)((float)at / scale); // a guess, off by one or two
  if (i > size) i = size;
  while (i > 0 && nearest(i - 1, scale, source) >= at) i--;
  while (i < size && nearest(i, scale, source) < at) i++;
  return i;
}

// upsample_grad sums dy [N,H,W,C] over the copies of each element of the source [N,h,w,C], whose number is n.
KERNEL(upsample_grad, In dy, Out out, i64 n, i64 h, i64 w, i64 height, i64 width, i64 c, float scale_y, float scale_x) {
  EACH(i, n) {
    i64 pixel = i / c, sx = pixel % w, sy = pixel / w % h, image = pixel / w / h;
    i64 left = first_copy(sx, scale_x, w, width);
    float sum = 0.0f;
    LOOP (i64 y = first_copy(sy, scale_y, h, height); y < height && nearest(y, scale_y, h) == sy; y++)
      LOOP (i64 x = left; x < width && nearest(x, scale_x, w) == sx; x++)
        sum += load(dy, ((image * height + y) * width + x) * c + i % c);
    store(out, i, sum);
  }
}

// Fault is where kernels report what they can't do: memory of the host that the device reaches. The first one is kept.
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

// embedding_grad sums dy [count,c] over the places of each id: out [rows,c]. One block is one row of the table.
KERNEL(embedding_grad, const int* ids, In dy, Out out, i64 count, i64 c, i64 rows, Fault* fault) {
  i64 row = blockIdx.x;
  if (row == 0)
    LOOP (i64 i = threadIdx.x; i < count; i += blockDim.x) in_vocabulary(ids[i], i, rows, fault);
  LOOP (i64 k = threadIdx.x; k < c; k += blockDim.x) {
    float sum = 0.0f;
    LOOP (i64 i = 0; i < count; i++)
      if (ids[i] == row) sum += load(dy, i * c + k);
    store(out, row * c + k, sum);
  }
}
