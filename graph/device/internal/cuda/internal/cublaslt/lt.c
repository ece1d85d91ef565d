//go:build gpu

#include "lt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

// From cublas_api.h, cublasLt.h and library_types.h.
enum { SUCCESS = 0, NOT_SUPPORTED = 15 };
enum { COMPUTE_32F = 68 }; // float32 factors are multiplied as they are, without TF32
enum { R_32F = 0, R_16BF = 14 };
enum { OP_N = 0, OP_T = 1 };
enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8, DESC_BIAS_DATA_TYPE = 26 };
enum { EPILOGUE_BIAS = 4 };
enum { LAYOUT_BATCH_COUNT = 5, LAYOUT_STRIDED_BATCH_OFFSET = 6 };
enum { PREF_MAX_WORKSPACE = 1, PREF_REDUCTION_SCHEME_MASK = 3, PREF_ALIGNMENT_A = 5, PREF_ALIGNMENT_B = 6,
       PREF_ALIGNMENT_C = 7, PREF_ALIGNMENT_D = 8 };
// Parts of long sums are added in float32 in a separate step, always in the same order; not in the output, one after
// the other came (INPLACE, 1), nor rounded to the output's type (OUTPUT_TYPE, 4).
enum { REDUCTION_COMPUTE_TYPE = 2 };

typedef struct { uint64_t data[8]; } algorithm;
typedef struct {
  algorithm algo;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
} heuristic;

struct hd_lt {
  void *handle;
  int (*create)(void **);
  int (*destroy)(void *);
  int (*desc_create)(void **, int compute, int scale);
  int (*desc_destroy)(void *);
  int (*desc_set)(void *, int attribute, const void *, size_t);
  int (*layout_create)(void **, int type, uint64_t rows, uint64_t cols, int64_t ld);
  int (*layout_destroy)(void *);
  int (*layout_set)(void *, int attribute, const void *, size_t);
  int (*pref_create)(void **);
  int (*pref_destroy)(void *);
  int (*pref_set)(void *, int attribute, const void *, size_t);
  int (*choose)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *pref, int wanted, heuristic *,
                int *found);
  int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *la, const void *b, void *lb,
                const void *beta, const void *c, void *lc, void *d, void *ld, const algorithm *, void *workspace,
                size_t, CUstream);
};

struct hd_lt_product {
  void *desc, *a, *b, *d;
  algorithm algo;
  size_t workspace;
  float alpha, beta;
  int bias;
};

