package data

import (
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
)

// Pair is an H&E image and the IHC image of the same tissue.
type Pair struct {
	Name    string // the files' stem; for a list the H&E file's path without its extension
	Split   string // "train", "val", "test"; "" where the layout has none
	HE, IHC Source
	Patient string // what the name or the list tells; "" if nothing
	Marker  string // that the IHC stains for, where several sets are read together; else ""
	Grade   string // of BCI: "0", "1+", "2+", "3+"; "" elsewhere

	Width, Height int // of both images
}

// Read decodes both images.
func (p Pair) Read(o imagefile.Options) (he, ihc *imagefile.Image, err error) {
	file, err := imagefile.Read(p.HE.Path, o)
	if err != nil {
		return nil, nil, err
	}
	if he, err = p.HE.of(file); err != nil {
		return nil, nil, err
	}
	if p.IHC.Path != p.HE.Path {
		if file, err = imagefile.Read(p.IHC.Path, o); err != nil {
			return nil, nil, err
		}
	}
	ihc, err = p.IHC.of(file)
	return he, ihc, err
}

// Source is an image in a file.
type Source struct {
	Path string
	Half Half
}

// Half says which part of a file an image is.
type Half string

// The parts of a file.
const (
	whole Half = ""
	Left  Half = "left"
	Right Half = "right"
)

func (s Source) String() string {
	if s.Half == whole {
		return s.Path
	}
	return fmt.Sprintf("%s (%s half)", s.Path, s.Half)
}

func (s Source) size(width, height int) (int, int, error) {
	if s.Half == whole {
		return width, height, nil
	}
	if width%2 != 0 {
		return 0, 0, fmt.Errorf("a width of %d pixels has no halves", width)
	}
	return width / 2, height, nil
}

func (s Source) of(img *imagefile.Image) (*imagefile.Image, error) {
	width, height, err := s.size(img.Width, img.Height)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if s.Half == whole {
		return img, nil
	}
	left := 0
	if s.Half == Right {
		left = width
	}
	half := imagefile.New(width, height)
	for y := range height {
		copy(half.Pix[3*width*y:][:3*width], img.Pix[3*(img.Width*y+left):])
	}
	return half, nil
}
