package slide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/internal/jpeg"
)

// dicomSlide is one level of a slide in DICOM, which is a file: frames of one size, row by row, in JPEG or
// uncompressed.
type dicomSlide struct {
	file          *os.File
	dicom         *dicomFile
	info          Info
	width, height int // of a frame
	columns, rows int // of frames
	byColumns     bool
	tiles         tileCache
}

// beginsAsDICOM reports whether a file begins as DICOM does.
func beginsAsDICOM(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var mark [4]byte
	if _, err := f.ReadAt(mark[:], dicomPreamble); err != nil {
		return false, nil // too short
	}
	return string(mark[:]) == "DICM", nil
}

// openDICOM opens a DICOM file as a slide of one level.
func openDICOM(path string, cache int) (Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &dicomSlide{file: file}
	s.tiles.limit = cmp.Or(cache, tileCacheBytes)
	if err := s.describe(); err != nil {
		_ = file.Close() // only read
		return nil, err
	}
	return s, nil
}

func (s *dicomSlide) describe() error {
	stat, err := s.file.Stat()
	if err != nil {
		return err
	}
	if s.dicom, err = readDICOM(s.file, stat.Size()); err != nil {
		return err
	}
	d := s.dicom
	s.width, s.height = d.number(tagFrameColumns, 0), d.number(tagFrameRows, 0)
	width, height := d.number(tagMatrixColumns, 0), d.number(tagMatrixRows, 0)
	kind := strings.Split(d.text(tagImageType)+`\\\`, `\`)[2]
	switch {
	case d.text(tagSOPClass) != dicomWholeSlide:
		return fmt.Errorf("%w: a DICOM file of another kind, %s", ErrFormat, d.text(tagSOPClass))
	case kind == "LABEL" || kind == "OVERVIEW":
		return fmt.Errorf("dicom: the file is the slide's %s: name that of a level", strings.ToLower(kind))
	case d.number(tagSamples, 0) != 3 || d.number(tagBitsAllocated, 0) != 8 || d.number(tagPlanar, 0) != 0:
		return &formatError{fmt.Sprintf("DICOM of %d samples of %d bits",
			d.number(tagSamples, 0), d.number(tagBitsAllocated, 0))}
	case width < 1 || height < 1 || s.width < 1 || s.height < 1 || width > math.MaxInt32 || height > math.MaxInt32:
		return fmt.Errorf("dicom: %d×%d pixels in frames of %d×%d are impossible", width, height, s.width, s.height)
	}
	if o := d.text(tagOrganization); o != "" && o != dicomTiledFull {
		return &formatError{"DICOM whose frames are in any order (" + o + ")"}
	}
	s.columns = (width-1)/s.width + 1
	s.rows = (height-1)/s.height + 1
	if frames := d.number(tagFrames, 1); s.columns*s.rows != frames {
		return fmt.Errorf("dicom: %d frames, but %d×%d pixels need %d columns and %d rows of them: "+
			"one depth, one optical path and one file for each level are read", frames, width, height, s.columns, s.rows)
	}
	if !d.packed && d.pixels[0].length < int64(3*s.width*s.height)*int64(d.number(tagFrames, 1)) {
		return errDICOM
	}
	s.info = Info{Reader: "histdist", Vendor: "dicom", Levels: []Level{{Width: width, Height: height}}}
	factors(s.info.Levels)
	s.info.ICC = d.values[tagICCProfile]
	s.info.Magnification = positive(d.text(tagObjectivePower))
	if spacing := strings.Split(d.text(tagPixelSpacing), `\`); len(spacing) == 2 { // mm between rows, then columns
		s.info.MPP = [2]float64{1000 * positive(spacing[1]), 1000 * positive(spacing[0])}
	}
	for _, p := range []struct {
		name string
		tag  uint32
	}{
		{"dicom.ImageType", tagImageType},
		{"dicom.Manufacturer", tagManufacturer},
		{"dicom.ManufacturerModelName", tagModelName},
		{"dicom.PhotometricInterpretation", tagPhotometric},
	} {
		if text := d.text(p.tag); text != "" {
			s.info.Properties = append(s.info.Properties, Property{p.name, text})
		}
	}
	if d.text(tagOrganization) == "" && s.columns > 1 && s.rows > 1 {
		return s.findOrder()
	}
	return nil
}

// index is the number of the frame in a column and row.
func (s *dicomSlide) index(column, row int) int {
	if s.byColumns {
		return column*s.rows + row
	}
	return row*s.columns + column
}

// findOrder finds out whether frames go by rows, as the standard has it, or by columns, where the file doesn't say: in
// the right order they continue each other.
func (s *dicomSlide) findOrder() error {
	var steps [2]float64
	for i, byColumns := range []bool{false, true} {
		s.byColumns = byColumns
		var err error
		if steps[i], err = s.step(); err != nil {
			return err
		}
	}
	s.byColumns = steps[1] < steps[0]
	order := "row by row"
	if s.byColumns {
		order = "column by column"
	}
	s.info.Notes = append(s.info.Notes, "the DICOM file doesn't say in which order its frames are: "+order+" they fit")
	return nil
}

// mostSteps is how many borders between frames are looked at.
const mostSteps = 100

// step is how much pixels differ across borders between columns of frames, on average.
func (s *dicomSlide) step() (float64, error) {
	borders := (s.columns - 1) * s.rows
	n := min(borders, mostSteps)
	var sum, count float64
	for i := range n {
		at := i * borders / n
		column, row := at%(s.columns-1), at/(s.columns-1)
		left, err := s.frame(s.index(column, row))
		if err != nil {
			return 0, err
		}
		right, err := s.frame(s.index(column+1, row))
		if err != nil {
			return 0, err
		}
		for y := range min(s.height, s.info.Levels[0].Height-row*s.height) {
			for k := range 3 {
				a, b := left[3*((y+1)*s.width-1)+k], right[3*y*s.width+k]
				sum += math.Abs(float64(a) - float64(b))
				count++
			}
		}
	}
	return sum / count, nil
}

// frame decodes a frame.
func (s *dicomSlide) frame(index int) ([]uint8, error) {
	bytes := 3 * s.width * s.height
	at := fragment{s.dicom.pixels[0].offset + int64(index)*int64(bytes), int64(bytes)}
	if s.dicom.packed {
		at = s.dicom.pixels[index]
	}
	data := make([]byte, at.length)
	if _, err := s.file.ReadAt(data, at.offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !s.dicom.packed {
		return data, nil
	}
	img, err := s.decode(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("dicom: frame %d: %w", index+1, err)
	case img.Width != s.width || img.Height != s.height || len(img.Pix) != bytes:
		return nil, fmt.Errorf("dicom: frame %d has %d×%d pixels, not %d×%d",
			index+1, img.Width, img.Height, s.width, s.height)
	}
	return img.Pix, nil
}

// decode decodes a frame in JPEG. Its colours are what the file says, except for RGB where the frame is a JFIF file,
// which has YCbCr: writers say RGB of what decoders return.
func (s *dicomSlide) decode(data []byte) (*jpeg.Image, error) {
	const jfifAt = 6
	jfif := len(data) > jfifAt+4 && string(data[jfifAt:jfifAt+4]) == "JFIF"
	conversion := jpeg.FromYCbCr
	if s.dicom.text(tagPhotometric) == "RGB" && !jfif {
		conversion = jpeg.AsStored
	}
	return jpeg.DecodeSegment(data, nil, conversion, s.width*s.height)
}

// Info returns what the file says.
func (s *dicomSlide) Info() Info { return s.info }

// Close closes the file.
func (s *dicomSlide) Close() error { return s.file.Close() }

// Read decodes frames.
func (s *dicomSlide) Read(ctx context.Context, pix []uint8, level int, r image.Rectangle) error {
	bounds := image.Rect(0, 0, s.width, s.height)
	return s.tiles.copy(ctx, pix, level, r, s.width, s.height, func(column, row int) (image.Rectangle, readTile) {
		at := bounds.Add(image.Pt(column*s.width, row*s.height))
		return at, func() ([]uint8, error) { return s.frame(s.index(column, row)) }
	})
}

// Associated finds none: label and overview are files of their own.
func (s *dicomSlide) Associated(_ context.Context, name string) (*imagefile.Image, error) {
	return nil, fmt.Errorf("the slide has no associated image %q; it has none", name)
}
