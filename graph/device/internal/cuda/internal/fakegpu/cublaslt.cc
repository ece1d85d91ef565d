// A stand-in for NVIDIA's cuBLASLt, for tests where there is no GPU: it multiplies on the processor what the device asks it to, in the order
// of the fake driver's work. It is stricter than the library: it knows only what the device may use, checks each number it is given, reads
// and writes only memory of the device, and counts descriptors.
#include <cuda.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <vector>

#include "work.h"

namespace {

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16BF = 14 };

// Every object begins with what it is, so that one taken for another, or used after its end, is found.
enum Kind { DESC = 0x44455343, LAYOUT = 0x4c41594f, PREFERENCE = 0x50524546, HANDLE = 0x48414e44, GONE = 0x474f4e45 };

struct Object {
  int kind;
};
struct Desc : Object {
  int transa = 0, transb = 0;
  uint32_t epilogue = 1;
  const void* bias = nullptr;
  int bias_type = -1;
};
struct Layout : Object {
  int type;
  uint64_t rows, cols;
  int64_t ld;
  int32_t batch = 1;
  int64_t stride = 0;
  size_t size() const { return type == R_16BF ? 2 : 4; }
};
struct Preference : Object {
  uint64_t workspace = 0;
  uint32_t schemes = 7, alignment[4] = {256, 256, 256, 256};
};
struct Handle : Object {};

std::atomic<int> live, handles; // of all objects, and those of them

// Algorithm is what fits into cublasLtMatmulAlgo_t.
struct Algorithm {
  uint64_t problem, workspace;
  uint32_t alignment[4];
  uint64_t rest[4];
};
static_assert(sizeof(Algorithm) == 64, "cublasLtMatmulAlgo_t has 64 bytes");

struct Result {
  Algorithm algo;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

int refuse(const char* why) {
  fprintf(stderr, "fake cuBLASLt: %s\n", why);
  return INVALID_VALUE;
}

template <class T>
bool is(const void* p, Kind kind) {
  return p != nullptr && ((const T*)p)->kind == kind;
}

template <class T>
int make(void** p, T* made, Kind kind) {
  made->kind = kind;
  live++;
  return *p = made, SUCCESS;
}

template <class T>
int destroy(void* p, Kind kind) {
  if (!is<T>(p, kind)) return refuse("something else is destroyed");
  ((T*)p)->kind = GONE;
  live--;
  delete (T*)p;
  return SUCCESS;
}

// set copies an attribute of exactly T's size.
template <class T>
int set(T* to, const void* from, size_t n) {
  if (from == nullptr || n != sizeof(T)) return refuse("an attribute of another size");
  return memcpy(to, from, n), SUCCESS;
}

uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x100000001b3; }

uint64_t hash(const Layout& l) {
  uint64_t h = 0xcbf29ce484222325;
  for (uint64_t v : {(uint64_t)l.type, l.rows, l.cols, (uint64_t)l.ld, (uint64_t)l.batch, (uint64_t)l.stride}) h = mix(h, v);
  return h;
}

uint64_t hash(const Desc& p, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
  uint64_t h = mix(mix(mix(0, (uint64_t)p.transa), (uint64_t)p.transb), p.epilogue);
  for (const Layout* l : {&a, &b, &c, &d}) h = mix(h, hash(*l));
  return h;
}

// extent is the number of bytes from the first to the last element of all matrices.
size_t extent(const Layout& l) { return ((size_t)(l.batch - 1) * (size_t)l.stride + (size_t)(l.cols - 1) * (size_t)l.ld + l.rows) * l.size(); }

bool aligned(const void* p, uint32_t n) { return (uintptr_t)p % n == 0; }

// check is what the description must keep to.
int check(const Desc& p, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
  for (const Layout* l : {&a, &b, &c, &d}) {
    if (l->type != R_32F && l->type != R_16BF) return NOT_SUPPORTED;
    if (l->rows == 0 || l->cols == 0 || l->ld < (int64_t)l->rows || l->batch < 1) return refuse("a matrix without elements, or columns that overlap");
    if (l->batch != d.batch) return refuse("batches of several sizes");
  }
  // From the library's table for CUBLAS_COMPUTE_32F.
  if (a.type != b.type || c.type != d.type || (d.type == R_16BF && a.type != R_16BF)) return NOT_SUPPORTED;
  uint64_t m = p.transa ? a.cols : a.rows, k = p.transa ? a.rows : a.cols, kb = p.transb ? b.cols : b.rows, n = p.transb ? b.rows : b.cols;
  if (k != kb || m != d.rows || n != d.cols || c.rows != d.rows || c.cols != d.cols) return refuse("sizes that don't fit");
  // Results must not overlap.
  if (d.batch > 1 && d.stride < (int64_t)d.rows && d.ld < (int64_t)d.rows * d.batch) return refuse("matrices of a result overlap");
  if (p.epilogue != 1 && p.epilogue != 4) return NOT_SUPPORTED;
  if (p.epilogue == 4 && p.bias_type != -1 && p.bias_type != d.type) return NOT_SUPPORTED;
  return SUCCESS;
}

