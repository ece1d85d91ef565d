// Package graph is the engine: networks are Gorgonia graphs of our operations, differentiated by Gorgonia and run by a
// program that is compiled from the graph.
//
//	op/       the operations: shapes, gradients, names
//	vm/       compiles a graph into a program and runs it
//	device/   what a program runs on
//
// This package has what comes between building and compiling: gradients and the optimiser. The examples show it all.
package graph
