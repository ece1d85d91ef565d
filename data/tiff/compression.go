package tiff

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/image/ccitt"
)

// Compression is how strips and tiles are compressed.
type Compression uint16

// The compressions that are read.
const (
	None         Compression = 1
	Group3       Compression = 3
	Group4       Compression = 4
	LZW          Compression = 5
	JPEG         Compression = 7
	AdobeDeflate Compression = 8
	PackBits     Compression = 32773
	Deflate      Compression = 32946
	oldZstd      Compression = 34926
	Zstd         Compression = 50000
)

// compressionNames are those that are known but not read.
var compressionNames = map[uint64]string{
	2: "CCITT run-length", 6: "old-style JPEG (6)", 9: "JBIG", 10: "JBIG", 32766: "NeXT", 32771: "CCITT run-length", 32809: "ThunderScan",
	32895: "IT8", 32896: "IT8", 32897: "IT8", 32898: "IT8", 32908: "Pixar film", 32909: "Pixar log",
	33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 33007: "JPEG (33007)", 34661: "JBIG", 34676: "SGI log", 34677: "SGI log",
	34712: "JPEG 2000", 34887: "LERC", 34892: "lossy DNG", 34925: "LZMA", 34927: "WebP", 34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR",
	50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}

// readCompression reads how the samples are compressed, and refuses what the decoders lack.
func (p *Page) readCompression() error {
	code := p.number(TagCompression, 1)
	predictor := p.number(TagPredictor, 1)
	if name, ok := compressionNames[code]; ok {
		return unsupported("%s compression", name)
	}
	switch p.Compression = Compression(min(code, 0xFFFF)); p.Compression {
	case None, PackBits:
	case LZW, AdobeDeflate, Deflate, oldZstd, Zstd:
		switch p.predict = predictor == 2; {
		case predictor == 3:
			return unsupported("predictor 3, of floating-point samples,")
		case predictor != 1 && !p.predict:
			return unsupported("the unknown predictor %d", predictor)
		case p.predict && p.Bits != 8 && p.Bits != 16:
			return unsupported("a predictor on samples of %d bits", p.Bits)
		case p.predict && p.subsampled():
			return unsupported("a predictor on subsampled YCbCr")
		}
	case Group3, Group4:
		switch {
		case p.Bits != 1 || p.Samples != 1:
			return unsupported("CCITT compression of more than black and white")
		case p.Compression == Group3 && p.number(TagT4Options, 0)&1 != 0:
			return unsupported("two-dimensional CCITT Group 3 compression")
		case p.TileWidth > maxFaxWidth:
			return unsupported("CCITT rows of %d pixels", p.TileWidth)
		}
	case JPEG:
		return p.readJPEG()
	default:
		return unsupported("the unknown compression %d", code)
	}
	if p.subsampled() && (p.Planar || p.Samples != 3 || p.Bits != 8) {
		return unsupported("subsampled YCbCr in %d samples of %d bits, or in planes", p.Samples, p.Bits)
	}
	return nil
}

// maxFaxWidth is package ccitt's own.
const maxFaxWidth = 1 << 20

// expansion is at most how many bytes a byte of compressed data stands for. JPEG and CCITT have other bounds: see holds.
func (c Compression) expansion() int64 {
	switch c {
	case PackBits:
		return 64 // 2 bytes for 128
	case LZW:
		return 4096 * 8 / 9 // the longest string has 3,837 bytes, for 12 bits
	case AdobeDeflate, Deflate:
		return 1032 // 258 bytes for 2 bits
	case Zstd, oldZstd:
		return 128 << 10 / 3 // a block of 128 kB for its header
	}
	return 1
}

// holds reports whether so many compressed bytes can stand for rows of a length.
func (p *Page) holds(compressed, rowBytes, rows int64) bool {
	switch p.Compression {
	case Group3, Group4:
		return rows <= 8*compressed // a bit for a row like the one before
	case JPEG:
		// A bit for a block of 64 values, of a component that has a quarter of the pixels at least in each direction.
		return rowBytes <= 64*8*16*compressed/rows
	}
	high, low := bits.Mul64(uint64(rowBytes), uint64(rows))
	return high == 0 && low <= uint64(compressed*p.Compression.expansion())
}

