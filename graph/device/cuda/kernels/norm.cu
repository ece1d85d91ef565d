// Norms and softmax. A group or a row is the work of one block.
#include "device.cuh"
#include "parts.cuh"

// group_norm_stats: x [N,pixels,C] → [N,G,2], mean and 1/deviation. The mean comes first and then the mean square distance from it,
// which loses no digits where the mean is large. One block is one group.
KERNEL(group_norm_stats, In x, float* y, i64 pixels, i64 c, i64 groups, float eps) {
  i64 width = c / groups, sample = blockIdx.x / groups, at = sample * pixels * c + blockIdx.x % groups * width, n = pixels * width;
  float sum = 0.0f;
  SHARE(i, n) sum += load(x, at + i / width * c + i % width);
  float mean = block_sum(sum) / (float)n;
  sum = 0.0f;
  SHARE(i, n) {
    float d = load(x, at + i / width * c + i % width) - mean;
    sum += d * d;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    y[2 * blockIdx.x] = mean;
    y[2 * blockIdx.x + 1] = 1.0f / sqrtf(sum / (float)n + eps);
  }
}

// Grouped is a group norm's input with its statistics and parameters.
struct Grouped {
  In x;
  const float *stats, *gamma, *beta;
  i64 pixels, c, groups, act;
};

// Affine normalises one element: x̂ = (x − mean)·inverse, z = x̂·gamma + beta.
struct Affine {
  float normal, inverse, gamma, z;
};

__device__ inline Affine affine(const Grouped& g, i64 i) {
  i64 channel = i % g.c, group = i / (g.pixels * g.c) * g.groups + channel / (g.c / g.groups);
  Affine a;
  a.inverse = g.stats[2 * group + 1];
  a.gamma = g.gamma[channel];
  a.normal = (load(g.x, i) - g.stats[2 * group]) * a.inverse;
  a.z = a.normal * a.gamma + g.beta[channel];
  return a;
}

KERNEL(group_norm, Grouped g, Out y, i64 n) {
  EACH(i, n) store(y, i, activate(affine(g, i).z, g.act));
}

