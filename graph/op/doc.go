// Package op holds the differentiable operations that the networks are built from, as nodes of a Gorgonia graph.
//
// A value has one layout: images are [N,H,W,C], tokens are [N,L,C], so that the channels are always the last axis and
// the same bytes serve both. Convolution weights are [KH,KW,I,O], linear weights [out,in].
//
// An operation says what it computes (a Spec: attributes, shapes, gradient), never how. Kernels are in the devices
// (graph/device/...), which switch on the Spec's type; graph/vm compiles nodes into a program.
//
// What a call does:
//
//	op.Linear{}.Apply(scope, x, w, b, nil)   checks the shapes; scope.Err() names the operation that failed
//	  → scope.apply(Linear{…}, …)   makes the node with gorgonia.ApplyOp and guards against merged nodes
//	    → *Applied                  the gorgonia.Op and SDOp of every node of ours: Spec and place
//	      → Spec.Grad               gorgonia's Backpropagate asks it for the gradient, which is operations again
//
// There is one file for each family of operations. scope.go is the place in a network under construction, spec.go
// what an operation must say, fusion.go its epilogue, applied.go what Gorgonia sees.
package op
