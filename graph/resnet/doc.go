// Package resnet is ResNet-50 as a feature extractor (He et al. 2016, "Deep residual learning for image recognition"):
// torchvision's network, with the stride in the 3×3 convolution, and the means of the channels after each of its four
// stages.
//
//	pixels [N,H,W,3] ─ conv1 ─ maxpool ─ layer1 ─ layer2 ─ layer3 ─ layer4
//	                                       └ means ─┴─ means ─┴─ means ─┴─ means ─▶ [N, 256+512+1024+2048]
//
//	resnet.go      the network, the published file
//	preprocess.go  image → pixels
//
// It is for inference alone: BatchNorm is folded into the convolutions (nn.Folds). The classifier is left out.
package resnet
