package slide_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/internal/jpeg"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/openslide"
)

// dicomElement is a value of a DICOM file that a test makes.
type dicomElement struct {
	tag   uint32
	vr    string
	value []byte
}

func dicomText(tag uint32, vr, text string) dicomElement {
	if len(text)%2 > 0 {
		text += " "
	}
	return dicomElement{tag, vr, []byte(text)}
}

func dicomShort(tag uint32, v uint16) dicomElement {
	return dicomElement{tag, "US", binary.LittleEndian.AppendUint16(nil, v)}
}

func dicomLong(tag uint32, v uint32) dicomElement {
	return dicomElement{tag, "UL", binary.LittleEndian.AppendUint32(nil, v)}
}

func dicomTag(b []byte, tag uint32) []byte {
	return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, uint16(tag>>16)), uint16(tag))
}

func (e dicomElement) append(b []byte) []byte {
	b = append(dicomTag(b, e.tag), e.vr...)
	if e.vr == "SQ" || e.vr == "OB" || e.vr == "UN" {
		b = append(b, 0, 0)
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(e.value))), e.value...)
	}
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(e.value))), e.value...)
}

// dicomItem is an item of a sequence; of undefined length with open.
func dicomItem(open bool, elements ...dicomElement) []byte {
	var inner []byte
	for _, e := range elements {
		inner = e.append(inner)
	}
	b := dicomTag(nil, 0xFFFEE000)
	if open {
		b = append(binary.LittleEndian.AppendUint32(b, 0xFFFFFFFF), inner...)
		return append(dicomTag(b, 0xFFFEE00D), 0, 0, 0, 0)
	}
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(inner))), inner...)
}

// dicom is a slide of 40×30 pixels in frames of 16×16, in JPEG.
type dicom struct {
	syntax    string
	elements  map[uint32]dicomElement
	frames    [][]byte // nil: of the image
	image     *imagefile.Image
	byColumns bool
}

