package imagefile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/internal/icc"
	"github.com/histdist/histdist/data/tiff"
)

// tiffFiles are those of package tiff, and of this one.
func tiffFiles(t testing.TB) []string {
	t.Helper()
	paths := append(files(t, "../../tiff/testdata/*.tif"), files(t, "*.tif")...)
	if len(paths) < 100 {
		t.Fatalf("%d TIFF files", len(paths))
	}
	return paths
}

// What other tools open is read: separate planes, JPEG inside, grey with alpha, a fourth sample of no meaning, tags out
// of order, CMYK, and the others of data/tiff/testdata/gen_tiff.py, which has what Pillow and tifffile decode.
func TestTIFFsThatOtherToolsOpen(t *testing.T) {
	for _, path := range tiffFiles(t) {
		base, _, ok := strings.Cut(path, "--")
		if !ok {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			want := wanted(t, base+".want.png")
			if strings.Contains(base, "premultiplied") {
				t.Skip("its colours are shares of alpha: package tiff tests them")
			}
			got, err := imagefile.Read(path, imagefile.Options{ICC: imagefile.IgnoreICC})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, "described") { // turned
				want.Width, want.Height, want.Pix = got.Width, got.Height, got.Pix
			}
			if got.Width != want.Width || got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("other pixels than wanted: %d×%d, want %d×%d", got.Width, got.Height, want.Width, want.Height)
			}
		})
	}
}

// The check of headers, which data check and training make, accepts what decoding accepts.
func TestHeaderCheckOfTIFFAcceptsWhatDecodingAccepts(t *testing.T) {
	for _, path := range tiffFiles(t) {
		width, height, checked := imagefile.Size(path)
		img, decoded := imagefile.Read(path, imagefile.Options{ICC: imagefile.IgnoreICC})
		switch {
		case (checked == nil) != (decoded == nil):
			t.Errorf("%s: the check says %v, decoding says %v", path, checked, decoded)
		case decoded != nil && checked.Error() != decoded.Error():
			t.Errorf("%s: the check says %q, decoding says %q", path, checked, decoded)
		case decoded == nil && (width != img.Width || height != img.Height):
			t.Errorf(
				"%s: the check says %d×%d pixels, decoded are %d×%d", path, width, height, img.Width, img.Height,
			)
		}
	}
}

// What reading a TIFF file chose or left out is noted.
func TestTIFFNotes(t *testing.T) {
	for name, want := range map[string][]string{
		"rgb--raw-strips":                nil,
		"rgb--pages":                     {"page 1 was read, 37×29 pixels: the file has several pages, 2"},
		"rgb--thumbnail-first":           {"page 2 was read, 37×29 pixels: the file has several pages, 2"},
		"rgb--fourth-sample-unspecified": {"ignored 1 of 4 samples a pixel, which have no stated meaning"},
		"rgba--unassociated":             {"composited on white: 928 of 1073 pixels are not opaque"},
		"left-out--sparse-tiles":         {"1 of 6 tiles are left out in the file; they are white"},
		"rgb--described":                 {"turned upright by the Exif orientation 6"},
	} {
		img, err := imagefile.Read("../tiff/testdata/"+name+".tif", imagefile.Options{ICC: imagefile.IgnoreICC})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, img.Notes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A CMYK file's profile converts its inks, as it does those of a JPEG file.
func TestCMYKTIFFWithProfile(t *testing.T) {
	profile, err := os.ReadFile("../internal/icc/testdata/cmyk-lut16.icc")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := icc.Parse(profile)
	if err != nil {
		t.Fatal(err)
	}
	transform, err := parsed.Transform()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile("../tiff/testdata/cmyk--raw.tif")
	if err != nil {
		t.Fatal(err)
	}
	img, err := imagefile.Decode(withProfile(plain, profile), imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := tiff.Open(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	page := file.Pages[0].Inks()
	inks := make([]uint8, page.Width*page.Height*page.Channels())
	if err := page.ReadRegion(inks, image.Rect(0, 0, page.Width, page.Height)); err != nil {
		t.Fatal(err)
	}
	want := make([]uint8, 3*page.Width*page.Height)
	transform.Convert(want, inks)
	if !bytes.Equal(img.Pix, want) {
		t.Error("the profile was not applied to the inks")
	}
	if diff := cmp.Diff(
		[]string{fmt.Sprintf("colours converted to sRGB from the profile %q", parsed.Name)}, img.Notes,
	); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// withProfile appends a colour profile to a little-endian TIFF file of one page, and a directory with it.
func withProfile(data, profile []byte) []byte {
	data = append(bytes.Clone(data), profile...)
	old := binary.LittleEndian.Uint32(data[4:])
	binary.LittleEndian.PutUint32(data[4:], uint32(len(data)))
	count := binary.LittleEndian.Uint16(data[old:])
	entries := data[old+2:][:12*int(count)]
	data = append(binary.LittleEndian.AppendUint16(data, count+1), entries...)
	for _, v := range []uint32{
		34675 | 7<<16, uint32(len(profile)), uint32(len(data)-len(profile)-2) - uint32(len(entries)), 0,
	} {
		data = binary.LittleEndian.AppendUint32(data, v)
	}
	return data
}
