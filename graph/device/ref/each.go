package ref

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// each calls f(0) … f(n-1) on all processors. The calls must not write to the same memory.
func each(n int, f func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	workers.Wait()
}

// eachStretch cuts [0,n) up and calls f for the stretches [from,to) on all processors.
func eachStretch(n int, f func(from, to int)) {
	const length = 1 << 13 // long enough to make up for a goroutine, short enough to share evenly
	each((n+length-1)/length, func(i int) { f(i*length, min((i+1)*length, n)) })
}
