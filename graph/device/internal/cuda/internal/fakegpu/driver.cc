// A stand-in for NVIDIA's driver, for tests where there is no GPU: it has the part of libcuda that the device uses, and runs the device's
// kernels on the processor. It proves the arithmetic of indices and the launch code, not speed, and it is stricter than a GPU:
//
//   - Work waits until something waits for it, so that a missing synchronisation shows. So does that of other streams than the one that is waited
//     for, until an event of theirs is; with HISTDIST_FAKE_CUDA_ORDER=early it is done as soon as it can.
//   - The device's memory can't be read or written but by kernels, so that code of the host that reaches into it ends the process.
//   - What cp.async copies is NaN until something waits for it, and so is shared memory at first; ldmatrix and cp.async check their addresses.
//   - Arguments of a launch must have the size that the kernel's parameters have, here and in the PTX.
//
// HISTDIST_FAKE_CUDA_GPUS is the number of GPUs, 2 without it.
// Set HISTDIST_FAKE_CUDA_LOG to a file to get a line for each call that gives the device work. HISTDIST_FAKE_CUDA_FAIL="KIND N CODE" is for tests of
// faults: from the N-th call on, lines that begin with KIND are errors of that number; an error that ends a context is that of every call then.
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "blocks.h"
#include "work.h"

namespace {

const size_t memory_bytes = (size_t)32 << 30; // address space; only what is used is memory
const size_t page = 4096;
const int most_gpus = 8; // they share memory and work; which one a thread means is known by its context
const size_t most_shared = 99 << 10; // of a block, on the smallest GPU of compute capability 8

// Work is false while it has to wait, and is tried again then.
typedef std::function<bool()> Work;

// Stream is work in the order of the calls.
struct Stream {
  std::deque<Work> work;

  // advance does the next work; false if there is none, or it has to wait.
  bool advance() {
    if (work.empty() || !work.front()()) return false;
    work.pop_front();
    return true;
  }
};

// Event counts how often it was recorded, and how many of those its streams have passed.
struct Event {
  long recorded, passed;
  Stream* stream;  // in which it was recorded last
};

// Graph is work of a stream that was recorded.
struct Graph {
  Stream* stream;
  std::vector<Work> work;
};

thread_local Graph* capture; // what takes a thread's work instead, as with CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

struct Device {
  std::mutex mutex;
  char* base = nullptr;                       // where the device's addresses begin; open to kernels alone
  char* inside = nullptr;                     // the same memory, for the driver
  int file = -1;                              // that both are views of
  size_t used = 0;                            // the part of the address space that was ever given out
  bool open = false;                          // kernels may read and write it now
  std::map<size_t, size_t> taken, holes;      // offset → bytes
  std::map<char*, size_t> pinned;             // memory of the host
  std::map<const shim::Kernel*, int> shared;  // bytes of shared memory that a kernel's launches may ask for, where it isn't 48 KiB
  std::vector<Stream*> streams;
  bool early = false;                         // streams that nobody waits for work, too
  FILE* log = nullptr;
  int gpus = 2;
  int references[most_gpus] = {};             // to the context of each GPU
  char failing[32] = "";                      // the kind of calls that will fail
  long until = 0;                             // so many of them have still to go
  int code = 0;                               // their error
  CUresult lost = CUDA_SUCCESS;               // what ended the contexts

  // given is the result of a call that gives work, by its line in the log.
  CUresult given(const char* line) {
    size_t n = strlen(failing);
    if (n == 0 || strncmp(line, failing, n) != 0 || --until > 0) return CUDA_SUCCESS;
    if (code >= CUDA_ERROR_ILLEGAL_ADDRESS) {
      lost = (CUresult)code;
      for (Stream* s : streams) s->work.clear();
    }
    return (CUresult)code;
  }

  void protect(int how) {
    if (used > 0 && mprotect(base, (used + page - 1) / page * page, how) != 0) {
      perror("fake CUDA: mprotect");
      abort();
    }
  }

  void queue(CUstream stream, Work f) {
    Stream* s = (Stream*)stream;
    if (capture != nullptr && capture->stream == s)
      capture->work.push_back(std::move(f));
    else
      s->work.push_back(std::move(f));
  }

  // advance does what work the streams have but one; false if all of it has to wait.
  bool advance(const Stream* without) {
    bool any = false;
    for (Stream* s : streams)
      while (s != without && s->advance()) any = true;
    return any;
  }

  // drain does all work of a stream, and of others what it waits for. Its first kernel opens the memory.
  void drain(Stream* s) {
    while (!s->work.empty()) {
      if (early) advance(s);
      if (!s->advance() && !advance(s)) usleep(50); // for another process
    }
    if (open) protect(PROT_NONE);
    open = false;
  }

