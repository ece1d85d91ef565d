package slide

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// The tags of a DICOM file that matter for a slide (PS3.6).
const (
	tagTransferSyntax = 0x0002_0010
	tagImageType      = 0x0008_0008
	tagSOPClass       = 0x0008_0016
	tagManufacturer   = 0x0008_0070
	tagModelName      = 0x0008_1090
	tagSamples        = 0x0028_0002
	tagPhotometric    = 0x0028_0004
	tagPlanar         = 0x0028_0006
	tagFrames         = 0x0028_0008
	tagFrameRows      = 0x0028_0010
	tagFrameColumns   = 0x0028_0011
	tagPixelSpacing   = 0x0028_0030
	tagBitsAllocated  = 0x0028_0100
	tagICCProfile     = 0x0028_2000
	tagMatrixColumns  = 0x0048_0006
	tagMatrixRows     = 0x0048_0007
	tagObjectivePower = 0x0048_0112
	tagOrganization   = 0x0020_9311
	tagPixelData      = 0x7FE0_0010
	tagItem           = 0xFFFE_E000
	tagItemEnd        = 0xFFFE_E00D
	tagSequenceEnd    = 0xFFFE_E0DD
	undefinedLength   = math.MaxUint32
	maxDICOMValue     = 16 << 20 // of one that is kept
	maxDICOMDepth     = 16       // of sequences in sequences
	maxDICOMFrames    = 1 << 26
	dicomPreamble     = 128
	dicomExplicit     = "1.2.840.10008.1.2.1"
	dicomJPEG         = "1.2.840.10008.1.2.4.50"
	dicomJPEGExtended = "1.2.840.10008.1.2.4.51"
	dicomWholeSlide   = "1.2.840.10008.5.1.4.1.1.77.1.6"
	dicomTiledFull    = "TILED_FULL"
)

// syntaxNames are the transfer syntaxes that are not read, in words.
var syntaxNames = map[string]string{
	"1.2.840.10008.1.2":       "without types of values (implicit VR)",
	"1.2.840.10008.1.2.1.99":  "deflated",
	"1.2.840.10008.1.2.2":     "in big endian",
	"1.2.840.10008.1.2.4.57":  "in lossless JPEG",
	"1.2.840.10008.1.2.4.70":  "in lossless JPEG",
	"1.2.840.10008.1.2.4.80":  "in JPEG-LS",
	"1.2.840.10008.1.2.4.81":  "in JPEG-LS",
	"1.2.840.10008.1.2.4.90":  "in JPEG 2000",
	"1.2.840.10008.1.2.4.91":  "in JPEG 2000",
	"1.2.840.10008.1.2.4.201": "in High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.4.202": "in High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.4.203": "in High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.5":     "in run lengths",
}

// fragment is where a part of the pixels lies in a file.
type fragment struct{ offset, length int64 }

// dicomFile is what is read of a DICOM file (PS3.10): values by tag, the first of each wherever it is nested, and where
// the pixels are.
type dicomFile struct {
	in     io.ReaderAt
	size   int64
	at     int64 // of what is read next
	values map[uint32][]byte
	pixels []fragment // one that is not compressed, or those of the compressed frames after a table of offsets
	packed bool
}

var errDICOM = errors.New("dicom: the file is damaged or cut off")

// readDICOM reads everything up to the pixels, and where those lie.
func readDICOM(in io.ReaderAt, size int64) (*dicomFile, error) {
	f := &dicomFile{in: in, size: size, at: dicomPreamble + 4, values: map[uint32][]byte{}}
	if err := f.dataset(size, 0); err != nil {
		return nil, err
	}
	if f.pixels == nil {
		return nil, errors.New("dicom: the file has no pixels")
	}
	return f, nil
}

// element is the head of a value.
type element struct {
	tag    uint32
	vr     string
	length uint32
}

