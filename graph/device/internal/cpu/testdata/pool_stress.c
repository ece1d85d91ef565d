// Runs the thread pool where its threads are late, suspended, or slow. TestPool compiles and starts it: pool_stress
// CASE [SEED]. It exits with 0, or prints what was wrong; a thread that is never woken shows as a run without end.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void delay(void);
static int late_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
#define HD_POOL_PAUSE() delay()
#define pthread_create(thread, attr, start, arg) late_create(thread, attr, start, arg)
#include "../pool.c"
#undef pthread_create

#define CHECK(condition, ...)                                 \
	do {                                                  \
		if (!(condition)) {                           \
			fprintf(stderr, __VA_ARGS__);         \
			fprintf(stderr, " (%s)\n", #condition); \
			exit(1);                              \
		}                                             \
	} while (0)

enum { TASKS = 1000, THREADS = 6, LOOPS = 400 };

static _Thread_local unsigned long random_state;
static atomic_ulong random_seed = 1;
static unsigned long draw(unsigned long n) {
	if (!random_state)
		random_state = 0x9e3779b97f4a7c15 * atomic_fetch_add(&random_seed, 1) | 1;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}
// At times waits, so that other threads come first: a little, and so many times until the system has let all others
// run, which takes milliseconds where other processes compute.
enum { YIELDS = 300 };
static atomic_int yields;
static void delay(void) {
	if (draw(8))
		return;
	if (draw(50) == 0 && atomic_fetch_add(&yields, 1) < YIELDS)
		sched_yield();
	for (unsigned long spins = draw(2000); spins > 0; spins--)
		__asm__ volatile("");
}

// While the gate is shut, new threads do not get to their function.
static atomic_int gate_shut;
struct late {
	void *(*start)(void *);
	void *arg;
};
static void *late_start(void *arg) {
	struct late l = *(struct late *)arg;
	free(arg);
	while (atomic_load(&gate_shut))
		sched_yield();
	return l.start(l.arg);
}
static int late_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
	struct late *l = malloc(sizeof *l);
	*l = (struct late){start, arg};
	return pthread_create(thread, attr, late_start, l);
}

// What a loop writes: not atomic, so that the thread sanitizer sees who shares what without an order.
struct loop {
	long n, runs[TASKS], scratch[THREADS];
	int threads, uneven, hold;
	atomic_long held, ended;
};
static void task(void *arg, long i, int thread) {
	struct loop *l = arg;
	CHECK(i >= 0 && i < l->n && thread >= 0 && thread < l->threads, "task %ld on thread %d", i, thread);
	l->runs[i]++;
	l->scratch[thread]++;
	for (unsigned long spins = l->uneven ? draw(100) == 0 ? 20000 : draw(200) : 0; spins > 0; spins--)
		__asm__ volatile("");
	if (l->hold && thread && !atomic_exchange(&l->held, 1)) // the first worker keeps its task until all others have ended
		while (atomic_load(&l->ended) < l->n - 1)
			sched_yield();
	if (l->hold && !thread) // and the caller waits until a worker has come
		while (!atomic_load(&l->held))
			sched_yield();
	atomic_fetch_add(&l->ended, 1);
}
static void check_loop(hd_pool *p, struct loop *l) {
	l->threads = hd_pool_threads(p);
	hd_pool_for(p, l->n, task, l);
	long sum = 0;
	for (long i = 0; i < l->n; i++)
		CHECK(l->runs[i] == 1, "task %ld of %ld ran %ld times", i, l->n, l->runs[i]);
	for (int t = 0; t < l->threads; t++)
		sum += l->scratch[t];
	CHECK(sum == l->n, "%ld tasks of %ld", sum, l->n);
}

static hd_pool *open_pool(int threads) {
	hd_pool *p = hd_pool_new(threads);
	CHECK(p && hd_pool_threads(p) == threads, "no pool of %d threads", threads);
	return p;
}

static void *caller(void *pool) {
	static const long sizes[] = {0, 1, 2, 3, 5, 17, TASKS};
	for (int k = 0; k < LOOPS; k++) {
		struct loop l = {.n = sizes[draw(sizeof sizes / sizeof *sizes)], .uneven = draw(2)};
		check_loop(pool, &l);
		if (draw(50) == 0) // long enough for the workers to fall asleep
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	return NULL;
}

int main(int argc, char **argv) {
	CHECK(argc >= 2, "usage: pool_stress CASE [SEED]");
	const char *name = argv[1];
	atomic_store(&random_seed, argc > 2 ? strtoul(argv[2], NULL, 10) : 1);
	if (!strcmp(name, "many")) { // several pools, several callers of each
		hd_pool *pools[] = {open_pool(1), open_pool(2), open_pool(THREADS)};
		pthread_t callers[6];
		for (int i = 0; i < 6; i++)
			pthread_create(&callers[i], NULL, caller, pools[i % 3]);
		for (int i = 0; i < 6; i++)
			pthread_join(callers[i], NULL);
		for (int i = 0; i < 3; i++)
			hd_pool_free(pools[i]);
	} else if (!strcmp(name, "late")) { // no worker begins before all loops have ended
		atomic_store(&gate_shut, 1);
		hd_pool *p = open_pool(3);
		caller(p);
		atomic_store(&gate_shut, 0);
		caller(p);
		hd_pool_free(p);
	} else if (!strcmp(name, "held")) { // a worker that stands still holds up its own task alone
		hd_pool *p = open_pool(3);
		for (int k = 0; k < 100; k++)
			check_loop(p, &(struct loop){.n = 50, .hold = 1});
		hd_pool_free(p);
	} else if (!strcmp(name, "idle")) { // pools that are closed before, while and after their threads fall asleep
		for (int k = 0; k < 200; k++) {
			hd_pool *p = open_pool(THREADS);
			nanosleep(&(struct timespec){.tv_nsec = (long)draw(200000)}, NULL);
			if (draw(2))
				check_loop(p, &(struct loop){.n = 1 + (long)draw(20)});
			hd_pool_free(p);
		}
	} else if (strcmp(name, "none")) { // that only says whether the program can be started
		CHECK(0, "no case %s", name);
	}
	return 0;
}
