// Runs the blocks of a launch on the processor: workers take blocks, and each block's threads are fibers. They go on in turn, 32 of them from
// one instruction of a warp to the next, and each warp up to __syncthreads.
#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

thread_local shim::Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

const Kernel* all;

Kernel::Kernel(const char* n, size_t b, void (*i)(const char*), unsigned t) : name(n), bytes(b), invoke(i), threads(t), next(all) { all = this; }

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

// A stack begins this much lower than the one before, or the tops of all would share a few lines of the cache.
enum { STACK = 64 << 10, MOST = 1024, WARP = 32, STAGGER = 576, PAST = 8192 };

// State is where a fiber has stopped.
enum State : char { AT_BLOCK, AT_WARP, DONE };

// Copy is one to shared memory that has begun.
struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

// Copies are those of one thread: groups that are closed, the oldest first, and one that is open.
struct Copies {
  std::deque<std::vector<Copy>> groups;
  std::vector<Copy> open;
};

// Fibers are those of one worker.
struct Fibers {
  char* stacks = nullptr;
  void* at[MOST];
  State state[MOST];
  unsigned slots[WARP];
  void (*what[MOST])(void* const*); // the instruction of the warp where a fiber is AT_WARP; nullptr: a barrier
  void* operands[MOST];
  Copies copies[MOST];
  void* scheduler;
  unsigned current;
  const Launch* launch;
  unsigned char* shared = nullptr;

  ~Fibers() {
    if (stacks) munmap(stacks, (size_t)STACK * MOST);
    free(shared);
  }
};

thread_local Fibers fibers;

enum { MOST_SHARED = 256 << 10 };

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
    if (waiting != live) fail("some threads of a warp wait for others that don't come");
    void (*what)(void* const*) = nullptr;
    for (unsigned i = begin; i < end; i++)
      if (f.state[i] == AT_WARP) what = f.what[i];
    for (unsigned i = begin; i < end; i++)
      if (f.state[i] == AT_WARP && f.what[i] != what) fail("the threads of a warp are at different instructions");
    if (what == nullptr) continue;
    if (live != WARP) fail("an instruction for 32 threads in a warp of less");
    what(f.operands + begin);
  }
}

void run_block(const Launch& l, unsigned long long block) {
  Fibers& f = fibers;
  f.launch = &l;
  if (!f.shared && posix_memalign((void**)&f.shared, 1024, MOST_SHARED) != 0) fail("no memory for a block");
  if (!f.stacks) {
    void* p = mmap(nullptr, (size_t)STACK * MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail("no memory for stacks");
    f.stacks = (char*)p;
  }
  memset(f.shared, 0xff, l.shared); // NaN
  gridDim = l.grid;
  blockDim = l.block;
  blockIdx = {(unsigned)(block % l.grid.x), (unsigned)(block / l.grid.x % l.grid.y), (unsigned)(block / l.grid.x / l.grid.y)};
  unsigned n = l.block.x * l.block.y * l.block.z;
  for (unsigned i = 0; i < n; i++) {
    void** top = (void**)(f.stacks + (size_t)STACK * (i + 1) - i * STAGGER % PAST) - 2; // aligned as at the entry of a function, once the switch returns
    void** sp = top - FRAME;
    memset(sp, 0, sizeof(void*) * FRAME);
    sp[RETURN] = (void*)body;
    f.at[i] = sp;
    f.state[i] = AT_BLOCK;
    f.copies[i].open.clear();
    f.copies[i].groups.clear();
  }
  for (unsigned left = n; left > 0;) {
    unsigned ended = 0;
    for (unsigned warp = 0; warp < n; warp += WARP) ended += run_warp(l, warp, warp + WARP < n ? warp + WARP : n);
    if (ended != 0 && ended != left) fail("some threads of a block end where others wait in __syncthreads");
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

void wait(State s, void (*what)(void* const*) = nullptr, void* operands = nullptr) {
  Fibers& f = fibers;
  Index thread = threadIdx;
  f.state[f.current] = s;
  f.what[f.current] = what;
  f.operands[f.current] = operands;
  hd_fiber_switch(&f.at[f.current], f.scheduler);
  threadIdx = thread;
}

} // namespace

void yield() { wait(AT_BLOCK); }
void warp_yield() { wait(AT_WARP); }

// A warp runs to its barrier before another one does, so that they can share.
unsigned& slot(unsigned lane) { return fibers.slots[lane]; }

void fail(const char* what) {
  fprintf(stderr, "fake CUDA: kernel %s: %s\n", fibers.launch ? fibers.launch->kernel->name : "?", what);
  abort();
}

void together(void (*what)(void* const*), void* operands) { wait(AT_WARP, what, operands); }

unsigned char* shared() { return fibers.shared; }

bool within(const void* p, size_t n) {
  const Fibers& f = fibers;
  return (const unsigned char*)p >= f.shared && (const unsigned char*)p + n <= f.shared + f.launch->shared;
}

void copy(void* to, const void* from, size_t n) {
  Fibers& f = fibers;
  memset(to, 0xff, n);
  f.copies[f.current].open.push_back({to, from, n});
}

void commit() {
  Copies& c = fibers.copies[fibers.current];
  c.groups.push_back(std::move(c.open));
  c.open.clear();
}

void copied(size_t open) {
  Copies& c = fibers.copies[fibers.current];
  for (; c.groups.size() > open; c.groups.pop_front())
    for (const Copy& x : c.groups.front()) {
      if (x.from == nullptr)
        memset(x.to, 0, x.bytes);
      else
        memcpy(x.to, x.from, x.bytes);
    }
}

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
