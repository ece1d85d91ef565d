package hostinfo

import "golang.org/x/sys/unix"

// cpuModel is the brand that the kernel reports, such as "Apple M2".
func cpuModel() string {
	model, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return model
}

func readMemory() Memory {
	physical, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return Memory{}
	}
	return Memory{Physical: physical}
}

// AvailableMemory is 0: this system isn't asked.
func AvailableMemory() int64 { return 0 }
