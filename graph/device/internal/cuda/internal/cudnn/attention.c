//go:build gpu

// Attention for cuDNN: the graphs that its kernels for "scaled dot product attention" are known by, operation for
// operation as NVIDIA's C++ frontend lays them out (scaled_dot_product_flash_attention.h). Its compiler wants just
// these.
#include "descriptors.h"

#include <stdlib.h>

// attention is a graph that is being made.
typedef struct {
  maker *m;
  const hd_dnn_attention *a;
  int64_t id; // of the next virtual tensor
  descriptor operations[32];
  int64_t count;
} attention;

static descriptor added(attention *t, descriptor operation) {
  if (t->count == sizeof t->operations / sizeof *t->operations)
    return failed(t->m, "graph: too many operations", -1), NULL;
  return t->operations[t->count++] = operation;
}

// tokens is [n,length,heads,d] in memory, as [n,heads,length,d].
static descriptor tokens(attention *t, int id, int64_t length) {
  const int64_t h = t->a->heads, d = t->a->d, sizes[] = {t->a->n, h, length, d},
      strides[] = {length * h * d, d, h * d, 1};
  return tensor_of(t->m, id, sizes, strides, DNN_DATA_BFLOAT16, REAL);
}

// turned is the same as [n,heads,d,length].
static descriptor turned(attention *t, int id, int64_t length) {
  const int64_t h = t->a->heads, d = t->a->d, sizes[] = {t->a->n, h, d, length},
      strides[] = {length * h * d, d, 1, h * d};
  return tensor_of(t->m, id, sizes, strides, DNN_DATA_BFLOAT16, REAL);
}

// number is one by value.
static descriptor number(attention *t, int id) {
  const int64_t ones[] = {1, 1, 1, 1};
  return tensor_of(t->m, id, ones, ones, DNN_DATA_FLOAT, BY_VALUE);
}

// scores is a virtual [n,heads,queries,keys].
static descriptor scores(attention *t, int type) {
  const hd_dnn_attention *a = t->a;
  const int64_t h = a->heads, q = a->queries, k = a->keys, sizes[] = {a->n, h, q, k},
      strides[] = {h * q * k, q * k, k, 1};
  return tensor_of(t->m, t->id++, sizes, strides, type, VIRTUAL);
}

// column is [n,heads,queries,1]: virtual, or a real one.
static descriptor column(attention *t, int id) {
  const int64_t h = t->a->heads, q = t->a->queries, sizes[] = {t->a->n, h, q, 1}, strides[] = {h * q, q, 1, 1};
  return tensor_of(t->m, id < 0 ? t->id++ : id, sizes, strides, DNN_DATA_FLOAT, id < 0 ? VIRTUAL : REAL);
}

// step is y = mode(x) or mode(x, b).
static descriptor step(attention *t, int mode, descriptor x, descriptor b, descriptor y) {
  return added(t, pointwise(t->m, mode, x, b, y)), y;
}

static descriptor matmul(attention *t, descriptor a, descriptor b, descriptor c) {
  const char *what = "product of matrices";
  maker *m = t->m;
  descriptor p = made(m, DNN_BACKEND_MATMUL_DESCRIPTOR, what);
  set_int(m, p, DNN_ATTR_MATMUL_COMP_TYPE, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT, what);
  finished(m, p, what);
  descriptor o = made(m, DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_MATMUL_ADESC, a, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_MATMUL_BDESC, b, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_MATMUL_CDESC, c, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_MATMUL_DESC, p, what);
  return added(t, finished(m, o, what)), c;
}

static descriptor reduction(attention *t, int mode, descriptor x, descriptor y) {
  const char *what = "reduction";
  maker *m = t->m;
  descriptor p = made(m, DNN_BACKEND_REDUCTION_DESCRIPTOR, what);
  set_int(m, p, DNN_ATTR_REDUCTION_COMP_TYPE, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT, what);
  set_int(m, p, DNN_ATTR_REDUCTION_OPERATOR, DNN_TYPE_REDUCTION_OPERATOR, mode, what);
  finished(m, p, what);
  descriptor o = made(m, DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_REDUCTION_XDESC, x, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_REDUCTION_YDESC, y, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_REDUCTION_DESC, p, what);
  return added(t, finished(m, o, what)), y;
}

// reshaped is x with other strides.
static descriptor reshaped(attention *t, descriptor x, const int64_t *sizes, const int64_t *strides) {
  const char *what = "reshape";
  maker *m = t->m;
  descriptor y = tensor_of(m, t->id++, sizes, strides, DNN_DATA_BFLOAT16, VIRTUAL);
  descriptor o = made(m, DNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_RESHAPE_XDESC, x, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_RESHAPE_YDESC, y, what);
  return added(t, finished(m, o, what)), y;
}

// transposed is scores as bfloat16 [n,heads,keys,queries].
static descriptor transposed(attention *t, descriptor x) {
  const hd_dnn_attention *a = t->a;
  const int64_t h = a->heads, q = a->queries, k = a->keys, sizes[] = {a->n, h, k, q},
      strides[] = {h * q * k, q * k, 1, k};
  return reshaped(t, x, sizes, strides);
}

// scaled is q·kᵀ/√d.
static descriptor scaled(attention *t, descriptor q, descriptor kt, descriptor scale) {
  descriptor s = matmul(t, q, kt, scores(t, DNN_DATA_FLOAT));
  return step(t, DNN_POINTWISE_MUL, s, scale, scores(t, DNN_DATA_FLOAT));
}

