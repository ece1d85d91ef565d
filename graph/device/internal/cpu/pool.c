#ifndef _GNU_SOURCE
#define _GNU_SOURCE // sched_getcpu
#endif
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "futex.h"

// How long a thread looks for work, or for the end of others' tasks, before it sleeps. It is longer than the gap
// between two kernels of a program, and short against the milliseconds for which the system suspends a thread.
enum { SPIN_NS = 50000 };

// A ticket is the number of a loop and how many of its tasks have not been handed out.
#define TASKS_LEFT ((UINT64_C(1) << 31) - 1)

// With the number of unfinished tasks: the caller has gone to sleep until there are none.
#define CALLER_SLEEPS (UINT32_C(1) << 31)

// How often a worker may leave the caller's processor.
enum { PART_NS = 1000000 };

// A cache line, on which one thread's writes slow down other threads' reads; Apple's have 128 bytes.
#if defined(__aarch64__)
#define LINE 128
#else
#define LINE 64
#endif

// testdata/pool_stress.c delays threads at random here.
#ifndef HD_POOL_PAUSE
#define HD_POOL_PAUSE()
#endif

struct hd_pool {
	int threads;
	pthread_t *workers; // threads-1
	struct worker {
		hd_pool *pool;
		int index;
		int of;         // the threads that the pool is to have
		int64_t parted; // when it last left the caller's processor
	} *args;
	pthread_mutex_t caller; // held for a loop

	// The loop. Whoever takes the ticket from one value to the next has task n - (what was left), and until that task has
	// ended the other fields don't change.
	_Alignas(LINE) _Atomic uint64_t ticket;
	_Atomic(hd_task) task;
	_Atomic(void *) arg;
	_Atomic hd_n n;
	atomic_int processor; // where the caller began the loop

	_Alignas(LINE) hd_word unfinished; // tasks that have not ended, and CALLER_SLEEPS

	_Alignas(LINE) hd_word bell; // changes when sleeping workers are to look at the ticket
	atomic_int sleepers;       // how many workers the bell may have to wake, or more
	atomic_int quit;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb"); // yield does nothing on most processors
#endif
}

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Waits in a loop: says after round 0, 1, … whether to go on. Asks the clock seldom: a pause takes 10 to 50 ns.
static inline int spin(int round, int64_t *end) {
	if (round == 0)
		*end = now_ns() + SPIN_NS;
	relax();
	return round % 16 || now_ns() < *end;
}

// Runs tasks until all are handed out; returns the ticket that said so.
static uint64_t drain(hd_pool *p, int thread) {
	uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
	while (ticket & TASKS_LEFT) {
		// If these are of another loop than the ticket, then the ticket has changed since.
		hd_task task = atomic_load_explicit(&p->task, memory_order_acquire);
		void *arg = atomic_load_explicit(&p->arg, memory_order_acquire);
		hd_n i = atomic_load_explicit(&p->n, memory_order_acquire) - (hd_n)(ticket & TASKS_LEFT);
		HD_POOL_PAUSE();
		if (!atomic_compare_exchange_strong_explicit(&p->ticket, &ticket, ticket - 1, memory_order_acq_rel,
		                                             memory_order_acquire))
			continue;
		task(arg, i, thread);
		if (atomic_fetch_sub_explicit(&p->unfinished, 1, memory_order_acq_rel) == (CALLER_SLEEPS | 1))
			hd_wake(&p->unfinished, 1);
		ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
	}
	return ticket;
}

// Moves a worker away from the caller's processor. Where other processes compute, the system tends to wake a worker
// there, since the caller has just rung: then the two take turns on one processor, and the other process has another
// one for itself. Two threads on two cores took 1.91× their idle time next to one other process without this, and take
// 1.53×.
static void part(struct worker *w) {
#ifdef __linux__
	int here = sched_getcpu();
	if (here < 0 || here != atomic_load_explicit(&w->pool->processor, memory_order_relaxed))
		return;
	int64_t now = now_ns();
	if (now - w->parted < PART_NS)
		return;
	w->parted = now;
	cpu_set_t all, others;
	if (sched_getaffinity(0, sizeof all, &all))
		return;
	others = all;
	CPU_CLR(here, &others);
	if (CPU_COUNT(&others) + 1 >= w->of && !sched_setaffinity(0, sizeof others, &others))
		sched_setaffinity(0, sizeof all, &all);
#else
#endif
}

