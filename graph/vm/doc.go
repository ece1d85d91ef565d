// Package vm compiles a Gorgonia graph of our operations (graph/op) into a program for a device (graph/device) and runs it.
//
// Compile works in stages, one a file:
//
//	lower.go      what the outputs need, as steps and values; dead code stays behind
//	recompute.go  segments marked with op.Scope.Segment are computed again in the backward pass instead of kept
//	fuse.go       an activation or a sum behind a matrix product moves into its kernel
//	order.go      an order that frees memory early
//	plan.go       lifetimes, in-place reuse, workspaces
//	pack.go       one arena with an offset for every value
//	compile.go    all of it in a row, and the kernels
//
// Parameters are read and updated where they lie: in the process's memory, or as a device.Value in the memory of a device that does not
// compute there. Other values are copied to such a device, one copy for all programs, and as long as a kernel reads them. Where a device can, record.go
// hands it a whole run at once.
//
// program.go runs a program, report.go says where its time and memory go, finite.go finds the first NaN.
//
// What it is not: there is no fallback from one device to another, no data-dependent control flow and no allocation in Run
// but for the results that must be converted.
package vm
