// Package demo is the demonstration: a small model in the binary, trained by this program on synthetic tissue alone, a
// translation that needs nothing else, and a measurement of the model on unseen tissue.
//
//	architecture/  the configurations of its networks, to train it from nothing
//	model/         the trained model's folder, with its card
//	find.go        the names of both, wherever a model is named
//	demo.go        Run: a piece of tissue, its translation, the truth
//	measure.go     Measure: many pieces, with and without parts of the method
//
// The recipes of its training are demo-vae.yaml and demo.yaml among the experiments.
package demo
