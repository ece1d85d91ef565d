// Package nn holds the layers that the networks share, made of operations (graph/op). Parameters have diffusers' names
// below the scope that a layer is given: nn.Resnet(s.Sub("resnets.0"), …) makes "resnets.0.conv1.weight" and so on.
// Convolution weights are [KH,KW,I,O], linear weights [out,in].
//
//	layer.go        convolution, linear, norms
//	resnet.go       the residual block
//	attention.go    multi-head attention with its projections
//	transformer.go  the transformer block and the spatial transformer
//	resample.go     down- and upsampling by two
//	time.go         the time embedding
//	lowrank.go      low-rank additions to linear layers and convolutions
//	fold.go         BatchNorm and LayerScale for inference, folded into the layer in front
package nn
