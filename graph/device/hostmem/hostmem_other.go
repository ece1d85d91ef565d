//go:build !linux

package hostmem

func adviseHuge([]byte) {}

// Available is 0: this system isn't asked.
func Available() int64 { return 0 }
