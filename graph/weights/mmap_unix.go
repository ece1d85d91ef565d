//go:build unix

package weights

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapPrivate maps the first bytes of a file. It reserves no swap space: a checkpoint larger than the free memory can be
// mapped and read in parts.
func mapPrivate(f *os.File, bytes int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
}

func unmap(b []byte) error { return unix.Munmap(b) }

// forgetful says that pages of a file which have been dropped have the file's bytes again, whatever was written to
// them.
const forgetful = true

// dropFile and dropZero give pages back to the system: those of a file, and those of memory, which is zero then.
func dropFile(pages []byte) error { return unix.Madvise(pages, unix.MADV_DONTNEED) }
func dropZero(pages []byte) error { return unix.Madvise(pages, unix.MADV_DONTNEED) }
