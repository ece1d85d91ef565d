package tiff

import (
	"errors"
	"fmt"
	"image"
	"math"
	"sync"
)

// Photometric says what the samples of a page mean.
type Photometric uint16

// The meanings that are read.
const (
	whiteIsZero    Photometric = 0
	BlackIsZero    Photometric = 1
	rgbColours     Photometric = 2
	paletteColours Photometric = 3
	Separated      Photometric = 5 // CMYK
	yCbCr          Photometric = 6
)

// Alpha says what alpha a page has.
type Alpha uint8

// The kinds of alpha.
const (
	NoAlpha      Alpha = iota
	Associated         // colours are multiplied by it
	unassociated       // they are not
)

// maxSamples bounds the samples of a pixel; images of more are data, not colours.
const maxSamples = 64

// UnsupportedError says what a page needs that this package does not have.
type UnsupportedError struct {
	What      string
	OpenSlide bool // OpenSlide reads it in slides
}

func (e *UnsupportedError) Error() string {
	text := "TIFF with " + e.What + " is not supported; "
	if e.OpenSlide {
		text += "OpenSlide reads it in slides; or "
	}
	return text + "save it as 8-bit RGB, uncompressed or with LZW, Deflate or JPEG compression"
}

func unsupported(format string, values ...any) error {
	return &UnsupportedError{What: fmt.Sprintf(format, values...)}
}

// Page is one image of a file. Its directory has the other tags, such as TagImageDescription.
type Page struct {
	*Directory
	Index     int // from 0, among the pages of the file or the sub-images of a page
	SubImages []*Page
	subDamage error // why not all of SubImages could be listed

	Width, Height int
	Reduced       bool // a smaller version of another image of the file: a thumbnail or a level of a pyramid
	mask          bool // a transparency mask of another image

	tiled                 bool
	tileWidth, tileHeight int // of a tile or strip; strips have the image's width, and no more than its height

	compression compression
	Photometric Photometric
	bits        int // of a sample in the file
	Samples     int // of a pixel in the file
	planar      bool
	Alpha       Alpha
	Ignored     int // samples of a pixel that have no stated meaning

	alphaAt   int  // which sample is alpha
	inks      bool // CMYK stays CMYK
	predict   bool
	reversed  bool         // bits of a byte from the lowest
	sub       [2]int       // YCbCr: how many pixels share a chroma sample, in x and y
	palette   [][3]uint8   // of colours
	ycbcr     *ycbcrTables // nil unless chroma is to be converted here
	err       error        // why the page can't be decoded
	layout    func() (*layout, error)
	jpegState func() (*jpegState, error)
	checked   func() error
}

// newPage interprets a directory. What can't be decoded is kept for Check.
func newPage(d *Directory) *Page {
	p := &Page{Directory: d}
	p.layout = sync.OnceValues(p.loadLayout)
	p.jpegState = sync.OnceValues(p.loadJPEG)
	p.checked = sync.OnceValue(p.check)
	if subfile, ok := d.Number(tagNewSubfileType); ok {
		p.Reduced, p.mask = subfile&1 != 0, subfile&4 != 0
	} else if old, ok := d.Number(tagSubfileType); ok {
		p.Reduced = old == 2
	}
	for _, read := range []func() error{p.readSize, p.readSamples, p.readColour, p.readExtras, p.readCompression} {
		if p.err = read(); p.err != nil {
			break
		}
	}
	return p
}

// full reports whether the page is an image of its own.
func (p *Page) full() bool { return !p.Reduced && !p.mask && p.Width > 0 && p.Height > 0 }

// Inks returns a page that decodes CMYK to its inks, 255 being all of one, for conversion by a colour profile; a page
// of other colours itself.
func (p *Page) Inks() *Page {
	if p.Photometric != Separated {
		return p
	}
	inks := *p
	inks.inks = true
	return &inks
}

