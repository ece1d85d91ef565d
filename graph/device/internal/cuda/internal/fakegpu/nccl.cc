// A stand-in for NVIDIA's NCCL, for tests where there is no GPU: it adds on the processor, in the order of the fake driver's work, what the
// device asks it to. As the library does, it waits for the call of every GPU before it does anything, and for the end of the group.
//
// GPUs of several processes of this machine add through memory that the first process makes and the others open by its process id. As with the
// library, a process that never comes, or is killed, keeps the others waiting for ever. With HISTDIST_FAKE_NCCL_HANG=N all sums from the N-th on
// do, as if the network were gone.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "work.h"

namespace {

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

enum How { SUM, REDUCE, BROADCAST };

const size_t piece = 1 << 18;  // float32 that a process adds at a time
const int most = 64;           // processes

// Id is what the processes of a group find its memory by.
struct Id {
  long pid;
  int file;
  char rest[128 - sizeof(long) - sizeof(int)];
};
static_assert(sizeof(Id) == 128, "NCCL's size");

// Meeting is the memory of a group of processes.
struct Meeting {
  std::atomic<long> at[most];  // how far each has come
  float pieces[];              // of each
};

struct Comm {
  std::vector<Comm*>* all;  // of one call of ncclCommInitAll; null for several processes
  int rank, size;
  Meeting* meeting;
  long step;  // of the meeting

  // arrive says that this process has come a step further; together whether all have.
  void arrive() { meeting->at[rank] = ++step; }
  bool together() const {
    for (int i = 0; i < size; i++)
      if (meeting->at[i] < step) return false;
    return true;
  }
};

// Move sums numbers over all processes, in their order, or copies those of the root.
struct Move {
  Comm* comm;
  float* x;
  size_t n;
  How how;
  int root;
  enum { NEXT, GIVEN, TAKEN } state;  // of the piece that x begins with
  bool counted;

  size_t count() const { return std::min(n, piece); }
  float* of(int rank) const { return comm->meeting->pieces + piece * (size_t)rank; }

  // take is for when all have given their pieces.
  void take() {
    size_t m = count();
    if (how == BROADCAST) {
      memcpy(x, of(root), 4 * m);
    } else if (how == REDUCE && comm->rank != root) {
      memset(x, 0xff, 4 * m); // NaN
    } else {
      memcpy(x, of(0), 4 * m);
      for (int i = 1; i < comm->size; i++)
        for (size_t j = 0; j < m; j++) x[j] += of(i)[j];
    }
  }

  // operator() is true at the end, and false when it has to wait for another process.
  bool operator()() {
    static long moves, hang = getenv("HISTDIST_FAKE_NCCL_HANG") != nullptr ? atol(getenv("HISTDIST_FAKE_NCCL_HANG")) : 0;
    if (!counted) moves++;
    counted = true;
    if (hang > 0 && moves >= hang) return false;
    while (n > 0) {
      if (state == NEXT) {
        memcpy(of(comm->rank), x, 4 * count());
        comm->arrive();
        state = GIVEN;
      }
      if (!comm->together()) return false;
      if (state == GIVEN) {
        take();
        comm->arrive();
        state = TAKEN;
        continue;
      }
      size_t m = count();
      x += m, n -= m;
      state = NEXT;
    }
    return true;
  }
};

struct Call {
  float* at;
  size_t n;
  Comm* comm;
  How how;
  int root;
  CUstream stream;
};

// move sums numbers over the GPUs of this process, in their order, or copies those of the root.
void move(const std::vector<float*>& at, size_t n, How how, size_t root) {
  if (how == BROADCAST) {
    for (float* to : at)
      if (to != at[root]) memcpy(to, at[root], 4 * n);
    return;
  }
  std::vector<float> sum(at[0], at[0] + n);
  for (size_t i = 1; i < at.size(); i++)
    for (size_t j = 0; j < n; j++) sum[j] += at[i][j];
  for (size_t i = 0; i < at.size(); i++) {
    if (how == REDUCE && i != root) memset(at[i], 0xff, 4 * n); // NaN
    else memcpy(at[i], sum.data(), 4 * n);
  }
}

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
    all->push_back(new Comm{all, i, n, nullptr, 0});
    comms[i] = all->back();
  }
  return SUCCESS;
}

