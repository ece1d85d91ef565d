package vit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/internal/golden"
)

// preprocessor comes with what its configuration says of normalising.
type preprocessor struct {
	*vit.Preprocessor
	mean, std []float32
}

func open(t testing.TB, path string) preprocessor {
	t.Helper()
	p, err := vit.ReadPreprocessor(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Mean []float32 `json:"image_mean"`
		Std  []float32 `json:"image_std"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return preprocessor{p, c.Mean, c.Std}
}

// phikon is Phikon's preprocessor_config.json.
const phikon = `{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224},
	"resample": 2, "do_resize": true,
	"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_normalize": true,
	"do_rescale": true, "rescale_factor": 0.00392156862745098}`

func writeConfig(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "preprocessor_config.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// normalised is what ViTImageProcessor makes of resized bytes, NHWC.
func (p preprocessor) normalised(resized []uint8) []float32 {
	out := make([]float32, len(resized))
	for i, grey := range resized {
		out[i] = (float32(float64(grey)*(1.0/255)) - p.mean[i%3]) / p.std[i%3]
	}
	return out
}

// chw brings a golden image [3,H,W] to HWC.
func chw(x golden.Tensor[uint8]) []uint8 {
	return golden.NHWC(golden.Tensor[uint8]{Shape: append([]int{1}, x.Shape...), Data: x.Data}).Data
}

// TestPreprocessEqualsTransformers wants every bit of the reference's ViTImageProcessor.
func TestPreprocessEqualsTransformers(t *testing.T) {
	f := golden.Open(t, "vit.safetensors")
	p := open(t, golden.Path(t, "tiny-phikon/preprocessor_config.json"))
	for _, name := range images(t, f) {
		rgb := f.Uint8(t, name+"/image")
		got, err := p.Preprocess(rgb.Data, rgb.Shape[1], rgb.Shape[0])
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+"/resized", got, p.normalised(chw(f.Uint8(t, name+"/resized"))))
		if f.Has(name + "/pixel_values") {
			equal(t, name+"/pixel_values", got, golden.NHWC(f.Float32(t, name+"/pixel_values")).Data)
		}
		if f.Has(name + "/resized_training") {
			got, err := p.PreprocessTraining(rgb.Data, rgb.Shape[1], rgb.Shape[0])
			if err != nil {
				t.Fatal(err)
			}
			equal(t, name+"/resized_training", got, p.normalised(chw(f.Uint8(t, name+"/resized_training"))))
		}
	}
}

func TestGreyValuesOfBothRoutes(t *testing.T) {
	f := golden.Open(t, "vit.safetensors")
	p := open(t, golden.Path(t, "tiny-phikon/preprocessor_config.json"))
	inference, training := f.Uint8(t, "grey/inference").Data, f.Uint8(t, "grey/training").Data
	for grey := range inference {
		rgb := []uint8{uint8(grey), uint8(grey), uint8(grey)}
		for _, c := range []struct {
			name string
			run  func(rgb []uint8, width, height int) ([]float32, error)
			want uint8
		}{
			{"inference", p.Preprocess, inference[grey]},
			{"training", p.PreprocessTraining, training[grey]},
		} {
			got, err := c.run(rgb, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, fmt.Sprint("grey ", grey, " in ", c.name), got[:3], p.normalised([]uint8{c.want, c.want, c.want}))
		}
	}
}

// TestBlackAndWhiteIsTakenForUint8: an image of only 0.0 and 1.0 is resized with two grey levels, so no shades come
// out.
func TestBlackAndWhiteIsTakenForUint8(t *testing.T) {
	p := open(t, writeConfig(t, phikon))
	rapid.Check(t, func(t *rapid.T) {
		height, width := rapid.IntRange(1, 40).Draw(t, "height"), rapid.IntRange(1, 40).Draw(t, "width")
		rgb := rapid.SliceOfN(rapid.SampledFrom([]uint8{0, 255}), 3*height*width, 3*height*width).Draw(t, "rgb")
		black, white := p.normalised([]uint8{0, 0, 0}), p.normalised([]uint8{255, 255, 255})
		for _, run := range []func([]uint8, int, int) ([]float32, error){p.Preprocess, p.PreprocessTraining} {
			got, err := run(rgb, width, height)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if v != black[i%3] && v != white[i%3] {
					t.Fatalf("value %d is %v, want %v or %v", i, v, black[i%3], white[i%3])
				}
			}
		}
	})
	// One grey value, and shades are back.
	rgb := make([]uint8, 3*500*500)
	for i := range rgb {
		rgb[i] = uint8(i) % 2 * 255
	}
	rgb[0] = 1
	got, err := p.PreprocessTraining(rgb, 500, 500)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[float32]bool{}
	for _, v := range got {
		seen[v] = true
	}
	if len(seen) <= 6 {
		t.Errorf("an image of black, white and one dark grey value has %d values after the resize, want shades", len(seen))
	}
}

func TestPreprocessorDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		config        string
		width, height int
		want          []float32 // of a pixel of black, white, 51
	}{
		"nothing said":  {`{}`, 224, 224, []float32{-1, 1, (float32(0.2) - 0.5) / 0.5}},
		"one number":    {`{"size": 3}`, 3, 3, []float32{-1, 1, (float32(0.2) - 0.5) / 0.5}},
		"not square":    {`{"size": {"height": 2, "width": 5}}`, 5, 2, []float32{-1, 1, (float32(0.2) - 0.5) / 0.5}},
		"not normalise": {`{"do_normalize": false, "size": 1}`, 1, 1, []float32{0, 1, 0.2}},
		"nearest":       {`{"resample": 0, "size": 2, "image_mean": [0, 0, 0], "image_std": [1, 2, 1]}`, 2, 2, []float32{0, 0.5, 0.2}},
	} {
		p, err := vit.ReadPreprocessor(writeConfig(t, c.config))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := p.Preprocess([]uint8{0, 255, 51}, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if p.Width != c.width || p.Height != c.height || len(got) != 3*c.width*c.height {
			t.Errorf("%s: %d×%d and %d values, want %d×%d", name, p.Width, p.Height, len(got), c.width, c.height)
		}
		equal(t, name, got[:3], c.want)
	}
}

func TestPreprocessorRefuses(t *testing.T) {
	for want, config := range map[string]string{
		`do_resize: false is not supported`:                    `{"do_resize": false}`,
		`image_processor_type: "ViTImageProcessorFast" is not`: `{"image_processor_type": "ViTImageProcessorFast"}`,
		`size: {"shortest_edge": 224}: want {"height": h`:      `{"size": {"shortest_edge": 224}}`,
		`size: 0: want {"height": h`:                           `{"size": 0}`,
		`size: "big": want {"height": h`:                       `{"size": "big"}`,
		`size: 100000: want {"height": h, "width": w} of 1 to`: `{"size": 100000}`,
		`resample: 6: want 0 (nearest) to 5 (hamming)`:         `{"resample": 6}`,
		`image_mean: [0.5]: want 3 numbers`:                    `{"image_mean": [0.5]}`,
		`image_std: [1 0 1]: want 3 numbers above 0`:           `{"image_std": [1, 0, 1]}`,
		`image_std: [1e-60 1 1]: want 3 numbers above 0`:       `{"image_std": [1e-60, 1, 1]}`,
		`image_mean: "mean": want a list`:                      `{"image_mean": "mean"}`,
		`not a JSON object: unexpected end of JSON input`:      `{`,
	} {
		path := writeConfig(t, config)
		_, err := vit.ReadPreprocessor(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s: … %s", config, err, path, want)
		}
	}
	if _, err := vit.ReadPreprocessor(filepath.Join(t.TempDir(), "none.json")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	p := open(t, writeConfig(t, phikon))
	for _, run := range []func([]uint8, int, int) ([]float32, error){p.Preprocess, p.PreprocessTraining} {
		if _, err := run(make([]uint8, 12), 2, 3); err == nil ||
			err.Error() != "preprocess an image: pillow: resize: bad image: 12 bytes, want 18 for 2×3 pixels of 3 channels" {
			t.Errorf("too few bytes: %v", err)
		}
	}
}

// FuzzReadPreprocessor: any file is an error or a preprocessor that works.
func FuzzReadPreprocessor(f *testing.F) {
	f.Add(`{"size": {"height": 2, "width": 3}, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}`)
	f.Add(`{"size": 5, "do_normalize": false}`)
	f.Add(`{"size": null, "image_std": null}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, config string) {
		p, err := vit.ReadPreprocessor(writeConfig(t, config))
		if err != nil || p.Width*p.Height > 1<<16 {
			return
		}
		got, err := p.Preprocess(make([]uint8, 3*4*4), 4, 4)
		if err != nil || len(got) != 3*p.Width*p.Height {
			t.Fatalf("%d values for %d×%d, %v", len(got), p.Width, p.Height, err)
		}
	})
}

func equal(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: value %d is %v, want exactly %v", name, i, got[i], want[i])
			return
		}
	}
}
