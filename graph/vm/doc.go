// Package vm compiles a Gorgonia graph of our operations (graph/op) into a program for a device (graph/device) and runs
// it.
//
// Compile runs the passes that compile.go lists, in this order, most of them a file:
//
//	lower      what the outputs need, as steps and values (ir.go); the rest of the graph is left out
//	recompute  segments marked with op.Scope.Segment are computed again in the backward pass instead of kept
//	fuse       an activation, a sum or a cast that follows a matrix product moves into its kernel
//	hoist      what depends on an invariant input alone moves into a prelude
//	widen      parameters that are stored in bfloat16 become float32, for each step that reads one
//	sort       an order of the steps that frees memory early (order.go)
//	views      a value that is part of another one shares its memory (liveness.go)
//	liveness   the steps from which and up to which a value is held
//	reuse      an operation works in place where nothing reads its input afterwards
//	kernels    parameters are bound, and the device compiles a kernel for each step
//	arena      one allocation with an offset for every value and workspace (pack.go)
//
// Program.Dump prints what each of them makes of a program, and testdata/passes specifies them by examples.
//
// Three kinds of state are kept apart. A graph (ir.go) lives while Compile runs. A Program has calls, whose operands
// are in numbered spaces (address.go), and the memory that never moves. A frame has the addresses of all spaces in one
// run.
//
// Parameters are read and updated in place: in the process's memory, or as a device.Value in the memory of a device
// that does not compute there. Parameters that the device can't read in place are copied to it, once for all programs,
// for as long as a kernel reads them.
//
// program.go runs a program, record.go hands a whole run to devices that can take it at once, host.go moves values to
// and from the process, prelude.go keeps what preludes computed, report.go says where time and memory go, finite.go
// finds the first NaN, dump.go prints programs.
//
// There is no fallback from one device to another, no data-dependent control flow, and no allocation in Run except for
// results that must be converted.
package vm
