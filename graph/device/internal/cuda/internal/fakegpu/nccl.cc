// A stand-in for NVIDIA's NCCL, for tests where there is no GPU: it adds on the processor, in the order of the fake driver's work, what the
// device asks it to. As the library does, it waits for the call of every GPU before it does anything, and for the end of the group.
#include <stddef.h>
#include <string.h>

#include <vector>

#include "work.h"

namespace {

enum { SUCCESS = 0, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

struct Comm {
  std::vector<Comm*>* all; // of one call of ncclCommInitAll
  int rank;
};

struct Call {
  float* at;
  size_t n;
  Comm* comm;
};

bool grouped;
std::vector<Call> calls;

} // namespace

#define API extern "C" SHARED

API int ncclGetVersion(int* version) { return *version = 22803, SUCCESS; }
API const char* ncclGetErrorString(int r) { return r == SUCCESS ? "no error" : "an error of the fake NCCL"; }

API int ncclCommInitAll(void** comms, int n, const int* devices) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++)
      if (devices[i] == devices[j]) return INVALID_USAGE;
  auto* all = new std::vector<Comm*>;
  for (int i = 0; i < n; i++) {
    all->push_back(new Comm{all, i});
    comms[i] = all->back();
  }
  return SUCCESS;
}

API int ncclCommDestroy(void* comm) {
  Comm* c = (Comm*)comm;
  c->all->at((size_t)c->rank) = nullptr;
  bool last = true;
  for (Comm* other : *c->all) last = last && other == nullptr;
  if (last) delete c->all;
  delete c;
  return SUCCESS;
}

API int ncclGroupStart() {
  if (grouped) return INVALID_USAGE;
  grouped = true;
  return SUCCESS;
}

API int ncclAllReduce(const void* send, void* receive, size_t n, int type, int op, void* comm, void* stream) {
  if (!grouped) return INVALID_USAGE; // it would wait for the other GPUs for ever
  if (type != 7 || op != 0 || send != receive || stream == nullptr || !fake_cuda_owns(send, 4 * n)) return INVALID_ARGUMENT;
  calls.push_back(Call{(float*)receive, n, (Comm*)comm});
  return SUCCESS;
}

API int ncclGroupEnd() {
  if (!grouped) return INVALID_USAGE;
  grouped = false;
  std::vector<Call> all;
  all.swap(calls);
  // The k-th call of each GPU belongs together.
  while (!all.empty()) {
    const std::vector<Comm*>& members = *all.front().comm->all;
    std::vector<float*> at(members.size(), nullptr);
    size_t n = all.front().n;
    for (Comm* member : members) {
      size_t i = 0;
      while (i < all.size() && all[i].comm != member) i++;
      if (i == all.size() || all[i].n != n) return INVALID_USAGE;
      at[(size_t)member->rank] = all[i].at;
      all.erase(all.begin() + (long)i);
    }
    fake_cuda_work("nccl", [at, n] {
      std::vector<float> sum(at[0], at[0] + n);
      for (size_t i = 1; i < at.size(); i++)
        for (size_t j = 0; j < n; j++) sum[j] += at[i][j];
      for (float* to : at) memcpy(to, sum.data(), 4 * n);
    });
  }
  return SUCCESS;
}
