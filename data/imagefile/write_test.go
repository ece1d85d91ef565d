package imagefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
)

// What is written without loss comes back, with every statement in its order.
func TestWriteRoundTrip(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		img := imagefile.New(rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 150).Draw(t, "height"))
		for i := range img.Pix {
			img.Pix[i] = uint8(i * i)
		}
		var provenance []imagefile.Pair
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Software", "Description", "model", "eta"}), 0, 4, rapid.ID)
		for _, key := range keys.Draw(t, "keys") {
			value := rapid.StringOfN(rapid.RuneFrom([]rune("aB \n\"\\{<é😀")), 1, 30, -1).Draw(t, key)
			provenance = append(provenance, imagefile.Pair{Key: key, Value: value})
		}
		extension := rapid.SampledFrom([]string{".png", ".tif", ".jpg"}).Draw(t, "extension")
		path := filepath.Join(folder, "picture"+extension)
		if err := imagefile.Write(path, img, imagefile.WriteOptions{Provenance: provenance}); err != nil {
			t.Fatal(err)
		}
		read, err := imagefile.ReadProvenance(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(provenance, read); diff != "" {
			t.Fatalf("provenance in %s (-wrote +read):\n%s", extension, diff)
		}
		got, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if extension == ".jpg" {
			img.Pix = got.Pix
		}
		if diff := cmp.Diff(img, got); diff != "" {
			t.Fatalf("%s (-wrote +read):\n%s", extension, diff)
		}
	})
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 3 {
		t.Errorf("%d files are left of 3", len(left))
	}
}

func TestJPEGOptions(t *testing.T) {
	img, err := imagefile.Read("testdata/rgb.png", imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	size := func(o imagefile.WriteOptions) int {
		data, err := imagefile.Encode(img, imagefile.JPEG, o)
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
	if size(imagefile.WriteOptions{}) != size(imagefile.WriteOptions{Quality: imagefile.DefaultQuality}) {
		t.Error("the default quality is not DefaultQuality")
	}
	if size(imagefile.WriteOptions{}) >= size(imagefile.WriteOptions{Quality: 90}) {
		t.Error("a higher quality is not longer")
	}
}

func TestWriteErrors(t *testing.T) {
	folder := t.TempDir()
	one := imagefile.New(1, 1)
	for _, test := range []struct {
		name, path string
		img        *imagefile.Image
		options    imagefile.WriteOptions
		want       string
	}{
		{name: "extension", path: "a.webp", img: one, want: `not ".webp"`},
		{name: "no pixels", path: "a.png", img: imagefile.New(0, 3), want: "0×3"},
		{name: "quality", path: "a.jpg", img: one, options: imagefile.WriteOptions{Quality: 101}, want: "quality 101"},
		{name: "keyword", path: "a.png", img: one, options: imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: " x"}}}, want: "keyword"},
		{name: "zero", path: "a.tif", img: one, options: imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: "Software", Value: "a\x00b"}}}, want: "Software"},
		{name: "folder", path: "none/a.png", img: one, want: "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(folder, test.path)
			err := imagefile.Write(path, test.img, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, test.want)
			}
		})
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("failed writes leave %v, %v", left, err)
	}
}

// A write that fails keeps the file that was there.
func TestWriteKeepsOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.png")
	if err := imagefile.Write(path, imagefile.New(2, 2), imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	bad := imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: "k", Value: "\x00"}}}
	if err := imagefile.Write(path, imagefile.New(3, 3), bad); err == nil {
		t.Fatal("a text with a zero was written")
	}
	if width, _, err := imagefile.Size(path); err != nil || width != 2 {
		t.Errorf("the old file is %d pixels wide, %v", width, err)
	}
	if _, err := imagefile.FormatByName("x.gif"); !errors.Is(err, imagefile.ErrFormat) {
		t.Errorf("error %v is not ErrFormat", err)
	}
}