// Channels returns how many values a decoded pixel has: 1 grey, 3 RGB, 4 inks, and one more with alpha.
func (p *Page) Channels() int {
	n := 3
	switch {
	case p.Photometric <= BlackIsZero:
		n = 1
	case p.inks:
		n = 4
	}
	if p.Alpha != NoAlpha {
		n++
	}
	return n
}

// Tiles returns how many columns and rows of tiles or strips the page has.
func (p *Page) Tiles() (columns, rows int) {
	return ceilDiv(p.Width, p.tileWidth), ceilDiv(p.Height, p.tileHeight)
}

// Tile returns the pixels that a tile or strip covers, without what lies beyond the image.
func (p *Page) Tile(column, row int) image.Rectangle {
	x, y := column*p.tileWidth, row*p.tileHeight
	return image.Rect(x, y, min(x+p.tileWidth, p.Width), min(y+p.tileHeight, p.Height))
}

// Tiled reports whether the page has tiles, not strips.
func (p *Page) Tiled() bool { return p.tiled }

// TileSize returns the width and height in pixels of a tile or strip.
func (p *Page) TileSize() (width, height int) { return p.tileWidth, p.tileHeight }

// Check reports why the page can't be decoded: an UnsupportedError, or that the file is damaged or cut off. It reads
// where the strips or tiles lie, and the header of the first where it is JPEG, but no pixels.
func (p *Page) Check() error { return p.checked() }

func (p *Page) check() error {
	if p.err != nil {
		return p.err
	}
	if _, err := p.layout(); err != nil {
		return err
	}
	if p.compression == jpegCompression {
		return p.checkJPEG()
	}
	return nil
}

// Resolution returns the pixels per centimetre; false if the file has none.
func (p *Page) Resolution() (x, y float64, ok bool) {
	xs, ys := p.reals(tagXResolution, 1), p.reals(tagYResolution, 1)
	if len(xs) == 0 || len(ys) == 0 || !(xs[0] > 0) || !(ys[0] > 0) {
		return 0, 0, false
	}
	switch p.number(tagResolutionUnit, 2) {
	case 2: // inches
		return xs[0] / 2.54, ys[0] / 2.54, true
	case 3:
		return xs[0], ys[0], true
	}
	return 0, 0, false
}

// ICC returns the colour profile; nil without one.
func (p *Page) ICC() ([]byte, error) { return p.Bytes(TagICCProfile) }

func (p *Page) readSize() error {
	width, hasWidth := p.Number(tagImageWidth)
	height, hasHeight := p.Number(tagImageLength)
	switch {
	case !hasWidth || !hasHeight:
		return errors.New("tiff: the file does not say how wide and high the image is")
	case width < 1 || height < 1 || width > math.MaxInt32 || height > math.MaxInt32:
		return fmt.Errorf("tiff: an image of %d×%d pixels is impossible", width, height)
	}
	p.Width, p.Height = int(width), int(height)
	p.tileWidth, p.tileHeight = p.Width, p.Height
	tileWidth, hasWidth := p.Number(tagTileWidth)
	tileHeight, hasHeight := p.Number(tagTileLength)
	if p.tiled = hasWidth && hasHeight; p.tiled {
		if tileWidth < 1 || tileHeight < 1 || tileWidth > math.MaxInt32 || tileHeight > math.MaxInt32 {
			return fmt.Errorf("tiff: tiles of %d×%d pixels are impossible", tileWidth, tileHeight)
		}
		p.tileWidth, p.tileHeight = int(tileWidth), int(tileHeight)
		return nil
	}
	if rows, ok := p.Number(tagRowsPerStrip); ok && rows >= 1 && rows < height {
		p.tileHeight = int(rows)
	}
	return nil
}