  void drain() {
    for (Stream* s : streams) drain(s);
  }

  // admit opens the memory until the work is done.
  void admit() {
    if (!open) protect(PROT_READ | PROT_WRITE); // takes as long as a small kernel does for each MiB
    open = true;
  }

  void run(const shim::Launch& l) {
    admit();
    shim::run(l);
  }

  // at is the driver's view of an address.
  char* at(CUdeviceptr p) { return inside + ((char*)p - base); }

  bool owns(const void* p, size_t n) {
    size_t at = (size_t)((const char*)p - base);
    if ((const char*)p < base || at >= used) return false;
    auto i = taken.upper_bound(at);
    if (i == taken.begin()) return false;
    --i;
    return at + n <= i->first + i->second;
  }

  bool is_pinned(const void* p, size_t n) {
    auto i = pinned.upper_bound((char*)p);
    if (i == pinned.begin()) return false;
    --i;
    return (char*)p + n <= i->first + i->second;
  }
};

Device& device() {
  static Device* d = new Device;
  return *d;
}

#define LOG(...)                                                         \
  if (device().log != nullptr) {                                         \
    fprintf(device().log, __VA_ARGS__);                                  \
    fflush(device().log);                                                \
  }

#define FIRST(x, ...) x

// GIVES is LOG for a call that may have to fail.
#define GIVES(...)                                                       \
  LOG(__VA_ARGS__)                                                       \
  if (CUresult wrong = d.given(FIRST(__VA_ARGS__, 0)); wrong != CUDA_SUCCESS) return wrong

// Module is the text of a PTX module.
struct Module {
  std::string ptx;
};

// parameters is the size of a kernel's packed parameters in PTX; −1 if there is no such kernel.
long parameters(const std::string& ptx, const char* kernel) {
  size_t at = ptx.find(std::string(".entry ") + kernel + "(");
  if (at == std::string::npos) return -1;
  size_t end = ptx.find(')', at);
  long bytes = 0;
  for (size_t p = ptx.find(".param", at); p < end; p = ptx.find(".param", p + 1)) {
    std::string line = ptx.substr(p, ptx.find('\n', p) - p);
    long size = 0, align = 0, count = 0;
    char name[256];
    if (sscanf(line.c_str(), ".param .align %ld .b8 %255[^[][%ld]", &align, name, &count) == 3)
      size = count;
    else if (line.compare(0, 9, ".param .u") == 0 || line.compare(0, 9, ".param .f") == 0 || line.compare(0, 9, ".param .b") == 0)
      size = align = atol(line.c_str() + 9) / 8;
    else
      return -2;
    bytes = (bytes + align - 1) / align * align + size;
  }
  return bytes;
}

typedef std::lock_guard<std::mutex> Lock;

} // namespace

#define API extern "C" __attribute__((visibility("default"))) CUresult

