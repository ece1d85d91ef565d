// Package op holds the differentiable operations that the networks are built from, as nodes of a Gorgonia graph.
//
// A value has one layout: images are [N,H,W,C], tokens are [N,L,C], so that the channels are always the last axis and the
// same bytes serve both. Convolution weights are [KH,KW,I,O], linear weights [out,in].
//
// What is here and what is not: an operation says what it computes (a Spec: attributes, shapes, gradient), never how.
// Kernels live in the devices (graph/device/...), which switch on the Spec's type; graph/vm compiles nodes into a program.
//
// The way of a call:
//
//	op.Linear{}.Apply(scope, x, w, b, nil)   checks the shapes and names the culprit: scope.Err()
//	  → scope.apply(Linear{…}, …)   makes the node through gorgonia.ApplyOp and guards against merged nodes
//	    → *Applied                  the gorgonia.Op and SDOp of every node of ours: Spec plus place
//	      → Spec.Grad               gorgonia's Backpropagate asks it for the gradient, which is operations again
//
// One family a file: conv.go, pool.go, linear.go, norm.go, attention.go, activation.go, elementwise.go, concat.go, upsample.go,
// reshape.go, embedding.go, softmax.go, posterior.go, loss.go, timestep.go, optimizer.go, accumulate.go. scope.go is the place in a network
// under construction, applied.go what Gorgonia sees.
package op
