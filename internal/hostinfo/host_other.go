//go:build !linux && !darwin

package hostinfo

func cpuModel() string { return "" }

func readMemory() Memory { return Memory{} }
