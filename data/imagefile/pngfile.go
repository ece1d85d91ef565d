package imagefile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/histdist/histdist/data/tiff"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

const (
	maxChunkBytes = 16 << 20 // of one chunk; the longest that matters is a colour profile
	maxInflated   = 16 << 20 // of a compressed text or profile
)

// A pngChunk is where a chunk of a PNG file is.
type pngChunk struct {
	kind string
	at   int64 // of the data
	size int64
}

// pngChunks lists the chunks. A file that ends after a whole chunk of pixels may be whole: Pillow reads it, too.
func pngChunks(file io.ReaderAt, size int64) ([]pngChunk, error) {
	cutOff := errors.New("png: the file is cut off")
	var list []pngChunk
	pixels := false
	for at := int64(len(pngSignature)); ; {
		var head [8]byte
		if _, err := file.ReadAt(head[:], at); err != nil {
			if pixels {
				return list, nil
			}
			return nil, cutOff
		}
		c := pngChunk{string(head[4:]), at + 8, int64(binary.BigEndian.Uint32(head[:]))}
		if c.kind == "IEND" {
			return list, nil
		}
		if at += 12 + c.size; at > size {
			return nil, cutOff
		}
		pixels = pixels || c.kind == "IDAT"
		list = append(list, c)
	}
}

// read reads a chunk's data and reports whether they are as they were written.
func (c pngChunk) read(file io.ReaderAt) (data []byte, intact bool, err error) {
	if c.size > maxChunkBytes {
		return nil, false, fmt.Errorf("png: a chunk %s of %d bytes; at most %d are read", c.kind, c.size, maxChunkBytes)
	}
	data = make([]byte, c.size+4)
	if _, err := file.ReadAt(data, c.at); err != nil {
		return nil, false, err
	}
	data, sum := data[:c.size], binary.BigEndian.Uint32(data[c.size:])
	return data, crc32.Update(crc32.ChecksumIEEE([]byte(c.kind)), crc32.IEEETable, data) == sum, nil
}

// pngMetadata reads the chunks that matter besides the pixels, in any order.
func pngMetadata(file io.ReaderAt, size int64) (metadata, error) {
	var m metadata
	chunks, err := pngChunks(file, size)
	if err != nil {
		return m, err
	}
	if len(chunks) == 0 || chunks[0].kind != "IHDR" || chunks[0].size != 13 {
		return m, errors.New("png: the header is missing or has a wrong length")
	}
	var texts [][]byte // the chunks' types and data
	for _, c := range chunks {
		switch c.kind {
		case "IHDR", "eXIf", "iCCP", "tEXt", "zTXt", "iTXt":
		default:
			continue
		}
		data, intact, err := c.read(file)
		switch {
		case err != nil:
			return m, err
		case c.kind == "IHDR":
			m.width, m.height = int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint32(data[4:]))
			m.grey, m.interlaced = data[9]&2 == 0, data[12] != 0
		case c.kind == "iCCP" && !intact:
			m.icc = func() ([]byte, error) { return nil, errors.New("png: the colour profile is damaged") }
		case c.kind == "iCCP":
			m.icc = func() ([]byte, error) { return pngProfile(data) }
		case !intact: // passed over, as damaged Exif data of JPEG files are
		case c.kind == "eXIf":
			if tags, err := tiff.OpenDirectory(bytes.NewReader(data), int64(len(data))); err == nil {
				m.orientation = tags.Orientation()
			}
		default:
			texts = append(texts, append([]byte(c.kind), data...))
			m.text = func() ([]Pair, error) { return pngTexts(texts) }
		}
	}
	return m, nil
}

// decodePNG decodes the pixels. The standard library's decoder insists on the order, place and length of chunks, so it
// gets a file of only those that pixels depend on.
func decodePNG(data []byte) (image.Image, error) {
	file := bytes.NewReader(data)
	chunks, err := pngChunks(file, int64(len(data)))
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	var pixels [][]byte
	for _, c := range chunks {
		switch c.kind {
		case "IDAT":
			pixels = append(pixels, data[c.at:c.at+c.size]) // zlib has a checksum of its own
		case "IHDR", "PLTE", "tRNS":
			value, intact, err := c.read(file)
			if err == nil && !intact {
				err = fmt.Errorf("png: the chunk %s is damaged", c.kind)
			}
			if err != nil {
				return nil, err
			}
			found[c.kind] = value
		}
	}
	header := found["IHDR"]
	out := appendChunk(append(make([]byte, 0, len(data)+12), pngSignature...), "IHDR", header)
	const colorPalette, colorMask, colorAlpha = 3, 2, 4
	kind, longest := header[9], 2
	switch {
	case kind == colorPalette:
		longest = min(256, 1<<min(header[8], 8))
		colors := found["PLTE"]
		out = appendChunk(out, "PLTE", colors[:min(len(colors)/3, longest)*3])
		longest = min(longest, len(colors)/3)
	case kind&colorMask != 0:
		longest = 6
	}
	if alpha := found["tRNS"]; alpha != nil && kind&colorAlpha == 0 {
		out = appendChunk(out, "tRNS", alpha[:min(len(alpha), longest)])
	}
	for _, p := range pixels {
		out = appendChunk(out, "IDAT", p)
	}
	return png.Decode(bytes.NewReader(appendChunk(out, "IEND", nil)))
}

