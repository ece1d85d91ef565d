package imagefile

import (
	"errors"
	"io"
)

func tiffMetadata(file io.ReaderAt) (metadata, error) {
	tags, err := readIFD(file)
	if err != nil {
		return metadata{}, err
	}
	width, hasWidth := tags.number(tagImageWidth)
	height, hasHeight := tags.number(tagImageLength)
	if !hasWidth || !hasHeight {
		return metadata{}, errors.New("the TIFF file does not tell its width and height")
	}
	photometric, _ := tags.number(tagPhotometric)
	m := metadata{
		width: int(width), height: int(height), orientation: tags.orientation(),
		grey: photometric <= 1, pages: tags.next != 0, text: tags.provenance,
	}
	if _, ok := tags.tags[tagICCProfile]; ok {
		m.icc = func() ([]byte, error) { return tags.bytes(tagICCProfile) }
	}
	return m, nil
}
