// Package parallel runs jobs that don't depend on each other on all processors.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Run runs jobs and returns when all have ended.
func Run(jobs []func()) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				jobs[i]()
			}
		})
	}
	wait.Wait()
}
