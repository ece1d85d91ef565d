//go:build !linux

package hostmem

func adviseHuge([]byte) {}

// available is 0: this system isn't asked.
func available() int64 { return 0 }
