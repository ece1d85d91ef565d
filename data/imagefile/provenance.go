package imagefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/histdist/histdist/data/tiff"
)

// Pair is one statement on an image's origin, such as {"Software", "histdist 1.0"}.
type Pair struct{ Key, Value string }

// The keys that JPEG and TIFF files have tags for, and PNG keywords of the same meaning.
const (
	KeyDescription = "Description" // ImageDescription
	KeySoftware    = "Software"    // Software
)

var knownTags = [2]struct {
	key string
	id  tiff.Tag
}{{KeyDescription, tiff.TagImageDescription}, {KeySoftware, tiff.TagSoftware}}

// ReadProvenance returns the statements in a file, in the order in which Write wrote them: the texts of a PNG file,
// ImageDescription, Software and UserComment of a JPEG or TIFF file, or the provenance of a slide that package tiff
// wrote.
func ReadProvenance(path string) ([]Pair, error) {
	var pairs []Pair
	err := open(path, func(file io.ReaderAt, size int64) error {
		m, err := readMetadata(file, size)
		if err == nil && m.text != nil {
			pairs, err = m.text()
		}
		return err
	})
	return pairs, err
}

// Exif's mark of a comment in ASCII.
const asciiComment = "ASCII\x00\x00\x00"

// provenance reads the pairs of an Exif structure. Those that Write wrote are all in UserComment, as a JSON object.
func provenance(d *tiff.Directory) ([]Pair, error) {
	var pairs []Pair
	exif, err := d.Sub(tiff.TagExifIFD)
	if err != nil {
		return nil, err
	}
	if exif != nil {
		comment, err := exif.Bytes(tiff.TagUserComment)
		if err != nil {
			return nil, err
		}
		if text, ok := strings.CutPrefix(string(comment), asciiComment); ok {
			text = strings.TrimRight(text, " \x00")
			if pairs, err = decodePairs(text); err != nil && text != "" {
				pairs = []Pair{{"UserComment", text}}
			}
		}
	}
	description, err := d.Text(tiff.TagImageDescription)
	if err != nil {
		return nil, err
	}
	for _, e := range tiff.ReadProvenance(description) {
		pairs = append(pairs, Pair(e))
	}
	for _, known := range knownTags {
		text, err := d.Text(known.id)
		if err != nil {
			return nil, err
		}
		if _, has := valueOf(pairs, known.key); text != "" && !has {
			pairs = append(pairs, Pair{known.key, text})
		}
	}
	return pairs, nil
}

func valueOf(pairs []Pair, key string) (string, bool) {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// provenanceFields makes the tags of the first directory and of the Exif directory.
func provenanceFields(pairs []Pair) (first, exif []tiff.Field, err error) {
	for _, known := range knownTags {
		value, has := valueOf(pairs, known.key)
		if strings.ContainsRune(value, 0) {
			return nil, nil, fmt.Errorf("%s: texts must not contain zero bytes", known.key)
		}
		if has {
			first = append(first, tiff.ASCII(known.id, value)) // UTF-8 in practice, though the standard says ASCII
		}
	}
	if len(pairs) > 0 {
		comment := []byte(asciiComment + encodePairs(pairs))
		exif = []tiff.Field{tiff.Undefined(tiff.TagUserComment, comment)}
	}
	return first, exif, nil
}

func exifOf(pairs []Pair) ([]byte, error) {
	first, exif, err := provenanceFields(pairs)
	if err != nil || exif == nil {
		return nil, err
	}
	return tiff.AppendExif(nil, first, exif), nil
}

// encodePairs writes a JSON object in the order of the pairs, in ASCII.
func encodePairs(pairs []Pair) string {
	var b strings.Builder
	for i, p := range pairs {
		separator := ", "
		if i == 0 {
			separator = "{"
		}
		b.WriteString(separator + quoted(p.Key) + ": " + quoted(p.Value))
	}
	return b.String() + "}"
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // a string always can be
	var b strings.Builder
	for _, r := range string(text) {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func decodePairs(text string) ([]Pair, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var pairs []Pair
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, isName := key.(string)
		text, isText := value.(string)
		if !isName || !isText {
			return nil, errors.New("not an object of texts")
		}
		pairs = append(pairs, Pair{name, text})
	}
	return pairs, nil
}
