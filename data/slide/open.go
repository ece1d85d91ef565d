package slide

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/openslide"
)

// Library says whether OpenSlide is used.
type Library int

// The choices.
const (
	// AnyLibrary uses OpenSlide where it is installed and knows the format, except for plain and OME-TIFF, of which
	// package tiff reads more: pyramids in sub-images and OME-XML.
	AnyLibrary Library = iota
	NoLibrary          // never
)

// ErrFormat says that a file is no slide that can be read.
var ErrFormat = errors.New("not a slide")

// formatError says that only OpenSlide reads a format, or one of its kinds.
type formatError struct{ format string }

func (e *formatError) Error() string { return e.format + " is read by OpenSlide alone" }

// extensions are those of formats that OpenSlide alone reads.
var extensions = map[string]string{
	".bif": "Ventana BIF", ".czi": "Zeiss CZI", ".dcm": "DICOM", ".mrxs": "MIRAX", ".ndpi": "Hamamatsu NDPI",
	".scn": "Leica SCN", ".svslide": "Sakura", ".vms": "Hamamatsu VMS", ".vmu": "Hamamatsu VMU",
}

// Named reports whether the name of a file is a slide's: .svs, .ome.tif, .ome.tiff or that of a format which OpenSlide
// alone reads. Slides may have other names, such as .tif.
func Named(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	ends := func(with string) bool { return strings.HasSuffix(name, with) }
	return extensions[filepath.Ext(name)] != "" ||
		slices.ContainsFunc([]string{".svs", ".ome.tif", ".ome.tiff"}, ends)
}

// Is reports whether a file is a slide and not an image of another kind: by its name, or because it is of a scanner's
// format, or a TIFF file with tiles, smaller levels, or the description of Aperio's software or of OME. Whether it can
// be read, Open says.
func Is(path string) (bool, error) {
	if Named(path) {
		return true, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if library, err := openslide.Load(); err == nil {
		if vendor := library.Vendor(path); vendor != "" && vendor != plainVendor {
			return true, nil
		}
	}
	if isDICOM, err := beginsAsDICOM(path); err != nil || isDICOM {
		return isDICOM, err
	}
	if isTIFF, err := beginsAsTIFF(path); err != nil || !isTIFF {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	file, err := tiff.Open(f, info.Size())
	if err != nil {
		return false, nil // whoever reads it says what is wrong
	}
	return slideInTIFF(file), nil
}

// Open opens a slide. Besides the errors of New, ErrFormat says that the file is no slide, and openslide.ErrMissing
// that OpenSlide is needed, with the packages that have it. HISTDIST_OPENSLIDE names its library, or is "off".
func Open(path string, o Options) (*Slide, error) {
	s, err := open(path, o)
	if err != nil {
		var inFile *os.PathError
		if errors.As(err, &inFile) {
			return nil, err // has the path
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.Path = path
	return s, nil
}

func open(path string, o Options) (*Slide, error) {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no such file: %w", fs.ErrNotExist)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("a folder, not a slide; name the slide's file, of DICOM that of any level")
	case info.Size() == 0:
		return nil, errors.New("the file is empty")
	}
	reader, err := openReader(path, o)
	if err != nil {
		return nil, err
	}
	s, err := New(reader, o)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return s, nil
}

// plainVendor is what OpenSlide calls TIFF with tiles of no scanner in particular.
const plainVendor = "generic-tiff"

func openReader(path string, o Options) (Reader, error) {
	var library *openslide.Library
	missing := fmt.Errorf("%w: it was not asked for", openslide.ErrMissing)
	if o.Library != NoLibrary {
		library, missing = openslide.Load()
		if missing != nil && !errors.Is(missing, openslide.ErrMissing) {
			return nil, missing
		}
	}
	vendor := ""
	if library != nil {
		vendor = library.Vendor(path)
	}
	isDICOM, err := beginsAsDICOM(path)
	if err != nil {
		return nil, err
	}
	if isDICOM {
		return openAnyDICOM(library, path, vendor, missing, o)
	}
	if vendor != "" && vendor != plainVendor {
		return openLibrary(library, path, vendor, o.CacheBytes)
	}
	isTIFF, err := beginsAsTIFF(path)
	if err != nil {
		return nil, err
	}
	if !isTIFF {
		format, known := extensions[strings.ToLower(filepath.Ext(path))]
		switch {
		case known && library == nil:
			return nil, fmt.Errorf("%w; %w", &formatError{format}, missing)
		case known:
			return nil, fmt.Errorf("%w that OpenSlide %s reads, though it is named like %s", ErrFormat, library.Version, format)
		case library == nil:
			return nil, fmt.Errorf("%w in TIFF; other formats are read by OpenSlide: %w", ErrFormat, missing)
		}
		return nil, fmt.Errorf("%w that OpenSlide %s or histdist reads", ErrFormat, library.Version)
	}
	reader, err := openTIFF(path, o.CacheBytes)
	if err == nil {
		return reader, nil
	}
	var unsupported *tiff.UnsupportedError
	var format *formatError
	needed := errors.As(err, &format) || errors.As(err, &unsupported)
	switch {
	case needed && library != nil && vendor == plainVendor:
		if reader, err := openLibrary(library, path, vendor, o.CacheBytes); err == nil {
			return reader, nil
		}
	case needed && library == nil && (unsupported == nil || unsupported.OpenSlide):
		return nil, fmt.Errorf("%w; %w", err, missing)
	}
	return nil, err
}

// openAnyDICOM opens a DICOM file with OpenSlide, which puts the files of a slide's levels together, or, where that is
// missing or too strict, alone.
func openAnyDICOM(library *openslide.Library, path, vendor string, missing error, o Options) (Reader, error) {
	var refused error
	if vendor != "" {
		var reader Reader
		if reader, refused = openLibrary(library, path, vendor, o.CacheBytes); refused == nil {
			return reader, nil
		}
	}
	reader, err := openDICOM(path, o.CacheBytes)
	var format *formatError
	switch {
	case err == nil:
		return reader, nil
	case refused != nil:
		return nil, fmt.Errorf("%w; %w", refused, err)
	case errors.As(err, &format) && library == nil:
		return nil, fmt.Errorf("%w; %w", err, missing)
	}
	return nil, err
}

// beginsAsTIFF reports whether a file begins like TIFF or BigTIFF.
func beginsAsTIFF(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [4]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return false, nil // too short for any format
	}
	return slices.Contains([]string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"}, string(head[:])), nil
}
