// How dnn.c and attention.c make cuDNN's descriptors and plans. All functions are static, for their names are short.
#pragma once

#include "dnn.h"

#include <stdio.h>
#include <string.h>

typedef void *descriptor;

struct hd_dnn {
  void *handle;
  int (*create)(void **);
  int (*destroy)(void *);
  int (*set_stream)(void *, CUstream);
  size_t (*version)(void);
  const char *(*error_string)(int);
  void (*last_error)(char *, size_t);
  int (*descriptor_create)(int, descriptor *);
  int (*descriptor_destroy)(descriptor);
  int (*finalize)(descriptor);
  int (*set)(descriptor, int, int, int64_t, const void *);
  int (*get)(descriptor, int, int, int64_t, int64_t *, void *);
  int (*execute)(void *, descriptor, descriptor);
};

// explain writes what was done, the status and cuDNN's message.
static inline void explain(hd_dnn *d, char *text, size_t n, const char *what, int status) {
  char last[512] = "";
  d->last_error(last, sizeof last);
  last[sizeof last - 1] = 0;
  for (char *p = last; *p; p++)
    if (*p == '\n') *p = ' ';
  snprintf(text, n, "%s: %s (%d)%s%s", what, d->error_string(status), status, last[0] ? ": " : "", last);
}

// A plan needs 20 to 100 descriptors, freed with the maker; the plan outlives it.
enum { MOST_DESCRIPTORS = 128 };

typedef struct {
  hd_dnn *d;
  int exact; // products of float32 are float32's: no tensor cores
  descriptor all[MOST_DESCRIPTORS];
  int count;
  int status;       // of the first thing that failed
  char *text;       // which
  size_t n;
} maker;

static inline int failed(maker *m, const char *what, int status) {
  if (status != 0 && m->status == 0) {
    m->status = status;
    explain(m->d, m->text, m->n, what, status);
  }
  return m->status;
}

