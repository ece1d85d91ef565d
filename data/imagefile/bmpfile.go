package imagefile

import (
	"errors"
	"io"

	"golang.org/x/image/bmp"
)

func bmpMetadata(file io.ReaderAt) (metadata, error) {
	config, err := bmp.DecodeConfig(io.NewSectionReader(file, 0, 1<<12))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return metadata{}, errors.New("bmp: the file is cut off")
	}
	if err != nil {
		return metadata{}, err
	}
	return metadata{width: config.Width, height: config.Height}, nil
}
