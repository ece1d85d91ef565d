package imagefile

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WritePNG writes a PNG file of an image that need not fit into memory. next returns the next rows, top to bottom: RGB
// [n,width,3], n ≥ 1 as it likes.
func WritePNG(w io.Writer, width, height int, pairs []Pair, next func() ([]uint8, error)) (err error) {
	const most = 1<<31 - 1
	if width < 1 || height < 1 || width > most || height > most {
		return fmt.Errorf("png: an image of %d×%d pixels", width, height)
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, 8, 2, 0, 0, 0) // bits; RGB; Deflate, filters by row, not interlaced
	out, err := appendTexts(appendChunk([]byte(pngSignature), "IHDR", header), pairs)
	if err != nil {
		return err
	}
	if _, err := w.Write(out); err != nil {
		return err
	}
	pixels := bufio.NewWriterSize(pngData{w}, 1<<16)
	z := zlib.NewWriter(pixels)
	before, line := make([]uint8, 3*width), make([]uint8, 1+3*width)
	for y := 0; y < height; {
		rows, err := next()
		if err != nil {
			return err
		}
		if n := len(rows) / (3 * width); n < 1 || n > height-y || len(rows)%(3*width) != 0 {
			return fmt.Errorf("png: %d values for at most %d rows of %d pixels", len(rows), height-y, width)
		}
		for ; len(rows) > 0; rows = rows[3*width:] {
			row := rows[:3*width]
			paeth(line, row, before)
			if _, err := z.Write(line); err != nil {
				return err
			}
			copy(before, row)
			y++
		}
	}
	if err := errors.Join(z.Close(), pixels.Flush()); err != nil {
		return err
	}
	_, err = w.Write(appendChunk(nil, "IEND", nil))
	return err
}

// pngData writes chunks of pixels.
type pngData struct{ w io.Writer }

// Write writes a chunk.
func (d pngData) Write(data []byte) (int, error) {
	if _, err := d.w.Write(appendChunk(nil, "IDAT", data)); err != nil {
		return 0, err
	}
	return len(data), nil
}

// paeth filters a row of RGB with PNG's filter of that name, which suits images of tissue: each value less the one of
// its three neighbours, left, above and above to the left, that is nearest to left + above − above to the left.
func paeth(line, row, before []uint8) {
	line[0] = 4
	for i, v := range row {
		var a, c int
		b := int(before[i])
		if i >= 3 {
			a, c = int(row[i-3]), int(before[i-3])
		}
		pa, pb, pc := b-c, a-c, a+b-2*c
		pa, pb, pc = max(pa, -pa), max(pb, -pb), max(pc, -pc)
		predicted := c
		switch {
		case pa <= pb && pa <= pc:
			predicted = a
		case pb <= pc:
			predicted = b
		}
		line[1+i] = v - uint8(predicted)
	}
}
