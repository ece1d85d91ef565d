package tiff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/internal/icc"
	"github.com/histdist/histdist/data/internal/jpeg"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/parallel"
)

const (
	// SlideTile is the width and height of a slide's tiles.
	SlideTile = 512

	smallestLevel = 1024 // a level whose sides are no longer is the last
	slideBatch    = 64   // tiles that are encoded together; constant, so that a file's bytes don't depend on the machine
	tileBytes     = 3 * SlideTile * SlideTile
)

// SlideOptions say what a slide is like.
type SlideOptions struct {
	Width, Height int
	MPP           [2]float64 // µm a pixel in x and y; 0 if they are unknown
	Quality       int        // of JPEG, 1 to 100, whose colours are not subsampled; 0 is lossless (Deflate)
	Description   Description
}

// SlideWriter writes a slide in sRGB as a pyramid in OME-TIFF, while its tiles arrive. Each level is half as large as
// the one before, rounded up, and its pixels are the mean of 2×2; the last is at most 1024 pixels wide and high. The
// levels are listed twice, as sub-images of the first page, where Bio-Formats and QuPath look for them, and as pages,
// where OpenSlide does; both lists name the same tiles.
//
// Tiles of one colour are stored once a file. The same calls in the same order make the same bytes on every machine.
// One goroutine at a time may use a SlideWriter; it encodes on all processors.
//
// Memory: 50 MB of tiles that wait, and those of reduced levels that wait for their neighbours. If tiles come row by
// row, these are about as many as a row of the slide has, unless they are of one colour: 150 MB at a width of
// 100,000 pixels.
type SlideWriter struct {
	file    *atomicfile.File
	path    string
	options SlideOptions
	jpeg    *jpeg.Encoder // or Deflate
	deflate sync.Pool
	levels  []slideLevel
	size    int64               // of the file so far
	flat    map[[3]uint8]extent // tiles of one colour that have been written
	queue   []*slideTile        // complete tiles that are to be encoded
	encoded [][]byte            // memory of a batch
	free    [][]uint8           // memory of tiles
	err     error               // after which nothing else is written
}

type extent struct{ offset, length int64 }

// slideLevel is a level of the pyramid.
type slideLevel struct {
	width, height int
	columns, rows int
	tiles         []extent           // of length 0 until they are written
	begun         map[int]*slideTile // that wait for the rest of what they are reduced from
}

// slideTile is a tile of a level.
type slideTile struct {
	level, column, row int
	pix                []uint8  // [SlideTile,SlideTile,3]; nil for one colour
	colour             [3]uint8 // of a tile of one colour
	missing            int      // tiles of the level before that are to come
}

// CreateSlide begins a slide. Close puts it at path, where it may replace a file; until then it is a hidden file next
// to it.
func CreateSlide(path string, o SlideOptions) (*SlideWriter, error) {
	w := &SlideWriter{path: path, options: o, flat: map[[3]uint8]extent{}}
	if o.Width < 1 || o.Height < 1 || o.Width > maxSlideSide || o.Height > maxSlideSide {
		return nil, fmt.Errorf("tiff: a slide of %d×%d pixels; sides are 1 to %d", o.Width, o.Height, maxSlideSide)
	}
	if o.MPP[0] < 0 || o.MPP[1] < 0 || (o.MPP[0] > 0) != (o.MPP[1] > 0) {
		return nil, fmt.Errorf("tiff: pixels of %g×%g µm; want two sizes above 0, or 0 for unknown", o.MPP[0], o.MPP[1])
	}
	if o.Quality != 0 {
		var err error
		if w.jpeg, err = jpeg.NewEncoder(o.Quality, jpeg.Subsampling444); err != nil {
			return nil, err
		}
	}
	for width, height := o.Width, o.Height; ; width, height = ceilDiv(width, 2), ceilDiv(height, 2) {
		l := slideLevel{width: width, height: height, begun: map[int]*slideTile{}}
		l.columns, l.rows = ceilDiv(width, SlideTile), ceilDiv(height, SlideTile)
		l.tiles = make([]extent, l.columns*l.rows)
		w.levels = append(w.levels, l)
		if max(width, height) <= smallestLevel {
			break
		}
	}
	var err error
	if w.file, err = atomicfile.Create(path); err != nil {
		return nil, err
	}
	w.append([]byte("II\x2b\x00\x08\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00")) // BigTIFF; Close adds the offset
	return w, w.err
}

