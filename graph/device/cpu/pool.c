#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

// Workers spin this many rounds before they sleep: about 50 µs, the usual gap between two kernels of a program.
enum { SPIN = 20000 };

struct hd_pool {
	int threads;
	pthread_t *workers; // threads-1
	struct worker {
		hd_pool *pool;
		int index;
	} *args;
	pthread_mutex_t caller; // held for a loop
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	atomic_ulong generation; // counts loops; a change wakes the workers
	atomic_long next;        // next task to hand out
	atomic_int running;      // workers that have not finished the current loop
	atomic_int quit;
	long n;
	hd_task task;
	void *arg;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void drain(hd_pool *p, int thread) {
	for (;;) {
		long i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
		if (i >= p->n)
			return;
		p->task(p->arg, i, thread);
	}
}

static void *work(void *arg) {
	struct worker *w = arg;
	hd_pool *p = w->pool;
	unsigned long seen = 0;
	for (;;) {
		unsigned long g = atomic_load_explicit(&p->generation, memory_order_acquire);
		for (int i = 0; g == seen && i < SPIN; i++) {
			relax();
			g = atomic_load_explicit(&p->generation, memory_order_acquire);
		}
		if (g == seen) {
			pthread_mutex_lock(&p->mutex);
			while ((g = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen)
				pthread_cond_wait(&p->wake, &p->mutex);
			pthread_mutex_unlock(&p->mutex);
		}
		seen = g;
		if (atomic_load_explicit(&p->quit, memory_order_acquire))
			return NULL;
		drain(p, w->index);
		atomic_fetch_sub_explicit(&p->running, 1, memory_order_release);
	}
}

static void start_loop(hd_pool *p) {
	pthread_mutex_lock(&p->mutex);
	atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->mutex);
}

hd_pool *hd_pool_new(int threads) {
	if (threads < 1)
		threads = 1;
	hd_pool *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	pthread_mutex_init(&p->caller, NULL);
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->threads = 1;
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
	atomic_store_explicit(&p->quit, 1, memory_order_release);
	start_loop(p);
	for (int i = 0; i < p->threads - 1; i++)
		pthread_join(p->workers[i], NULL);
	pthread_mutex_destroy(&p->caller);
	pthread_mutex_destroy(&p->mutex);
	pthread_cond_destroy(&p->wake);
	free(p->workers);
	free(p->args);
	free(p);
}

int hd_pool_threads(const hd_pool *p) { return p->threads; }

void hd_pool_for(hd_pool *p, long n, hd_task task, void *arg) {
	if (n <= 0)
		return;
	if (n == 1 || p->threads == 1) {
		for (long i = 0; i < n; i++)
			task(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&p->caller);
	p->n = n;
	p->task = task;
	p->arg = arg;
	atomic_store_explicit(&p->next, 0, memory_order_relaxed);
	atomic_store_explicit(&p->running, p->threads - 1, memory_order_relaxed);
	start_loop(p);
	drain(p, 0);
	for (int i = 0; atomic_load_explicit(&p->running, memory_order_acquire) > 0; i++) {
		if (i < SPIN)
			relax();
		else
			sched_yield(); // a worker was descheduled in its last task
	}
	pthread_mutex_unlock(&p->caller);
}
