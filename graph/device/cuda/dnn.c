//go:build gpu

#include "dnn.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *descriptor;

struct hd_dnn {
  void *handle;
  int (*create)(void **);
  int (*destroy)(void *);
  int (*set_stream)(void *, CUstream);
  const char *(*error_string)(int);
  void (*last_error)(char *, size_t);
  int (*descriptor_create)(int, descriptor *);
  int (*descriptor_destroy)(descriptor);
  int (*finalize)(descriptor);
  int (*set)(descriptor, int, int, int64_t, const void *);
  int (*get)(descriptor, int, int, int64_t, int64_t *, void *);
  int (*execute)(void *, descriptor, descriptor);
};

// explain writes what was done, what came of it and what cuDNN says.
static void explain(hd_dnn *d, char *text, size_t n, const char *what, int status) {
  char last[512] = "";
  d->last_error(last, sizeof last);
  last[sizeof last - 1] = 0;
  for (char *p = last; *p; p++)
    if (*p == '\n') *p = ' ';
  snprintf(text, n, "%s: %s (%d)%s%s", what, d->error_string(status), status, last[0] ? ": " : "", last);
}

hd_dnn *hd_dnn_open(void *library, CUcontext ctx, CUstream stream, char *text, size_t n) {
  hd_dnn *d = calloc(1, sizeof *d);
  if (d == NULL) return snprintf(text, n, "no memory"), NULL;
  struct {
    const char *name;
    void *to;
  } functions[] = {
      {"cudnnCreate", &d->create},
      {"cudnnDestroy", &d->destroy},
      {"cudnnSetStream", &d->set_stream},
      {"cudnnGetErrorString", &d->error_string},
      {"cudnnGetLastErrorString", &d->last_error},
      {"cudnnBackendCreateDescriptor", &d->descriptor_create},
      {"cudnnBackendDestroyDescriptor", &d->descriptor_destroy},
      {"cudnnBackendFinalize", &d->finalize},
      {"cudnnBackendSetAttribute", &d->set},
      {"cudnnBackendGetAttribute", &d->get},
      {"cudnnBackendExecute", &d->execute},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *f = dlsym(library, functions[i].name);
    if (f == NULL) {
      snprintf(text, n, "the library has no function %s", functions[i].name);
      free(d);
      return NULL;
    }
    memcpy(functions[i].to, &f, sizeof f);
  }
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) {
    snprintf(text, n, "no context");
    free(d);
    return NULL;
  }
  int status = d->create(&d->handle);
  if (status == 0 && (status = d->set_stream(d->handle, stream)) != 0) {
    explain(d, text, n, "cudnnSetStream", status);
    d->destroy(d->handle);
  } else if (status != 0) {
    explain(d, text, n, "cudnnCreate", status);
  }
  if (status == 0) return d;
  free(d);
  return NULL;
}

const char *hd_dnn_close(hd_dnn *d, CUcontext ctx) {
  cuCtxSetCurrent(ctx);
  int status = d->destroy(d->handle);
  const char *wrong = status == 0 ? NULL : d->error_string(status);
  free(d);
  return wrong;
}

// A plan is made of some twenty descriptors, which live as long as a maker, but for the plan.
enum { MOST_DESCRIPTORS = 64 };

typedef struct {
  hd_dnn *d;
  const hd_dnn_convolution *c;
  descriptor all[MOST_DESCRIPTORS];
  int count;
  int status;       // of the first thing that failed
  char *text;       // what that was
  size_t n;
} maker;

static int failed(maker *m, const char *what, int status) {
  if (status != 0 && m->status == 0) {
    m->status = status;
    explain(m->d, m->text, m->n, what, status);
  }
  return m->status;
}

static descriptor made(maker *m, int type, const char *what) {
  descriptor made = NULL;
  if (m->status != 0) return NULL;
  if (m->count == MOST_DESCRIPTORS) {
    m->status = -1;
    snprintf(m->text, m->n, "%s: more than %d descriptors", what, MOST_DESCRIPTORS);
    return NULL;
  }
  if (failed(m, what, m->d->descriptor_create(type, &made))) return NULL;
  return m->all[m->count++] = made;
}

