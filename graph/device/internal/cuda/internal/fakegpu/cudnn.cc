// A stand-in for NVIDIA's cuDNN, for tests where there is no GPU: it computes convolutions and attention on the processor, in the order of the fake driver's
// work. It is stricter than the library: it knows only the descriptors and attributes that the device may use, with their types and numbers
// of elements, checks that they make sense together, reads and writes only memory of the device, and counts descriptors. It offers what must
// not be taken, too: engines without a fixed order, whose plans fail, that want too much memory; and for some shapes nothing that would do.
#include <cuda.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../cudnn/dnn.h"
#include "work.h"

namespace {

enum { SUCCESS = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, INTERNAL = 4000 };

thread_local std::string said;

int refuse(const char* what) {
  said = what;
  fprintf(stderr, "fake cuDNN: %s\n", what);
  return BAD_PARAM;
}

struct Handle {
  CUstream stream;
};

struct Value {
  int type;
  std::vector<char> bytes;
};

struct Descriptor {
  int type;
  bool finished = false;
  std::map<int, Value> values;

  bool has(int name) const { return values.count(name) > 0; }
  template <class T>
  T at(int name, size_t i = 0) const {
    T v{};
    auto f = values.find(name);
    if (f != values.end() && f->second.bytes.size() >= (i + 1) * sizeof v) memcpy(&v, f->second.bytes.data() + i * sizeof v, sizeof v);
    return v;
  }
  size_t count(int name, size_t size) const { return has(name) ? values.at(name).bytes.size() / size : 0; }
  // Of plans, offers and engines, what they compute.
  struct Graph* graph = nullptr;
  int engine = 0;
};

std::atomic<int> live, handles; // descriptors, and handles

// Attribute is what is known of one: which descriptor has it, its type and number of elements (0: any).
struct Attribute {
  int descriptor, name, type, count;
  bool needed;
};
const Attribute attributes[] = {
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_UNIQUE_ID, DNN_TYPE_INT64, 1, true},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_DATA_TYPE, DNN_TYPE_DATA_TYPE, 1, true},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_DIMENSIONS, DNN_TYPE_INT64, 4, true},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_STRIDES, DNN_TYPE_INT64, 4, true},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_BYTE_ALIGNMENT, DNN_TYPE_INT64, 1, true},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_IS_VIRTUAL, DNN_TYPE_BOOLEAN, 1, false},
    {DNN_BACKEND_TENSOR_DESCRIPTOR, DNN_ATTR_TENSOR_IS_BY_VALUE, DNN_TYPE_BOOLEAN, 1, false},
    {DNN_BACKEND_MATMUL_DESCRIPTOR, DNN_ATTR_MATMUL_COMP_TYPE, DNN_TYPE_DATA_TYPE, 1, true},
    {DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, DNN_ATTR_OPERATION_MATMUL_ADESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, DNN_ATTR_OPERATION_MATMUL_BDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, DNN_ATTR_OPERATION_MATMUL_CDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, DNN_ATTR_OPERATION_MATMUL_DESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_REDUCTION_DESCRIPTOR, DNN_ATTR_REDUCTION_COMP_TYPE, DNN_TYPE_DATA_TYPE, 1, true},
    {DNN_BACKEND_REDUCTION_DESCRIPTOR, DNN_ATTR_REDUCTION_OPERATOR, DNN_TYPE_REDUCTION_OPERATOR, 1, true},
    {DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, DNN_ATTR_OPERATION_REDUCTION_XDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, DNN_ATTR_OPERATION_REDUCTION_YDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, DNN_ATTR_OPERATION_REDUCTION_DESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, DNN_ATTR_OPERATION_RESHAPE_XDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, DNN_ATTR_OPERATION_RESHAPE_YDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_POINTWISE_DESCRIPTOR, DNN_ATTR_POINTWISE_MODE, DNN_TYPE_POINTWISE_MODE, 1, true},
    {DNN_BACKEND_POINTWISE_DESCRIPTOR, DNN_ATTR_POINTWISE_MATH_PREC, DNN_TYPE_DATA_TYPE, 1, true},
    {DNN_BACKEND_POINTWISE_DESCRIPTOR, DNN_ATTR_POINTWISE_SWISH_BETA, DNN_TYPE_FLOAT, 1, false},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_COMP_TYPE, DNN_TYPE_DATA_TYPE, 1, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_CONV_MODE, DNN_TYPE_CONVOLUTION_MODE, 1, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_SPATIAL_DIMS, DNN_TYPE_INT64, 1, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_PRE_PADDINGS, DNN_TYPE_INT64, 2, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_POST_PADDINGS, DNN_TYPE_INT64, 2, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_DILATIONS, DNN_TYPE_INT64, 2, true},
    {DNN_BACKEND_CONVOLUTION_DESCRIPTOR, DNN_ATTR_CONVOLUTION_FILTER_STRIDES, DNN_TYPE_INT64, 2, true},
    {DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, DNN_ATTR_OPERATION_POINTWISE_XDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, DNN_ATTR_OPERATION_POINTWISE_BDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, false},
    {DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, DNN_ATTR_OPERATION_POINTWISE_YDESC, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, DNN_ATTR_OPERATIONGRAPH_HANDLE, DNN_TYPE_HANDLE, 1, true},
    {DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, DNN_ATTR_OPERATIONGRAPH_OPS, DNN_TYPE_BACKEND_DESCRIPTOR, 0, true},
    {DNN_BACKEND_ENGINEHEUR_DESCRIPTOR, DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_ENGINEHEUR_DESCRIPTOR, DNN_ATTR_ENGINEHEUR_MODE, DNN_TYPE_HEUR_MODE, 1, true},
    {DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, DNN_ATTR_EXECUTION_PLAN_HANDLE, DNN_TYPE_HANDLE, 1, true},
    {DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, DNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {DNN_BACKEND_VARIANT_PACK_DESCRIPTOR, DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, DNN_TYPE_INT64, 0, true},
    {DNN_BACKEND_VARIANT_PACK_DESCRIPTOR, DNN_ATTR_VARIANT_PACK_DATA_POINTERS, DNN_TYPE_VOID_PTR, 0, true},
    {DNN_BACKEND_VARIANT_PACK_DESCRIPTOR, DNN_ATTR_VARIANT_PACK_WORKSPACE, DNN_TYPE_VOID_PTR, 1, true},
};

