package tiff

import (
	"bufio"
	"bytes"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/image/ccitt"
)

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
	fax := p.compression == group3 || p.compression == group4
	if p.reversed && !fax {
		file = bitReverser{file}
	}
	if s.raw == nil {
		s.raw = bufio.NewReaderSize(file, 16<<10)
	}
	s.raw.Reset(file)
	switch p.compression {
	case uncompressed:
		return s.raw, nil
	case packBitsCompression:
		return &packBits{in: s.raw}, nil
	case lzwCompression:
		if s.lzw == nil {
			s.lzw = &lzw{}
		}
		s.lzw.reset(s.raw)
		return s.lzw, nil
	case adobeDeflate, deflate:
		var err error
		if s.inflate == nil {
			s.inflate, err = zlib.NewReader(s.raw)
		} else {
			err = s.inflate.(zlib.Resetter).Reset(s.raw, nil)
		}
		return s.inflate, err
	case zstdCompression, oldZstd:
		return s.openZstd(p)
	}
	format, order := ccitt.Group4, ccitt.MSB
	if p.compression == group3 {
		format = ccitt.Group3
	}
	if p.reversed {
		order = ccitt.LSB
	}
	return ccitt.NewReader(s.raw, order, format, p.tileWidth, rows, &ccitt.Options{Invert: true}), nil
}

// openZstd decodes a whole segment: a frame's header may ask for a window of 128 MB however little follows, and
// decoding into one buffer needs none.
func (s *stream) openZstd(p *Page) (io.Reader, error) {
	compressed, err := io.ReadAll(s.raw)
	if err != nil {
		return nil, err
	}
	if s.zstd == nil {
		limit := uint64(p.rowBytes())*uint64(p.tileHeight) + 64<<10 // writers may fill a segment up
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

type bitReverser struct{ in io.Reader }

func (r bitReverser) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	for i, v := range b[:n] {
		b[i] = bits.Reverse8(v)
	}
	return n, err
}

// readAll reads a strip or tile as it is in the file.
func (s *source) readAll(at span) ([]byte, error) {
	data := make([]byte, at.length)
	_, err := io.ReadFull(io.NewSectionReader(s.file, at.offset, at.length), data)
	return data, err
}
