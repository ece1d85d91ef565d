package imagefile

import (
	"bytes"
	"errors"
	"fmt"
)

// Format is a file format.
type Format string

// The formats that are read. Those but BMP are written too.
const (
	JPEG Format = "JPEG"
	PNG  Format = "PNG"
	TIFF Format = "TIFF"
	BMP  Format = "BMP"
)

// ErrFormat says that a file is of no format that this package reads.
var ErrFormat = errors.New("unknown image format")

// magic is how files begin; '?' matches any byte. reads is empty for formats that are known but not supported.
var magic = []struct {
	prefix string
	reads  Format
	name   string
}{
	{"\xFF\xD8", JPEG, ""},
	{"\x89PNG\r\n\x1a\n", PNG, ""},
	{"II*\x00", TIFF, ""},
	{"MM\x00*", TIFF, ""},
	{"II+\x00", TIFF, ""}, // BigTIFF
	{"MM\x00+", TIFF, ""},
	{"BM", BMP, ""},
	{"RIFF????WEBP", "", "WebP"},
	{"GIF8", "", "GIF"},
	{"\x00\x00\x00\x0CjP  ", "", "JPEG 2000"},
	{"\xFF\x4F\xFF\x51", "", "JPEG 2000"},
	{"\xFF\x0A", "", "JPEG XL"},
	{"????ftypavif", "", "AVIF"},
	{"????ftyphei", "", "HEIF"},
}

// formatOf tells the format by the first bytes of a file.
func formatOf(head []byte) (Format, error) {
	for _, m := range magic {
		if !matches(head, m.prefix) {
			continue
		}
		if m.reads == "" {
			return "", fmt.Errorf("%s is not supported; JPEG, PNG, TIFF and BMP are: %w", m.name, ErrFormat)
		}
		return m.reads, nil
	}
	head = bytes.TrimSpace(head[:min(len(head), 16)])
	return "", fmt.Errorf("the file begins with %q; JPEG, PNG, TIFF and BMP are supported: %w", head, ErrFormat)
}

func matches(head []byte, pattern string) bool {
	if len(head) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != head[i] {
			return false
		}
	}
	return true
}
