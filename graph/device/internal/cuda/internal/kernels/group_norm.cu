// Group norms, over images [N,pixels,C] in G groups of channels.
#include "device.cuh"
#include "parts.cuh"

// Moments are a mean and the sum of the squared distances from it, of n numbers.
struct Moments {
  float n, mean, squares;
};

// join are the moments of two sets together (Chan, Golub and LeVeque 1979). No digits are lost where the mean is large.
__device__ inline Moments join(const Moments& a, const Moments& b) {
  float n = a.n + b.n, share = n > 0.0f ? b.n / n : 0.0f, d = b.mean - a.mean;
  return Moments{n, a.mean + d * share, a.squares + b.squares + d * d * a.n * share};
}

enum { STATS_ROWS = 4 };

// channel_moments are each channel's over a part of the pixels: [N,parts,2,C], mean and squares. A lane takes the
// distances from the first of its numbers: what is lost when the sums become moments is at most as many units of
// rounding as it has numbers.
template <int V, class X>
__device__ inline void channel_moments(X x, float* y, i64 pixels, i64 c) {
  __shared__ float means[V][BLOCK], squares[V][BLOCK], counts[BLOCK];
  Part p = part_of(pixels);
  int t = threadIdx.x;
  EACH_COLUMN(V, column, c) {
    i64 at = blockIdx.z * pixels * c + column;
    float first[V] = {}, sum[V] = {}, square[V] = {};
    i64 begin = p.begin + lane_of_rows();
    float n = 0.0f;
    if (column < c && begin < p.end) {
      n = (float)((p.end - begin - 1) / LANES + 1);
      read(first, x, at + begin * c);
      LOOP (i64 r = begin; r < p.end; r += LANES * STATS_ROWS) {
        float v[STATS_ROWS][V];
        UNROLLED (int k = 0; k < STATS_ROWS; k++) {
          UNROLLED (int j = 0; j < V; j++) v[k][j] = first[j];
          if (r + k * LANES < p.end) read(v[k], x, at + (r + k * LANES) * c);
        }
        UNROLLED (int k = 0; k < STATS_ROWS; k++)
          UNROLLED (int j = 0; j < V; j++) {
            float d = v[k][j] - first[j];
            sum[j] += d;
            square[j] += d * d;
          }
      }
    }
    counts[t] = n;
    UNROLLED (int j = 0; j < V; j++) {
      float mean = n > 0.0f ? sum[j] / n : 0.0f;
      means[j][t] = first[j] + mean;
      squares[j][t] = fmaxf(square[j] - sum[j] * mean, 0.0f);
    }
    __syncthreads();
    for (int width = LANES / 2; width > 0; width /= 2) {
      if (t < width * COLUMNS) {
        int u = t + width * COLUMNS;
        Moments m;
        UNROLLED (int j = 0; j < V; j++) {
          m = join(Moments{counts[t], means[j][t], squares[j][t]}, Moments{counts[u], means[j][u], squares[j][u]});
          means[j][t] = m.mean;
          squares[j][t] = m.squares;
        }
        counts[t] = m.n;
      }
      __syncthreads();
    }
    if (t < COLUMNS && column < c) {
      float* to = y + ((i64)blockIdx.z * gridDim.y + blockIdx.y) * 2 * c + column;
      UNROLLED (int j = 0; j < V; j++) {
        to[j] = means[j][t];
        to[c + j] = squares[j][t];
      }
    }
    __syncthreads();
  }
}

KERNEL(group_norm_parts, In x, float* y, i64 pixels, i64 c) {
  if (!x.bf16 && c % 4 == 0 && aligned(x.p))
    channel_moments<4>((const float*)x.p, y, pixels, c);
  else
    channel_moments<1>(x, y, pixels, c);
}

// group_norm_stats joins the channels' moments [N,parts,2,C] → [N,G,2], mean and 1/deviation. One block is one group.
ROW_KERNEL(group_norm_stats, const float* x, float* y, i64 parts, i64 pixels, i64 c, i64 groups, float eps) {
  unsigned width = (unsigned)(c / groups), n = (unsigned)parts * width;
  i64 at = blockIdx.x / groups * parts * 2 * c + blockIdx.x % groups * width;
  float base = x[at], sum = 0.0f, count = (float)(pixels * width);
  SHARE(i, n) {
    unsigned p = (unsigned)i / width;
    Part rows = part(pixels, p, parts);
    sum += (float)(rows.end - rows.begin) * (x[at + p * 2 * c + (unsigned)i % width] - base);
  }
  float mean = base + block_sum(sum) / count;
  sum = 0.0f;
  SHARE(i, n) {
    unsigned p = (unsigned)i / width;
    Part rows = part(pixels, p, parts);
    const float* from = x + at + p * 2 * c + (unsigned)i % width;
    float d = from[0] - mean;
    sum += from[c] + (float)(rows.end - rows.begin) * d * d;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    y[2 * blockIdx.x] = mean;
    y[2 * blockIdx.x + 1] = 1.0f / sqrtf(sum / count + eps);
  }
}

