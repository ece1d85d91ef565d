//go:build gpu

#include "nccl.h"

enum { FLOAT32 = 7, SUM = 0, SUCCESS = 0, UNHANDLED_CUDA_ERROR = 1 };

int hd_nccl_init(const hd_nccl *f, void **comms, int n, const int *devices) { return f->init_all(comms, n, devices); }

int hd_nccl_unique_id(const hd_nccl *f, hd_nccl_id *id) { return f->unique_id(id); }

int hd_nccl_init_rank(const hd_nccl *f, void **comm, int n, const hd_nccl_id *id, int rank) {
  return f->init_rank(comm, n, *id, rank);
}

int hd_nccl_move(const hd_nccl *f, int how, void **comms, int n, const CUcontext *contexts, const CUstream *streams,
                 const void **addresses, const size_t *sizes, const int *owners, size_t count) {
  int r = f->group_start();
  if (r != SUCCESS) return r;
  for (size_t t = 0; t < count && r == SUCCESS; t++)
    for (int i = 0; i < n && r == SUCCESS; i++) {
      void *p = (void *)addresses[t * n + i];
      if (cuCtxSetCurrent(contexts[i]) != CUDA_SUCCESS) r = UNHANDLED_CUDA_ERROR;
      else if (how == 0) r = f->all_reduce(p, p, sizes[t], FLOAT32, SUM, comms[i], streams[i]);
      else if (how == 1) r = f->reduce(p, p, sizes[t], FLOAT32, SUM, owners[t], comms[i], streams[i]);
      else r = f->broadcast(p, p, sizes[t], FLOAT32, owners[t], comms[i], streams[i]);
    }
  int end = f->group_end(); // in any case: it ends what group_start began
  return r != SUCCESS ? r : end;
}

int hd_nccl_destroy(const hd_nccl *f, void *comm) { return f->destroy(comm); }

const char *hd_nccl_error(const hd_nccl *f, int result) {
  const char *s = f->error_string(result);
  return s != NULL ? s : "";
}