float at(const void* p, int type, size_t i) {
  if (type == R_32F) return ((const float*)p)[i];
  uint32_t u = (uint32_t)((const uint16_t*)p)[i] << 16;
  float f;
  return memcpy(&f, &u, 4), f;
}

void put(void* p, int type, size_t i, float v) {
  if (type == R_32F) {
    ((float*)p)[i] = v;
    return;
  }
  uint32_t u;
  memcpy(&u, &v, 4);
  ((uint16_t*)p)[i] = isnan(v) ? (uint16_t)(u >> 16 | 0x40) : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// multiply is D = alpha·op(A)·op(B) + beta·C + bias.
void multiply(const Desc& p, const Layout& a, const Layout& b, const Layout& d, float alpha, float beta, const char* pa, const char* pb, const char* pc,
              char* pd) {
  size_t m = d.rows, n = d.cols, k = p.transa ? a.rows : a.cols;
  std::vector<float> fa(k * m), sum(m); // op(A), its columns one after the other
  for (int32_t z = 0; z < d.batch; z++) {
    size_t za = (size_t)z * (size_t)a.stride, zb = (size_t)z * (size_t)b.stride, zd = (size_t)z * (size_t)d.stride;
    for (size_t l = 0; l < k; l++)
      for (size_t i = 0; i < m; i++) fa[l * m + i] = at(pa, a.type, za + (p.transa ? l + i * (size_t)a.ld : i + l * (size_t)a.ld));
    for (size_t j = 0; j < n; j++) {
      memset(sum.data(), 0, m * sizeof(float));
      for (size_t l = 0; l < k; l++) {
        float v = at(pb, b.type, zb + (p.transb ? j + l * (size_t)b.ld : l + j * (size_t)b.ld));
        for (size_t i = 0; i < m; i++) sum[i] += fa[l * m + i] * v;
      }
      for (size_t i = 0; i < m; i++) {
        size_t to = zd + i + j * (size_t)d.ld;
        float v = alpha * sum[i];
        if (beta != 0) v += beta * at(pc, d.type, to);
        if (p.epilogue == 4) v += at(p.bias, d.type, i);
        put(pd, d.type, to, v);
      }
    }
  }
}

} // namespace

#define API extern "C" SHARED int

extern "C" SHARED size_t cublasLtGetVersion() { return 120103; }

API cublasLtCreate(void** h) {
  if (!fake_cuda_context()) return NOT_INITIALIZED;
  handles++;
  return make(h, new Handle, HANDLE);
}
API cublasLtDestroy(void* h) {
  int r = destroy<Handle>(h, HANDLE);
  if (r != SUCCESS || --handles > 0 || live == 0) return r;
  fprintf(stderr, "fake cuBLASLt: %d descriptors are left\n", live.load());
  return INVALID_VALUE;
}

API cublasLtMatmulDescCreate(void** p, int compute, int scale) {
  if (compute != 68 || scale != R_32F) return NOT_SUPPORTED; // CUBLAS_COMPUTE_32F
  return make(p, new Desc, DESC);
}
API cublasLtMatmulDescDestroy(void* p) { return destroy<Desc>(p, DESC); }
API cublasLtMatmulDescSetAttribute(void* p, int attribute, const void* v, size_t n) {
  if (!is<Desc>(p, DESC)) return refuse("no description of a product");
  Desc* d = (Desc*)p;
  switch (attribute) {
    case 3: return set(&d->transa, v, n);
    case 4: return set(&d->transb, v, n);
    case 7: return set(&d->epilogue, v, n);
    case 8: return set(&d->bias, v, n);
    case 26: return set(&d->bias_type, v, n);
  }
  return refuse("an attribute of a product that the device has no use for");
}

API cublasLtMatrixLayoutCreate(void** p, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  Layout* l = new Layout;
  l->type = type;
  l->rows = rows;
  l->cols = cols;
  l->ld = ld;
  return make(p, l, LAYOUT);
}
API cublasLtMatrixLayoutDestroy(void* p) { return destroy<Layout>(p, LAYOUT); }
API cublasLtMatrixLayoutSetAttribute(void* p, int attribute, const void* v, size_t n) {
  if (!is<Layout>(p, LAYOUT)) return refuse("no layout");
  Layout* l = (Layout*)p;
  switch (attribute) {
    case 5: return set(&l->batch, v, n);
    case 6: return set(&l->stride, v, n);
  }
  return refuse("an attribute of a layout that the device has no use for");
}

API cublasLtMatmulPreferenceCreate(void** p) { return make(p, new Preference, PREFERENCE); }
API cublasLtMatmulPreferenceDestroy(void* p) { return destroy<Preference>(p, PREFERENCE); }
API cublasLtMatmulPreferenceSetAttribute(void* p, int attribute, const void* v, size_t n) {
  if (!is<Preference>(p, PREFERENCE)) return refuse("no preference");
  Preference* f = (Preference*)p;
  switch (attribute) {
    case 1: return set(&f->workspace, v, n);
    case 3: return set(&f->schemes, v, n);
    case 5:
    case 6:
    case 7:
    case 8: return set(&f->alignment[attribute - 5], v, n);
  }
  return refuse("an attribute of a preference that the device has no use for");
}

