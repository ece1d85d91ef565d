//go:build unix

package claim

import "syscall"

// errReadOnly is the error of a file system that is mounted to be read.
var errReadOnly error = syscall.EROFS
