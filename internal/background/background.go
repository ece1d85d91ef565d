// Package background runs long work at a lower priority than the rest of the process, so that what a user waits for is
// not slowed down by it.
package background

import "runtime"

// Run calls f and returns when it has returned. f runs on a thread of its own, at a low priority; threads that C code
// starts in f inherit it, goroutines don't. Where the system has no priorities of threads, f runs like everything else.
func Run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and with it its priority
		lower()
		f()
	}()
	<-done
}