func newDICOM(t testing.TB) *dicom {
	t.Helper()
	d := &dicom{
		syntax: "1.2.840.10008.1.2.4.50", image: newMemory(40, 30, 1).levels[0], elements: map[uint32]dicomElement{},
	}
	spacing := dicomText(0x00280030, "DS", `0.00026\0.00025`)
	measures := dicomElement{0x00289110, "SQ", dicomItem(true, spacing)}
	for _, e := range []dicomElement{
		dicomText(0x00080008, "CS", `ORIGINAL\PRIMARY\VOLUME\NONE`),
		dicomText(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.77.1.6"), dicomText(0x00080070, "LO", "a scanner"),
		dicomShort(0x00280002, 3), dicomText(0x00280004, "CS", "YBR_FULL_422"), dicomShort(0x00280006, 0),
		dicomText(0x00280008, "IS", "6"), dicomShort(0x00280010, 16), dicomShort(0x00280011, 16),
		dicomShort(0x00280100, 8), dicomLong(0x00480006, 40), dicomLong(0x00480007, 30),
		{0x00480105, "SQ", dicomItem(false, dicomText(0x00480112, "DS", "20"))},
		{0x52009229, "SQ", dicomItem(false, measures)},
		dicomText(0x00209311, "CS", "TILED_FULL"),
	} {
		d.elements[e.tag] = e
	}
	return d
}

// tile is the frame in a column and row, whose last pixels are repeated beyond the slide.
func (d *dicom) tile(column, row int) []uint8 {
	var pix []uint8
	for y := range 16 {
		for x := range 16 {
			at := 3 * (min(row*16+y, 29)*40 + min(column*16+x, 39))
			pix = append(pix, d.image.Pix[at:at+3]...)
		}
	}
	return pix
}

func (d *dicom) bytes(t testing.TB) []byte {
	t.Helper()
	b := append(make([]byte, 128), "DICM"...)
	b = dicomText(0x00020010, "UI", d.syntax).append(b)
	var tags []uint32
	for tag := range d.elements {
		tags = append(tags, tag)
	}
	for len(tags) > 0 {
		first := 0
		for i, tag := range tags {
			if tag < tags[first] {
				first = i
			}
		}
		b = d.elements[tags[first]].append(b)
		tags = append(tags[:first], tags[first+1:]...)
	}
	frames := d.frames
	packed := d.syntax != "1.2.840.10008.1.2.1"
	for i := 0; d.frames == nil && i < 6; i++ {
		frame := d.tile(i%3, i/3)
		if d.byColumns {
			frame = d.tile(i/2, i%2)
		}
		if packed {
			var err error
			o := jpeg.EncodeOptions{Quality: 100, Subsampling: jpeg.Subsampling444}
			if frame, err = jpeg.Encode(frame, 16, 16, o); err != nil {
				t.Fatal(err)
			}
		}
		frames = append(frames, frame)
	}
	if !packed {
		return dicomElement{0x7FE00010, "OB", bytes.Join(frames, nil)}.append(b)
	}
	b = append(append(dicomTag(b, 0x7FE00010), "OB\x00\x00"...), 0xFF, 0xFF, 0xFF, 0xFF)
	b = append(dicomTag(b, 0xFFFEE000), 0, 0, 0, 0) // no offsets
	for _, f := range frames {
		if len(f)%2 > 0 {
			f = append(f, 0)
		}
		b = append(binary.LittleEndian.AppendUint32(dicomTag(b, 0xFFFEE000), uint32(len(f))), f...)
	}
	return append(dicomTag(b, 0xFFFEE0DD), 0, 0, 0, 0)
}

func (d *dicom) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slide.dcm")
	if err := os.WriteFile(path, d.bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A DICOM file is a slide of one level without OpenSlide, compressed or not, with what it says of its pixels.
func TestDICOM(t *testing.T) {
	for syntax, tolerance := range map[string]int{"1.2.840.10008.1.2.4.50": 3, "1.2.840.10008.1.2.1": 0} {
		d := newDICOM(t)
		d.syntax = syntax
		path := d.write(t)
		if is, err := slide.Is(path); err != nil || !is {
			t.Errorf("no slide: %v", err)
		}
		s, err := slide.Open(path, slide.Options{Library: slide.NoLibrary, MPP: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		info := s.Info()
		if s.Width != 40 || s.Height != 30 || info.MPP[0] != 0.25 || math.Abs(info.MPP[1]-0.26) > 1e-9 ||
			info.Magnification != 20 || info.Vendor != "dicom" {
			t.Errorf("%d×%d pixels, %+v", s.Width, s.Height, info)
		}
		got, err := s.Whole().Read(t.Context(), image.Rect(5, 3, 40, 30))
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference(got, crop(d.image, image.Rect(5, 3, 40, 30))); diff > tolerance {
			t.Errorf("%s: pixels differ by up to %d, want %d", syntax, diff, tolerance)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Where the file doesn't say in which order its frames are, they are put together so that they fit, with a note.
func TestDICOMWithoutOrder(t *testing.T) {
	for _, byColumns := range []bool{false, true} {
		d := newDICOM(t)
		delete(d.elements, 0x00209311)
		d.syntax, d.byColumns = "1.2.840.10008.1.2.1", byColumns
		for i := range d.image.Pix {
			x, y := i/3%40, i/3/40
			d.image.Pix[i] = uint8(2*x + 3*y + 20*(i%3))
		}
		s, err := slide.Open(d.write(t), slide.Options{Library: slide.NoLibrary, MPP: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Whole().Read(t.Context(), s.Bounds())
		if err != nil || !bytes.Equal(got.Pix, d.image.Pix) {
			t.Errorf("by columns %v: %v, or other pixels", byColumns, err)
		}
		if len(s.Notes) != 1 || strings.Contains(s.Notes[0], "column by column") != byColumns {
			t.Errorf("by columns %v: notes %q", byColumns, s.Notes)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The photometric interpretation says what the colours of JPEG are, except for JFIF files, which have YCbCr.
func TestDICOMColours(t *testing.T) {
	d := newDICOM(t)
	d.elements[0x00280004] = dicomText(0x00280004, "CS", "RGB") // and the encoder writes JFIF
	s, err := slide.Open(d.write(t), slide.Options{Library: slide.NoLibrary, MPP: 0.25})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Whole().Read(t.Context(), s.Bounds())
	if err != nil || difference(got, d.image) > 3 {
		t.Errorf("%v, or other colours", err)
	}
}

// testdata/gen_dicom.py: a file by pydicom, and what Pillow decodes of it.
func TestDICOMOfPydicom(t *testing.T) {
	s, err := slide.Open(filepath.Join("testdata", "dicom.dcm"), slide.Options{Library: slide.NoLibrary})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.MPP != [2]float64{0.25, 0.25} || s.Info().Magnification != 40 || len(s.Notes) > 0 {
		t.Errorf("%v µm, %g×, notes %q", s.MPP, s.Info().Magnification, s.Notes)
	}
	want, err := imagefile.Read(filepath.Join("testdata", "dicom.want.png"), imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Whole().Read(t.Context(), s.Bounds())
	if err != nil || got.Width != want.Width || !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("%v, or other pixels", err)
	}
}

// Files of other kinds are refused with their reason.
func TestDICOMRefuses(t *testing.T) {
	t.Setenv(openslide.Variable, openslide.Off)
	for name, c := range map[string]struct {
		change func(d *dicom)
		is     error // nil: any
		want   string
	}{
		"JPEG 2000":      {func(d *dicom) { d.syntax = "1.2.840.10008.1.2.4.90" }, openslide.ErrMissing, "JPEG 2000"},
		"unknown syntax": {func(d *dicom) { d.syntax = "1.2.3" }, openslide.ErrMissing, "1.2.3"},
		"another kind": {func(d *dicom) {
			d.elements[0x00080016] = dicomText(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2")
		}, slide.ErrFormat, "1.2.840.10008.5.1.4.1.1.2"},
		"a label": {func(d *dicom) {
			d.elements[0x00080008] = dicomText(0x00080008, "CS", `ORIGINAL\PRIMARY\LABEL\NONE`)
		}, nil, "label"},
		"16 bits": {func(d *dicom) {
			d.elements[0x00280100] = dicomShort(0x00280100, 16)
		}, openslide.ErrMissing, "16 bits"},
		"any order": {func(d *dicom) {
			d.elements[0x00209311] = dicomText(0x00209311, "CS", "TILED_SPARSE")
		}, openslide.ErrMissing, "TILED_SPARSE"},
		"too few frames": {func(d *dicom) { d.elements[0x00280008] = dicomText(0x00280008, "IS", "5") }, nil, "5 frames"},
		"no size":        {func(d *dicom) { delete(d.elements, 0x00480006) }, nil, "impossible"},
		"no spacing":     {func(d *dicom) { delete(d.elements, 0x52009229) }, slide.ErrMPP, "--mpp"},
	} {
		d := newDICOM(t)
		c.change(d)
		_, err := slide.Open(d.write(t), slide.Options{})
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q and %v", name, err, c.want, c.is)
		}
	}
	whole := newDICOM(t).bytes(t)
	path := filepath.Join(t.TempDir(), "x.dcm")
	for cut := 0; cut < len(whole); cut += 1 + len(whole)/97 {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := slide.Open(path, slide.Options{MPP: 1}); err == nil {
			t.Errorf("cut off after %d of %d bytes: no error", cut, len(whole))
			_ = s.Close()
		}
	}
}

// The real DICOM slide of the folder that HISTDIST_SLIDES names, which OpenSlide refuses for want of an ImageType.
func TestRealDICOM(t *testing.T) {
	path := filepath.Join(os.Getenv("HISTDIST_SLIDES"), "small.dcm")
	if _, err := os.Stat(path); os.Getenv("HISTDIST_SLIDES") == "" || err != nil {
		t.Skip("HISTDIST_SLIDES names no folder with small.dcm")
	}
	s, err := slide.Open(path, slide.Options{MPP: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	img, err := s.ReadRegion(t.Context(), s.Bounds(), 324, 264)
	if err != nil || s.Width != 3236 || s.Height != 2638 {
		t.Fatalf("%d×%d pixels, %v", s.Width, s.Height, err)
	}
	var sum [3]int
	for i, v := range img.Pix {
		sum[i%3] += int(v)
	}
	if n := len(img.Pix) / 3; sum[0]/n < 150 || sum[1] > sum[0] || sum[1] > sum[2] {
		t.Errorf("the mean colour is %v, not that of H&E", [3]int{sum[0] / n, sum[1] / n, sum[2] / n})
	}
}

// No file ends the program or takes more memory than it has bytes for.
func FuzzDICOM(f *testing.F) {
	f.Add(newDICOM(f).bytes(f))
	d := newDICOM(f)
	d.syntax = "1.2.840.10008.1.2.1"
	f.Add(d.bytes(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.dcm")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := slide.Open(path, slide.Options{Library: slide.NoLibrary, MPP: 1})
		if err != nil {
			return
		}
		defer s.Close()
		_, _ = s.Whole().Read(t.Context(), image.Rect(0, 0, min(s.Width, 64), min(s.Height, 64)))
	})
}