API cuInit(unsigned) {
  Device& d = device();
  Lock lock(d.mutex);
  if (d.base != nullptr) return CUDA_SUCCESS;
  d.file = memfd_create("fake CUDA memory", 0);
  if (d.file < 0 || ftruncate(d.file, memory_bytes) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  void* outside = mmap(nullptr, memory_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, d.file, 0);
  void* inside = mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, d.file, 0);
  if (outside == MAP_FAILED || inside == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  d.base = (char*)outside;
  d.inside = (char*)inside;
  if (const char* path = getenv("HISTDIST_FAKE_CUDA_LOG")) d.log = fopen(path, "w");
  if (const char* order = getenv("HISTDIST_FAKE_CUDA_ORDER")) d.early = strcmp(order, "early") == 0;
  if (const char* n = getenv("HISTDIST_FAKE_CUDA_GPUS")) d.gpus = std::min(atoi(n), most_gpus);
  const char* fail = getenv("HISTDIST_FAKE_CUDA_FAIL");
  if (fail != nullptr && *fail != 0 && sscanf(fail, "%31s %ld %d", d.failing, &d.until, &d.code) != 3) {
    fprintf(stderr, "fake CUDA: HISTDIST_FAKE_CUDA_FAIL is %s: want KIND N CODE\n", fail);
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
API cuDriverGetVersion(int* v) { return *v = CUDA_VERSION, CUDA_SUCCESS; }
API cuGetErrorName(CUresult r, const char** s) { return *s = r == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : r == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR", CUDA_SUCCESS; }
API cuGetErrorString(CUresult, const char** s) { return *s = "an error of the fake driver", CUDA_SUCCESS; }
API cuDeviceGetCount(int* n) { return *n = device().gpus, CUDA_SUCCESS; }
API cuDeviceGet(CUdevice* d, int ordinal) {
  if (ordinal < 0 || ordinal >= device().gpus) return CUDA_ERROR_INVALID_DEVICE;
  return *d = ordinal, CUDA_SUCCESS;
}
API cuDeviceGetName(char* name, int n, CUdevice) { return snprintf(name, (size_t)n, "processor behind a fake driver"), CUDA_SUCCESS; }
API cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice) {
  switch (a) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *v = 8; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *v = 0; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *v = 2; break;
    default: *v = 0;
  }
  return CUDA_SUCCESS;
}
API cuDeviceTotalMem(size_t* n, CUdevice) { return *n = memory_bytes, CUDA_SUCCESS; }
API cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice ordinal) {
  Device& d = device();
  Lock lock(d.mutex);
  return *c = (CUcontext)&d.references[ordinal], d.references[ordinal]++, CUDA_SUCCESS;
}
API cuDevicePrimaryCtxRelease(CUdevice ordinal) {
  Device& d = device();
  Lock lock(d.mutex);
  if (d.references[ordinal] == 0) return CUDA_ERROR_INVALID_CONTEXT;
  d.references[ordinal]--;
  return CUDA_SUCCESS;
}

static thread_local CUcontext current;
#define IN_CONTEXT                                                                         \
  if (current == nullptr || *(int*)current == 0) return CUDA_ERROR_INVALID_CONTEXT;        \
  Device& d = device();                                                                    \
  Lock lock(d.mutex);                                                                      \
  if (d.lost != CUDA_SUCCESS) return d.lost

// A stream that records can't be waited for, and the suite's rule is that nothing is allocated then.
#define NOT_RECORDING \
  if (capture != nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED

API cuCtxSetCurrent(CUcontext c) { return current = c, CUDA_SUCCESS; }

API cuMemGetInfo(size_t* free, size_t* total) {
  IN_CONTEXT;
  size_t taken = 0;
  for (auto& t : d.taken) taken += t.second;
  *total = memory_bytes;
  *free = memory_bytes - taken;
  return CUDA_SUCCESS;
}

API cuMemAlloc(CUdeviceptr* p, size_t bytes) {
  IN_CONTEXT;
  NOT_RECORDING;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  GIVES("alloc %zu\n", bytes);
  size_t n = (bytes + 255) / 256 * 256, at = d.used;
  auto hole = d.holes.begin();
  while (hole != d.holes.end() && hole->second < n) ++hole;
  if (hole != d.holes.end()) {
    at = hole->first;
    size_t rest = hole->second - n;
    d.holes.erase(hole);
    if (rest > 0) d.holes[at + n] = rest;
  } else {
    if (d.used + n > memory_bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    d.used += n;
  }
  d.taken[at] = n;
  memset(d.inside + at, 0xa5, n); // new memory holds anything
  return *p = (CUdeviceptr)(d.base + at), CUDA_SUCCESS;
}

API cuMemFree(CUdeviceptr p) {
  IN_CONTEXT;
  NOT_RECORDING;
  d.drain();
  auto i = d.taken.find((size_t)((char*)p - d.base));
  if (i == d.taken.end()) return CUDA_ERROR_INVALID_VALUE;
  size_t at = i->first, n = i->second;
  d.taken.erase(i);
  // Join what is free on both sides.
  auto after = d.holes.find(at + n);
  if (after != d.holes.end()) {
    n += after->second;
    d.holes.erase(after);
  }
  auto before = d.holes.lower_bound(at);
  if (before != d.holes.begin()) {
    --before;
    if (before->first + before->second == at) {
      at = before->first;
      n += before->second;
      d.holes.erase(before);
    }
  }
  if (at + n == d.used) {
    // The end goes back to the system.
    size_t keep = (at + page - 1) / page * page, end = (at + n + page - 1) / page * page;
    if (end > keep + ((size_t)16 << 20)) madvise(d.inside + keep, end - keep, MADV_REMOVE);
    d.used = at;
    return CUDA_SUCCESS;
  }
  d.holes[at] = n;
  return CUDA_SUCCESS;
}

API cuMemHostAlloc(void** p, size_t bytes, unsigned) {
  IN_CONTEXT;
  NOT_RECORDING;
  if (posix_memalign(p, page, bytes) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  d.pinned[(char*)*p] = bytes;
  return CUDA_SUCCESS;
}
API cuMemFreeHost(void* p) {
  IN_CONTEXT;
  NOT_RECORDING;
  d.drain();
  if (d.pinned.erase((char*)p) == 0) return CUDA_ERROR_INVALID_VALUE;
  free(p);
  return CUDA_SUCCESS;
}

API cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t n, CUstream s) {
  IN_CONTEXT;
  if (!d.owns((void*)to, n)) return CUDA_ERROR_INVALID_VALUE;
  GIVES("upload %zu\n", n);
  if (d.is_pinned(from, n)) { // read when the work is done
    d.queue(s, [=, &d] { return memcpy(d.at(to), from, n), true; });
    return CUDA_SUCCESS;
  }
  std::string copy((const char*)from, n); // pageable memory is staged before the call returns
  d.queue(s, [=, &d] { return memcpy(d.at(to), copy.data(), n), true; });
  return CUDA_SUCCESS;
}
API cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t n, CUstream s) {
  IN_CONTEXT;
  if (!d.owns((void*)from, n)) return CUDA_ERROR_INVALID_VALUE;
  GIVES("download %zu\n", n);
  d.queue(s, [=, &d] { return memcpy(to, d.at(from), n), true; });
  return CUDA_SUCCESS;
}
API cuMemsetD8Async(CUdeviceptr to, unsigned char v, size_t n, CUstream s) {
  IN_CONTEXT;
  if (!d.owns((void*)to, n)) return CUDA_ERROR_INVALID_VALUE;
  LOG("memset %zu\n", n);
  d.queue(s, [=, &d] { return memset(d.at(to), v, n), true; });
  return CUDA_SUCCESS;
}

API cuModuleLoadDataEx(CUmodule* m, const void* image, unsigned, CUjit_option*, void**) {
  IN_CONTEXT;
  Module* module = new Module{(const char*)image};
  if (module->ptx.find(".version ") == std::string::npos || module->ptx.find(".target sm_") == std::string::npos) {
    delete module;
    return CUDA_ERROR_INVALID_PTX;
  }
  return *m = (CUmodule)module, CUDA_SUCCESS;
}
API cuModuleUnload(CUmodule m) {
  IN_CONTEXT;
  NOT_RECORDING;
  d.drain();
  delete (Module*)m;
  return CUDA_SUCCESS;
}
API cuModuleGetFunction(CUfunction* f, CUmodule m, const char* name) {
  IN_CONTEXT;
  const shim::Kernel* k = shim::all;
  while (k != nullptr && strcmp(k->name, name) != 0) k = k->next;
  if (k == nullptr) return CUDA_ERROR_NOT_FOUND;
  long bytes = parameters(((Module*)m)->ptx, name);
  if (bytes != (long)k->bytes) {
    fprintf(stderr, "fake CUDA: kernel %s takes %ld bytes of arguments in the PTX and %zu here\n", name, bytes, k->bytes);
    return CUDA_ERROR_NOT_FOUND;
  }
  return *f = (CUfunction)k, CUDA_SUCCESS;
}

API cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
  IN_CONTEXT;
  NOT_RECORDING;
  if (a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || v < 0 || (size_t)v > most_shared) return CUDA_ERROR_INVALID_VALUE;
  d.shared[(const shim::Kernel*)f] = v;
  return CUDA_SUCCESS;
}

API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s, void** params, void** extra) {
  IN_CONTEXT;
  const shim::Kernel* k = (const shim::Kernel*)f;
  const char* buffer = nullptr;
  size_t bytes = 0;
  for (; extra != nullptr && extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
    if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = (const char*)extra[1];
    if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *(size_t*)extra[1];
  }
  if (params != nullptr || buffer == nullptr || bytes != k->bytes) {
    fprintf(stderr, "fake CUDA: kernel %s takes %zu bytes of arguments, got %zu\n", k->name, k->bytes, bytes);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffff || gy > 65535 || gz > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (bx == 0 || by == 0 || bz == 0 || bx * by * bz > 256) return CUDA_ERROR_INVALID_VALUE; // the kernels' launch bounds
  if (k->threads != 0 && bx * by * bz != k->threads) return CUDA_ERROR_INVALID_VALUE;
  auto allowed = d.shared.find(k);
  if (shared > (allowed == d.shared.end() ? (size_t)(48 << 10) : (size_t)allowed->second)) return CUDA_ERROR_INVALID_VALUE;
  GIVES("launch %s %u %u %u of %u\n", k->name, gx, gy, gz, bx * by * bz);
  shim::Launch l{k, {gx, gy, gz}, {bx, by, bz}, std::vector<char>(buffer, buffer + bytes), shared};
  d.queue(s, [l, &d] { return d.run(l), true; });
  return CUDA_SUCCESS;
}

API cuStreamCreate(CUstream* s, unsigned) {
  IN_CONTEXT;
  d.streams.push_back(new Stream);
  return *s = (CUstream)d.streams.back(), CUDA_SUCCESS;
}
API cuStreamDestroy(CUstream s) {
  IN_CONTEXT;
  d.drain((Stream*)s);
  d.streams.erase(std::find(d.streams.begin(), d.streams.end(), (Stream*)s));
  delete (Stream*)s;
  return CUDA_SUCCESS;
}
API cuStreamSynchronize(CUstream s) {
  IN_CONTEXT;
  NOT_RECORDING;
  GIVES("synchronize\n");
  d.drain((Stream*)s);
  return CUDA_SUCCESS;
}
API cuStreamWaitEvent(CUstream s, CUevent event, unsigned) {
  IN_CONTEXT;
  NOT_RECORDING;
  Event* e = (Event*)event;
  d.queue(s, [e, n = e->recorded] { return e->passed >= n; });
  return CUDA_SUCCESS;
}
API cuEventCreate(CUevent* e, unsigned) {
  IN_CONTEXT;
  return *e = (CUevent) new Event{0, 0, nullptr}, CUDA_SUCCESS;
}
API cuEventDestroy(CUevent e) {
  IN_CONTEXT;
  d.drain(); // what waits for it
  delete (Event*)e;
  return CUDA_SUCCESS;
}
API cuEventRecord(CUevent event, CUstream s) {
  IN_CONTEXT;
  if (capture != nullptr) return CUDA_SUCCESS;
  Event* e = (Event*)event;
  e->stream = (Stream*)s;
  d.queue(s, [e, n = ++e->recorded] { return e->passed = n, true; });
  return CUDA_SUCCESS;
}
API cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  IN_CONTEXT;
  NOT_RECORDING;
  for (Event* e : {(Event*)begin, (Event*)end})
    if (e->passed < e->recorded) return CUDA_ERROR_NOT_READY;
  return *milliseconds = 1, CUDA_SUCCESS;
}
API cuEventSynchronize(CUevent e) {
  IN_CONTEXT;
  NOT_RECORDING;
  Stream* s = ((Event*)e)->stream;
  if (s != nullptr) d.drain(s); // what comes before the event and, as a driver may, what comes after it
  return CUDA_SUCCESS;
}

