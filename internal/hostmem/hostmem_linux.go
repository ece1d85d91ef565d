package hostmem

import "golang.org/x/sys/unix"

// adviseHuge is a hint: where the system refuses it, ordinary pages do.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
