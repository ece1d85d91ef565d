package tiff

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// compression is how strips and tiles are compressed.
type compression uint16

// The compressions that are read.
const (
	uncompressed        compression = 1
	group3              compression = 3
	group4              compression = 4
	lzwCompression      compression = 5
	jpegCompression     compression = 7
	adobeDeflate        compression = 8
	packBitsCompression compression = 32773
	deflate             compression = 32946
	oldZstd             compression = 34926
	zstdCompression     compression = 50000
)

// compressionNames are those that are known but not read.
var compressionNames = map[uint64]string{
	2: "CCITT run-length", 32771: "CCITT run-length", 6: "old-style JPEG (6)", 33007: "JPEG (33007)",
	9: "JBIG", 10: "JBIG", 34661: "JBIG", 32766: "NeXT", 32809: "ThunderScan",
	32895: "IT8", 32896: "IT8", 32897: "IT8", 32898: "IT8",
	32908: "Pixar film", 32909: "Pixar log", 34676: "SGI log", 34677: "SGI log",
	33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000",
	22610: "JPEG XR", 34934: "JPEG XR", 50002: "JPEG XL", 52546: "JPEG XL",
	34887: "LERC", 34892: "lossy DNG", 34925: "LZMA", 34927: "WebP", 50001: "WebP", 34933: "PNG",
}

// readCompression reads how the samples are compressed, and refuses what the decoders lack.
func (p *Page) readCompression() error {
	code := p.number(tagCompression, 1)
	predictor := p.number(tagPredictor, 1)
	if name, ok := compressionNames[code]; ok {
		return &UnsupportedError{What: name + " compression", OpenSlide: code == 33003 || code == 33005}
	}
	switch p.compression = compression(min(code, 0xFFFF)); p.compression {
	case uncompressed, packBitsCompression:
	case lzwCompression, adobeDeflate, deflate, oldZstd, zstdCompression:
		switch p.predict = predictor == 2; {
		case predictor == 3:
			return unsupported("predictor 3, of floating-point samples,")
		case predictor != 1 && !p.predict:
			return unsupported("the unknown predictor %d", predictor)
		case p.predict && p.bits != 8 && p.bits != 16:
			return unsupported("a predictor on samples of %d bits", p.bits)
		case p.predict && p.subsampled():
			return unsupported("a predictor on subsampled YCbCr")
		}
	case group3, group4:
		switch {
		case p.bits != 1 || p.Samples != 1:
			return unsupported("CCITT compression of more than black and white")
		case p.compression == group3 && p.number(tagT4Options, 0)&1 != 0:
			return unsupported("two-dimensional CCITT Group 3 compression")
		case p.compression == group3 && p.number(tagT4Options, 0)&4 != 0:
			return unsupported("CCITT Group 3 compression whose lines end at whole bytes")
		case p.tileWidth > maxFaxWidth:
			return unsupported("CCITT rows of %d pixels", p.tileWidth)
		}
	case jpegCompression:
		return p.readJPEG()
	default:
		return unsupported("the unknown compression %d", code)
	}
	if p.subsampled() && (p.planar || p.Samples != 3 || p.bits != 8) {
		return unsupported("subsampled YCbCr in %d samples of %d bits, or in planes", p.Samples, p.bits)
	}
	return nil
}

// maxFaxWidth is package ccitt's own.
const maxFaxWidth = 1 << 20

// expansion is the most bytes that one byte of compressed data can become. JPEG and CCITT have other bounds: see holds.
func (c compression) expansion() int64 {
	switch c {
	case packBitsCompression:
		return 64 // 2 bytes for 128
	case lzwCompression:
		return 4096 * 8 / 9 // the longest string has 3,837 bytes, for 12 bits
	case adobeDeflate, deflate:
		return 1032 // 258 bytes for 2 bits
	case zstdCompression, oldZstd:
		return 128 << 10 / 3 // a block of 128 kB for its header
	}
	return 1
}

// holds reports whether that many compressed bytes can become that many rows.
func (p *Page) holds(compressed, rowBytes, rows int64) bool {
	switch p.compression {
	case group3, group4:
		return rows <= 8*compressed // a bit for a row like the one before
	case jpegCompression:
		// A bit for a block of 64 values, of a component that has a quarter of the pixels at least in each direction.
		return rowBytes <= 64*8*16*compressed/rows
	}
	high, low := bits.Mul64(uint64(rowBytes), uint64(rows))
	return high == 0 && low <= uint64(compressed*p.compression.expansion())
}

// segmentError describes damaged data of a strip or tile in our own words.
func (p *Page) segmentError(index int, err error) error {
	what := "strip"
	if p.tiled {
		what = "tile"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("tiff: the data of %s %d end too early; the file is cut off or damaged", what, index+1)
	}
	return fmt.Errorf("tiff: the data of %s %d are damaged (%w)", what, index+1, err)
}