// Grouped is a group norm's input with its statistics and parameters.
struct Grouped {
  In x;
  const float *stats, *gamma, *beta;
  i64 pixels, c, groups, act;
};

// fits reports whether channels can be processed V at a time.
template <int V>
__device__ inline bool fits(const Grouped& g) {
  return !g.x.bf16 && g.c % V == 0 && aligned(g.x.p, g.gamma, g.beta);
}

// Channels are what a thread needs of V channels of a sample: x̂ = (x − mean)·inverse, z = x̂·gamma + beta.
template <int V>
struct Channels {
  float mean[V], inverse[V], gamma[V], beta[V];
};

template <int V>
__device__ inline void channels(Channels<V>& k, const Grouped& g, i64 column) {
  read(k.gamma, g.gamma, column);
  read(k.beta, g.beta, column);
  unsigned width = (unsigned)(g.c / g.groups), group = (unsigned)column / width,
      within = (unsigned)column - group * width;
  const float* stats = g.stats + blockIdx.z * g.groups * 2;
  UNROLLED (int j = 0; j < V; j++) {
    k.mean[j] = stats[2 * group];
    k.inverse[j] = stats[2 * group + 1];
    if (++within == width) {
      within = 0;
      if (++group == (unsigned)g.groups) group = 0; // after the last channel
    }
  }
}

enum { NORM_ROWS = 2 };

template <int V, class X, class Y>
__device__ inline void normalize(const Grouped& g, X x, Y y) {
  Part p = part_of(g.pixels);
  EACH_COLUMN(V, column, g.c) {
    if (column >= g.c) continue;
    Channels<V> a;
    channels(a, g, column);
    i64 at = blockIdx.z * g.pixels * g.c + column;
    LOOP (i64 r = p.begin + lane_of_rows(); r < p.end; r += LANES * NORM_ROWS) {
      float v[NORM_ROWS][V];
      UNROLLED (int k = 0; k < NORM_ROWS; k++)
        if (r + k * LANES < p.end) read(v[k], x, at + (r + k * LANES) * g.c);
      UNROLLED (int k = 0; k < NORM_ROWS; k++) {
        if (r + k * LANES >= p.end) continue;
        UNROLLED (int j = 0; j < V; j++) v[k][j] = (v[k][j] - a.mean[j]) * a.inverse[j] * a.gamma[j] + a.beta[j];
        if (g.act == SILU) UNROLLED (int j = 0; j < V; j++) v[k][j] = Rounding<Y>::silu(v[k][j]);
        write(v[k], y, at + (r + k * LANES) * g.c);
      }
    }
  }
}

KERNEL(group_norm, Grouped g, Out y) {
  const float* x = (const float*)g.x.p;
  if (!fits<8>(g) || !aligned(y.p))
    normalize<1>(g, g.x, y);
  else if (y.bf16)
    normalize<8>(g, x, (bf16*)y.p);
  else
    normalize<8>(g, x, (float*)y.p);
}

enum { GRAD_ROWS = 4 };

// slopes gives dz and x̂ for V elements, dz being the gradient of z.
template <int V>
__device__ inline void slopes(float (&dz)[V], float (&normal)[V], const Channels<V>& a, i64 act) {
  UNROLLED (int j = 0; j < V; j++) normal[j] = (normal[j] - a.mean[j]) * a.inverse[j];
  if (act == SILU) UNROLLED (int j = 0; j < V; j++) dz[j] *= derivative(normal[j] * a.gamma[j] + a.beta[j], SILU);
}