// pngProfile is the profile in a chunk iCCP: a name, a zero, the method 0, zlib.
func pngProfile(data []byte) ([]byte, error) {
	_, rest, ok := bytes.Cut(data, []byte{0})
	if !ok || len(rest) < 1 || rest[0] != 0 {
		return nil, errors.New("png: the colour profile is damaged")
	}
	profile, err := inflate(rest[1:])
	if err != nil {
		return nil, fmt.Errorf("png: the colour profile is damaged: %w", err)
	}
	return profile, nil
}

func inflate(data []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err == nil && len(out) > maxInflated {
		err = fmt.Errorf("it grows beyond %d bytes", maxInflated)
	}
	return out, err
}

// pngTexts decodes chunks tEXt, zTXt and iTXt (PNG, third edition, 11.3.3).
func pngTexts(chunks [][]byte) ([]Pair, error) {
	var pairs []Pair
	for _, chunk := range chunks {
		kind := string(chunk[:4])
		key, rest, ok := bytes.Cut(chunk[4:], []byte{0})
		if !ok {
			return nil, fmt.Errorf("png: a chunk %s is damaged", kind)
		}
		compressed := false
		switch kind {
		case "zTXt":
			if ok = len(rest) >= 1; ok {
				compressed, rest = true, rest[1:]
			}
		case "iTXt":
			if ok = len(rest) >= 2; ok {
				compressed, rest = rest[0] == 1, rest[2:]
				for range 2 { // language, translated keyword
					if _, rest, ok = bytes.Cut(rest, []byte{0}); !ok {
						break
					}
				}
			}
		}
		if !ok {
			return nil, fmt.Errorf("png: a chunk %s is damaged", kind)
		}
		if compressed {
			var err error
			if rest, err = inflate(rest); err != nil {
				return nil, fmt.Errorf("png: text %q: %w", key, err)
			}
		}
		text := string(rest)
		if kind != "iTXt" {
			text = fromLatin1(rest)
		}
		pairs = append(pairs, Pair{Key: fromLatin1(key), Value: strings.ToValidUTF8(text, "\uFFFD")})
	}
	return pairs, nil
}

func fromLatin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// withTexts inserts texts after the header of a PNG file: tEXt for ASCII, else iTXt.
func withTexts(file []byte, pairs []Pair) ([]byte, error) {
	const headerEnd = len(pngSignature) + 12 + 13
	out := append(make([]byte, 0, len(file)+1024), file[:headerEnd]...)
	out, err := appendTexts(out, pairs)
	return append(out, file[headerEnd:]...), err
}

// appendTexts appends chunks with texts.
func appendTexts(out []byte, pairs []Pair) ([]byte, error) {
	for _, p := range pairs {
		if err := checkKeyword(p.Key); err != nil {
			return nil, err
		}
		if strings.ContainsRune(p.Value, 0) || !utf8.ValidString(p.Value) {
			return nil, fmt.Errorf("png: the text of %q is not UTF-8 without zeros", p.Key)
		}
		if isASCII(p.Value) {
			out = appendChunk(out, "tEXt", []byte(p.Key+"\x00"+p.Value))
		} else {
			out = appendChunk(out, "iTXt", []byte(p.Key+"\x00\x00\x00\x00\x00"+p.Value))
		}
	}
	return out, nil
}

// checkKeyword applies the standard's rules, with ASCII instead of Latin-1.
func checkKeyword(key string) error {
	if len(key) < 1 || len(key) > 79 || strings.TrimSpace(key) != key || strings.Contains(key, "  ") {
		return fmt.Errorf("png: keyword %q; it has 1 to 79 characters, and spaces only one by one inside", key)
	}
	for _, r := range key {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return fmt.Errorf("png: keyword %q has a character that is not printable ASCII", key)
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

func appendChunk(out []byte, kind string, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	start := len(out)
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
}
