//go:build ((linux && !android) || darwin || windows) && (amd64 || arm64)

package openslide

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Library is a loaded OpenSlide. It and its slides may be used by several goroutines.
type Library struct {
	Path    string // of its file; its name alone where the system doesn't tell
	Version string
	c       calls
}

// calls are the functions of the library (openslide.h).
type calls struct {
	version       func() string
	detectVendor  func(file string) string
	open          func(file string) uintptr
	close         func(osr uintptr)
	lastError     func(osr uintptr) string
	levelCount    func(osr uintptr) int32
	dimensions    func(osr uintptr, level int32, width, height *int64)
	downsample    func(osr uintptr, level int32) float64
	readRegion    func(osr uintptr, dest *uint32, x, y int64, level int32, width, height int64)
	propertyNames func(osr uintptr) unsafe.Pointer
	property      func(osr uintptr, name string) string
	imageNames    func(osr uintptr) unsafe.Pointer
	imageSize     func(osr uintptr, name string, width, height *int64)
	readImage     func(osr uintptr, name string, dest *uint32)
	iccSize       func(osr uintptr) int64 // nil before version 4
	readICC       func(osr uintptr, dest *byte)
	newCache      func(bytes uintptr) uintptr // nil before version 4, likewise
	setCache      func(osr, cache uintptr)
	releaseCache  func(cache uintptr)
}

// load loads a library by its path, or by its name where the system's loader finds it.
func load(path string) (*Library, error) {
	handle, err := dlopen(path)
	if err != nil {
		return nil, fmt.Errorf("%s can't be loaded: %w", path, err)
	}
	l := &Library{}
	optional := map[string]bool{
		"openslide_get_icc_profile_size": true, "openslide_read_icc_profile": true, "openslide_cache_create": true,
		"openslide_set_cache": true, "openslide_cache_release": true,
	}
	for name, function := range map[string]any{
		"openslide_get_version":                     &l.c.version,
		"openslide_detect_vendor":                   &l.c.detectVendor,
		"openslide_open":                            &l.c.open,
		"openslide_close":                           &l.c.close,
		"openslide_get_error":                       &l.c.lastError,
		"openslide_get_level_count":                 &l.c.levelCount,
		"openslide_get_level_dimensions":            &l.c.dimensions,
		"openslide_get_level_downsample":            &l.c.downsample,
		"openslide_read_region":                     &l.c.readRegion,
		"openslide_get_property_names":              &l.c.propertyNames,
		"openslide_get_property_value":              &l.c.property,
		"openslide_get_associated_image_names":      &l.c.imageNames,
		"openslide_get_associated_image_dimensions": &l.c.imageSize,
		"openslide_read_associated_image":           &l.c.readImage,
		"openslide_get_icc_profile_size":            &l.c.iccSize,
		"openslide_read_icc_profile":                &l.c.readICC,
		"openslide_cache_create":                    &l.c.newCache,
		"openslide_set_cache":                       &l.c.setCache,
		"openslide_cache_release":                   &l.c.releaseCache,
	} {
		address, err := symbol(handle, name)
		switch {
		case err == nil && address != 0:
			purego.RegisterFunc(function, address)
		case !optional[name]:
			return nil, fmt.Errorf("%s is not OpenSlide 3.4 or later: it lacks %s", path, name)
		}
	}
	l.Version, l.Path = l.c.version(), loadedFrom(path)
	return l, nil
}

// Vendor returns what OpenSlide calls the format of a file; "" if it doesn't read the file.
func (l *Library) Vendor(path string) string { return l.c.detectVendor(path) }

// Open opens a slide, which keeps decoded tiles of at most so many bytes. 0 leaves that to OpenSlide, which keeps
// 32 MB, as all its versions before 4 do.
func (l *Library) Open(path string, cacheBytes int) (*Slide, error) {
	handle := l.c.open(path)
	if handle == 0 {
		return nil, errors.New("openslide: the file is of no format that OpenSlide reads")
	}
	s := &Slide{l: l, handle: handle}
	if err := s.failure(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if cacheBytes > 0 && l.c.newCache != nil && l.c.setCache != nil && l.c.releaseCache != nil {
		cache := l.c.newCache(uintptr(cacheBytes))
		l.c.setCache(handle, cache) // which the slide shares
		l.c.releaseCache(cache)
	}
	return s, nil
}

// stringList copies a list of strings of C that ends with a null pointer.
func stringList(list unsafe.Pointer) []string {
	var all []string
	for list != nil {
		text := *(**byte)(list)
		if text == nil {
			break
		}
		length := 0
		for *(*byte)(unsafe.Add(unsafe.Pointer(text), length)) != 0 {
			length++
		}
		all = append(all, string(unsafe.Slice(text, length)))
		list = unsafe.Add(list, unsafe.Sizeof(uintptr(0)))
	}
	return all
}
