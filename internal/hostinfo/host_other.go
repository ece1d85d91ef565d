//go:build !linux && !darwin && !windows

package hostinfo

func cpuModel() string { return "" }

func readMemory() Memory { return Memory{} }

// AvailableMemory is 0: this system isn't asked.
func AvailableMemory() int64 { return 0 }
