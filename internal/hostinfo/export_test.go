package hostinfo

var (
	ThreadsFor  = threadsFor
	MemoryLimit = memoryLimit
)
