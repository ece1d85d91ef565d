package imagefile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// maxInflated bounds what a compressed text or profile grows to.
const maxInflated = 16 << 20

// pngMetadata walks over the chunks up to the end, reading those that matter.
func pngMetadata(file io.ReaderAt, size int64) (metadata, error) {
	var m metadata
	var texts [][]byte // the chunks' types and data
	for at := int64(len(pngSignature)); ; {
		var head [8]byte
		if _, err := file.ReadAt(head[:], at); err != nil {
			return m, errors.New("png: the file is cut off")
		}
		length, kind := int64(binary.BigEndian.Uint32(head[:])), string(head[4:])
		if at+12+length > size {
			return m, errors.New("png: the file is cut off")
		}
		switch kind {
		case "IHDR", "eXIf", "iCCP", "tEXt", "zTXt", "iTXt":
			if length > maxTagBytes {
				return m, fmt.Errorf("png: a chunk %s of %d bytes; at most %d are read", kind, length, maxTagBytes)
			}
			data := make([]byte, length)
			if _, err := file.ReadAt(data, at+8); err != nil {
				return m, err
			}
			switch kind {
			case "IHDR":
				if length != 13 {
					return m, errors.New("png: the header has a wrong length")
				}
				m.width, m.height = int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint32(data[4:]))
				m.grey = data[9]&2 == 0
			case "eXIf":
				if tags, err := readIFD(bytes.NewReader(data)); err == nil { // as with JPEG: damaged Exif data is passed over
					m.orientation = tags.orientation()
				}
			case "iCCP":
				m.icc = func() ([]byte, error) { return pngProfile(data) }
			default:
				texts = append(texts, append([]byte(kind), data...))
				m.text = func() ([]Pair, error) { return pngTexts(texts) }
			}
		case "IEND":
			return m, nil
		}
		at += 12 + length
	}
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

// withTexts inserts texts behind the header of a PNG file: tEXt for ASCII, else iTXt.
func withTexts(file []byte, pairs []Pair) ([]byte, error) {
	const headerEnd = len(pngSignature) + 12 + 13
	out := append(make([]byte, 0, len(file)+1024), file[:headerEnd]...)
	for _, p := range pairs {
		if err := checkKeyword(p.Key); err != nil {
			return nil, err
		}
		if strings.ContainsRune(p.Value, 0) || !utf8.ValidString(p.Value) {
			return nil, fmt.Errorf("png: the text of %q is not UTF-8 without zeros", p.Key)
		}
		if isASCII(p.Value) {
			out = appendChunk(out, "tEXt", p.Key+"\x00"+p.Value)
		} else {
			out = appendChunk(out, "iTXt", p.Key+"\x00\x00\x00\x00\x00"+p.Value)
		}
	}
	return append(out, file[headerEnd:]...), nil
}

// checkKeyword applies the standard's rules, but for Latin-1: ASCII alone.
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

func appendChunk(out []byte, kind, data string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	start := len(out)
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
}