func (f *dicomFile) read(n int64) ([]byte, error) {
	if n < 0 || n > f.size-f.at {
		return nil, errDICOM
	}
	b := make([]byte, n)
	if _, err := f.in.ReadAt(b, f.at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f.at += n
	return b, nil
}

// head reads a tag, the type of its value, and the value's length (PS3.5, 7.1.2).
func (f *dicomFile) head() (e element, err error) {
	b, err := f.read(8)
	if err != nil {
		return e, err
	}
	le := binary.LittleEndian
	e.tag = uint32(le.Uint16(b))<<16 | uint32(le.Uint16(b[2:]))
	if e.tag>>16 == 0xFFFE { // items have no type
		e.length = le.Uint32(b[4:])
		return e, nil
	}
	e.vr = string(b[4:6])
	switch e.vr {
	case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
		if b, err = f.read(4); err != nil {
			return e, err
		}
		e.length = le.Uint32(b)
	default:
		e.length = uint32(le.Uint16(b[6:]))
	}
	return e, nil
}

// dataset reads elements up to a place, the end of their item, or the pixels.
func (f *dicomFile) dataset(end int64, depth int) error {
	for f.at < end && f.pixels == nil {
		e, err := f.head()
		if err != nil {
			return err
		}
		if depth == 0 && e.tag>>16 > 2 {
			if err := f.checkSyntax(); err != nil {
				return err
			}
		}
		switch {
		case e.tag == tagItemEnd:
			return nil
		case e.tag == tagPixelData && depth == 0:
			return f.findPixels(e)
		case e.vr == "SQ" || e.length == undefinedLength && e.vr == "UN":
			if err := f.sequence(e, depth+1); err != nil {
				return err
			}
		default:
			if err := f.value(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSyntax refuses what is not read, before it is taken for something else.
func (f *dicomFile) checkSyntax() error {
	switch syntax := f.text(tagTransferSyntax); syntax {
	case dicomExplicit, dicomJPEG, dicomJPEGExtended:
		return nil
	default:
		name := syntaxNames[syntax]
		if name == "" {
			name = "of the transfer syntax " + syntax
		}
		return &formatError{"DICOM " + name}
	}
}

// sequence reads the items of a sequence.
func (f *dicomFile) sequence(e element, depth int) error {
	if depth > maxDICOMDepth {
		return errDICOM
	}
	end := f.size
	if e.length != undefinedLength {
		end = f.at + int64(e.length)
	}
	if end > f.size {
		return errDICOM
	}
	for f.at < end {
		item, err := f.head()
		if err != nil {
			return err
		}
		switch {
		case item.tag == tagSequenceEnd:
			return nil
		case item.tag != tagItem:
			return errDICOM
		}
		last := end
		if item.length != undefinedLength {
			if last = f.at + int64(item.length); last > end {
				return errDICOM
			}
		}
		if err := f.dataset(last, depth); err != nil {
			return err
		}
	}
	return nil
}

// value keeps the first value of a tag, or skips it.
func (f *dicomFile) value(e element) error {
	if int64(e.length) > f.size-f.at {
		return errDICOM
	}
	_, known := f.values[e.tag]
	if !known && e.length <= maxDICOMValue && wantedDICOM(e.tag) {
		b, err := f.read(int64(e.length))
		f.values[e.tag] = b
		return err
	}
	f.at += int64(e.length)
	return nil
}

func wantedDICOM(tag uint32) bool {
	switch tag {
	case tagTransferSyntax, tagImageType, tagSOPClass, tagManufacturer, tagModelName, tagSamples, tagPhotometric,
		tagPlanar, tagFrames, tagFrameRows, tagFrameColumns, tagPixelSpacing, tagBitsAllocated, tagICCProfile,
		tagMatrixColumns, tagMatrixRows, tagObjectivePower, tagOrganization:
		return true
	}
	return false
}

// findPixels finds the frames (PS3.5, A.4): a table of offsets, which may be empty, and fragments.
func (f *dicomFile) findPixels(e element) error {
	if e.length != undefinedLength {
		if int64(e.length) > f.size-f.at {
			return errDICOM
		}
		f.pixels = []fragment{{f.at, int64(e.length)}}
		return nil
	}
	f.packed = true
	var table []byte
	var found []fragment
	for n := 0; ; n++ {
		item, err := f.head()
		if err != nil {
			return err
		}
		if item.tag == tagSequenceEnd {
			break
		}
		if item.tag != tagItem || int64(item.length) > f.size-f.at || n > maxDICOMFrames {
			return errDICOM
		}
		if n == 0 {
			if table, err = f.read(int64(item.length)); err != nil {
				return err
			}
			continue
		}
		found = append(found, fragment{f.at, int64(item.length)})
		f.at += int64(item.length)
	}
	frames := f.number(tagFrames, 1)
	if len(found) != frames {
		return fmt.Errorf("dicom: %d frames in %d parts, with %d offsets: only frames in one part are read",
			frames, len(found), len(table)/4)
	}
	f.pixels = found
	return nil
}

// text is a value without its padding; "" if it isn't there.
func (f *dicomFile) text(tag uint32) string { return strings.Trim(string(f.values[tag]), " \x00") }

// number is the first of a tag's numbers, in binary or as text.
func (f *dicomFile) number(tag uint32, missing int) int {
	b := f.values[tag]
	switch {
	case len(b) == 0:
		return missing
	case tag == tagFrames:
		var n int
		if _, err := fmt.Sscan(f.text(tag), &n); err != nil {
			return 0
		}
		return n
	case len(b) == 2:
		return int(binary.LittleEndian.Uint16(b))
	case len(b) == 4:
		return int(binary.LittleEndian.Uint32(b))
	}
	return 0
}