const char *hd_lt_status(int s) {
  switch (s) {
    case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case 1: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case 3: return "CUBLAS_STATUS_ALLOC_FAILED";
    case 7: return "CUBLAS_STATUS_INVALID_VALUE";
    case 8: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case 11: return "CUBLAS_STATUS_MAPPING_ERROR";
    case 13: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case 14: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case 16: return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "CUBLAS_STATUS of another version";
}

hd_lt *hd_lt_open(void *library, char *text, size_t size) {
  hd_lt *lt = calloc(1, sizeof *lt);
  if (lt == NULL) {
    snprintf(text, size, "no memory");
    return NULL;
  }
  const struct {
    const char *name;
    void *to;
  } functions[] = {
      {"cublasLtCreate", &lt->create},
      {"cublasLtDestroy", &lt->destroy},
      {"cublasLtMatmulDescCreate", &lt->desc_create},
      {"cublasLtMatmulDescDestroy", &lt->desc_destroy},
      {"cublasLtMatmulDescSetAttribute", &lt->desc_set},
      {"cublasLtMatrixLayoutCreate", &lt->layout_create},
      {"cublasLtMatrixLayoutDestroy", &lt->layout_destroy},
      {"cublasLtMatrixLayoutSetAttribute", &lt->layout_set},
      {"cublasLtMatmulPreferenceCreate", &lt->pref_create},
      {"cublasLtMatmulPreferenceDestroy", &lt->pref_destroy},
      {"cublasLtMatmulPreferenceSetAttribute", &lt->pref_set},
      {"cublasLtMatmulAlgoGetHeuristic", &lt->choose},
      {"cublasLtMatmul", &lt->matmul},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *f = dlsym(library, functions[i].name);
    if (f == NULL) {
      snprintf(text, size, "it has no function %s", functions[i].name);
      free(lt);
      return NULL;
    }
    *(void **)functions[i].to = f;
  }
  int r = lt->create(&lt->handle);
  if (r != SUCCESS) {
    snprintf(text, size, "cublasLtCreate: %s (%d)", hd_lt_status(r), r);
    free(lt);
    return NULL;
  }
  return lt;
}

int hd_lt_close(hd_lt *lt) {
  int r = lt->destroy(lt->handle);
  free(lt);
  return r;
}

static int type_of(const struct hd_lt_matrix *m) { return m->bf16 ? R_16BF : R_32F; }

// layout describes a matrix as it is stored: rows×cols, turned if it is transposed.
static int layout(hd_lt *lt, void **l, const struct hd_lt_matrix *m, int64_t rows, int64_t cols, int64_t batch) {
  if (m->transposed) {
    int64_t t = rows;
    rows = cols;
    cols = t;
  }
  int r = lt->layout_create(l, type_of(m), (uint64_t)rows, (uint64_t)cols, m->ld);
  if (r != SUCCESS || batch == 1) return r;
  int32_t count = (int32_t)batch;
  r = lt->layout_set(*l, LAYOUT_BATCH_COUNT, &count, sizeof count);
  return r != SUCCESS ? r : lt->layout_set(*l, LAYOUT_STRIDED_BATCH_OFFSET, &m->stride, sizeof m->stride);
}

static int describe(hd_lt *lt, hd_lt_product *p, const hd_lt_spec *s, const char **step) {
  int r;
#define TRY(name, call) \
  *step = name;         \
  if ((r = (call)) != SUCCESS) return r
  TRY("cublasLtMatmulDescCreate", lt->desc_create(&p->desc, COMPUTE_32F, R_32F));
  int32_t op = s->a.transposed ? OP_T : OP_N;
  TRY("CUBLASLT_MATMUL_DESC_TRANSA", lt->desc_set(p->desc, DESC_TRANSA, &op, sizeof op));
  op = s->b.transposed ? OP_T : OP_N;
  TRY("CUBLASLT_MATMUL_DESC_TRANSB", lt->desc_set(p->desc, DESC_TRANSB, &op, sizeof op));
  if (s->bias) {
    uint32_t epilogue = EPILOGUE_BIAS;
    int32_t type = type_of(&s->d);
    const void *aligned = (const void *)16; // the choice depends on how the address is aligned
    TRY("CUBLASLT_MATMUL_DESC_EPILOGUE", lt->desc_set(p->desc, DESC_EPILOGUE, &epilogue, sizeof epilogue));
    TRY("CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE", lt->desc_set(p->desc, DESC_BIAS_DATA_TYPE, &type, sizeof type));
    TRY("CUBLASLT_MATMUL_DESC_BIAS_POINTER", lt->desc_set(p->desc, DESC_BIAS_POINTER, &aligned, sizeof aligned));
  }
  TRY("layout of A", layout(lt, &p->a, &s->a, s->m, s->k, s->batch));
  TRY("layout of B", layout(lt, &p->b, &s->b, s->k, s->n, s->batch));
  TRY("layout of D", layout(lt, &p->d, &s->d, s->m, s->n, s->batch));
  return SUCCESS;
}

static int prefer(hd_lt *lt, void *pref, const hd_lt_spec *s, const char **step) {
  int r;
  uint64_t most = s->workspace;
  uint32_t scheme = REDUCTION_COMPUTE_TYPE, a = (uint32_t)s->a.alignment, b = (uint32_t)s->b.alignment,
      d = (uint32_t)s->d.alignment;
  TRY("CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES", lt->pref_set(pref, PREF_MAX_WORKSPACE, &most, sizeof most));
  TRY("CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK",
      lt->pref_set(pref, PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme));
  TRY("CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES", lt->pref_set(pref, PREF_ALIGNMENT_A, &a, sizeof a));
  TRY("CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES", lt->pref_set(pref, PREF_ALIGNMENT_B, &b, sizeof b));
  TRY("CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES", lt->pref_set(pref, PREF_ALIGNMENT_C, &d, sizeof d));
  TRY("CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES", lt->pref_set(pref, PREF_ALIGNMENT_D, &d, sizeof d));
  return SUCCESS;
}

hd_lt_product *hd_lt_compile(hd_lt *lt, const hd_lt_spec *s, char *text, size_t size) {
  hd_lt_product *p = calloc(1, sizeof *p);
  if (p == NULL) {
    snprintf(text, size, "no memory");
    return NULL;
  }
  p->alpha = s->alpha;
  p->beta = s->beta;
  p->bias = s->bias;
  const char *step = "";
  void *pref = NULL;
  heuristic results[8];
  int found = 0, r = describe(lt, p, s, &step);
  if (r == SUCCESS) {
    step = "cublasLtMatmulPreferenceCreate";
    r = lt->pref_create(&pref);
  }
  if (r == SUCCESS) r = prefer(lt, pref, s, &step);
  if (r == SUCCESS) {
    step = "cublasLtMatmulAlgoGetHeuristic";
    r = lt->choose(lt->handle, p->desc, p->a, p->b, p->d, p->d, pref, 8, results, &found);
  }
  if (pref != NULL) lt->pref_destroy(pref);
  if (r == SUCCESS) {
    r = NOT_SUPPORTED;
    for (int i = 0; i < found && r != SUCCESS; i++) {
      if (results[i].state != SUCCESS || results[i].workspace > s->workspace) continue;
      p->algo = results[i].algo;
      p->workspace = results[i].workspace;
      r = SUCCESS;
    }
  }
  if (r != SUCCESS) {
    snprintf(text, size, "%s: %s (%d)", step, hd_lt_status(r), r);
    hd_lt_free(lt, p);
    return NULL;
  }
  return p;
}

size_t hd_lt_workspace(const hd_lt_product *p) { return p->workspace; }

int hd_lt_run(hd_lt *lt, CUcontext context, hd_lt_product *p, const void *a, const void *b, const void *bias,
              const void *c, void *d, void *workspace, CUstream stream) {
  if (cuCtxSetCurrent(context) != CUDA_SUCCESS) return 13;
  if (p->bias) {
    int r = lt->desc_set(p->desc, DESC_BIAS_POINTER, &bias, sizeof bias);
    if (r != SUCCESS) return r;
  }
  return lt->matmul(lt->handle, p->desc, &p->alpha, a, p->a, b, p->b, &p->beta, c, p->d, d, p->d, &p->algo, workspace,
                    p->workspace, stream);
}

void hd_lt_free(hd_lt *lt, hd_lt_product *p) {
  if (p->desc != NULL) lt->desc_destroy(p->desc);
  if (p->a != NULL) lt->layout_destroy(p->a);
  if (p->b != NULL) lt->layout_destroy(p->b);
  if (p->d != NULL) lt->layout_destroy(p->d);
  free(p);
}
