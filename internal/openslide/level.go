package openslide

// Level is a level of a slide.
type Level struct {
	Width, Height int64
	Downsample    float64 // pixels of level 0 a pixel, the mean of both directions
}
