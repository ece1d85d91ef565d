// Package bench times the program at full size: layers (kernels) and networks with weights by formula, translations and
// training steps with a model such as CreateModel's. It can time PyTorch next to them.
//
//	bench.go     what can be timed, and the results
//	program.go   compiles and times a graph
//	kernels.go   the layers in layers.json, which gen_layers.py makes
//	networks.go  networks, and a training step of the U-Net
//	pipeline.go  translation and training as users run them
//	model.go     a model of random weights
//	torch.go     PyTorch's times
package bench