static inline descriptor made(maker *m, int type, const char *what) {
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

static inline void set(maker *m, descriptor d, int name, int type, int64_t count, const void *values,
                       const char *what) {
  if (m->status == 0) failed(m, what, m->d->set(d, name, type, count, values));
}
static inline void set_int(maker *m, descriptor d, int name, int type, int32_t v, const char *what) {
  set(m, d, name, type, 1, &v, what);
}
static inline void set_long(maker *m, descriptor d, int name, int64_t v, const char *what) {
  set(m, d, name, DNN_TYPE_INT64, 1, &v, what);
}
static inline void set_float(maker *m, descriptor d, int name, float v, const char *what) {
  set(m, d, name, DNN_TYPE_FLOAT, 1, &v, what);
}
static inline void set_descriptor(maker *m, descriptor d, int name, descriptor v, const char *what) {
  set(m, d, name, DNN_TYPE_BACKEND_DESCRIPTOR, 1, &v, what);
}
static inline void set_pair(maker *m, descriptor d, int name, int64_t a, int64_t b, const char *what) {
  int64_t v[] = {a, b};
  set(m, d, name, DNN_TYPE_INT64, 2, v, what);
}
static inline descriptor finished(maker *m, descriptor d, const char *what) {
  if (m->status == 0) failed(m, what, m->d->finalize(d));
  return d;
}

// ALIGNMENT of all tensors, in bytes; callers of hd_dnn_run ensure it.
enum { ALIGNMENT = 16 };

// tensor_of describes a tensor of four sizes: one with an address, one that only the graph knows, or one of a single
// element in the host's memory.
enum { REAL, VIRTUAL, BY_VALUE };
static inline descriptor tensor_of(maker *m, int64_t id, const int64_t *sizes, const int64_t *strides, int type,
                                   int kind) {
  const char *what = "tensor";
  const unsigned char yes = 1;
  descriptor t = made(m, DNN_BACKEND_TENSOR_DESCRIPTOR, what);
  set_long(m, t, DNN_ATTR_TENSOR_UNIQUE_ID, id, what);
  set_int(m, t, DNN_ATTR_TENSOR_DATA_TYPE, DNN_TYPE_DATA_TYPE, type, what);
  set(m, t, DNN_ATTR_TENSOR_DIMENSIONS, DNN_TYPE_INT64, 4, sizes, what);
  set(m, t, DNN_ATTR_TENSOR_STRIDES, DNN_TYPE_INT64, 4, strides, what);
  set_long(m, t, DNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT, what);
  if (kind == VIRTUAL) set(m, t, DNN_ATTR_TENSOR_IS_VIRTUAL, DNN_TYPE_BOOLEAN, 1, &yes, what);
  if (kind == BY_VALUE) set(m, t, DNN_ATTR_TENSOR_IS_BY_VALUE, DNN_TYPE_BOOLEAN, 1, &yes, what);
  return finished(m, t, what);
}

// pointwise is y = mode(x) or mode(x, b).
static inline descriptor pointwise(maker *m, int mode, descriptor x, descriptor b, descriptor y) {
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

// joined is a graph of operations.
static inline descriptor joined(maker *m, const descriptor *operations, int64_t count) {
  descriptor g = made(m, DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
  if (m->d->handle != NULL) set(m, g, DNN_ATTR_OPERATIONGRAPH_HANDLE, DNN_TYPE_HANDLE, 1, &m->d->handle, "graph");
  set(m, g, DNN_ATTR_OPERATIONGRAPH_OPS, DNN_TYPE_BACKEND_DESCRIPTOR, count, operations, "graph");
  return finished(m, g, "graph");
}

// engine reads an offer's engine and reports whether it may be used.
static inline int engine(maker *m, descriptor offer, int64_t *index) {
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
    case DNN_NUMERICAL_NOTE_TENSOR_CORE: good = !m->exact; break;
    // Less exact sums, other algorithms than the plain sum, no fixed order, and what later versions may add. The engine
    // that is strict with NaNs is the one that can do everything, slowly.
    default: good = 0;
    }
  }
  if (e != NULL) d->descriptor_destroy(e);
  return good;
}

// plan makes a plan of an offer; NULL where that doesn't work or takes too much memory.
static inline descriptor plan(maker *m, descriptor offer, int64_t limit, int64_t *workspace) {
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
static inline descriptor take(maker *m, descriptor g, int mode, int64_t limit, hd_dnn_plan *to) {
  enum { MOST_OFFERS = 64 };
  hd_dnn *d = m->d;
  descriptor h = made(m, DNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
  set_descriptor(m, h, DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g, "heuristics");
  set_int(m, h, DNN_ATTR_ENGINEHEUR_MODE, DNN_TYPE_HEUR_MODE, mode, "heuristics");
  finished(m, h, "heuristics");
  descriptor offers[MOST_OFFERS], p = NULL;
  int64_t count = 0, made_count = 0;
  while (m->status == 0 && made_count < MOST_OFFERS &&
         d->descriptor_create(DNN_BACKEND_ENGINECFG_DESCRIPTOR, &offers[made_count]) == 0)
    made_count++;
  if (m->status == 0)
    failed(m, "heuristics",
           d->get(h, DNN_ATTR_ENGINEHEUR_RESULTS, DNN_TYPE_BACKEND_DESCRIPTOR, made_count, &count, offers));
  for (int64_t i = 0; m->status == 0 && p == NULL && i < count && i < made_count; i++)
    if (engine(m, offers[i], &to->engine)) p = plan(m, offers[i], limit, &to->workspace);
  for (int64_t i = 0; i < made_count; i++) d->descriptor_destroy(offers[i]);
  return p;
}

// choose makes the plan of the first engine that will do, and gives all other descriptors back. It returns 0 where
// there is none.
static inline int choose(maker *m, descriptor g, int64_t limit, hd_dnn_plan *to) {
  static const int modes[] = {DNN_HEUR_MODE_A, DNN_HEUR_MODE_B, DNN_HEUR_MODE_FALLBACK};
  to->plan = NULL;
  for (size_t i = 0; i < sizeof modes / sizeof *modes && to->plan == NULL && m->status == 0; i++) {
    to->plan = take(m, g, modes[i], limit, to);
    // one kind of heuristics may not know the graph
    if (g != NULL && m->status != 0 && modes[i] != DNN_HEUR_MODE_FALLBACK) m->status = 0;
  }
  while (m->count > 0) m->d->descriptor_destroy(m->all[--m->count]);
  return to->plan != NULL;
}
