package mosaic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// stripRows is how many rows of a finished region are compressed together.
const stripRows = 64

// strips writes rows of RGB as a sequence of compressed strips, each with its length before it.
type strips struct {
	w       io.Writer
	row     int // bytes
	pending []byte
	encoder *zstd.Encoder
	packed  []byte
}

func newStrips(w io.Writer, width int) (*strips, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	return &strips{w: w, row: 3 * width, encoder: e}, err
}

// add takes rows.
func (s *strips) add(rows []byte) error {
	s.pending = append(s.pending, rows...)
	for len(s.pending) >= stripRows*s.row {
		if err := s.strip(s.pending[:stripRows*s.row]); err != nil {
			return err
		}
		s.pending = append(s.pending[:0], s.pending[stripRows*s.row:]...)
	}
	return nil
}

// end writes what is left.
func (s *strips) end() error {
	if len(s.pending) > 0 {
		if err := s.strip(s.pending); err != nil {
			return err
		}
	}
	return s.encoder.Close()
}

func (s *strips) strip(rows []byte) error {
	s.packed = s.encoder.EncodeAll(rows, append(s.packed[:0], 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(s.packed, uint32(len(s.packed)-4))
	_, err := s.w.Write(s.packed)
	return err
}

// stripReader reads rows again.
type stripReader struct {
	r       io.ReadCloser
	row     int
	pending []byte
	decoder *zstd.Decoder
}

func newStripReader(r io.ReadCloser, width int) (*stripReader, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	return &stripReader{r: r, row: 3 * width, decoder: d}, err
}

// next fills a row.
func (s *stripReader) next(row []byte) error {
	if len(s.pending) == 0 {
		var length [4]byte
		if _, err := io.ReadFull(s.r, length[:]); err != nil {
			return fmt.Errorf("a finished region: %w", err)
		}
		packed := make([]byte, binary.LittleEndian.Uint32(length[:]))
		if _, err := io.ReadFull(s.r, packed); err != nil {
			return fmt.Errorf("a finished region: %w", err)
		}
		var err error
		if s.pending, err = s.decoder.DecodeAll(packed, nil); err != nil {
			return fmt.Errorf("a finished region: %w", err)
		}
		if len(s.pending) == 0 || len(s.pending)%s.row != 0 {
			return errors.New("a finished region: a strip of another width")
		}
	}
	copy(row, s.pending[:s.row])
	s.pending = s.pending[s.row:]
	return nil
}

func (s *stripReader) close() error {
	s.decoder.Close()
	return s.r.Close()
}
