//go:build gpu

#include "descriptors.h"

#include <dlfcn.h>
#include <stdlib.h>

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
      {"cudnnGetVersion", &d->version},
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

// Shape is [n,c,h,w] as cuDNN counts; channels are contiguous in memory.
typedef struct {
  int64_t n, c, h, w;
} shape;

static descriptor tensor(maker *m, int64_t id, shape s, int type, int kind) {
  const int64_t sizes[] = {s.n, s.c, s.h, s.w}, strides[] = {s.h * s.w * s.c, 1, s.w * s.c, s.c};
  return tensor_of(m, id, sizes, strides, type, kind);
}

// walk is how the convolution goes over its image.
static descriptor walk(maker *m, const hd_dnn_convolution *c) {
  const char *what = "convolution";
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

// product is the convolution itself or its gradient with respect to the image.
static descriptor product(maker *m, const hd_dnn_convolution *c, descriptor x, descriptor w, descriptor y) {
  static const struct {
    int type, alpha, beta, walk, w, x, y;
  } kinds[] = {
      [HD_DNN_FORWARD] = {DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                          DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
      [HD_DNN_DATA_GRAD] = {DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                            DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
  };
  const char *what = "convolution operation";
  int kind = c->kind;
  descriptor o = made(m, kinds[kind].type, what);
  set_float(m, o, kinds[kind].alpha, 1, what);
  set_float(m, o, kinds[kind].beta, 0, what);
  set_descriptor(m, o, kinds[kind].walk, walk(m, c), what);
  set_descriptor(m, o, kinds[kind].w, w, what);
  set_descriptor(m, o, kinds[kind].x, x, what);
  set_descriptor(m, o, kinds[kind].y, y, what);
  return finished(m, o, what);
}

// graph is the product and what follows it. The product alone, and with a bias, is what cuDNN has ready kernels for,
// which know one element type only; with another step at the end, even one that does nothing, it is what its compiler
// makes kernels for.
static descriptor graph(maker *m, const hd_dnn_convolution *c) {
  const shape x = {c->n, c->c, c->h, c->w}, w = {c->k, c->c, c->kh, c->kw}, y = {c->n, c->k, c->oh, c->ow};
  const shape shapes[] = {[HD_DNN_X] = x, [HD_DNN_W] = w, [HD_DNN_Y] = y};
  const int result = c->kind == HD_DNN_FORWARD ? HD_DNN_Y : HD_DNN_X;
  const shape s = shapes[result], channels = {1, s.c, 1, 1};

  struct {
    int mode;
    descriptor b;
  } steps[3];
  int count = 0;
  if (c->bias) {
    steps[count].mode = DNN_POINTWISE_ADD;
    steps[count++].b = tensor(m, HD_DNN_BIAS, channels, DNN_DATA_FLOAT, REAL);
  }
  if (c->residual) {
    steps[count].mode = DNN_POINTWISE_ADD;
    steps[count++].b = tensor(m, HD_DNN_RESIDUAL, s, DNN_DATA_FLOAT, REAL);
  }
  if (c->act != DNN_POINTWISE_IDENTITY || (c->out != c->io && !c->residual)) {
    steps[count].mode = c->act;
    steps[count++].b = NULL;
  }

  descriptor tensors[3], operations[4];
  int64_t id = HD_DNN_TENSORS;
  for (int i = HD_DNN_X; i <= HD_DNN_Y; i++) {
    if (i != result)
      tensors[i] = tensor(m, i, shapes[i], c->io, REAL);
    else
      tensors[i] = count == 0 ? tensor(m, i, s, c->out, REAL) : tensor(m, id++, s, DNN_DATA_FLOAT, VIRTUAL);
  }
  operations[0] = product(m, c, tensors[HD_DNN_X], tensors[HD_DNN_W], tensors[HD_DNN_Y]);
  descriptor from = tensors[result];
  for (int i = 0; i < count; i++) {
    descriptor to = i == count - 1 ? tensor(m, result, s, c->out, REAL) : tensor(m, id++, s, DNN_DATA_FLOAT, VIRTUAL);
    operations[1 + i] = pointwise(m, steps[i].mode, from, steps[i].b, to);
    from = to;
  }

  return joined(m, operations, 1 + count);
}

int hd_dnn_make(hd_dnn *d, CUcontext ctx, const hd_dnn_convolution *c, int64_t limit, hd_dnn_plan *to, char *text,
                size_t n) {
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) return snprintf(text, n, "no context"), 0;
  maker m = {.d = d, .exact = c->exact, .text = text, .n = n};
  snprintf(text, n, "no engine is offered that is exact enough");
  to->numbers = NULL;
  return choose(&m, graph(&m, c), limit, to);
}

void hd_dnn_forget(hd_dnn *d, hd_dnn_plan *p) {
  hd_dnn_destroy(d, p->plan);
  free(p->numbers);
  p->plan = p->numbers = NULL;
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

int hd_dnn_run(hd_dnn *d, CUcontext ctx, void *plan, hd_dnn_pack *pack, void *const *tensors, void *workspace,
               char *text, size_t n) {
  if (cuCtxSetCurrent(ctx) != CUDA_SUCCESS) return snprintf(text, n, "no context"), 0;
  maker m = {.d = d, .text = text, .n = n};
  if (pack->descriptor == NULL || pack->workspace != workspace ||
      memcmp(pack->tensors, tensors, sizeof pack->tensors) != 0) {
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
