package ref

import "github.com/histdist/histdist/internal/parallel"

// eachStretch cuts [0,n) up and calls f for the stretches [from,to) on all processors.
func eachStretch(n int, f func(from, to int)) {
	const length = 1 << 13 // long enough to make up for a goroutine, short enough to share evenly
	parallel.Ranges(n, length, f)
}