// group_norm_grad_sums: Σ dz and Σ dz·x̂ over a part of the pixels: [N,parts,2,C]. See column_sums for the grid.
KERNEL(group_norm_grad_sums, Grouped g, In dy, float* y) {
  i64 column = (i64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
  Part p = part_of(g.pixels);
  float sum = 0.0f, slope = 0.0f;
  if (column < g.c)
    LOOP (i64 r = p.begin + threadIdx.x / COLUMNS; r < p.end; r += LANES) {
      i64 i = (blockIdx.z * g.pixels + r) * g.c + column;
      Affine a = affine(g, i);
      float dz = load(dy, i) * derivative(a.z, g.act);
      sum += dz;
      slope += dz * a.normal;
    }
  sum = lanes_sum(sum);
  slope = lanes_sum(slope);
  if (threadIdx.x < COLUMNS && column < g.c) {
    float* to = y + ((i64)blockIdx.z * gridDim.y + blockIdx.y) * 2 * g.c;
    to[column] = sum;
    to[g.c + column] = slope;
  }
}

// group_norm_grad_means: sums [N,2,C] → [N,G,2], the means of gamma·dz and of gamma·dz·x̂ over a group. One block is one group.
KERNEL(group_norm_grad_means, const float* sums, const float* gamma, float* y, i64 pixels, i64 c, i64 groups) {
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

// group_norm_grad_input is inverse·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) with dx̂ = gamma·dz.
KERNEL(group_norm_grad_input, Grouped g, In dy, const float* means, Out y, i64 n) {
  EACH(i, n) {
    Affine a = affine(g, i);
    i64 group = i / (g.pixels * g.c) * g.groups + i % g.c / (g.c / g.groups);
    float d = a.gamma * load(dy, i) * derivative(a.z, g.act);
    store(y, i, a.inverse * (d - means[2 * group] - a.normal * means[2 * group + 1]));
  }
}

// Moments are a row's mean and 1/sqrt(variance + eps).
struct Moments {
  float mean, inverse;
};

__device__ inline Moments moments(const In& x, i64 at, i64 c, float eps) {
  float sum = 0.0f;
  SHARE(k, c) sum += load(x, at + k);
  float mean = block_sum(sum) / (float)c;
  sum = 0.0f;
  SHARE(k, c) {
    float d = load(x, at + k) - mean;
    sum += d * d;
  }
  return Moments{mean, 1.0f / sqrtf(block_sum(sum) / (float)c + eps)};
}

// layer_norm: x [rows,C] → y [rows,C]. One block is one row.
KERNEL(layer_norm, In x, const float* gamma, const float* beta, Out y, i64 c, float eps) {
  i64 at = blockIdx.x * c;
  Moments m = moments(x, at, c, eps);
  SHARE(k, c) store(y, at + k, (load(x, at + k) - m.mean) * m.inverse * gamma[k] + beta[k]);
}

// layer_norm_stats: x [rows,C] → [rows,2].
KERNEL(layer_norm_stats, In x, float* y, i64 c, float eps) {
  Moments m = moments(x, blockIdx.x * c, c, eps);
  if (threadIdx.x == 0) {
    y[2 * (i64)blockIdx.x] = m.mean;
    y[2 * (i64)blockIdx.x + 1] = m.inverse;
  }
}

KERNEL(layer_norm_grad_input, In x, const float* gamma, In dy, Out y, i64 c, float eps) {
  i64 at = blockIdx.x * c;
  Moments m = moments(x, at, c, eps);
  float mean = 0.0f, slope = 0.0f;
  SHARE(k, c) {
    float d = gamma[k] * load(dy, at + k);
    mean += d;
    slope += d * (load(x, at + k) - m.mean) * m.inverse;
  }
  mean = block_sum(mean) / (float)c;
  slope = block_sum(slope) / (float)c;
  SHARE(k, c) {
    float d = gamma[k] * load(dy, at + k);
    store(y, at + k, m.inverse * (d - mean - (load(x, at + k) - m.mean) * m.inverse * slope));
  }
}

// layer_norm_grad_params: Σ dy and Σ dy·x̂ over a part of the rows: [parts,2,C]. See column_sums for the grid.
KERNEL(layer_norm_grad_params, In x, const float* stats, In dy, float* y, i64 rows, i64 c) {
  i64 column = (i64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
  Part p = part_of(rows);
  float sum = 0.0f, slope = 0.0f;
  if (column < c)
    LOOP (i64 r = p.begin + threadIdx.x / COLUMNS; r < p.end; r += LANES) {
      float d = load(dy, r * c + column);
      sum += d;
      slope += d * (load(x, r * c + column) - stats[2 * r]) * stats[2 * r + 1];
    }
  sum = lanes_sum(sum);
  slope = lanes_sum(slope);
  if (threadIdx.x < COLUMNS && column < c) {
    y[(i64)blockIdx.y * 2 * c + column] = sum;
    y[(i64)blockIdx.y * 2 * c + c + column] = slope;
  }
}

// softmax: x [rows,C] → y [rows,C]; y may be x. One block is one row. With period > 0 row r sees the first `seen` + r mod period
// elements only, and the others become 0: a causal mask.
KERNEL(softmax, In x, Out y, i64 c, i64 period, i64 seen) {
  i64 at = blockIdx.x * c, n = period ? seen + blockIdx.x % period : c;
  float top = -3.402823466e38f;
  SHARE(k, n) top = fmaxf(top, load(x, at + k));
  top = block_max(top);
  float sum = 0.0f;
  SHARE(k, n) sum += expf(load(x, at + k) - top);
  sum = block_sum(sum);
  SHARE(k, c) store(y, at + k, k < n ? expf(load(x, at + k) - top) / sum : 0.0f);
}

// softmax_grad is y·(dy − Σ y·dy); out may be dy. One block is one row.
KERNEL(softmax_grad, In y, In dy, Out out, i64 c) {
  i64 at = blockIdx.x * c;
  float sum = 0.0f;
  SHARE(k, c) sum += load(y, at + k) * load(dy, at + k);
  sum = block_sum(sum);
  SHARE(k, c) store(out, at + k, load(y, at + k) * (load(dy, at + k) - sum));
}
