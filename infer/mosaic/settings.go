package mosaic

import "github.com/histdist/histdist/internal/option"

// Statistics says over what the latents of the inversion are standardised.
type Statistics string

// The whole slide's tissue, or each window alone, as the paper does with each image.
const (
	StatisticsSlide Statistics = "slide"
	StatisticsTile  Statistics = "tile"
)

// UnmarshalText takes one of the two names.
func (s *Statistics) UnmarshalText(text []byte) error {
	return option.OneOf(s, text, "statistics", StatisticsSlide, StatisticsTile)
}

// Outside is what replaces pixels that are not translated.
type Outside string

// White, grey, or the H&E itself.
const (
	OutsideWhite Outside = "white"
	OutsideGrey  Outside = "grey"
	OutsideHE    Outside = "he"
)

// UnmarshalText takes one of the three names.
func (o *Outside) UnmarshalText(text []byte) error {
	return option.OneOf(o, text, "outside", OutsideWhite, OutsideGrey, OutsideHE)
}

// Settings say how an image is divided and put together. All of them change the result.
type Settings struct {
	Window      int        `json:"window" want:"0 or more" usage:"side of the windows of a slide in pixels; 0 is the side of the model's training images"`
	Overlap     float64    `json:"overlap" want:"0 to 0.5" usage:"part of a window's side that it shares with its neighbour on a slide"`
	Shift       float64    `json:"grid-shift,omitempty" want:"0 to 1" usage:"moves the windows of a slide by this part of their distance, to see what depends on where they are"`
	Region      int        `json:"region-size" want:"0 or more" usage:"side in pixels of the regions of a slide that are translated at once, each a part of the work that an interruption loses"`
	Statistics  Statistics `json:"statistics" want:"slide or tile" usage:"over what latents are standardised: slide (its tissue) or tile (each window, as the paper does with an image)"`
	Independent bool       `json:"independent" usage:"translate the tiles of a slide one by one, with seams, for comparison"`
	Outside     Outside    `json:"outside" want:"white, grey or he" usage:"what replaces the parts of a slide that are not translated: white, grey or he (the H&E)"`
}

// DefaultSettings returns those that docs/slides.md measures.
func DefaultSettings() Settings {
	return Settings{Overlap: 0.25, Region: 8192, Statistics: StatisticsSlide, Outside: OutsideWhite}
}

// Validate reports everything that is wrong with the settings, as option.KeyErrors.
func (s Settings) Validate() error {
	return option.Check(s)
}
