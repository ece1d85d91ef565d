// Package nvlib finds and opens NVIDIA's libraries: cuBLASLt, cuDNN, NCCL. None is linked, and none is needed to build.
//
//	spec.go     what each library is called, what it needs, and what is lost without it
//	folders.go  the folders of a machine in which they may be
//	search.go   the files that are there, the best first
//	library.go  opens the first that can be opened, after the libraries that it needs
//	open.go     dlopen and the calls of version functions, in builds with the tag gpu; the rest is plain Go
//
// Versions come from the names of files and packages, because a library that has been opened stays in the process.
package nvlib
