package tissue

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MarshalBinary packs the mask: four sizes, then a bit for each pixel that differs from the one above it, by Deflate.
// Outlines of tissue are smooth, so that few do.
func (m *Mask) MarshalBinary() ([]byte, error) {
	bits := make([]byte, (len(m.In)+7)/8)
	for i, in := range m.In {
		if above := i >= m.Width && m.In[i-m.Width]; in != above {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	var b bytes.Buffer
	for _, n := range []int{m.Width, m.Height, m.SlideWidth, m.SlideHeight} {
		b.Write(binary.AppendUvarint(nil, uint64(n)))
	}
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(bits)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// UnmarshalBinary unpacks what MarshalBinary has packed.
func (m *Mask) UnmarshalBinary(data []byte) error {
	r := bytes.NewReader(data)
	var sizes [4]int
	for i := range sizes {
		n, err := binary.ReadUvarint(r)
		if err != nil || n < 1 || n > maxPlace {
			return fmt.Errorf("a packed mask: size %d is not 1 to %d", n, maxPlace)
		}
		sizes[i] = int(n)
	}
	width, height := sizes[0], sizes[1]
	if max(width, height) > maxSide {
		return fmt.Errorf("a packed mask of %d×%d pixels; want at most %d each way", width, height, maxSide)
	}
	bits := make([]byte, (width*height+7)/8)
	if _, err := io.ReadFull(flate.NewReader(r), bits); err != nil {
		return fmt.Errorf("a packed mask: %w", err)
	}
	*m = Mask{Width: width, Height: height, SlideWidth: sizes[2], SlideHeight: sizes[3], In: make([]bool, width*height)}
	for i := range m.In {
		above := i >= width && m.In[i-width]
		m.In[i] = above != (bits[i/8]>>(i%8)&1 == 1)
	}
	return nil
}
