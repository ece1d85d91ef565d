// Package openslide calls the OpenSlide library, which reads the slides of most scanners. The library is found and
// loaded when the program runs, not when it is built, so every build can use it and none needs it. The package neither
// interprets what OpenSlide says nor knows a format.
//
//	Load ── find.go: HISTDIST_OPENSLIDE, a Python environment, the system ──▶ names of libraries
//	     ── load_unix.go, load_windows.go (load_other.go where there is no way) ──▶ Library, with its version
//	Library ── slide.go: Open ──▶ Slide: levels, properties, regions, associated images
package openslide
