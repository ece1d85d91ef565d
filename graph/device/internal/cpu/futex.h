// Sleeping until a word changes. On Linux and Windows a system call without a lock, so that a thread which is suspended
// on its way into sleep or out of it holds nobody up.
#ifndef HD_FUTEX_H
#define HD_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint32_t hd_word;

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sleeps if the word has this value, until it is woken; may also return without a reason.
static inline void hd_sleep(hd_word *word, uint32_t value) {
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

// Wakes so many threads that sleep on the word, which the caller has changed.
static inline void hd_wake(hd_word *word, int threads) {
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}
#elif defined(_WIN32)
#include <windows.h>

// Needs -lsynchronization.
static inline void hd_sleep(hd_word *word, uint32_t value) { WaitOnAddress(word, &value, sizeof value, INFINITE); }

static inline void hd_wake(hd_word *word, int threads) {
	if (threads == 1)
		WakeByAddressSingle(word);
	else
		WakeByAddressAll(word);
}
#else
#include <pthread.h>

static pthread_mutex_t hd_futex_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hd_futex_changed = PTHREAD_COND_INITIALIZER; // of all words

static inline void hd_sleep(hd_word *word, uint32_t value) {
	pthread_mutex_lock(&hd_futex_mutex);
	if (atomic_load(word) == value)
		pthread_cond_wait(&hd_futex_changed, &hd_futex_mutex);
	pthread_mutex_unlock(&hd_futex_mutex);
}

static inline void hd_wake(hd_word *word, int threads) {
	(void)word, (void)threads;
	pthread_mutex_lock(&hd_futex_mutex);
	pthread_cond_broadcast(&hd_futex_changed);
	pthread_mutex_unlock(&hd_futex_mutex);
}
#endif

#endif
