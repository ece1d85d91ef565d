// The part of cuBLASLt's interface that is used. It is opened at run time and not needed to build. Numbers
// that are part of its interface are the same in CUDA 12.1 and 13.
#include <cuda.h>
#include <stddef.h>
#include <stdint.h>

// hd_lt is an open library with a handle for the current context.
typedef struct hd_lt hd_lt;

// hd_lt_product is D = alpha·op(A)·op(B) + beta·C + bias, column by column as cuBLAS counts: op(A) [m,k], op(B) [k,n],
// C and D [m,n], bias [m] for every column. C is laid out as D. Matrices of a batch are stride elements apart. With
// alignment every matrix begins at a multiple of so many bytes.
typedef struct {
  int64_t m, n, k, batch;
  struct hd_lt_matrix {
    int bf16, transposed;
    int64_t ld, stride, alignment;
  } a, b, d;
  float alpha, beta;
  int bias;         // of D's element type, at a multiple of 16 bytes
  size_t workspace; // the most that may be used
} hd_lt_spec;

typedef struct hd_lt_product hd_lt_product;

// hd_lt_open gives the library a handle; on failure it returns NULL and says why in text (size bytes).
hd_lt *hd_lt_open(void *library, char *text, size_t size);
int hd_lt_close(hd_lt *lt);

// hd_lt_compile chooses an algorithm; the library's own estimate is the order, nothing is timed. NULL, with text, where
// there is none.
hd_lt_product *hd_lt_compile(hd_lt *lt, const hd_lt_spec *spec, char *text, size_t size);

// hd_lt_workspace is the number of bytes that a run needs, at a multiple of 256.
size_t hd_lt_workspace(const hd_lt_product *p);

// hd_lt_run queues the product in a stream; 0 for success. c is not read where beta is 0.
int hd_lt_run(hd_lt *lt, CUcontext context, hd_lt_product *p, const void *a, const void *b, const void *bias,
              const void *c, void *d, void *workspace, CUstream stream);

void hd_lt_free(hd_lt *lt, hd_lt_product *p);

// hd_lt_status is the name of a result.
const char *hd_lt_status(int status);
