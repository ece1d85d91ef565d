package vit

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/histdist/histdist/internal/hfconfig"
	"github.com/histdist/histdist/internal/pillow"
)

// Preprocessor makes the network's pixels from an image, bit for bit as transformers' ViTImageProcessor does where it
// is given a float image of range [0,1] and do_rescale=False. It may be used by many goroutines at once.
type Preprocessor struct {
	// Height and Width are the size that every image is resized to, 224 each.
	Height, Width int

	filter pillow.Filter
	// value has the network's number for each grey value, by channel.
	value [3][256]float32
}

// preprocessorFixed are the keys of which only one kind of preprocessor is built. The fast processor resizes with
// torch.
var preprocessorFixed = hfconfig.Fixed{
	"image_processor_type": {"ViTImageProcessor", nil}, "feature_extractor_type": {"ViTFeatureExtractor", nil},
	"do_resize": {true}, "do_center_crop": {false, nil}, "do_pad": {false, nil},
}

// ReadPreprocessor reads a preprocessor_config.json; keys that it leaves out have ViTImageProcessor's defaults.
// do_rescale and rescale_factor are not read: the reference turns rescaling off in its call. A preprocessor that isn't
// built here, such as one that keeps the aspect ratio, is refused with the key that says so.
func ReadPreprocessor(path string) (*Preprocessor, error) {
	c := struct {
		Size        json.RawMessage `json:"size"`         // {"height": 224, "width": 224}
		Resample    pillow.Filter   `json:"resample"`     // 2, bilinear
		DoNormalize bool            `json:"do_normalize"` // true
		ImageMean   []float64       `json:"image_mean"`   // [0.485 0.456 0.406]
		ImageStd    []float64       `json:"image_std"`    // [0.229 0.224 0.225]
	}{
		Size: json.RawMessage("224"), Resample: pillow.Bilinear, DoNormalize: true,
		ImageMean: []float64{0.5, 0.5, 0.5}, ImageStd: []float64{0.5, 0.5, 0.5},
	}
	if err := hfconfig.Read(path, &c, preprocessorFixed); err != nil {
		return nil, err
	}
	height, width, err := parseSize(c.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: size: %w", path, err)
	}
	if c.Resample < pillow.Nearest || c.Resample > pillow.Hamming {
		return nil, fmt.Errorf("%s: resample: %d: want 0 (%v) to 5 (%v)", path, int(c.Resample), pillow.Nearest,
			pillow.Hamming)
	}
	if !c.DoNormalize {
		c.ImageMean, c.ImageStd = []float64{0, 0, 0}, []float64{1, 1, 1}
	}
	if len(c.ImageMean) != 3 {
		return nil, fmt.Errorf("%s: image_mean: %v: want 3 numbers", path, c.ImageMean)
	}
	if len(c.ImageStd) != 3 || slices.ContainsFunc(c.ImageStd, func(std float64) bool { return !(float32(std) > 0) }) {
		return nil, fmt.Errorf("%s: image_std: %v: want 3 numbers above 0", path, c.ImageStd)
	}
	p := &Preprocessor{Height: height, Width: width, filter: c.Resample}
	for channel := range p.value {
		mean, std := float32(c.ImageMean[channel]), float32(c.ImageStd[channel])
		for grey := range p.value[channel] {
			// As in transformers: times 1/255 in float64, the rest in float32.
			unit := float32(float64(grey) * (1.0 / 255))
			p.value[channel][grey] = (unit - mean) / std
		}
	}
	return p, nil
}

// maxSide bounds the configured size, so that a broken file can't ask for all memory.
const maxSide = 1 << 14

// parseSize reads the size as {"height": h, "width": w} or, as old files have it, one number for both.
func parseSize(text json.RawMessage) (height, width int, err error) {
	var side int
	var size struct{ Height, Width int }
	if json.Unmarshal(text, &side) == nil {
		size.Height, size.Width = side, side
	} else {
		err = json.Unmarshal(text, &size)
	}
	if err != nil || size.Height < 1 || size.Width < 1 || size.Height > maxSide || size.Width > maxSide {
		return 0, 0, fmt.Errorf("%s: want {\"height\": h, \"width\": w} of 1 to %d pixels", text, maxSide)
	}
	return size.Height, size.Width, nil
}

// Preprocess is the route of inference: rgb uint8 [height,width,3] → float32 [Height,Width,3].
//
// The reference hands over rgb/255 in float32, which its processor multiplies by 255 and cuts to uint8 for Pillow: rgb
// again.
func (p *Preprocessor) Preprocess(rgb []uint8, width, height int) ([]float32, error) {
	return p.run(rgb, width, height, isWhole(rgb))
}

// PreprocessTraining is the route of training: rgb uint8 [height,width,3] → float32 [Height,Width,3].
//
// The reference hands over images that went to [−1,1] and back in float32: ((2·(rgb/255) − 1) + 1)/2. Multiplied by 255
// and cut to uint8, 63 of the 256 grey values come out lower by one.
func (p *Preprocessor) PreprocessTraining(rgb []uint8, width, height int) ([]float32, error) {
	var seen [256]uint8
	for grey := range seen {
		image := float32(grey)/255*2 - 1
		unit := (image + 1) / 2
		seen[grey] = uint8(float32(float64(unit) * 255))
	}
	lowered := make([]uint8, len(rgb))
	for i, grey := range rgb {
		lowered[i] = seen[grey]
	}
	return p.run(lowered, width, height, isWhole(rgb))
}

// isWhole says whether an image has no values but 0.0 and 1.0. The reference takes such an image for one of uint8: it
// resizes the grey levels 0 and 1, and does not divide by 255 afterwards. Black and white end where they should, a mix
// of both loses its shades.
func isWhole(rgb []uint8) bool {
	return !slices.ContainsFunc(rgb, func(grey uint8) bool { return grey != 0 && grey != 255 })
}

// run resizes and normalises the bytes rgb [height,width,3] that Pillow gets.
func (p *Preprocessor) run(rgb []uint8, width, height int, whole bool) ([]float32, error) {
	image := pillow.Image{Pix: rgb, Width: width, Height: height, Channels: 3}
	if whole {
		image.Pix = make([]uint8, len(rgb))
		for i, grey := range rgb {
			image.Pix[i] = grey / 255
		}
	}
	resized, err := pillow.Resize(image, p.Width, p.Height, p.filter)
	if err != nil {
		return nil, fmt.Errorf("preprocess an image: %w", err)
	}
	pixels := make([]float32, len(resized.Pix))
	for i, grey := range resized.Pix {
		if whole {
			grey *= 255
		}
		pixels[i] = p.value[i%3][grey]
	}
	return pixels, nil
}
