package server

import (
	"bytes"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/server/catalogue"
)

// Regions as https://iiif.io/api/image/3.0/#41-region has them, of an image of 300×200 pixels.
func TestIIIFRegions(t *testing.T) {
	for text, want := range map[string]image.Rectangle{ // the zero rectangle: an error
		"full":                      image.Rect(0, 0, 300, 200),
		"square":                    image.Rect(50, 0, 250, 200),
		"125,15,120,140":            image.Rect(125, 15, 245, 155),
		"125,15,200,200":            image.Rect(125, 15, 300, 200), // cut to the image
		"pct:41.6,7.5,40,70":        image.Rect(125, 15, 245, 155),
		"pct:41.6,7.5,66.6,100":     image.Rect(125, 15, 300, 200),
		"0,0,1,1":                   image.Rect(0, 0, 1, 1),
		"0,0,2147483647,2147483647": image.Rect(0, 0, 300, 200),
		"300,0,10,10":               {},
		"0,200,10,10":               {},
		"0,0,0,10":                  {},
		"pct:0,0,0,50":              {},
		"-1,0,10,10":                {},
		"1,2,3":                     {},
		"1,2,3,4,5":                 {},
		"1.5,0,10,10":               {},
		"pct:-1,0,10,10":            {},
		"pct:1e1,0,10,10":           {},
		"pct:,,,":                   {},
		"pct:nan,0,10,10":           {},
		"pct:.,0,10,10":             {},
		"FULL":                      {},
		"":                          {},
	} {
		got, err := iiifRegion(300, 200, text)
		if err != nil {
			got = image.Rectangle{}
		}
		if got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// Sizes as https://iiif.io/api/image/3.0/#42-size has them, of a region of 300×200 pixels.
func TestIIIFSizes(t *testing.T) {
	for text, want := range map[string][2]int{ // zeros: an error
		"max": {300, 200}, "^max": {5016, 3344}, "150,": {150, 100}, "^360,": {360, 240}, "360,": {}, ",150": {225, 150},
		"^,240": {360, 240}, ",240": {}, "pct:50": {150, 100}, "^pct:120": {360, 240}, "pct:120": {}, "225,100": {225, 100},
		"^360,360": {360, 360}, "360,360": {}, "!225,100": {150, 100}, "^!360,360": {360, 240}, "!360,360": {300, 200},
		"300,200": {300, 200}, "1,": {1, 1}, ",1": {2, 1}, "0,": {}, ",0": {}, "0,0": {}, "!0,1": {}, ",": {}, "!,": {}, "!5,": {},
		"!,5": {}, "": {}, "full": {}, "pct:0": {}, "pct:": {}, "pct:-1": {}, "pct:inf": {}, "^": {}, "^^max": {}, "5,5,5": {},
		"^65535,": {}, "^70000,1": {}, "^65535,1": {65535, 1}, "^65535,257": {}, "99999999999999999999,": {}, "+5,": {}, "05,": {},
		"^pct:99999999999999999999999": {},
	} {
		w, h, err := iiifSizeOf(300, 200, text)
		if err != nil {
			w, h = 0, 0
		}
		if got := [2]int{w, h}; got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestIIIFRotations(t *testing.T) {
	type turn struct {
		degrees int
		mirror  bool
	}
	for text, want := range map[string]turn{
		"0": {0, false}, "90": {90, false}, "180": {180, false}, "!270": {270, true}, "360": {0, false}, "!0": {0, true},
		"45": {-1, false}, "-90": {-1, false}, "450": {-1, false}, "": {-1, false}, "!": {-1, false}, "90.0": {-1, false},
	} {
		degrees, mirror, err := iiifRotation(text)
		if err != nil {
			degrees, mirror = -1, false
		}
		if got := (turn{degrees, mirror}); got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// A thin image keeps to the limits, too.
func TestIIIFMax(t *testing.T) {
	for _, size := range [][2]int{{1 << 30, 1}, {1, 1 << 30}, {1 << 20, 1 << 20}, {4096, 4096}, {4097, 4096}} {
		w, h, err := iiifSizeOf(size[0], size[1], "max")
		if err != nil || w < 1 || h < 1 || w*h > catalogue.MaxPixels || max(w, h) > catalogue.MaxSide {
			t.Errorf("%v: %d×%d, %v", size, w, h, err)
		}
	}
}

func TestIIIF(t *testing.T) {
	s, _ := start(t, folderOfSlides(t), nil)
	base := "/api/v1/iiif/" + theSlide(t, s).ID
	answer, _ := get(t, s, base)
	if answer.StatusCode != 303 || answer.Header.Get("Location") != base+"/info.json" {
		t.Errorf("%s, %v", answer.Status, answer.Header)
	}
	answer, text := get(t, s, base+"/info.json", "Host: localhost:8080")
	i := decoded[iiifInfo](t, answer, text)
	want := iiifInfo{
		Context: "http://iiif.io/api/image/3/context.json", ID: "http://localhost:8080" + base, Type: "ImageService3",
		Protocol: "http://iiif.io/api/image", Profile: "level2", Width: 1500, Height: 600, MaxArea: 1 << 24, MaxWidth: 65535,
		Sizes: []iiifSize{{188, 75}, {375, 150}, {750, 300}, {1500, 600}}, Tiles: []iiifTile{{256, []int{1, 2, 4, 8}}},
		ExtraQualities: []string{"color", "gray", "bitonal"}, ExtraFeatures: []string{"mirroring", "sizeUpscaling"},
	}
	if diff := cmp.Diff(want, i); diff != "" {
		t.Error(diff)
	}
	for accept, media := range map[string]string{
		"application/ld+json, */*;q=0.1": `application/ld+json;profile="http://iiif.io/api/image/3/context.json"`,
		"*/*":                            "application/json",
	} {
		if answer, _ := get(t, s, base+"/info.json", "Accept: "+accept); answer.Header.Get("Content-Type") != media {
			t.Errorf("Accept: %s: %s", accept, answer.Header.Get("Content-Type"))
		}
	}
	for path, want := range map[string]struct {
		status        int
		width, height int
		format        string
	}{
		"/full/max/0/default.jpg":             {200, 1500, 600, "jpeg"},
		"/full/150,/0/default.png":            {200, 150, 60, "png"},
		"/0,0,256,256/256,/0/default.jpg":     {200, 256, 256, "jpeg"},
		"/1280,512,220,88/220,/90/gray.png":   {200, 88, 220, "png"},
		"/square/^!700,700/!180/bitonal.png":  {200, 700, 700, "png"},
		"/pct:50,50,50,50/pct:10/0/color.jpg": {200, 75, 30, "jpeg"},
		"/full/0,/0/default.jpg":              {400, 0, 0, ""},
		"/2000,0,10,10/max/0/default.jpg":     {400, 0, 0, ""},
		"/full/max/45/default.jpg":            {400, 0, 0, ""},
		"/full/max/0/native.jpg":              {400, 0, 0, ""},
		"/full/max/0/default.webp":            {400, 0, 0, ""},
		"/full/max/0/default":                 {400, 0, 0, ""},
		"/full/max/0":                         {404, 0, 0, ""},
	} {
		answer, text := get(t, s, base+path)
		if answer.StatusCode != want.status {
			t.Errorf("%s: %s: %.200s", path, answer.Status, text)
		}
		if want.status != 200 {
			continue
		}
		img, format, err := image.DecodeConfig(bytes.NewReader(text))
		if err != nil || img.Width != want.width || img.Height != want.height || format != want.format {
			t.Errorf("%s: %d×%d, %s, %v", path, img.Width, img.Height, format, err)
		}
	}
}

// Whatever is asked for, what is made is inside the image and the limits.
func FuzzIIIF(f *testing.F) {
	f.Add(1500, 600, "full", "max", "0", "default.jpg")
	f.Add(1, 1, "square", "^!300,200", "!90", "gray.png")
	f.Add(100000, 80000, "125,15,200,200", "pct:0.01", "360", "bitonal.jpg")
	f.Add(70000, 1, "pct:0.001,99.9,50,100", "^,65535", "270", "color.png")
	f.Fuzz(func(t *testing.T, width, height int, region, size, rotation, file string) {
		if width < 1 || height < 1 || width > 1<<31-1 || height > 1<<31-1 {
			t.Skip()
		}
		p, err := iiifPart(width, height, region, size, rotation, file)
		if err != nil {
			return
		}
		if p.Rect.Empty() || !p.Rect.In(image.Rect(0, 0, width, height)) || p.Width < 1 || p.Height < 1 ||
			p.Width*p.Height > catalogue.MaxPixels || max(p.Width, p.Height) > catalogue.MaxSide || p.Format == "" ||
			p.Change.Turn%90 != 0 || p.Change.Turn < 0 || p.Change.Turn > 270 {
			t.Errorf("%d×%d, %q, %q, %q, %q: %+v", width, height, region, size, rotation, file, p)
		}
	})
}