// maxSlideSide bounds the tables of tiles to 1 GB: 2²⁵ tiles.
const maxSlideSide = 5792 * SlideTile

// Tiles returns how many columns and rows of tiles the slide has.
func (w *SlideWriter) Tiles() (columns, rows int) { return w.levels[0].columns, w.levels[0].rows }

// Tile returns the pixels that a tile covers, without what lies beyond the slide.
func (w *SlideWriter) Tile(column, row int) image.Rectangle {
	r := image.Rect(0, 0, SlideTile, SlideTile).Add(image.Pt(column*SlideTile, row*SlideTile))
	return r.Intersect(image.Rect(0, 0, w.options.Width, w.options.Height))
}

// WriteTile writes a tile once, RGB [h,w,3] of the size of Tile. Row by row, or square by square, in whatever order:
// see SlideWriter about memory. pix may be used again afterwards.
func (w *SlideWriter) WriteTile(column, row int, pix []uint8) error {
	r := w.Tile(column, row)
	if len(pix) != 3*r.Dx()*r.Dy() && !r.Empty() {
		return w.fail(fmt.Errorf("tiff: %d values for a tile of %d×%d pixels", len(pix), r.Dx(), r.Dy()))
	}
	if len(pix) >= 3 && bytes.Equal(pix[3:], pix[:len(pix)-3]) {
		return w.FillTile(column, row, [3]uint8(pix))
	}
	t, err := w.newTile(column, row)
	if err != nil {
		return w.fail(err)
	}
	t.pix = w.memory()
	for y := range r.Dy() {
		copy(t.pix[y*3*SlideTile:], pix[y*3*r.Dx():][:3*r.Dx()])
	}
	return w.add(t)
}

// FillTile writes a tile of one colour.
func (w *SlideWriter) FillTile(column, row int, colour [3]uint8) error {
	t, err := w.newTile(column, row)
	if err != nil {
		return w.fail(err)
	}
	t.colour = colour
	return w.add(t)
}

// newTile marks a tile as given.
func (w *SlideWriter) newTile(column, row int) (*slideTile, error) {
	columns, rows := w.Tiles()
	if column < 0 || column >= columns || row < 0 || row >= rows {
		return nil, fmt.Errorf("tiff: there is no tile in column %d, row %d of %d×%d tiles", column, row, columns, rows)
	}
	at := &w.levels[0].tiles[row*columns+column]
	if at.offset != 0 {
		return nil, fmt.Errorf("tiff: the tile in column %d, row %d is written twice", column, row)
	}
	at.offset = -1
	return &slideTile{column: column, row: row}, nil
}

func (w *SlideWriter) add(t *slideTile) error {
	w.queue = append(w.queue, t)
	if len(w.queue) >= slideBatch && w.err == nil {
		w.encodeQueue()
	}
	return w.err
}