API int ncclGetUniqueId(Id* id) {
  *id = Id{};
  id->pid = getpid();
  id->file = memfd_create("fake NCCL", 0);
  return id->file < 0 ? SYSTEM_ERROR : SUCCESS;
}

API int ncclCommInitRank(void** comm, int n, Id id, int rank) {
  if (n < 1 || n > most || rank < 0 || rank >= n || !fake_cuda_context()) return INVALID_ARGUMENT;
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/fd/%d", id.pid, id.file);
  int file = ::open(path, O_RDWR);
  size_t bytes = sizeof(Meeting) + sizeof(float) * piece * (size_t)n;
  if (file < 0 || ftruncate(file, (off_t)bytes) != 0) return SYSTEM_ERROR;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return SYSTEM_ERROR;
  Comm* c = new Comm{nullptr, rank, n, (Meeting*)memory, 0};
  for (c->arrive(); !c->together();) usleep(50);
  *comm = c;
  return SUCCESS;
}

API int ncclCommDestroy(void* comm) {
  Comm* c = (Comm*)comm;
  if (c->meeting != nullptr) {
    munmap(c->meeting, sizeof(Meeting) + sizeof(float) * piece * (size_t)c->size);
    delete c;
    return SUCCESS;
  }
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

static int call(const void* send, void* receive, size_t n, int type, int op, int root, void* comm, void* stream, How how) {
  if (!grouped) return INVALID_USAGE; // it would wait for the other GPUs for ever
  if (type != 7 || op != 0 || send != receive || stream == nullptr || !fake_cuda_owns(send, 4 * n)) return INVALID_ARGUMENT;
  if (root < 0 || root >= ((Comm*)comm)->size) return INVALID_ARGUMENT;
  calls.push_back(Call{(float*)receive, n, (Comm*)comm, how, root, (CUstream)stream});
  return SUCCESS;
}

API int ncclAllReduce(const void* send, void* receive, size_t n, int type, int op, void* comm, void* stream) {
  return call(send, receive, n, type, op, 0, comm, stream, SUM);
}
API int ncclReduce(const void* send, void* receive, size_t n, int type, int op, int root, void* comm, void* stream) {
  return call(send, receive, n, type, op, root, comm, stream, REDUCE);
}
API int ncclBroadcast(const void* send, void* receive, size_t n, int type, int root, void* comm, void* stream) {
  return call(send, receive, n, type, 0, root, comm, stream, BROADCAST);
}

API int ncclGroupEnd() {
  if (!grouped) return INVALID_USAGE;
  grouped = false;
  std::vector<Call> all;
  all.swap(calls);
  // The k-th call of each GPU belongs together.
  while (!all.empty()) {
    if (Call first = all.front(); first.comm->meeting != nullptr) {
      all.erase(all.begin());
      fake_cuda_work("nccl", first.stream, Move{first.comm, first.at, first.n, first.how, first.root, Move::NEXT, false});
      continue;
    }
    const std::vector<Comm*>& members = *all.front().comm->all;
    std::vector<float*> at(members.size(), nullptr);
    std::vector<CUstream> streams(members.size(), nullptr);
    size_t n = all.front().n;
    How how = all.front().how;
    size_t root = (size_t)all.front().root;
    for (Comm* member : members) {
      size_t i = 0;
      while (i < all.size() && all[i].comm != member) i++;
      if (i == all.size() || all[i].n != n || all[i].how != how || (size_t)all[i].root != root) return INVALID_USAGE;
      at[(size_t)member->rank] = all[i].at;
      streams[(size_t)member->rank] = all[i].stream;
      all.erase(all.begin() + (long)i);
    }
    auto here = std::make_shared<std::set<size_t>>(); // the GPUs that have come to it
    for (size_t member = 0; member < members.size(); member++)
      fake_cuda_work("nccl", streams[member], [at, n, how, root, here, member] {
        if (here->size() == at.size()) return true;
        here->insert(member);
        if (here->size() < at.size()) return false;
        move(at, n, how, root);
        return true;
      });
  }
  return SUCCESS;
}
