// Package icc converts 8-bit grey, RGB and CMYK values to 8-bit sRGB by their colour profile (ICC.1:2022, versions 2
// and 4). The target is always sRGB and the intent perceptual with black point compensation, as in LittleCMS by default
// (Pillow's ImageCms.profileToProfile). Values agree with LittleCMS to one level where it computes exactly.
//
//	bytes ── profile.go: header, tags, description ──▶ Profile
//	Profile ── transform.go ──▶ Transform: ── shaper.go: curves and a matrix of RGB and grey, in single precision
//	                                       └─ lut.go: tables of lut8, lut16 and lutAToB: curve.go, clut.go, pcs.go
//
// A profile is as long as its file says and no longer: tables are allocated for what the bytes hold.
package icc
