// Package catalogue has the slides of a server: which there are, under identifiers that say nothing of them, and parts
// of their pixels as JPEG. It serves nothing and knows no users.
//
//	folders ── files.go (confined: no link leads out) ── id.go ──▶ Slide
//	Slide ── open.go: at most so many are open ──▶ slide.Slide, shared until the file changes
//	      ── deepzoom.go, region.go: a rectangle at a resolution ── cache.go: made once, kept within bytes ──▶ JPEG
//
// A file is what its size and time of change say: with these change the tags of its tiles, which clients may keep.
package catalogue