func (w *SlideWriter) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// encodeQueue encodes and writes the tiles of the queue in its order, reduces them into those of the next level, and
// queues the ones of these that are complete.
func (w *SlideWriter) encodeQueue() {
	tiles := w.queue
	w.queue = nil
	reduced := make([]*slideTile, len(tiles))
	for i, t := range tiles {
		reduced[i] = w.reduced(t)
	}
	if len(w.encoded) < len(tiles) {
		w.encoded = append(w.encoded, make([][]byte, len(tiles)-len(w.encoded))...)
	}
	errs := make([]error, len(tiles))
	parallel.For(len(tiles), func(i int) {
		t := tiles[i]
		if t.pix != nil {
			l := &w.levels[t.level]
			extend(t.pix, SlideTile, min(SlideTile, l.width-t.column*SlideTile), min(SlideTile, l.height-t.row*SlideTile))
			w.encoded[i], errs[i] = w.encode(w.encoded[i][:0], t.pix)
		}
		if into := reduced[i]; into != nil && into.pix != nil {
			x, y := t.column%2*SlideTile/2, t.row%2*SlideTile/2
			if t.pix != nil {
				reduce(into.pix, t.pix, SlideTile, x, y)
			} else {
				fillQuarter(into.pix, t.colour, x, y)
			}
		}
	})
	for i, t := range tiles {
		l := &w.levels[t.level]
		at, known := w.flat[t.colour]
		if known = known && t.pix == nil; !known {
			if t.pix == nil {
				pix := w.memory()
				fill(pix, t.colour)
				w.encoded[i], errs[i] = w.encode(w.encoded[i][:0], pix)
				w.free = append(w.free, pix)
			}
			if errs[i] != nil {
				_ = w.fail(fmt.Errorf("%s: %w", w.path, errs[i]))
				return
			}
			at = extent{w.size, int64(len(w.encoded[i]))}
			w.append(w.encoded[i])
			if t.pix == nil {
				w.flat[t.colour] = at
			}
		}
		l.tiles[t.row*l.columns+t.column] = at
		if t.pix != nil {
			w.free = append(w.free, t.pix)
		}
		if into := reduced[i]; into != nil {
			if into.missing--; into.missing == 0 {
				next := &w.levels[into.level]
				delete(next.begun, into.row*next.columns+into.column)
				w.queue = append(w.queue, into)
			}
		}
	}
}

// reduced is the tile of the next level that a tile is reduced into; nil in the last level. It gets pixels as soon as
// not all of it has one colour.
func (w *SlideWriter) reduced(t *slideTile) *slideTile {
	if t.level+1 == len(w.levels) {
		return nil
	}
	last, next := &w.levels[t.level], &w.levels[t.level+1]
	column, row := t.column/2, t.row/2
	at := row*next.columns + column
	into := next.begun[at]
	if into == nil {
		into = &slideTile{level: t.level + 1, column: column, row: row, colour: t.colour}
		into.missing = min(2, last.columns-2*column) * min(2, last.rows-2*row)
		next.begun[at] = into
	}
	if into.pix == nil && (t.pix != nil || t.colour != into.colour) {
		into.pix = w.memory()
		fill(into.pix, into.colour)
	}
	return into
}

func fillQuarter(tile []uint8, colour [3]uint8, x, y int) {
	for row := range SlideTile / 2 {
		fill(tile[((y+row)*SlideTile+x)*3:][:3*SlideTile/2], colour)
	}
}

func (w *SlideWriter) memory() []uint8 {
	if n := len(w.free); n > 0 {
		tile := w.free[n-1]
		w.free = w.free[:n-1]
		return tile
	}
	return make([]uint8, tileBytes)
}

func (w *SlideWriter) append(data []byte) {
	if w.err != nil {
		return
	}
	if _, err := w.file.Write(data); err != nil {
		_ = w.fail(fmt.Errorf("%s: %w", w.path, err))
		return
	}
	w.size += int64(len(data))
}

// place appends a value that several directories share, at a multiple of 8 bytes.
func (w *SlideWriter) place(f Field) Field {
	if len(f.value) <= 8 {
		return f
	}
	w.append(make([]byte, -w.size&7))
	f.at = w.size
	w.append(f.value)
	f.value = nil
	return f
}

// Close writes the levels that are left and the directories, and puts the file at its path. It is an error that tiles
// have not been written. After an error nothing remains of the file.
func (w *SlideWriter) Close() error {
	defer w.Discard()
	for len(w.queue) > 0 && w.err == nil {
		w.encodeQueue()
	}
	if w.err == nil {
		w.finish()
	}
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("tiff: the slide is closed")
	return w.file.Commit()
}

// Discard ends writing without a result. After Close it does nothing.
func (w *SlideWriter) Discard() {
	w.file.Discard()
	_ = w.fail(errors.New("tiff: the slide is discarded"))
}

