// One launch for many tensors: a network has hundreds, most of them so small that a launch of its own would take longer
// than the work.
#pragma once
#include "vectors.cuh"

// List has P addresses for each of count tensors of n elements, whose blocks begin at first. It is an argument, of at
// most 4 KiB with the others.
template <int P, int MOST>
struct List {
  float* p[MOST][P];
  i64 n[MOST], first[MOST], count;
};

// Some are the elements of a tensor that a thread works on: begin, begin + step, … where each V elements are one.
struct Some {
  i64 begin, step;
};

template <int V>
__device__ inline Some some(i64 block, i64 blocks) {
  return Some{(block * blockDim.x + threadIdx.x) * V, blocks * blockDim.x * V};
}

// of_block finds the tensor that a block belongs to.
template <class L>
__device__ inline int of_block(const L& l) {
  int low = 0, high = (int)l.count;
  LOOP (; high - low > 1;) {
    int middle = (low + high) / 2;
    if (l.first[middle] <= (i64)blockIdx.x)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// share is a thread's part of tensor i.
template <int V, class L>
__device__ inline Some share(const L& l, int i) {
  i64 end = i + 1 < l.count ? l.first[i + 1] : (i64)gridDim.x;
  return some<V>((i64)blockIdx.x - l.first[i], end - l.first[i]);
}