API cublasLtMatmulAlgoGetHeuristic(void* h, void* p, void* la, void* lb, void* lc, void* ld, void* preference, int wanted, Result* results, int* found) {
  if (!is<Handle>(h, HANDLE) || !is<Desc>(p, DESC) || !is<Layout>(la, LAYOUT) || !is<Layout>(lb, LAYOUT) || !is<Layout>(lc, LAYOUT) ||
      !is<Layout>(ld, LAYOUT) || !is<Preference>(preference, PREFERENCE) || wanted < 1)
    return refuse("arguments of another kind");
  if (!fake_cuda_context()) return refuse("no context");
  const Desc& d = *(Desc*)p;
  const Layout &a = *(Layout*)la, &b = *(Layout*)lb, &c = *(Layout*)lc, &y = *(Layout*)ld;
  const Preference& f = *(Preference*)preference;
  *found = 0;
  int r = check(d, a, b, c, y);
  if (r != SUCCESS) return r;
  if ((f.schemes & 1) != 0) return refuse("sums in the output are allowed");
  if (d.epilogue == 4 && !aligned(d.bias, 16)) return NOT_SUPPORTED;
  // An algorithm for what has 16 bytes in a row and wants a workspace, and one for the rest that wants none. The library has none for
  // addresses at fewer bytes than an element.
  Algorithm algo = {};
  algo.problem = hash(d, a, b, c, y);
  const Layout* all[4] = {&a, &b, &c, &y};
  bool fast = f.workspace >= 4096;
  for (int i = 0; i < 4; i++) {
    size_t n = all[i]->size();
    if (f.alignment[i] < n) return NOT_SUPPORTED;
    fast = fast && f.alignment[i] >= 16 && (size_t)all[i]->ld * n % 16 == 0 && (size_t)all[i]->stride * n % 16 == 0;
  }
  for (int i = 0; i < 4; i++) algo.alignment[i] = fast ? 16 : (uint32_t)all[i]->size();
  algo.workspace = fast ? 4096 : 0;
  // One that can't be used stands before it.
  results[*found] = Result{{}, 0, NOT_SUPPORTED, 0, {}};
  if (wanted > 1) ++*found;
  results[(*found)++] = Result{algo, algo.workspace, SUCCESS, 1, {}};
  return SUCCESS;
}

API cublasLtMatmul(void* h, void* p, const float* alpha, const char* a, void* la, const char* b, void* lb, const float* beta, const char* c, void* lc,
                   char* d, void* ld, const Algorithm* algo, void* workspace, size_t bytes, CUstream stream) {
  if (!is<Handle>(h, HANDLE) || !is<Desc>(p, DESC) || !is<Layout>(la, LAYOUT) || !is<Layout>(lb, LAYOUT) || !is<Layout>(lc, LAYOUT) ||
      !is<Layout>(ld, LAYOUT) || algo == nullptr)
    return refuse("arguments of another kind");
  if (!fake_cuda_context()) return refuse("no context");
  const Desc& desc = *(Desc*)p;
  const Layout &A = *(Layout*)la, &B = *(Layout*)lb, &C = *(Layout*)lc, &D = *(Layout*)ld;
  int r = check(desc, A, B, C, D);
  if (r != SUCCESS) return r;
  if (algo->problem != hash(desc, A, B, C, D)) return refuse("an algorithm for another product");
  if (bytes < algo->workspace || (bytes > 0 && (!aligned(workspace, 256) || !fake_cuda_owns(workspace, bytes))))
    return refuse("a workspace that is too small, not at a multiple of 256 bytes, or not the device's");
  const char* all[4] = {a, b, *beta != 0 ? c : d, d};
  const Layout* layouts[4] = {&A, &B, &C, &D};
  for (int i = 0; i < 4; i++) {
    if (!fake_cuda_owns(all[i], extent(*layouts[i]))) return refuse("a matrix that is not in the device's memory as a whole");
    if (!aligned(all[i], algo->alignment[i])) return refuse("a matrix that is not aligned as the algorithm wants");
  }
  if (*beta != 0 && c == d && lc != ld) return refuse("C in the place of D with another layout");
  if (desc.epilogue == 4 && (!fake_cuda_owns(desc.bias, D.rows * D.size()) || !aligned(desc.bias, 16))) return refuse("a bias that is not aligned, or not the device's");
  Desc desc_copy = desc;
  Layout A1 = A, B1 = B, D1 = D;
  float alpha1 = *alpha, beta1 = *beta;
  size_t used = (size_t)algo->workspace;
  fake_cuda_work("cublasLtMatmul", stream, [=] {
    memset(workspace, 0xa5, used);
    multiply(desc_copy, A1, B1, D1, alpha1, beta1, a, b, c, d);
    return true;
  });
  return SUCCESS;
}