template <int V, class X, class D>
__device__ inline void grad_sums(const Grouped& g, X x, D dy, float* y) {
  Part p = part_of(g.pixels);
  EACH_COLUMN(V, column, g.c) {
    float sums[2 * V] = {};
    if (column < g.c) {
      Channels<V> a;
      channels(a, g, column);
      i64 at = blockIdx.z * g.pixels * g.c + column;
      LOOP (i64 r = p.begin + lane_of_rows(); r < p.end; r += LANES * GRAD_ROWS) {
        float v[GRAD_ROWS][V], d[GRAD_ROWS][V];
        UNROLLED (int k = 0; k < GRAD_ROWS; k++)
          if (r + k * LANES < p.end) {
            read(v[k], x, at + (r + k * LANES) * g.c);
            read(d[k], dy, at + (r + k * LANES) * g.c);
          }
        UNROLLED (int k = 0; k < GRAD_ROWS; k++) {
          if (r + k * LANES >= p.end) continue;
          slopes(d[k], v[k], a, g.act);
          UNROLLED (int j = 0; j < V; j++) {
            sums[j] += d[k][j];
            sums[V + j] += d[k][j] * v[k][j];
          }
        }
      }
    }
    lanes_sum(sums);
    if (threadIdx.x < COLUMNS && column < g.c) {
      float* to = y + ((i64)blockIdx.z * gridDim.y + blockIdx.y) * 2 * g.c + column;
      UNROLLED (int j = 0; j < V; j++) {
        to[j] = sums[j];
        to[g.c + j] = sums[V + j];
      }
    }
  }
}

// group_norm_grad_sums: Σ dz and Σ dz·x̂ over a part of the pixels: [N,parts,2,C].
KERNEL(group_norm_grad_sums, Grouped g, In dy, float* y) {
  const float* x = (const float*)g.x.p;
  if (!fits<4>(g) || !aligned(dy.p))
    grad_sums<1>(g, g.x, dy, y);
  else if (dy.bf16)
    grad_sums<4>(g, x, (const bf16*)dy.p, y);
  else
    grad_sums<4>(g, x, (const float*)dy.p, y);
}

// group_norm_grad_means: sums [N,2,C] → [N,G,2], the means of gamma·dz and of gamma·dz·x̂ over a group. One block is
// one group.
ROW_KERNEL(group_norm_grad_means, const float* sums, const float* gamma, float* y, i64 pixels, i64 c, i64 groups) {
  i64 width = c / groups, sample = blockIdx.x / groups, begin = blockIdx.x % groups * width;
  float mean = 0.0f, slope = 0.0f;
  SHARE(j, width) {
    i64 k = begin + j;
    mean += gamma[k] * sums[sample * 2 * c + k];
    slope += gamma[k] * sums[sample * 2 * c + c + k];
  }
  mean = block_sum(mean);
  slope = block_sum(slope);
  if (threadIdx.x == 0) {
    y[2 * blockIdx.x] = mean / (float)(pixels * width);
    y[2 * blockIdx.x + 1] = slope / (float)(pixels * width);
  }
}

template <int V, class X, class D, class Y>
__device__ inline void grad_input(const Grouped& g, X x, D dy, const float* means, Y y) {
  Part p = part_of(g.pixels);
  Grouped of_means = g;
  of_means.stats = means;
  EACH_COLUMN(V, column, g.c) {
    if (column >= g.c) continue;
    Channels<V> a, b; // of b the means of dx̂ and dx̂·x̂
    channels(a, g, column);
    channels(b, of_means, column);
    i64 at = blockIdx.z * g.pixels * g.c + column;
    LOOP (i64 r = p.begin + lane_of_rows(); r < p.end; r += LANES * GRAD_ROWS) {
      float v[GRAD_ROWS][V], d[GRAD_ROWS][V];
      UNROLLED (int k = 0; k < GRAD_ROWS; k++)
        if (r + k * LANES < p.end) {
          read(v[k], x, at + (r + k * LANES) * g.c);
          read(d[k], dy, at + (r + k * LANES) * g.c);
        }
      UNROLLED (int k = 0; k < GRAD_ROWS; k++) {
        if (r + k * LANES >= p.end) continue;
        slopes(d[k], v[k], a, g.act);
        UNROLLED (int j = 0; j < V; j++) d[k][j] = a.inverse[j] *
            (a.gamma[j] * d[k][j] - b.mean[j] - v[k][j] * b.inverse[j]);
        write(d[k], y, at + (r + k * LANES) * g.c);
      }
    }
  }
}

// group_norm_grad_input is inverse·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) with dx̂ = gamma·dz; y may be dy.
KERNEL(group_norm_grad_input, Grouped g, In dy, const float* means, Out y) {
  const float* x = (const float*)g.x.p;
  if (!fits<4>(g) || !aligned(dy.p, y.p) || y.bf16)
    grad_input<1>(g, g.x, dy, means, y);
  else if (dy.bf16)
    grad_input<4>(g, x, (const bf16*)dy.p, means, (float*)y.p);
  else
    grad_input<4>(g, x, (const float*)dy.p, means, (float*)y.p);
}
