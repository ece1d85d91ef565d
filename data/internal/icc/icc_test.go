package icc_test

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/internal/icc"
)

// testdata/gen_profiles.py: what LittleCMS makes of 256 colours of each device.
func TestProfiles(t *testing.T) {
	input, err := os.ReadFile("testdata/input.bin")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("testdata/*.icc")
	if err != nil || len(paths) < 18 {
		t.Fatalf("profiles %v, error %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := icc.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			transform, err := p.Transform()
			if err != nil {
				t.Fatal(err)
			}
			var device []uint8
			for i := 0; i < len(input); i += 4 {
				device = append(device, input[i:i+p.Channels]...)
			}
			got := make([]uint8, len(input)/4*3)
			transform.Convert(got, device)
			file, err := os.Open(strings.TrimSuffix(path, ".icc") + ".want.png")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			want, err := png.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			most, wrong := 0, 0
			for i := range got {
				r, g, b, _ := want.At(i/3%16, i/3/16).RGBA()
				v := [3]uint32{r, g, b}[i%3] >> 8
				d := max(int(got[i]), int(v)) - min(int(got[i]), int(v))
				if most = max(most, d); d > 1 { // LittleCMS rounds to 16 bits on the way
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d values differ by more than 1, by up to %d", wrong, len(got), most)
			}
		})
	}
}

func FuzzProfile(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.icc")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	device := []uint8{0, 255, 1, 254, 255, 255, 255, 255, 0, 0, 0, 0}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := icc.Parse(raw)
		if err != nil {
			return
		}
		if transform, err := p.Transform(); err == nil && transform != nil {
			transform.Convert(make([]uint8, 3*len(device)/p.Channels), device)
		}
	})
}

// SRGB changes nothing, by its curves and matrix and not only by its name.
func TestSRGB(t *testing.T) {
	raw := icc.SRGB()
	for _, name := range []string{"sRGB IEC61966-2.1", "xRGB IEC61966-2.1"} {
		other := bytes.Replace(raw, []byte("\x00s\x00R\x00G\x00B"), []byte("\x00"+name[:1]+"\x00R\x00G\x00B"), 1)
		p, err := icc.Parse(other)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Channels != 3 {
			t.Errorf("%q with %d channels, want %q with 3", p.Name, p.Channels, name)
		}
		if transform, err := p.Transform(); err != nil || transform != nil {
			t.Errorf("%q: transform %v, error %v, want none", name, transform, err)
		}
	}
}