API cuStreamBeginCapture(CUstream s, CUstreamCaptureMode) {
  IN_CONTEXT;
  NOT_RECORDING;
  LOG("capture\n");
  capture = new Graph{(Stream*)s, {}};
  return CUDA_SUCCESS;
}
API cuStreamEndCapture(CUstream, CUgraph* g) {
  IN_CONTEXT;
  if (capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  *g = (CUgraph)capture;
  capture = nullptr;
  return CUDA_SUCCESS;
}
API cuGraphInstantiateWithFlags(CUgraphExec* e, CUgraph g, unsigned long long) {
  IN_CONTEXT;
  return *e = (CUgraphExec) new Graph(*(Graph*)g), CUDA_SUCCESS;
}
API cuGraphDestroy(CUgraph g) {
  IN_CONTEXT;
  delete (Graph*)g;
  return CUDA_SUCCESS;
}
API cuGraphExecDestroy(CUgraphExec e) {
  IN_CONTEXT;
  d.drain();
  delete (Graph*)e;
  return CUDA_SUCCESS;
}
API cuGraphLaunch(CUgraphExec e, CUstream s) {
  IN_CONTEXT;
  NOT_RECORDING;
  GIVES("replay %zu\n", ((Graph*)e)->work.size());
  for (auto& f : ((Graph*)e)->work) d.queue(s, f);
  return CUDA_SUCCESS;
}
API cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) {
  IN_CONTEXT;
  if (!d.owns((void*)to, n) || !d.owns((void*)from, n)) return CUDA_ERROR_INVALID_VALUE;
  GIVES("copy %zu\n", n);
  d.queue(s, [=, &d] { return memcpy(d.at(to), d.at(from), n), true; });
  return CUDA_SUCCESS;
}

// For the stand-ins of libraries: work.h.
bool fake_cuda_context() { return current != nullptr && *(int*)current != 0; }

bool fake_cuda_owns(const void* p, size_t n) {
  Device& d = device();
  Lock lock(d.mutex);
  return d.owns(p, n);
}

void fake_cuda_work(const char* name, CUstream stream, std::function<bool()> work) {
  Device& d = device();
  Lock lock(d.mutex);
  LOG("launch %s\n", name);
  d.queue(stream, [work, &d]() mutable {
    d.admit();
    return work();
  });
}