static void *work(void *arg) {
	struct worker *w = arg;
	hd_pool *p = w->pool;
	while (!atomic_load(&p->quit)) {
		if (atomic_load_explicit(&p->ticket, memory_order_relaxed) & TASKS_LEFT)
			part(w);
		uint64_t seen = drain(p, w->index);
		int64_t end;
		int round = 0;
		while (atomic_load_explicit(&p->ticket, memory_order_acquire) == seen && spin(round, &end))
			round++;
		uint32_t bell = atomic_load(&p->bell);
		HD_POOL_PAUSE();
		if (atomic_load_explicit(&p->ticket, memory_order_acquire) != seen)
			continue;
		atomic_fetch_add(&p->sleepers, 1);
		if (atomic_load(&p->ticket) == seen && !atomic_load(&p->quit))
			hd_sleep(&p->bell, bell);
	}
	return NULL;
}

// Wakes up to most sleeping workers.
static void ring(hd_pool *p, int most) {
	int n = atomic_load(&p->sleepers);
	if (n > most)
		n = most;
	if (n > 0) {
		atomic_fetch_sub(&p->sleepers, n);
		atomic_fetch_add(&p->bell, 1);
		hd_wake(&p->bell, n);
	}
}

hd_pool *hd_pool_new(int threads) {
	if (threads < 1)
		threads = 1;
#ifdef _WIN32
	hd_pool *p = _aligned_malloc(sizeof *p, _Alignof(hd_pool));
#else
	hd_pool *p = aligned_alloc(_Alignof(hd_pool), sizeof *p);
#endif
	if (!p)
		return NULL;
	*p = (hd_pool){.threads = 1};
	pthread_mutex_init(&p->caller, NULL);
	p->workers = calloc(threads, sizeof *p->workers);
	p->args = calloc(threads, sizeof *p->args);
	if (!p->workers || !p->args) {
		hd_pool_free(p);
		return NULL;
	}
	for (; p->threads < threads; p->threads++) {
		struct worker *w = &p->args[p->threads - 1];
		w->pool = p;
		w->index = p->threads;
		w->of = threads;
		if (pthread_create(&p->workers[p->threads - 1], NULL, work, w)) {
			hd_pool_free(p);
			return NULL;
		}
	}
	return p;
}

void hd_pool_free(hd_pool *p) {
	if (!p)
		return;
	atomic_store(&p->quit, 1);
	atomic_fetch_add(&p->bell, 1);
	hd_wake(&p->bell, p->threads);
	for (int i = 0; i < p->threads - 1; i++)
		pthread_join(p->workers[i], NULL);
	pthread_mutex_destroy(&p->caller);
	free(p->workers);
	free(p->args);
#ifdef _WIN32
	_aligned_free(p);
#else
	free(p);
#endif
}

int hd_pool_threads(const hd_pool *p) { return p->threads; }

void hd_pool_for(hd_pool *p, hd_n n, hd_task task, void *arg) {
	if (n <= 0)
		return;
	if (n == 1 || p->threads == 1) {
		for (hd_n i = 0; i < n; i++)
			task(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&p->caller);
#ifdef __linux__
	atomic_store_explicit(&p->processor, sched_getcpu(), memory_order_relaxed);
#endif
	uint64_t last = atomic_load_explicit(&p->ticket, memory_order_relaxed); // with no tasks left
	atomic_store_explicit(&p->task, task, memory_order_release);
	atomic_store_explicit(&p->arg, arg, memory_order_release);
	atomic_store_explicit(&p->n, n, memory_order_release);
	atomic_store_explicit(&p->unfinished, (uint32_t)n, memory_order_relaxed);
	atomic_store(&p->ticket, last + TASKS_LEFT + 1 + n);
	ring(p, n < p->threads ? n - 1 : p->threads - 1);
	drain(p, 0);

	int64_t end;
	int round = 0;
	while (atomic_load_explicit(&p->unfinished, memory_order_acquire) && spin(round, &end))
		round++;
	if (atomic_load_explicit(&p->unfinished, memory_order_acquire)) {
		uint32_t left = atomic_fetch_or(&p->unfinished, CALLER_SLEEPS) | CALLER_SLEEPS;
		while (left != CALLER_SLEEPS) {
			hd_sleep(&p->unfinished, left);
			left = atomic_load_explicit(&p->unfinished, memory_order_acquire);
		}
	}
	pthread_mutex_unlock(&p->caller);
}
