#include <cuda.h>
#include <stddef.h>

// The functions of NCCL's that are used; their declarations are those of nccl.h, in which these numbers have not
// changed since its version 2.0: float32 is 7, a sum 0, success 0.
typedef struct {
  char bytes[128];
} hd_nccl_id;

typedef struct {
  int (*init_all)(void **comms, int n, const int *devices);
  int (*unique_id)(hd_nccl_id *id);
  int (*init_rank)(void **comm, int n, hd_nccl_id id, int rank);
  int (*all_reduce)(const void *send, void *receive, size_t n, int type, int op, void *comm, CUstream stream);
  int (*reduce)(const void *send, void *receive, size_t n, int type, int op, int root, void *comm, CUstream stream);
  int (*broadcast)(const void *send, void *receive, size_t n, int type, int root, void *comm, CUstream stream);
  int (*group_start)(void);
  int (*group_end)(void);
  int (*destroy)(void *comm);
  const char *(*error_string)(int result);
} hd_nccl;

// hd_nccl_init makes a communicator for each of n GPUs.
int hd_nccl_init(const hd_nccl *f, void **comms, int n, const int *devices);

// hd_nccl_unique_id makes what the processes of a group find each other by, in one of them.
int hd_nccl_unique_id(const hd_nccl *f, hd_nccl_id *id);

// hd_nccl_init_rank makes the communicator of the current context's GPU, one of n processes'.
int hd_nccl_init_rank(const hd_nccl *f, void **comm, int n, const hd_nccl_id *id, int rank);

// hd_nccl_move sums (how 0), sums for their owners (1) or copies from them (2) count tensors of sizes[t] float32 over n
// GPUs in place: addresses[t·n + i] is tensor t on GPU i, owners[t] its owner's number.
int hd_nccl_move(const hd_nccl *f, int how, void **comms, int n, const CUcontext *contexts, const CUstream *streams,
                 const void **addresses, const size_t *sizes, const int *owners, size_t count);

int hd_nccl_destroy(const hd_nccl *f, void *comm);
const char *hd_nccl_error(const hd_nccl *f, int result);
