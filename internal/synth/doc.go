// Package synth makes pairs of H&E and IHC images of synthetic tissue, with the truth about each nucleus, so that
// training, evaluation and the demonstration run without a download. It models how breast tissue looks under the
// microscope, not how it grows; a network trained on it alone knows nothing of patients.
//
//	Config, index ── patient.go, stain.go ──▶ what a patient's slides share: pattern of growth, stain vectors, scanner
//	   │  tissue.go     nests, glands, fat, vessels, direction of fibres, as signed distances (raster.go, blob.go)
//	   │  nuclei.go     a nucleus in each cell: place and morphology (buckets.go finds neighbours)
//	   │  expression.go the marker, from the morphology alone
//	   │  paint.go      concentrations of haematoxylin, eosin and DAB in each pixel (texture.go: grain and fibres)
//	   │  stain.go      Beer–Lambert: concentrations → light
//	   │  registration.go  the IHC image shifted and warped, if asked for
//	   ▼  optics.go     point spread, sharpening, noise, 8 bits
//	Pair, with its Truth (truth.go) ── write.go ──▶ files in MIST's layout (settings.go)
//
// generate.go calls these, config.go has the options.
//
// All random numbers come from PCG generators keyed by seed, index and purpose (random.go), so a pair doesn't depend on
// others. Bytes are the same on processors of one architecture; others may round differently.
package synth