// stream decompresses one strip or tile after another, keeping the decoders' memory.
type stream struct {
	raw     *bufio.Reader
	inflate io.ReadCloser
	zstd    *zstd.Decoder
	lzw     *lzw
}

// open returns the decompressed bytes of a strip or tile, from its first row on.
func (s *stream) open(p *Page, at span, rows int) (io.Reader, error) {
	var file io.Reader = io.NewSectionReader(p.file, at.offset, at.length)
	fax := p.Compression == Group3 || p.Compression == Group4
	if p.reversed && !fax {
		file = bitReverser{file}
	}
	if s.raw == nil {
		s.raw = bufio.NewReaderSize(file, 16<<10)
	}
	s.raw.Reset(file)
	switch p.Compression {
	case None:
		return s.raw, nil
	case PackBits:
		return &packBits{in: s.raw}, nil
	case LZW:
		if s.lzw == nil {
			s.lzw = &lzw{}
		}
		s.lzw.reset(s.raw)
		return s.lzw, nil
	case AdobeDeflate, Deflate:
		var err error
		if s.inflate == nil {
			s.inflate, err = zlib.NewReader(s.raw)
		} else {
			err = s.inflate.(zlib.Resetter).Reset(s.raw, nil)
		}
		return s.inflate, err
	case Zstd, oldZstd:
		return s.openZstd(p)
	}
	format, order := ccitt.Group4, ccitt.MSB
	if p.Compression == Group3 {
		format = ccitt.Group3
	}
	if p.reversed {
		order = ccitt.LSB
	}
	return ccitt.NewReader(s.raw, order, format, p.TileWidth, rows, &ccitt.Options{Invert: true}), nil
}

// openZstd decodes the whole segment: a frame's header may ask for a window of 128 MB however little follows, and decoding into
// one piece of memory needs none.
func (s *stream) openZstd(p *Page) (io.Reader, error) {
	compressed, err := io.ReadAll(s.raw)
	if err != nil {
		return nil, err
	}
	if s.zstd == nil {
		limit := uint64(p.rowBytes())*uint64(p.TileHeight) + 64<<10 // writers may fill a segment up
		s.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(limit), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
	}
	whole, err := s.zstd.DecodeAll(compressed, nil)
	return bytes.NewReader(whole), err
}

// maxZstdWindow is the largest that the format's highest level uses.
const maxZstdWindow = 128 << 20

// bitReverser exchanges the bits of each byte.
type bitReverser struct{ in io.Reader }

func (r bitReverser) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	for i, v := range b[:n] {
		b[i] = bits.Reverse8(v)
	}
	return n, err
}

// packBits decodes runs and literals (TIFF 6.0, section 9).
type packBits struct {
	in      *bufio.Reader
	left    int // bytes of the current packet still to come
	literal bool
	value   byte
}

func (p *packBits) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if p.left == 0 {
			head, err := p.in.ReadByte()
			if err != nil {
				return n, err
			}
			switch {
			case head == 128:
				continue
			case head < 128:
				p.left, p.literal = int(head)+1, true
			default:
				p.left, p.literal = 257-int(head), false
				if p.value, err = p.in.ReadByte(); err != nil {
					return n, err
				}
			}
		}
		part := b[n:min(n+p.left, len(b))]
		if p.literal {
			if _, err := io.ReadFull(p.in, part); err != nil {
				return n, err
			}
		} else {
			for i := range part {
				part[i] = p.value
			}
		}
		p.left -= len(part)
		n += len(part)
	}
	return n, nil
}

// segmentError says what is wrong with the compressed data of a strip or tile, without a library's words.
func (p *Page) segmentError(index int, err error) error {
	what := "strip"
	if p.Tiled {
		what = "tile"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("tiff: the data of %s %d end too early; the file is cut off or damaged", what, index+1)
	}
	return fmt.Errorf("tiff: the data of %s %d are damaged (%w)", what, index+1, err)
}

// readAll reads a strip or tile as it is in the file.
func (s *source) readAll(at span) ([]byte, error) {
	data := make([]byte, at.length)
	_, err := io.ReadFull(io.NewSectionReader(s.file, at.offset, at.length), data)
	return data, err
}