func (p *Page) readSamples() error {
	bits, err := p.Numbers(tagBitsPerSample, maxSamples+1)
	if err != nil {
		return err
	}
	if len(bits) == 0 {
		bits = []uint64{1}
	}
	samples, ok := p.Number(tagSamplesPerPixel)
	switch {
	case !ok: // 1, says the standard; but some writers tell only how many depths there are
		samples = uint64(len(bits))
	case samples < 1 || samples > maxSamples:
		return unsupported("%d samples a pixel", samples)
	}
	for _, b := range bits[:min(len(bits), int(samples))] {
		if b != bits[0] {
			return unsupported("samples of different depths (%d and %d bits)", bits[0], b)
		}
	}
	formats, err := p.Numbers(tagSampleFormat, maxSamples)
	if err != nil {
		return err
	}
	for _, f := range formats {
		switch f {
		case 1, 4: // unsigned, undefined
		case 2:
			return unsupported("signed samples of %d bits", bits[0])
		case 3:
			return unsupported("floating-point samples of %d bits", bits[0])
		default:
			return unsupported("complex samples")
		}
	}
	if bits[0] < 1 || bits[0] > 16 {
		return unsupported("%d bits a sample (1 to 16 are)", bits[0])
	}
	p.bits, p.Samples = int(bits[0]), int(samples)
	switch planar := p.number(tagPlanarConfig, 1); planar {
	case 1:
	case 2:
		p.planar = p.Samples > 1
	default:
		return fmt.Errorf("tiff: planar configuration %d; it is 1 or 2", planar)
	}
	p.reversed = p.number(tagFillOrder, 1) == 2
	return nil
}

var photometricNames = map[uint64]string{
	4: "a transparency mask as its image",
	8: "CIE L*a*b* colours", 9: "ICC L*a*b* colours", 10: "ITU L*a*b* colours",
	32803: "the raw data of a camera's sensor", 34892: "the raw data of a camera's sensor",
	32844: "LogL luminance", 32845: "LogLuv colours", 51177: "a depth map as its image",
}

func (p *Page) readColour() error {
	photometric, ok := p.Number(tagPhotometric)
	if !ok { // as libtiff: from what there is
		switch compression := p.number(tagCompression, 1); {
		case compression >= 2 && compression <= 4:
			photometric = uint64(whiteIsZero)
		case p.Samples >= 3:
			photometric = uint64(rgbColours)
		default:
			photometric = uint64(BlackIsZero)
		}
	}
	if name, ok := photometricNames[photometric]; ok {
		return unsupported("%s", name)
	}
	p.Photometric = Photometric(min(photometric, math.MaxUint16))
	switch p.Photometric {
	case whiteIsZero, BlackIsZero, rgbColours:
	case paletteColours:
		return p.readPalette()
	case Separated:
		if set := p.number(tagInkSet, 1); set != 1 {
			return unsupported("inks other than cyan, magenta, yellow and black")
		}
	case yCbCr:
		return p.readYCbCr()
	default:
		return unsupported("colours of the unknown kind %d", photometric)
	}
	return nil
}

// readExtras reads what the samples after the colours are.
func (p *Page) readExtras() error {
	colours := map[Photometric]int{rgbColours: 3, Separated: 4, yCbCr: 3}[p.Photometric]
	colours = max(colours, 1)
	if p.Samples < colours {
		return fmt.Errorf("tiff: %d samples a pixel; the colours need %d", p.Samples, colours)
	}
	kinds, err := p.Numbers(tagExtraSamples, maxSamples)
	if err != nil {
		return err
	}
	p.Ignored = p.Samples - colours
	for i := range min(len(kinds), p.Ignored) {
		if kinds[i] == 1 || kinds[i] == 2 {
			p.Alpha, p.alphaAt = Alpha(kinds[i]), colours+i
			p.Ignored--
			break
		}
	}
	if p.Photometric <= BlackIsZero && p.Ignored > 1 {
		return unsupported("%d grey channels that have no stated meaning", p.Samples)
	}
	return nil
}

func ceilDiv(a, b int) int { return (a-1)/b + 1 }
