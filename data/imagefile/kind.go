package imagefile

import (
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what an image is that this program made. It is stated in the file, under KeyKind.
type Kind string

// The kinds.
const (
	NotOurs      Kind = "" // no image of this program, or one of synthetic tissue, which is input
	VirtualStain Kind = "virtual stain"
	Panel        Kind = "panel" // several images side by side
)

// KeyKind is the key of an image's Kind.
const KeyKind = "histdist.kind"

// keySettings is a statement that virtual stains and panels have always had, also those without a kind.
const keySettings = "histdist.settings"

// KindOf returns what a file states it is, NotOurs if it can't be read. It reads the beginning of PNG and JPEG files,
// and the directory of TIFF files.
func KindOf(path string) Kind {
	var pairs []Pair
	err := open(path, func(file io.ReaderAt, size int64) (err error) {
		pairs, err = leadingStatements(file, size)
		return err
	})
	if err != nil {
		return NotOurs
	}
	value := func(key string) string {
		if i := slices.IndexFunc(pairs, func(p Pair) bool { return p.Key == key }); i >= 0 {
			return pairs[i].Value
		}
		return ""
	}
	switch kind := Kind(value(KeyKind)); {
	case kind != NotOurs:
		return kind
	case value(keySettings) == "":
		return NotOurs
	case strings.HasSuffix(strings.TrimSuffix(path, filepath.Ext(path)), "-panel"):
		return Panel
	}
	return VirtualStain
}

// leadingStatements reads the statements of a file; Write puts a PNG file's before its pixels.
func leadingStatements(file io.ReaderAt, size int64) ([]Pair, error) {
	var head [len(pngSignature)]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:]) == pngSignature {
		return leadingTexts(file, size)
	}
	m, err := readMetadata(file, size)
	if err != nil || m.text == nil {
		return nil, err
	}
	return m.text()
}

// leadingTexts are the texts of a PNG file before its pixels, as far as they are in its first 64 KB.
func leadingTexts(file io.ReaderAt, size int64) ([]Pair, error) {
	head := make([]byte, min(size, 64<<10))
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, err
	}
	var texts [][]byte
	for rest := head[len(pngSignature):]; len(rest) >= 12; {
		kind, length := string(rest[4:8]), int64(binary.BigEndian.Uint32(rest))
		if kind == "IDAT" || length > int64(len(rest)-12) {
			break
		}
		switch kind {
		case "tEXt", "zTXt", "iTXt":
			texts = append(texts, rest[4:8+length])
		}
		rest = rest[12+length:]
	}
	return pngTexts(texts)
}
