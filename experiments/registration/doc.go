// Package registration finds by what shift, rotation and scale the IHC image of a pair lies off its H&E image, and
// writes pairs in which that is undone. It works on the density of haematoxylin, which both stains have.
//
//	H&E, IHC ── plane.go ──▶ densities of haematoxylin
//	   │  mellin.go     rotation and scale of the whole, by the log-polar spectra (Reddy and Chatterji 1996)
//	   │  correlate.go  shift, by phase correlation (Kuglin and Hines 1975); fourier.go: 2-D transforms
//	   ▼  patches.go    shifts of parts, a similarity fitted to them, and the residual
//	Result ── transform.go ──▶ places and pixels of one image in the other
//
// register.go calls these for a pair; pairs.go for many; align.go writes aligned pairs.
package registration