static void set(maker *m, descriptor d, int name, int type, int64_t count, const void *values, const char *what) {
  if (m->status == 0) failed(m, what, m->d->set(d, name, type, count, values));
}
static void set_int(maker *m, descriptor d, int name, int type, int32_t v, const char *what) { set(m, d, name, type, 1, &v, what); }
static void set_long(maker *m, descriptor d, int name, int64_t v, const char *what) { set(m, d, name, DNN_TYPE_INT64, 1, &v, what); }
static void set_float(maker *m, descriptor d, int name, float v, const char *what) { set(m, d, name, DNN_TYPE_FLOAT, 1, &v, what); }
static void set_descriptor(maker *m, descriptor d, int name, descriptor v, const char *what) {
  set(m, d, name, DNN_TYPE_BACKEND_DESCRIPTOR, 1, &v, what);
}
static void set_pair(maker *m, descriptor d, int name, int64_t a, int64_t b, const char *what) {
  int64_t v[] = {a, b};
  set(m, d, name, DNN_TYPE_INT64, 2, v, what);
}
static descriptor finished(maker *m, descriptor d, const char *what) {
  if (m->status == 0) failed(m, what, m->d->finalize(d));
  return d;
}

// ALIGNMENT is that of all tensors in bytes; who calls hd_dnn_run keeps to it.
enum { ALIGNMENT = 16 };

// Shape is [n,c,h,w] as cuDNN counts; the channels lie side by side in memory.
typedef struct {
  int64_t n, c, h, w;
} shape;

static descriptor tensor(maker *m, int64_t id, shape s, int type, int is_virtual) {
  const char *what = "tensor";
  descriptor t = made(m, DNN_BACKEND_TENSOR_DESCRIPTOR, what);
  int64_t sizes[] = {s.n, s.c, s.h, s.w}, strides[] = {s.h * s.w * s.c, 1, s.w * s.c, s.c};
  set_long(m, t, DNN_ATTR_TENSOR_UNIQUE_ID, id, what);
  set_int(m, t, DNN_ATTR_TENSOR_DATA_TYPE, DNN_TYPE_DATA_TYPE, type, what);
  set(m, t, DNN_ATTR_TENSOR_DIMENSIONS, DNN_TYPE_INT64, 4, sizes, what);
  set(m, t, DNN_ATTR_TENSOR_STRIDES, DNN_TYPE_INT64, 4, strides, what);
  set_long(m, t, DNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT, what);
  if (is_virtual) {
    unsigned char yes = 1;
    set(m, t, DNN_ATTR_TENSOR_IS_VIRTUAL, DNN_TYPE_BOOLEAN, 1, &yes, what);
  }
  return finished(m, t, what);
}

// walk is how the convolution goes over its image.
static descriptor walk(maker *m) {
  const char *what = "convolution";
  const hd_dnn_convolution *c = m->c;
  descriptor d = made(m, DNN_BACKEND_CONVOLUTION_DESCRIPTOR, what);
  set_int(m, d, DNN_ATTR_CONVOLUTION_COMP_TYPE, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT, what);
  set_int(m, d, DNN_ATTR_CONVOLUTION_CONV_MODE, DNN_TYPE_CONVOLUTION_MODE, DNN_CROSS_CORRELATION, what);
  set_long(m, d, DNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2, what);
  set_pair(m, d, DNN_ATTR_CONVOLUTION_PRE_PADDINGS, c->top, c->left, what);
  set_pair(m, d, DNN_ATTR_CONVOLUTION_POST_PADDINGS, c->bottom, c->right, what);
  set_pair(m, d, DNN_ATTR_CONVOLUTION_DILATIONS, 1, 1, what);
  set_pair(m, d, DNN_ATTR_CONVOLUTION_FILTER_STRIDES, c->stride, c->stride, what);
  return finished(m, d, what);
}