// finish writes the directories: those of the sub-images, then the pages.
func (w *SlideWriter) finish() {
	missing := 0
	for _, t := range w.levels[0].tiles {
		if t.length == 0 {
			missing++
		}
	}
	if missing > 0 {
		_ = w.fail(fmt.Errorf("%s: %d of %d tiles were not written", w.path, missing, len(w.levels[0].tiles)))
		return
	}
	description, err := w.options.Description.ome(w.options.Width, w.options.Height, w.options.MPP)
	if err != nil {
		_ = w.fail(fmt.Errorf("%s: %w", w.path, err))
		return
	}
	common := w.commonFields()
	levels := make([][]Field, len(w.levels))
	for i := range w.levels {
		levels[i] = w.levelFields(i, common)
	}
	subs := make([]int64, len(levels)-1)
	for i, fields := range levels[1:] {
		w.append(make([]byte, -w.size&7))
		subs[i] = w.size
		w.append(bigDirectory(w.size, fields, 0))
	}
	levels[0] = append(levels[0], ASCII(TagImageDescription, description))
	if len(subs) > 0 {
		levels[0] = append(levels[0], offsets(tagSubIFDs, kindIFD8, subs))
	}
	w.append(make([]byte, -w.size&7))
	first := w.size
	for i, fields := range levels {
		next := int64(-1)
		if i+1 == len(levels) {
			next = 0
		}
		w.append(bigDirectory(w.size, fields, next))
	}
	if w.err != nil {
		return
	}
	if _, err := w.file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(first)), 8); err != nil {
		_ = w.fail(fmt.Errorf("%s: %w", w.path, err))
	}
}

// commonFields are the tags that all levels share.
func (w *SlideWriter) commonFields() []Field {
	fields := []Field{
		w.place(Short(tagBitsPerSample, 8, 8, 8)),
		Short(tagSamplesPerPixel, 3),
		Short(tagPlanarConfig, 1),
		Short(tagTileWidth, SlideTile),
		Short(tagTileLength, SlideTile),
		w.place(ASCII(TagSoftware, "histdist")),
		w.place(Undefined(TagICCProfile, icc.SRGB())),
	}
	if w.jpeg == nil {
		fields = append(fields, Short(tagCompression, uint16(adobeDeflate)), Short(tagPhotometric, uint16(rgbColours)),
			Short(tagPredictor, 2))
	} else {
		// YCbCrSubsampling is left out: where it says 1×1, Bio-Formats 7.3 converts the colours, which Java's decoder has
		// converted already, once more. libtiff takes it from the JPEG data then.
		fields = append(fields, Short(tagCompression, uint16(jpegCompression)), Short(tagPhotometric, uint16(yCbCr)),
			w.place(Undefined(tagJPEGTables, w.jpeg.Tables())),
			w.place(rationals(tagReferenceBlack, 0, 255, 128, 255, 128, 255)))
	}
	return fields
}

// levelFields are all tags of a level but its description.
func (w *SlideWriter) levelFields(index int, common []Field) []Field {
	l := &w.levels[index]
	at, counts := make([]int64, len(l.tiles)), make([]uint32, len(l.tiles))
	for i, t := range l.tiles {
		at[i], counts[i] = t.offset, uint32(t.length)
	}
	fields := append(slices.Clone(common),
		Long(tagImageWidth, uint32(l.width)),
		Long(tagImageLength, uint32(l.height)),
		Long(tagNewSubfileType, uint32(min(index, 1))),
		w.place(offsets(tagTileOffsets, kindLong8, at)),
		w.place(Long(tagTileByteCounts, counts...)))
	if mpp := w.options.MPP; mpp[0] > 0 {
		const micronsPerCentimetre = 1e4
		scale := float64(int(1) << index)
		fields = append(fields,
			rationals(tagXResolution, micronsPerCentimetre/(mpp[0]*scale)),
			rationals(tagYResolution, micronsPerCentimetre/(mpp[1]*scale)),
			Short(tagResolutionUnit, 3)) // centimetres
	}
	return fields
}
