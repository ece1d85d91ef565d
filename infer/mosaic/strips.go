package mosaic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/histdist/histdist/internal/parallel"
)

// stripRows is how many rows of a finished region are compressed together.
const stripRows = 64

// strips writes rows of RGB as a sequence of compressed strips, each with its length before it.
type strips struct {
	w       io.Writer
	row     int // bytes
	pending []byte
	encoder *zstd.Encoder
}

func newStrips(w io.Writer, width int) (*strips, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	return &strips{w: w, row: 3 * width, encoder: e}, err
}

// add takes rows.
func (s *strips) add(rows []byte) error {
	s.pending = append(s.pending, rows...)
	whole := len(s.pending) / (stripRows * s.row) * stripRows * s.row
	if err := s.compress(s.pending[:whole]); err != nil {
		return err
	}
	s.pending = append(s.pending[:0], s.pending[whole:]...)
	return nil
}

// end writes what is left.
func (s *strips) end() error { return errors.Join(s.compress(s.pending), s.encoder.Close()) }

func (s *strips) compress(rows []byte) error {
	side := stripRows * s.row
	packed := make([][]byte, (len(rows)+side-1)/side)
	parallel.Ranges(len(rows), side, func(from, to int) {
		p := s.encoder.EncodeAll(rows[from:to], make([]byte, 4))
		binary.LittleEndian.PutUint32(p, uint32(len(p)-4))
		packed[from/side] = p
	})
	for _, p := range packed {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	return nil
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
