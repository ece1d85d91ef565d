// Package tissue says which part of a slide is tissue: as a mask of low resolution, and as polygons in GeoJSON, which
// QuPath reads and writes. It doesn't know what kind of tissue it is, nor pen marks from stain.
//
//	slide ── detect.go (threshold.go: saturation and Otsu; morphology.go: clean up) ──▶ Mask (mask.go)
//	Mask  ── trace.go ──▶ polygons with holes ── geojson.go ──▶ a file for QuPath
//	a file of QuPath ── geojson.go ──▶ areas ── fill.go ──▶ Mask
//
// choose.go takes the option of commands: auto, all, or a file. pack.go makes few bytes of a mask.
package tissue
