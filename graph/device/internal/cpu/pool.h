// Thread pool: a fixed number of threads that run the tasks of one loop at a time.
//
// A loop has ended when its tasks have, whoever ran them: the caller runs them too, it waits for no thread that has
// not begun, and a thread that the system suspends holds up one task. Threads without work sleep.
#ifndef HD_POOL_H
#define HD_POOL_H

#include <stddef.h>

// A number of elements or tasks, or an index. It has 64 bits on every system; long has 32 on Windows.
typedef ptrdiff_t hd_n;

typedef struct hd_pool hd_pool;

// A task of a parallel loop. thread is in [0, hd_pool_threads): use it for scratch memory only, never for the split of
// work, so that results do not depend on which thread ran a task.
typedef void (*hd_task)(void *arg, hd_n task, int thread);

hd_pool *hd_pool_new(int threads); // threads >= 1, the caller's included; NULL when out of memory
void hd_pool_free(hd_pool *pool);
int hd_pool_threads(const hd_pool *pool);

// Runs task(arg, i, thread) for i in [0, n), n < 2³¹, and returns when all have ended. Tasks are handed out in order,
// one at a time, to whichever thread is free. Callers on several threads take turns; a task must not start a loop
// itself.
void hd_pool_for(hd_pool *pool, hd_n n, hd_task task, void *arg);

#endif