static void forward(attention *t) {
  const hd_dnn_attention *a = t->a;
  descriptor s = scaled(t, tokens(t, HD_DNN_Q, a->queries), turned(t, HD_DNN_K, a->keys), number(t, HD_DNN_SCALE));
  descriptor most = reduction(t, DNN_REDUCE_MAX, s, column(t, -1));
  descriptor less = step(t, DNN_POINTWISE_SUB, s, most, scores(t, DNN_DATA_FLOAT));
  descriptor e = step(t, DNN_POINTWISE_EXP, less, NULL, scores(t, DNN_DATA_FLOAT));
  descriptor sum = reduction(t, DNN_REDUCE_ADD, e, column(t, -1));
  // The statistics belong to the graph even where they aren't used.
  descriptor log = step(t, DNN_POINTWISE_LOG, sum, NULL, column(t, -1));
  step(t, DNN_POINTWISE_ADD, most, log, column(t, a->stats ? HD_DNN_STATS : -1));
  descriptor p = step(t, DNN_POINTWISE_DIV, e, sum, scores(t, DNN_DATA_BFLOAT16));
  matmul(t, p, tokens(t, HD_DNN_V, a->keys), tokens(t, HD_DNN_O, a->queries));
}

// backward is, with P = exp(s − stats) and S = q·kᵀ/√d:
//
//	dv = Pᵀ·dy    dS = P∘(dy·vᵀ − rowsum(dy∘o))/√d    dk = dSᵀ·q    dq = dS·k
//
// dq is a product of its own, of a dS that is kept in the workspace. With a float32 dq in the workspace instead, cuDNN
// adds up its blocks as they come, and its notes don't say so: the order is fixed by this graph, which is the
// frontend's where a deterministic algorithm is asked for.
static void backward(attention *t) {
  const hd_dnn_attention *a = t->a;
  const int64_t n = a->n, h = a->heads, d = a->d, lq = a->queries, lk = a->keys;
  descriptor q = tokens(t, HD_DNN_Q, lq), kt = turned(t, HD_DNN_K, lk), vt = turned(t, HD_DNN_V, lk),
      o = tokens(t, HD_DNN_O, lq);
  descriptor dy = tokens(t, HD_DNN_DY, lq), stats = column(t, HD_DNN_STATS), scale = number(t, HD_DNN_SCALE),
      one = number(t, HD_DNN_ONE);

  const int64_t sizes[] = {n, h, lq, d}, strides[] = {h * lq * d, lq * d, h * d, 1};
  descriptor both = step(t, DNN_POINTWISE_MUL, dy, o,
                         tensor_of(t->m, t->id++, sizes, strides, DNN_DATA_FLOAT, VIRTUAL));
  descriptor sums = reduction(t, DNN_REDUCE_ADD, both, column(t, -1));
  sums = step(t, DNN_POINTWISE_MUL, sums, one, column(t, HD_DNN_SUMS));

  descriptor s = scaled(t, q, kt, scale);
  descriptor less = step(t, DNN_POINTWISE_SUB, s, stats, scores(t, DNN_DATA_FLOAT));
  descriptor p = step(t, DNN_POINTWISE_EXP, less, NULL, scores(t, DNN_DATA_FLOAT));
  matmul(t, transposed(t, p), dy, tokens(t, HD_DNN_DV, lk));

  descriptor dp = matmul(t, dy, vt, scores(t, DNN_DATA_FLOAT));
  dp = step(t, DNN_POINTWISE_SUB, dp, sums, scores(t, DNN_DATA_FLOAT));
  dp = step(t, DNN_POINTWISE_MUL, dp, p, scores(t, DNN_DATA_FLOAT));
  descriptor ds = step(t, DNN_POINTWISE_MUL, dp, scale, scores(t, DNN_DATA_FLOAT));
  matmul(t, transposed(t, ds), q, tokens(t, HD_DNN_DK, lk));

  const int64_t of_k[] = {n, h, lk, d}, by_k[] = {lk * h * d, d, h * d, 1};
  matmul(t, ds, reshaped(t, kt, of_k, by_k), tokens(t, HD_DNN_DQ, lq));
}

// Up to this version gradients are wrong where the keys don't fill blocks of 128, if they aren't given masks: so the
// frontend has it.
enum { WHOLE_BLOCKS = 91500, BLOCK = 128 };

int hd_dnn_attend(hd_dnn *d, CUcontext ctx, const hd_dnn_attention *a, int64_t limit, hd_dnn_plan *to, char *text,
                  size_t n) {
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) return snprintf(text, n, "no context"), 0;
  if (a->grad && a->keys % BLOCK != 0 && d->version() <= WHOLE_BLOCKS)
    return snprintf(text, n, "version %zu has gradients for multiples of %d keys only", d->version(), BLOCK), 0;
  maker m = {.d = d, .text = text, .n = n};
  attention t = {.m = &m, .a = a, .id = HD_DNN_TENSORS};
  snprintf(text, n, "no engine is offered that has a fixed order");
  if (a->grad)
    backward(&t);
  else
    forward(&t);
  if (!choose(&m, joined(&m, t.operations, t.count), limit, to)) return 0;
  if ((to->numbers = calloc(8, sizeof *to->numbers)) == NULL) {
    hd_dnn_forget(d, to);
    return snprintf(text, n, "no memory"), 0;
  }
  to->numbers[0] = a->scale;
  to->numbers[4] = 1;
  return 1;
}
