// Package demo is the demonstration: a small model in the binary, trained by this program on synthetic tissue alone, a translation that
// needs nothing else, and how good the model is on tissue that it has not seen.
//
//	model/      the model's folder, in the binary, with its card
//	demo.go     Run: a piece of tissue, its translation, the truth
//	measure.go  Measure: many pieces, with and without parts of the method
package demo
