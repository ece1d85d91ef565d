package mosaic

// The draws of the noise.
const (
	DrawPosterior   = drawPosterior
	DrawStart       = drawStart
	DrawTranslation = drawTranslation
)
