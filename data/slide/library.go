package slide

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/openslide"
)

// maxAssociated limits the pixels of labels, macros and thumbnails.
const maxAssociated = 1 << 26

// librarySlide is a slide that OpenSlide reads.
type librarySlide struct {
	slide      *openslide.Slide
	info       Info
	factors    []float64 // what OpenSlide divides places on level 0 by, for each level
	background color.RGBA
	buffers    sync.Pool // of *[]uint32
}

// openLibrary opens a file of a format that OpenSlide knows.
func openLibrary(l *openslide.Library, path, vendor string, cache int) (Reader, error) {
	slide, err := l.Open(path, cache)
	if err != nil {
		return nil, fmt.Errorf("OpenSlide %s can't read this file, which it takes for %s: %w", l.Version, vendor, err)
	}
	s := &librarySlide{slide: slide, info: Info{Reader: "OpenSlide " + l.Version, Vendor: vendor}}
	if err := s.describe(); err != nil {
		_ = slide.Close() // never fails
		return nil, err
	}
	return s, nil
}

func (s *librarySlide) describe() error {
	levels, err := s.slide.Levels()
	if err != nil {
		return err
	}
	for _, l := range levels {
		if l.Width < 1 || l.Height < 1 || l.Width > math.MaxInt32 || l.Height > math.MaxInt32 {
			return fmt.Errorf("openslide: a level of %d×%d pixels is impossible", l.Width, l.Height)
		}
		s.info.Levels = append(s.info.Levels, Level{Width: int(l.Width), Height: int(l.Height)})
		s.factors = append(s.factors, l.Downsample)
	}
	if len(levels) > 0 {
		factors(s.info.Levels)
	}
	properties, err := s.slide.Properties()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		s.info.Properties = append(s.info.Properties, Property{name, properties[name]})
	}
	number := func(name string) float64 {
		v, err := strconv.ParseFloat(properties[name], 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			return 0
		}
		return v
	}
	s.info.MPP = [2]float64{number("openslide.mpp-x"), number("openslide.mpp-y")}
	s.info.Magnification = number("openslide.objective-power")
	s.background = color.RGBA{255, 255, 255, 255}
	if v, err := strconv.ParseUint(properties["openslide.background-color"], 16, 24); err == nil {
		s.background = color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}
	}
	if s.info.Associated, err = s.slide.Associated(); err != nil {
		return err
	}
	s.info.ICC, err = s.slide.ICC()
	return err
}

func (s *librarySlide) Info() Info { return s.info }

func (s *librarySlide) Close() error { return s.slide.Close() }

func (s *librarySlide) Read(_ context.Context, pix []uint8, level int, r image.Rectangle) error {
	buffer, _ := s.buffers.Get().(*[]uint32)
	if buffer == nil {
		buffer = new([]uint32)
	}
	defer s.buffers.Put(buffer)
	n := r.Dx() * r.Dy()
	if cap(*buffer) < n {
		*buffer = make([]uint32, n)
	}
	argb := (*buffer)[:n]
	// Places are given in pixels of level 0; the nearest to a pixel of a level is half a pixel of level 0 off at most.
	x := int64(math.Round(float64(r.Min.X) * s.factors[level]))
	y := int64(math.Round(float64(r.Min.Y) * s.factors[level]))
	if err := s.slide.Read(argb, level, x, y, r.Dx(), r.Dy()); err != nil {
		return err
	}
	onBackground(pix, argb, s.background)
	return nil
}

// onBackground makes RGB of premultiplied ARGB on an opaque colour.
func onBackground(pix []uint8, argb []uint32, back color.RGBA) {
	pix = pix[:3*len(argb)]
	for i, v := range argb {
		out := pix[3*i : 3*i+3]
		red, green, blue := v>>16&255, v>>8&255, v&255
		if alpha := v >> 24; alpha != 255 {
			rest := 255 - min(alpha, 255)
			red += (uint32(back.R)*rest + 127) / 255
			green += (uint32(back.G)*rest + 127) / 255
			blue += (uint32(back.B)*rest + 127) / 255
		}
		out[0], out[1], out[2] = uint8(min(red, 255)), uint8(min(green, 255)), uint8(min(blue, 255))
	}
}

func (s *librarySlide) Associated(_ context.Context, name string) (*imagefile.Image, error) {
	if !slices.Contains(s.info.Associated, name) {
		return nil, fmt.Errorf("the slide has no associated image %q; it has %s", name, listed(s.info.Associated))
	}
	argb, width, height, err := s.slide.ReadAssociated(name, maxAssociated)
	if err != nil {
		return nil, err
	}
	img := imagefile.New(width, height)
	onBackground(img.Pix, argb, color.RGBA{255, 255, 255, 255})
	return img, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