// product is the convolution itself or one of its gradients.
static descriptor product(maker *m, descriptor x, descriptor w, descriptor y) {
  static const struct {
    int type, alpha, beta, walk, w, x, y;
  } kinds[] = {
      [HD_DNN_FORWARD] = {DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
      [HD_DNN_DATA_GRAD] = {DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
      [HD_DNN_WEIGHT_GRAD] = {DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                              DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                              DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                              DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
  };
  const char *what = "convolution operation";
  int kind = m->c->kind;
  descriptor o = made(m, kinds[kind].type, what);
  set_float(m, o, kinds[kind].alpha, 1, what);
  set_float(m, o, kinds[kind].beta, 0, what);
  set_descriptor(m, o, kinds[kind].walk, walk(m), what);
  set_descriptor(m, o, kinds[kind].w, w, what);
  set_descriptor(m, o, kinds[kind].x, x, what);
  set_descriptor(m, o, kinds[kind].y, y, what);
  return finished(m, o, what);
}

// pointwise is y = mode(x) or mode(x, b).
static descriptor pointwise(maker *m, int mode, descriptor x, descriptor b, descriptor y) {
  const char *what = "pointwise operation";
  descriptor p = made(m, DNN_BACKEND_POINTWISE_DESCRIPTOR, what);
  set_int(m, p, DNN_ATTR_POINTWISE_MODE, DNN_TYPE_POINTWISE_MODE, mode, what);
  set_int(m, p, DNN_ATTR_POINTWISE_MATH_PREC, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT, what);
  if (mode == DNN_POINTWISE_SWISH_FWD) set_float(m, p, DNN_ATTR_POINTWISE_SWISH_BETA, 1, what);
  finished(m, p, what);
  descriptor o = made(m, DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_POINTWISE_XDESC, x, what);
  if (b != NULL) set_descriptor(m, o, DNN_ATTR_OPERATION_POINTWISE_BDESC, b, what);
  set_descriptor(m, o, DNN_ATTR_OPERATION_POINTWISE_YDESC, y, what);
  return finished(m, o, what);
}

// graph is the product and what follows it. The product alone, and with a bias, is what cuDNN has ready kernels for, which know one element
// type only; with another step at the end, even one that does nothing, it is what its compiler makes kernels for.
static descriptor graph(maker *m) {
  const hd_dnn_convolution *c = m->c;
  const shape x = {c->n, c->c, c->h, c->w}, w = {c->k, c->c, c->kh, c->kw}, y = {c->n, c->k, c->oh, c->ow};
  const shape shapes[] = {[HD_DNN_X] = x, [HD_DNN_W] = w, [HD_DNN_Y] = y};
  const int result = c->kind == HD_DNN_FORWARD ? HD_DNN_Y : c->kind == HD_DNN_DATA_GRAD ? HD_DNN_X : HD_DNN_W;
  const shape s = shapes[result], channels = {1, s.c, 1, 1};

  struct {
    int mode;
    descriptor b;
  } steps[3];
  int count = 0;
  if (c->bias) {
    steps[count].mode = DNN_POINTWISE_ADD;
    steps[count++].b = tensor(m, HD_DNN_BIAS, channels, DNN_DATA_FLOAT, 0);
  }
  if (c->residual) {
    steps[count].mode = DNN_POINTWISE_ADD;
    steps[count++].b = tensor(m, HD_DNN_RESIDUAL, s, DNN_DATA_FLOAT, 0);
  }
  if (c->act != DNN_POINTWISE_IDENTITY || (c->out != c->io && !c->residual)) {
    steps[count].mode = c->act;
    steps[count++].b = NULL;
  }

  descriptor tensors[3], operations[4];
  int64_t id = HD_DNN_TENSORS;
  for (int i = HD_DNN_X; i <= HD_DNN_Y; i++) {
    if (i != result)
      tensors[i] = tensor(m, i, shapes[i], c->io, 0);
    else
      tensors[i] = count == 0 ? tensor(m, i, s, c->out, 0) : tensor(m, id++, s, DNN_DATA_FLOAT, 1);
  }
  operations[0] = product(m, tensors[HD_DNN_X], tensors[HD_DNN_W], tensors[HD_DNN_Y]);
  descriptor from = tensors[result];
  for (int i = 0; i < count; i++) {
    descriptor to = i == count - 1 ? tensor(m, result, s, c->out, 0) : tensor(m, id++, s, DNN_DATA_FLOAT, 1);
    operations[1 + i] = pointwise(m, steps[i].mode, from, steps[i].b, to);
    from = to;
  }

  descriptor g = made(m, DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
  if (m->d->handle != NULL) set(m, g, DNN_ATTR_OPERATIONGRAPH_HANDLE, DNN_TYPE_HANDLE, 1, &m->d->handle, "graph");
  set(m, g, DNN_ATTR_OPERATIONGRAPH_OPS, DNN_TYPE_BACKEND_DESCRIPTOR, 1 + count, operations, "graph");
  return finished(m, g, "graph");
}

// engine reads an offer's engine and tells whether it may be taken.
static int engine(maker *m, descriptor offer, int64_t *index) {
  hd_dnn *d = m->d;
  descriptor e = NULL;
  int64_t count = 0, notes_count = 0;
  int32_t notes[32];
  int good = d->descriptor_create(DNN_BACKEND_ENGINE_DESCRIPTOR, &e) == 0 &&
             d->get(offer, DNN_ATTR_ENGINECFG_ENGINE, DNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &e) == 0 &&
             d->get(e, DNN_ATTR_ENGINE_GLOBAL_INDEX, DNN_TYPE_INT64, 1, &count, index) == 0 &&
             d->get(e, DNN_ATTR_ENGINE_NUMERICAL_NOTE, DNN_TYPE_NUMERICAL_NOTE, 32, &notes_count, notes) == 0;
  for (int64_t i = 0; good && i < notes_count && i < 32; i++) {
    switch (notes[i]) {
    case DNN_NUMERICAL_NOTE_TENSOR_CORE: good = !m->c->exact; break;
    // Less exact sums, other algorithms than the plain sum, no fixed order, and what later versions may add. The engine that is strict with
    // NaNs is the one that can do everything, slowly.
    default: good = 0;
    }
  }
  if (e != NULL) d->descriptor_destroy(e);
  return good;
}

// plan makes a plan of an offer; NULL where that doesn't work or takes too much memory.
static descriptor plan(maker *m, descriptor offer, int64_t limit, int64_t *workspace) {
  hd_dnn *d = m->d;
  descriptor p = NULL;
  int64_t count = 0;
  int status = d->descriptor_create(DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p);
  if (status == 0) status = d->set(p, DNN_ATTR_EXECUTION_PLAN_HANDLE, DNN_TYPE_HANDLE, 1, &d->handle);
  if (status == 0) status = d->set(p, DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, DNN_TYPE_BACKEND_DESCRIPTOR, 1, &offer);
  if (status == 0) status = d->finalize(p);
  if (status == 0) status = d->get(p, DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, DNN_TYPE_INT64, 1, &count, workspace);
  if (status == 0 && *workspace <= limit) return p;
  if (status != 0)
    explain(d, m->text, m->n, "plan", status);
  else
    snprintf(m->text, m->n, "a workspace of %lld bytes", (long long)*workspace);
  if (p != NULL) d->descriptor_destroy(p);
  return NULL;
}

// take goes through the offers of one kind of heuristics, the best first.
static descriptor take(maker *m, descriptor g, int mode, int64_t limit, hd_dnn_plan *to) {
  enum { MOST_OFFERS = 64 };
  hd_dnn *d = m->d;
  descriptor h = made(m, DNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
  set_descriptor(m, h, DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g, "heuristics");
  set_int(m, h, DNN_ATTR_ENGINEHEUR_MODE, DNN_TYPE_HEUR_MODE, mode, "heuristics");
  finished(m, h, "heuristics");
  descriptor offers[MOST_OFFERS], p = NULL;
  int64_t count = 0, made_count = 0;
  while (m->status == 0 && made_count < MOST_OFFERS && d->descriptor_create(DNN_BACKEND_ENGINECFG_DESCRIPTOR, &offers[made_count]) == 0) made_count++;
  if (m->status == 0) failed(m, "heuristics", d->get(h, DNN_ATTR_ENGINEHEUR_RESULTS, DNN_TYPE_BACKEND_DESCRIPTOR, made_count, &count, offers));
  for (int64_t i = 0; m->status == 0 && p == NULL && i < count && i < made_count; i++)
    if (engine(m, offers[i], &to->engine)) p = plan(m, offers[i], limit, &to->workspace);
  for (int64_t i = 0; i < made_count; i++) d->descriptor_destroy(offers[i]);
  return p;
}

int hd_dnn_make(hd_dnn *d, CUcontext ctx, const hd_dnn_convolution *c, int64_t limit, hd_dnn_plan *to, char *text, size_t n) {
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) return snprintf(text, n, "no context"), 0;
  static const int modes[] = {DNN_HEUR_MODE_A, DNN_HEUR_MODE_B, DNN_HEUR_MODE_FALLBACK};
  maker m = {.d = d, .c = c, .text = text, .n = n};
  snprintf(text, n, "no engine is offered that is exact enough");
  descriptor g = graph(&m);
  to->plan = NULL;
  for (size_t i = 0; i < sizeof modes / sizeof *modes && to->plan == NULL && m.status == 0; i++) {
    to->plan = take(&m, g, modes[i], limit, to);
    if (g != NULL && m.status != 0 && modes[i] != DNN_HEUR_MODE_FALLBACK) m.status = 0; // one kind of heuristics may not know the graph
    if (m.count > 0 && to->plan != NULL) break;
  }
  while (m.count > 0) d->descriptor_destroy(m.all[--m.count]);
  return to->plan != NULL;
}

void hd_dnn_destroy(hd_dnn *d, void *descriptor) {
  if (descriptor != NULL) d->descriptor_destroy(descriptor);
}

// fresh is a pack of addresses.
static descriptor fresh(maker *m, void *const *tensors, void *workspace) {
  int64_t ids[HD_DNN_TENSORS];
  void *pointers[HD_DNN_TENSORS];
  int64_t count = 0;
  for (int i = 0; i < HD_DNN_TENSORS; i++)
    if (tensors[i] != NULL) {
      ids[count] = i;
      pointers[count++] = tensors[i];
    }
  descriptor p = made(m, DNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "pack");
  set(m, p, DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, DNN_TYPE_INT64, count, ids, "pack");
  set(m, p, DNN_ATTR_VARIANT_PACK_DATA_POINTERS, DNN_TYPE_VOID_PTR, count, pointers, "pack");
  set(m, p, DNN_ATTR_VARIANT_PACK_WORKSPACE, DNN_TYPE_VOID_PTR, 1, &workspace, "pack");
  return finished(m, p, "pack");
}

int hd_dnn_run(hd_dnn *d, CUcontext ctx, void *plan, hd_dnn_pack *pack, void *const *tensors, void *workspace, char *text, size_t n) {
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) return snprintf(text, n, "no context"), 0;
  maker m = {.d = d, .text = text, .n = n};
  if (pack->descriptor == NULL || pack->workspace != workspace || memcmp(pack->tensors, tensors, sizeof pack->tensors) != 0) {
    descriptor p = fresh(&m, tensors, workspace);
    if (m.status != 0) {
      if (p != NULL) d->descriptor_destroy(p);
      return 0;
    }
    hd_dnn_destroy(d, pack->descriptor);
    pack->descriptor = p;
    pack->workspace = workspace;
    memcpy(pack->tensors, tensors, sizeof pack->tensors);
  }
  failed(&m, "execute", d->execute(d->handle, plan, pack->descriptor));
  return m.status == 0;
}
