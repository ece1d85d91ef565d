// Runs the blocks of a launch on the processor: workers take blocks, and each block's threads are fibers.
#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

thread_local shim::Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

const Kernel* all;

Kernel::Kernel(const char* n, size_t b, void (*i)(const char*)) : name(n), bytes(b), invoke(i), next(all) { all = this; }

namespace {

// hd_fiber_switch keeps the caller's registers on its stack, writes the stack's address to *from and goes on at the stack `to`.
extern "C" void hd_fiber_switch(void** from, void* to);

#if defined(__x86_64__)
__asm__(R"(
.text
.globl hd_fiber_switch
.hidden hd_fiber_switch
.type hd_fiber_switch, @function
hd_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
enum { FRAME = 6, RETURN = 6 }; // words that the switch pops, and where it returns to
#elif defined(__aarch64__)
__asm__(R"(
.text
.globl hd_fiber_switch
.hidden hd_fiber_switch
.type hd_fiber_switch, %function
hd_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
enum { FRAME = 20, RETURN = 11 };
#else
#error "the fake driver runs on x86_64 and aarch64"
#endif

enum { STACK = 64 << 10, MOST = 1024, WARP = 32 };

// State is where a fiber has stopped.
enum State : char { AT_BLOCK, AT_WARP, DONE };

// Fibers are those of one worker.
struct Fibers {
  char* stacks = nullptr;
  void* at[MOST];
  State state[MOST];
  unsigned slots[WARP];
  void* scheduler;
  unsigned current;
  const Launch* launch;

  ~Fibers() {
    if (stacks) munmap(stacks, (size_t)STACK * MOST);
  }
};

thread_local Fibers fibers;

[[noreturn]] void fail(const Launch& l, const char* what) {
  fprintf(stderr, "fake CUDA: kernel %s: %s\n", l.kernel->name, what);
  abort();
}

// body is where a fiber begins.
void body() {
  Fibers& f = fibers;
  f.launch->kernel->invoke(f.launch->arguments.data());
  f.state[f.current] = DONE;
  hd_fiber_switch(&f.at[f.current], f.scheduler);
  abort();
}

// run_warp runs the fibers [begin,end) to the next barrier of their block; it returns how many have ended.
unsigned run_warp(const Launch& l, unsigned begin, unsigned end) {
  Fibers& f = fibers;
  for (;;) {
    unsigned live = 0, ended = 0, waiting = 0;
    for (unsigned i = begin; i < end; i++) {
      if (f.state[i] == DONE) continue;
      live++;
      f.current = i;
      threadIdx = {i % l.block.x, i / l.block.x % l.block.y, i / l.block.x / l.block.y};
      hd_fiber_switch(&f.scheduler, f.at[i]);
      ended += f.state[i] == DONE;
      waiting += f.state[i] == AT_WARP;
    }
    if (waiting == 0) return ended;
    if (waiting != live) fail(l, "some threads of a warp wait for others that don't come");
  }
}

void run_block(const Launch& l, unsigned long long block) {
  Fibers& f = fibers;
  if (!f.stacks) {
    void* p = mmap(nullptr, (size_t)STACK * MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail(l, "no memory for stacks");
    f.stacks = (char*)p;
  }
  f.launch = &l;
  gridDim = l.grid;
  blockDim = l.block;
  blockIdx = {(unsigned)(block % l.grid.x), (unsigned)(block / l.grid.x % l.grid.y), (unsigned)(block / l.grid.x / l.grid.y)};
  unsigned n = l.block.x * l.block.y * l.block.z;
  for (unsigned i = 0; i < n; i++) {
    void** top = (void**)(f.stacks + (size_t)STACK * (i + 1)) - 2; // aligned as at the entry of a function, once the switch returns
    void** sp = top - FRAME;
    memset(sp, 0, sizeof(void*) * FRAME);
    sp[RETURN] = (void*)body;
    f.at[i] = sp;
    f.state[i] = AT_BLOCK;
  }
  for (unsigned left = n; left > 0;) {
    unsigned ended = 0;
    for (unsigned warp = 0; warp < n; warp += WARP) ended += run_warp(l, warp, warp + WARP < n ? warp + WARP : n);
    if (ended != 0 && ended != left) fail(l, "some threads of a block end where others wait in __syncthreads");
    left -= ended;
  }
}

// Pool is the workers, which live as long as the process.
struct Pool {
  std::mutex mutex;
  std::condition_variable begin, end;
  std::vector<std::thread> workers;
  const Launch* launch = nullptr;
  unsigned long long blocks = 0, round = 0;
  std::atomic<unsigned long long> next{0};
  unsigned busy = 0;

  void take(const Launch& l) {
    for (;;) {
      unsigned long long b = next.fetch_add(1);
      if (b >= blocks) return;
      run_block(l, b);
    }
  }

  void work() {
    unsigned long long seen = 0;
    for (;;) {
      const Launch* l;
      {
        std::unique_lock<std::mutex> lock(mutex);
        begin.wait(lock, [&] { return round != seen; });
        seen = round;
        l = launch;
      }
      take(*l);
      std::lock_guard<std::mutex> lock(mutex);
      if (--busy == 0) end.notify_one();
    }
  }

  void run(const Launch& l) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (workers.empty()) {
        unsigned n = std::thread::hardware_concurrency();
        for (unsigned i = 0; i < (n ? n : 1); i++) {
          workers.emplace_back([this] { work(); });
          workers.back().detach();
        }
      }
      launch = &l;
      blocks = (unsigned long long)l.grid.x * l.grid.y * l.grid.z;
      next = 0;
      busy = (unsigned)workers.size();
      round++;
    }
    begin.notify_all();
    std::unique_lock<std::mutex> lock(mutex);
    end.wait(lock, [&] { return busy == 0; });
  }
};

} // namespace

namespace {

void wait(State s) {
  Fibers& f = fibers;
  Index thread = threadIdx;
  f.state[f.current] = s;
  hd_fiber_switch(&f.at[f.current], f.scheduler);
  threadIdx = thread;
}

} // namespace

void yield() { wait(AT_BLOCK); }
void warp_yield() { wait(AT_WARP); }

// A warp runs to its barrier before another one does, so that they can share.
unsigned& slot(unsigned lane) { return fibers.slots[lane]; }

void run(const Launch& l) {
  unsigned long long blocks = (unsigned long long)l.grid.x * l.grid.y * l.grid.z;
  if (blocks <= 4) { // not worth waking the workers for
    for (unsigned long long b = 0; b < blocks; b++) run_block(l, b);
    return;
  }
  static Pool* pool = new Pool; // never freed: its threads live until the process ends
  pool->run(l);
}

} // namespace shim