// The convolution's two products have the same six attributes, in one order.
const struct {
  int descriptor, first, w, x, y;
} products[] = {
    {DNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    {DNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
};

size_t size_of(int type) {
  switch (type) {
    case DNN_TYPE_HANDLE: case DNN_TYPE_INT64: case DNN_TYPE_VOID_PTR: case DNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    case DNN_TYPE_BOOLEAN: return 1;
  }
  return 4;
}

std::vector<Attribute> attributes_of(int descriptor) {
  std::vector<Attribute> list;
  for (auto& a : attributes)
    if (a.descriptor == descriptor) list.push_back(a);
  for (auto& p : products)
    for (int i = 0; i < 6 && p.descriptor == descriptor; i++)
      list.push_back({descriptor, p.first + i, i < 2 ? DNN_TYPE_FLOAT : DNN_TYPE_BACKEND_DESCRIPTOR, 1, true});
  return list;
}

struct Tensor {
  int64_t id = -1, n, c, h, w;
  int type;
  bool is_virtual = false;
  int64_t elements() const { return n * c * h * w; }
  size_t bytes() const { return (size_t)elements() * (type == DNN_DATA_BFLOAT16 ? 2 : 4); }
  bool same(const Tensor& o) const { return n == o.n && c == o.c && h == o.h && w == o.w; }
};

struct Step {
  int mode;
  Tensor b; // id −1: none
};

// Strided is a tensor of an attention.
struct Strided {
  int64_t id = -1, size[4], stride[4];
  int type;
  bool is_virtual, by_value;
  int64_t elements() const { return size[0] * size[1] * size[2] * size[3]; }
  // place is where element i lies, counted with the last size the fastest.
  int64_t place(int64_t i) const {
    int64_t p = 0;
    for (int k = 3; k >= 0; k--) p += i % size[k] * stride[k], i /= size[k];
    return p;
  }
  size_t bytes() const { return (size_t)(place(elements() - 1) + 1) * (type == DNN_DATA_BFLOAT16 ? 2 : 4); }
  bool is(int64_t a, int64_t b, int64_t c, int64_t d) const { return size[0] == a && size[1] == b && size[2] == c && size[3] == d; }
};

// Operation is one of an attention: '*' is a product of matrices a·b, 't' a transposition, 'M' and 'S' the largest and the sum of each row, and
// the pointwise ones are 'm'ultiply, 'd'ivide, 'a'dd, 's'ubtract, 'e'xp and 'l'og.
struct Operation {
  char kind;
  Strided a, b, to;
};

// Graph is what the descriptors say, once they are checked.
struct Graph {
  std::vector<Operation> attention; // if there are any, the rest says nothing
  int kind;
  Tensor x, w, y, result; // result is the last step's
  int64_t stride, top, left;
  std::vector<Step> steps;
  int users = 0;
};

void drop(Graph* g) {
  if (g != nullptr && --g->users == 0) delete g;
}
Graph* hold(Graph* g) { return g->users++, g; }

const char* tensor_of(const Descriptor* d, Tensor* t) {
  if (d == nullptr || d->type != DNN_BACKEND_TENSOR_DESCRIPTOR || !d->finished) return "no finished tensor";
  int64_t s[4];
  for (int i = 0; i < 4; i++) s[i] = d->at<int64_t>(DNN_ATTR_TENSOR_DIMENSIONS, i);
  *t = Tensor{d->at<int64_t>(DNN_ATTR_TENSOR_UNIQUE_ID), s[0], s[1], s[2], s[3], d->at<int>(DNN_ATTR_TENSOR_DATA_TYPE),
              d->at<char>(DNN_ATTR_TENSOR_IS_VIRTUAL) != 0};
  const int64_t strides[4] = {t->c * t->h * t->w, 1, t->c * t->w, t->c};
  for (int i = 0; i < 4; i++)
    if (s[i] < 1 || d->at<int64_t>(DNN_ATTR_TENSOR_STRIDES, i) != strides[i]) return "a tensor whose channels don't lie side by side";
  if (d->at<int64_t>(DNN_ATTR_TENSOR_BYTE_ALIGNMENT) != 16) return "an alignment that is not 16";
  if (t->type != DNN_DATA_FLOAT && t->type != DNN_DATA_BFLOAT16) return "a tensor of another type";
  if (t->is_virtual && t->type != DNN_DATA_FLOAT) return "a virtual tensor that is not float32";
  return nullptr;
}

const char* strided_of(const Descriptor* d, Strided* t) {
  if (d == nullptr || d->type != DNN_BACKEND_TENSOR_DESCRIPTOR || !d->finished) return "no finished tensor";
  t->id = d->at<int64_t>(DNN_ATTR_TENSOR_UNIQUE_ID);
  t->type = d->at<int>(DNN_ATTR_TENSOR_DATA_TYPE);
  t->is_virtual = d->at<char>(DNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
  t->by_value = d->at<char>(DNN_ATTR_TENSOR_IS_BY_VALUE) != 0;
  for (int i = 0; i < 4; i++) {
    t->size[i] = d->at<int64_t>(DNN_ATTR_TENSOR_DIMENSIONS, i);
    t->stride[i] = d->at<int64_t>(DNN_ATTR_TENSOR_STRIDES, i);
    if (t->size[i] < 1 || t->stride[i] < 1) return "a tensor of no size";
  }
  if (d->at<int64_t>(DNN_ATTR_TENSOR_BYTE_ALIGNMENT) != 16) return "an alignment that is not 16";
  if (t->type != DNN_DATA_FLOAT && t->type != DNN_DATA_BFLOAT16) return "a tensor of another type";
  if (t->by_value && (t->is_virtual || t->elements() != 1 || t->type != DNN_DATA_FLOAT)) return "no number by value";
  return nullptr;
}

// The two attentions, operation for operation, that the real library's compiler knows.
const char forward_attention[] = "*mMseSlad*", backward_attention[] = "mSm*mset**smmt*t*";

const char* read_attention(const Descriptor* d, Graph* g) {
  const size_t count = d->count(DNN_ATTR_OPERATIONGRAPH_OPS, 8);
  std::string kinds;
  std::map<int64_t, bool> written;
  for (size_t i = 0; i < count; i++) {
    auto* o = d->at<Descriptor*>(DNN_ATTR_OPERATIONGRAPH_OPS, i);
    if (!o->finished) return "an unfinished operation";
    Operation op{};
    const char* wrong = nullptr;
    auto read = [&](int name, Strided* t) { return wrong != nullptr || (wrong = strided_of(o->at<Descriptor*>(name), t)) != nullptr; };
    auto& a = op.a;
    auto& b = op.b;
    auto& to = op.to;
    switch (o->type) {
      case DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: {
        op.kind = '*';
        if (read(DNN_ATTR_OPERATION_MATMUL_ADESC, &a) || read(DNN_ATTR_OPERATION_MATMUL_BDESC, &b) || read(DNN_ATTR_OPERATION_MATMUL_CDESC, &to)) return wrong;
        auto* p = o->at<Descriptor*>(DNN_ATTR_OPERATION_MATMUL_DESC);
        if (p->type != DNN_BACKEND_MATMUL_DESCRIPTOR || p->at<int>(DNN_ATTR_MATMUL_COMP_TYPE) != DNN_DATA_FLOAT) return "a product that is not float32's";
        if (!b.is(a.size[0], a.size[1], a.size[3], b.size[3]) || !to.is(a.size[0], a.size[1], a.size[2], b.size[3])) return "matrices that don't fit";
        if (b.type != DNN_DATA_BFLOAT16 || (a.type != DNN_DATA_BFLOAT16 && !a.is_virtual)) return "a product of other than bfloat16";
        break;
      }
      case DNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: {
        if (read(DNN_ATTR_OPERATION_REDUCTION_XDESC, &a) || read(DNN_ATTR_OPERATION_REDUCTION_YDESC, &to)) return wrong;
        auto* p = o->at<Descriptor*>(DNN_ATTR_OPERATION_REDUCTION_DESC);
        if (p->type != DNN_BACKEND_REDUCTION_DESCRIPTOR || p->at<int>(DNN_ATTR_REDUCTION_COMP_TYPE) != DNN_DATA_FLOAT) return "a reduction that is not float32's";
        op.kind = p->at<int>(DNN_ATTR_REDUCTION_OPERATOR) == DNN_REDUCE_MAX ? 'M' : 'S';
        if (!to.is(a.size[0], a.size[1], a.size[2], 1)) return "a reduction of other than rows";
        break;
      }
      case DNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        op.kind = 't';
        if (read(DNN_ATTR_OPERATION_RESHAPE_XDESC, &a) || read(DNN_ATTR_OPERATION_RESHAPE_YDESC, &to)) return wrong;
        if (!to.is(a.size[0], a.size[1], a.size[3], a.size[2]) || to.stride[2] != a.stride[3] || to.stride[3] != a.stride[2] || !to.is_virtual ||
            to.type != DNN_DATA_BFLOAT16)
          return "a reshape that doesn't transpose";
        break;
      case DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: {
        const bool two = o->has(DNN_ATTR_OPERATION_POINTWISE_BDESC);
        if (read(DNN_ATTR_OPERATION_POINTWISE_XDESC, &a) || (two && read(DNN_ATTR_OPERATION_POINTWISE_BDESC, &b)) ||
            read(DNN_ATTR_OPERATION_POINTWISE_YDESC, &to))
          return wrong;
        auto* p = o->at<Descriptor*>(DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        if (p->type != DNN_BACKEND_POINTWISE_DESCRIPTOR || p->at<int>(DNN_ATTR_POINTWISE_MATH_PREC) != DNN_DATA_FLOAT) return "a step that is not float32's";
        static const std::map<int, char> modes = {{DNN_POINTWISE_ADD, 'a'}, {DNN_POINTWISE_MUL, 'm'}, {DNN_POINTWISE_SUB, 's'},
                                                  {DNN_POINTWISE_DIV, 'd'}, {DNN_POINTWISE_EXP, 'e'}, {DNN_POINTWISE_LOG, 'l'}};
        auto mode = modes.find(p->at<int>(DNN_ATTR_POINTWISE_MODE));
        if (mode == modes.end()) return "a step that isn't known";
        op.kind = mode->second;
        if (two != (strchr("el", op.kind) == nullptr)) return "a step with another number of terms";
        if (!to.is(a.size[0], a.size[1], a.size[2], a.size[3])) return "a step to another shape";
        for (int k = 0; two && k < 4; k++)
          if (b.size[k] != a.size[k] && b.size[k] != 1) return "a step of shapes that don't fit";
        break;
      }
      default: return "an operation that isn't known";
    }
    for (const Strided* t : {&a, &b})
      if (t->id >= 0 && t->is_virtual && !written[t->id]) return "a virtual tensor that nothing has written";
    if (to.by_value || written[to.id]) return "a tensor that is written twice or can't be";
    written[to.id] = true;
    kinds += op.kind;
    g->attention.push_back(op);
  }
  return kinds == forward_attention || kinds == backward_attention ? nullptr : "operations that are no attention";
}

const char* read_graph(const Descriptor* d, Graph* g) {
  size_t count = d->count(DNN_ATTR_OPERATIONGRAPH_OPS, 8);
  if (count < 1) return "a graph without operations";
  auto* first = d->at<Descriptor*>(DNN_ATTR_OPERATIONGRAPH_OPS, 0);
  if (first->type == DNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR || first->type == DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) return read_attention(d, g);
  const char* wrong = nullptr;
  g->kind = -1;
  for (int i = 0; i < 2; i++) {
    auto& p = products[i];
    if (first->type != p.descriptor) continue;
    g->kind = i;
    if ((wrong = tensor_of(first->at<Descriptor*>(p.w), &g->w)) || (wrong = tensor_of(first->at<Descriptor*>(p.x), &g->x)) ||
        (wrong = tensor_of(first->at<Descriptor*>(p.y), &g->y)))
      return wrong;
    if (first->at<float>(p.first) != 1 || first->at<float>(p.first + 1) != 0) return "an alpha or beta that is not 1 or 0";
    auto* c = first->at<Descriptor*>(p.first + 2);
    if (c->type != DNN_BACKEND_CONVOLUTION_DESCRIPTOR || !c->finished) return "no finished convolution";
    auto pair = [&](int name, int i) { return c->at<int64_t>(name, i); };
    if (c->at<int>(DNN_ATTR_CONVOLUTION_COMP_TYPE) != DNN_DATA_FLOAT || c->at<int>(DNN_ATTR_CONVOLUTION_CONV_MODE) != DNN_CROSS_CORRELATION ||
        c->at<int64_t>(DNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2 || pair(DNN_ATTR_CONVOLUTION_DILATIONS, 0) != 1 || pair(DNN_ATTR_CONVOLUTION_DILATIONS, 1) != 1)
      return "a convolution of another kind";
    g->stride = pair(DNN_ATTR_CONVOLUTION_FILTER_STRIDES, 0);
    if (pair(DNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1) != g->stride) return "two strides";
    g->top = pair(DNN_ATTR_CONVOLUTION_PRE_PADDINGS, 0);
    g->left = pair(DNN_ATTR_CONVOLUTION_PRE_PADDINGS, 1);
    int64_t oh = (g->x.h + g->top + pair(DNN_ATTR_CONVOLUTION_POST_PADDINGS, 0) - g->w.h) / g->stride + 1;
    int64_t ow = (g->x.w + g->left + pair(DNN_ATTR_CONVOLUTION_POST_PADDINGS, 1) - g->w.w) / g->stride + 1;
    if (g->x.n != g->y.n || g->x.c != g->w.c || g->w.n != g->y.c || oh != g->y.h || ow != g->y.w) return "tensors that don't fit the convolution";
  }
  if (g->kind < 0) return "a graph that begins with no convolution";
  Tensor* all[] = {&g->y, &g->x, &g->w};
  Tensor at = *all[g->kind];
  const Tensor &one = *all[(g->kind + 1) % 3], &other = *all[(g->kind + 2) % 3];
  if (one.is_virtual || other.is_virtual || one.type != other.type) return "factors that are virtual or of two types";
  for (size_t i = 1; i < count; i++) {
    auto* o = d->at<Descriptor*>(DNN_ATTR_OPERATIONGRAPH_OPS, i);
    if (o->type != DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || !o->finished) return "another operation behind the convolution";
    auto* p = o->at<Descriptor*>(DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    if (p->type != DNN_BACKEND_POINTWISE_DESCRIPTOR || !p->finished || p->at<int>(DNN_ATTR_POINTWISE_MATH_PREC) != DNN_DATA_FLOAT)
      return "a pointwise operation that is not float32's";
    Tensor from, to;
    Step s{p->at<int>(DNN_ATTR_POINTWISE_MODE), {}};
    if ((wrong = tensor_of(o->at<Descriptor*>(DNN_ATTR_OPERATION_POINTWISE_XDESC), &from)) ||
        (wrong = tensor_of(o->at<Descriptor*>(DNN_ATTR_OPERATION_POINTWISE_YDESC), &to)))
      return wrong;
    if (from.id != at.id || !at.is_virtual || !to.same(at) || to.id == at.id) return "a step that doesn't go on from the last one's virtual tensor";
    if (o->has(DNN_ATTR_OPERATION_POINTWISE_BDESC) != (s.mode == DNN_POINTWISE_ADD)) return "a sum of one term, or another step of two";
    if (s.mode == DNN_POINTWISE_ADD) {
      if ((wrong = tensor_of(o->at<Descriptor*>(DNN_ATTR_OPERATION_POINTWISE_BDESC), &s.b))) return wrong;
      Tensor channels = at;
      channels.n = channels.h = channels.w = 1;
      if (s.b.is_virtual || s.b.type != DNN_DATA_FLOAT || (!s.b.same(at) && !s.b.same(channels))) return "a term of another shape";
    } else if (s.mode == DNN_POINTWISE_SWISH_FWD) {
      if (p->at<float>(DNN_ATTR_POINTWISE_SWISH_BETA) != 1) return "a swish whose beta is not 1";
    } else if (s.mode != DNN_POINTWISE_IDENTITY && s.mode != DNN_POINTWISE_RELU_FWD) {
      return "a step that isn't known";
    }
    g->steps.push_back(s);
    at = to;
  }
  if (at.is_virtual) return "a graph without a result";
  g->result = at;
  return nullptr;
}

// What is offered, the best first. Only ids from GOOD on give right results in a fixed order.
enum { UNORDERED = 3, REDUCED = 5, BROKEN = 6, LARGE = 7, GOOD = 8, CORES = 8, PLAIN = 9, WORKSPACE = 10 };

std::vector<int> offers(const Graph& g, int mode) {
  if (!g.attention.empty()) {
    const bool grad = g.attention.size() == strlen(backward_attention);
    if (g.attention[0].a.size[3] == 56) return {}; // so that our own kernels do it
    switch (mode) {
      case DNN_HEUR_MODE_A: return {UNORDERED, REDUCED, BROKEN, LARGE};
      case DNN_HEUR_MODE_FALLBACK: return {grad ? WORKSPACE : CORES};
    }
    return {};
  }
  const int io = (g.kind == 0 ? g.x : g.y).type;
  const bool ready = g.steps.empty() || (g.steps.size() == 1 && g.steps[0].b.id >= 0 && !g.steps[0].b.same(g.result));
  if (ready && g.result.type != io) return {};                                       // ready kernels know one type
  for (auto& s : g.steps)
    if (s.mode == DNN_POINTWISE_RELU_FWD) return {};                                 // so that the activation is ours
  if (!g.steps.empty() && g.x.c % 5 == 0 && g.x.c % 64 != 0) return {};              // so that all of what follows is
  if (g.x.c % 7 == 0) return {};                                                     // and so that everything is
  switch (mode) {
    case DNN_HEUR_MODE_A: return {UNORDERED, REDUCED, BROKEN, LARGE};
    case DNN_HEUR_MODE_B: return io == DNN_DATA_FLOAT ? std::vector<int>{CORES} : std::vector<int>{CORES, PLAIN};
    case DNN_HEUR_MODE_FALLBACK: return {WORKSPACE, PLAIN};
  }
  return {};
}

float load(const Tensor& t, const void* p, int64_t i) {
  if (t.type == DNN_DATA_FLOAT) return ((const float*)p)[i];
  unsigned u = (unsigned)((const unsigned short*)p)[i] << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

void store(const Tensor& t, void* p, int64_t i, float v) {
  if (t.type == DNN_DATA_FLOAT) {
    ((float*)p)[i] = v;
    return;
  }
  unsigned u;
  memcpy(&u, &v, 4);
  ((unsigned short*)p)[i] = (unsigned short)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

std::vector<float> floats(const Tensor& t, const void* p) {
  std::vector<float> v((size_t)t.elements());
  for (int64_t i = 0; i < t.elements(); i++) v[(size_t)i] = load(t, p, i);
  return v;
}

void compute(const Graph& g, const std::map<int64_t, void*>& at) {
  Tensor factors[3] = {g.x, g.w, g.y};
  const int result = g.kind == 0 ? 2 : 0;
  std::vector<float> v[3];
  for (int i = 0; i < 3; i++) v[i] = i == result ? std::vector<float>((size_t)factors[i].elements()) : floats(factors[i], at.at(factors[i].id));
  std::vector<double> sums;
  const int64_t C = g.x.c;
  for (int64_t n = 0; n < g.y.n; n++)
    for (int64_t p = 0; p < g.y.h; p++)
      for (int64_t q = 0; q < g.y.w; q++)
        for (int64_t k = 0; k < g.y.c; k++) {
          float* y = &v[2][(size_t)(((n * g.y.h + p) * g.y.w + q) * g.y.c + k)];
          double sum = 0;
          for (int64_t r = 0; r < g.w.h; r++)
            for (int64_t s = 0; s < g.w.w; s++) {
              int64_t row = p * g.stride - g.top + r, col = q * g.stride - g.left + s;
              if (row < 0 || row >= g.x.h || col < 0 || col >= g.x.w) continue;
              float* x = &v[0][(size_t)(((n * g.x.h + row) * g.x.w + col) * C)];
              float* w = &v[1][(size_t)(((k * g.w.h + r) * g.w.w + s) * C)];
              if (g.kind == 0) {
                float part[16] = {};
                int64_t c = 0;
                for (; c + 16 <= C; c += 16)
                  for (int j = 0; j < 16; j++) part[j] += x[c + j] * w[c + j];
                for (; c < C; c++) part[0] += x[c] * w[c];
                for (float f : part) sum += f;
              } else {
                for (int64_t c = 0; c < C; c++) x[c] += *y * w[c];
              }
            }
          if (g.kind == 0) *y = (float)sum;
        }
  const int64_t channels = g.result.c;
  void* to = at.at(g.result.id);
  for (int64_t i = 0; i < g.result.elements(); i++) {
    float f = v[result][(size_t)i];
    for (auto& s : g.steps) {
      if (s.mode == DNN_POINTWISE_ADD) f += load(s.b, at.at(s.b.id), s.b.elements() == channels && !s.b.same(g.result) ? i % channels : i);
      if (s.mode == DNN_POINTWISE_SWISH_FWD) f = f / (1 + expf(-f));
    }
    store(g.result, to, i, f);
  }
}

void compute_attention(const std::vector<Operation>& list, const std::map<int64_t, void*>& at) {
  std::map<int64_t, std::vector<float>> values;
  auto value = [&](const Strided& t) -> const std::vector<float>& {
    auto& v = values[t.id];
    if (!t.is_virtual) { // of the shape that is asked for, for an input may come in two
      v.resize((size_t)t.elements());
      Tensor type;
      type.type = t.type;
      for (int64_t i = 0; i < t.elements(); i++) v[(size_t)i] = load(type, at.at(t.id), t.place(i));
    }
    return v;
  };
  for (auto& o : list) {
    const std::vector<float> a = value(o.a), b = o.b.id >= 0 ? value(o.b) : std::vector<float>{};
    std::vector<float> to((size_t)o.to.elements());
    const int64_t rows = o.a.size[2], columns = o.a.size[3], wide = o.to.size[3];
    for (int64_t i = 0; i < o.to.elements(); i++) {
      const int64_t col = i % wide, row = i / wide % o.to.size[2], batch = i / wide / o.to.size[2];
      const float* line = &a[(size_t)((batch * rows + row) * columns)];
      float v = 0;
      if (o.kind == '*') {
        for (int64_t k = 0; k < columns; k++) v += line[k] * b[(size_t)((batch * columns + k) * wide + col)];
      } else if (o.kind == 't') {
        v = a[(size_t)((batch * rows + col) * columns + row)];
      } else if (o.kind == 'M') {
        v = line[0];
        for (int64_t k = 1; k < columns; k++) v = fmaxf(v, line[k]);
      } else if (o.kind == 'S') {
        for (int64_t k = 0; k < columns; k++) v += line[k];
      } else {
        const float x = line[col], y = b.empty() ? 0 : b.size() == 1 ? b[0] : b[(size_t)(batch * rows + row) * (b.size() == a.size() ? columns : 1) + (b.size() == a.size() ? col : 0)];
        switch (o.kind) {
          case 'a': v = x + y; break;
          case 'm': v = x * y; break;
          case 's': v = x - y; break;
          case 'd': v = x / y; break;
          case 'e': v = expf(x); break;
          case 'l': v = logf(x); break;
        }
      }
      to[(size_t)i] = v;
    }
    Tensor type;
    type.type = o.to.type;
    if (o.to.is_virtual) {
      if (type.type == DNN_DATA_BFLOAT16)
        for (float& v : to) {
          unsigned short half;
          store(type, &half, 0, v);
          v = load(type, &half, 0);
        }
      values[o.to.id] = to;
    } else {
      for (int64_t i = 0; i < o.to.elements(); i++) store(type, at.at(o.to.id), o.to.place(i), to[(size_t)i]);
    }
  }
}

} // namespace

#define API extern "C" SHARED

API size_t cudnnGetVersion() { return 91600; }
API size_t cudnnGetCudartVersion() { return 12010; }
API const char* cudnnGetErrorString(int status) { return status == SUCCESS ? "CUDNN_STATUS_SUCCESS" : status == NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED" : "CUDNN_STATUS"; }
API void cudnnGetLastErrorString(char* text, size_t n) { snprintf(text, n, "%s", said.c_str()); }
API int cudnnCreate(Handle** h) {
  if (!fake_cuda_context()) return refuse("no context");
  handles++;
  return *h = new Handle{}, SUCCESS;
}
API int cudnnSetStream(Handle* h, CUstream s) { return h->stream = s, SUCCESS; }
API int cudnnDestroy(Handle* h) {
  delete h;
  if (--handles == 0 && live != 0) {
    fprintf(stderr, "fake cuDNN: %d descriptors are left\n", live.load());
    abort();
  }
  return SUCCESS;
}

API int cudnnBackendCreateDescriptor(int type, Descriptor** d) {
  bool known = type == DNN_BACKEND_ENGINE_DESCRIPTOR || type == DNN_BACKEND_ENGINECFG_DESCRIPTOR || !attributes_of(type).empty();
  if (!known) return refuse("a descriptor that isn't known");
  live++;
  return *d = new Descriptor{type}, SUCCESS;
}
API int cudnnBackendDestroyDescriptor(Descriptor* d) {
  drop(d->graph);
  delete d;
  live--;
  return SUCCESS;
}
API int cudnnBackendSetAttribute(Descriptor* d, int name, int type, int64_t count, const void* values) {
  if (d->finished) return refuse("an attribute of a finished descriptor");
  for (auto& a : attributes_of(d->type))
    if (a.name == name) {
      if (a.type != type || (a.count != 0 && a.count != count) || count < 1) return refuse("an attribute of another type or number of elements");
      const char* p = (const char*)values;
      d->values[name] = Value{type, std::vector<char>(p, p + (size_t)count * size_of(type))};
      return SUCCESS;
    }
  return refuse("an attribute that isn't known");
}
API int cudnnBackendFinalize(Descriptor* d) {
  if (d->finished) return refuse("finished twice");
  for (auto& a : attributes_of(d->type)) {
    if (a.needed && !d->has(a.name)) return refuse("finished without an attribute that is needed");
    if (a.type == DNN_TYPE_BACKEND_DESCRIPTOR)
      for (size_t i = 0; i < d->count(a.name, 8); i++)
        if (!d->at<Descriptor*>(a.name, i)->finished) return refuse("finished with a descriptor that isn't");
  }
  if (d->type == DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    Graph* g = new Graph;
    if (const char* wrong = read_graph(d, g)) return delete g, refuse(wrong);
    d->graph = hold(g);
  }
  if (d->type == DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    if (!fake_cuda_context()) return refuse("no context");
    auto* offer = d->at<Descriptor*>(DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (offer->engine == BROKEN) return said = "an engine that doesn't work", NOT_SUPPORTED;
    d->graph = hold(offer->graph);
    d->engine = offer->engine;
  }
  if (d->type == DNN_BACKEND_VARIANT_PACK_DESCRIPTOR && d->count(DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 8) != d->count(DNN_ATTR_VARIANT_PACK_DATA_POINTERS, 8))
    return refuse("other numbers of names and addresses");
  d->finished = true;
  return SUCCESS;
}
API int cudnnBackendGetAttribute(Descriptor* d, int name, int type, int64_t most, int64_t* count, void* values) {
  if (!d->finished) return refuse("an attribute of an unfinished descriptor");
  auto is = [&](int descriptor, int n, int t) { return d->type == descriptor && name == n && type == t; };
  if (is(DNN_BACKEND_ENGINEHEUR_DESCRIPTOR, DNN_ATTR_ENGINEHEUR_RESULTS, DNN_TYPE_BACKEND_DESCRIPTOR)) {
    Graph* g = d->at<Descriptor*>(DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->graph;
    std::vector<int> list = offers(*g, d->at<int>(DNN_ATTR_ENGINEHEUR_MODE));
    *count = (int64_t)list.size();
    for (size_t i = 0; i < list.size() && (int64_t)i < most; i++) {
      Descriptor* o = ((Descriptor**)values)[i];
      if (o->type != DNN_BACKEND_ENGINECFG_DESCRIPTOR) return refuse("results into another descriptor");
      o->finished = true;
      o->graph = hold(g);
      o->engine = list[i];
    }
    return SUCCESS;
  }
  if (is(DNN_BACKEND_ENGINECFG_DESCRIPTOR, DNN_ATTR_ENGINECFG_ENGINE, DNN_TYPE_BACKEND_DESCRIPTOR) && most == 1) {
    Descriptor* e = *(Descriptor**)values;
    if (e->type != DNN_BACKEND_ENGINE_DESCRIPTOR) return refuse("an engine into another descriptor");
    e->finished = true;
    e->engine = d->engine;
    return *count = 1, SUCCESS;
  }
  if (is(DNN_BACKEND_ENGINE_DESCRIPTOR, DNN_ATTR_ENGINE_GLOBAL_INDEX, DNN_TYPE_INT64) && most == 1) {
    *(int64_t*)values = d->engine;
    return *count = 1, SUCCESS;
  }
  if (is(DNN_BACKEND_ENGINE_DESCRIPTOR, DNN_ATTR_ENGINE_NUMERICAL_NOTE, DNN_TYPE_NUMERICAL_NOTE)) {
    const int notes[] = {d->engine == UNORDERED ? 4 : 2, DNN_NUMERICAL_NOTE_TENSOR_CORE};
    *count = d->engine < BROKEN ? 2 : 0;
    if (*count > most) return refuse("no place for all notes");
    memcpy(values, notes, (size_t)*count * 4);
    if (d->engine == CORES) *(int*)values = DNN_NUMERICAL_NOTE_TENSOR_CORE, *count = 1;
    return SUCCESS;
  }
  if (is(DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, DNN_TYPE_INT64) && most == 1) {
    *(int64_t*)values = d->engine == LARGE ? (int64_t)1 << 40 : d->engine == WORKSPACE ? 1000 : 0;
    return *count = 1, SUCCESS;
  }
  return refuse("a question that isn't known");
}
API int cudnnBackendExecute(Handle* h, Descriptor* plan, Descriptor* pack) {
  if (!fake_cuda_context()) return refuse("no context");
  if (h == nullptr || h->stream == nullptr || plan->type != DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !plan->finished ||
      pack->type != DNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !pack->finished)
    return refuse("a plan or a pack that is none");
  const Graph& g = *plan->graph;
  std::map<int64_t, void*> at;
  for (size_t i = 0; i < pack->count(DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 8); i++)
    at[pack->at<int64_t>(DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i)] = pack->at<void*>(DNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
  if (!g.attention.empty()) {
    std::map<int64_t, bool> wanted;
    for (auto& o : g.attention)
      for (const Strided* t : {&o.a, &o.b, &o.to}) {
        if (t->id < 0 || t->is_virtual) continue;
        wanted[t->id] = true;
        if (at.count(t->id) == 0) return refuse("a tensor without an address");
        if (fake_cuda_owns(at[t->id], t->bytes()) == t->by_value || (uintptr_t)at[t->id] % 16 != 0)
          return refuse("a tensor that is not aligned or not the device's, or a number that is");
      }
    if (at.size() != wanted.size()) return refuse("an address that is no tensor's");
    void* workspace = pack->at<void*>(DNN_ATTR_VARIANT_PACK_WORKSPACE);
    size_t bytes = plan->engine == WORKSPACE ? 1000 : 0;
    if (bytes > 0 && ((uintptr_t)workspace % 256 != 0 || !fake_cuda_owns(workspace, bytes))) return refuse("a workspace that is not aligned or not the device's");
    // Numbers are read now.
    auto numbers = std::make_shared<std::map<int64_t, float>>();
    for (auto& o : g.attention)
      for (const Strided* t : {&o.a, &o.b})
        if (t->id >= 0 && t->by_value) (*numbers)[t->id] = *(float*)at[t->id];
    std::vector<Operation> list = g.attention;
    fake_cuda_work("cudnnBackendExecute", h->stream, [list, at, workspace, bytes, numbers] {
      if (bytes > 0) memset(workspace, 0xa5, bytes);
      std::map<int64_t, void*> all = at;
      for (auto& n : *numbers) all[n.first] = &n.second;
      compute_attention(list, all);
      return true;
    });
    return SUCCESS;
  }
  std::vector<Tensor> used = {g.result};
  for (const Tensor* t : {&g.x, &g.w, &g.y})
    if (!t->is_virtual) used.push_back(*t);
  for (auto& s : g.steps)
    if (s.b.id >= 0) used.push_back(s.b);
  size_t different = 0;
  for (auto& t : used) {
    if (at.count(t.id) == 0) return refuse("a tensor without an address");
    if ((uintptr_t)at[t.id] % 16 != 0 || !fake_cuda_owns(at[t.id], t.bytes())) return refuse("a tensor that is not aligned or not the device's");
    size_t same = 0;
    for (auto& o : used) same += o.id == t.id;
    different += same == 1 || &t == &used[0];
  }
  if (at.size() != different) return refuse("an address that is no tensor's");
  void* workspace = pack->at<void*>(DNN_ATTR_VARIANT_PACK_WORKSPACE);
  size_t bytes = plan->engine == WORKSPACE ? 1000 : 0;
  if (bytes > 0 && ((uintptr_t)workspace % 256 != 0 || !fake_cuda_owns(workspace, bytes))) return refuse("a workspace that is not aligned or not the device's");
  Graph copy = g;
  fake_cuda_work("cudnnBackendExecute", h->stream, [copy, at, workspace, bytes] {
    if (bytes > 0) memset(workspace, 0xa5, bytes);
    compute(copy, at);
    return true;
  });
  return SUCCESS;
}
