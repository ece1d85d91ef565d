// Package bench times the whole of a translation and of a training step at full size, with the pipeline and the trainer that users run
// and a model of random weights. graph/modelbench times the networks by themselves.
//
//	bench.go  what is measured
//	model.go  the model of random weights
package bench
