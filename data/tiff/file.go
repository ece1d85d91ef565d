package tiff

import (
	"errors"
	"fmt"
	"io"
	"math"
)

const maxPages = 1 << 16

// File is an opened TIFF file. It and its pages may be used by several goroutines at once.
type File struct {
	Pages []*Page // in the file's order; at least one

	// damage says why pages after those could not be listed; nil if the list is complete. Readers that look at the
	// first page alone never notice, and there are such files.
	damage error
}

// Open lists the pages of a file, reading its directories. The pages read from file later on.
func Open(file io.ReaderAt, size int64) (*File, error) {
	s, offset, err := readHeader(file, size)
	if err != nil {
		return nil, err
	}
	f := &File{}
	l := lister{source: s, directories: map[int64]*Directory{}}
	seen := map[int64]bool{}
	for offset != 0 {
		if seen[offset] {
			f.damage = fmt.Errorf("tiff: the directories form a loop at byte %d", offset)
			break
		}
		seen[offset] = true
		page, err := l.page(offset, true)
		if err != nil {
			f.damage = err
			break
		}
		page.Index = len(f.Pages)
		f.Pages = append(f.Pages, page)
		offset = page.next
	}
	if len(f.Pages) > 0 {
		return f, nil
	}
	if f.damage == nil {
		f.damage = errors.New("tiff: the file has no image")
	}
	return nil, f.damage
}

// lister reads directories, each once. Those of honest files don't overlap, so they can't be longer than the file
// together.
type lister struct {
	source
	directories map[int64]*Directory
	bytes       int64
	pages       int
}

// page reads the directory of a page and, if wanted, of its sub-images.
func (l *lister) page(offset int64, withSubs bool) (*Page, error) {
	if l.pages++; l.pages > maxPages {
		return nil, fmt.Errorf("tiff: the file has more than %d pages and sub-images", maxPages)
	}
	d := l.directories[offset]
	if d == nil {
		var err error
		if d, err = l.directory(offset); err != nil {
			return nil, err
		}
		l.directories[offset] = d
		if l.bytes += d.bytes; l.bytes > l.size {
			return nil, errors.New("tiff: the directories overlap; the file is damaged")
		}
	}
	p := newPage(d)
	if !withSubs {
		return p, nil
	}
	offsets, err := d.Numbers(tagSubIFDs, maxPages)
	for i := 0; i < len(offsets) && err == nil; i++ {
		var sub *Page
		if sub, err = l.page(int64(min(offsets[i], math.MaxInt64)), false); err == nil {
			sub.Index = i
			p.SubImages = append(p.SubImages, sub)
		}
	}
	p.subDamage = err
	return p, nil
}

// Main returns the image that a reader of single images should show: the first page of full resolution, else the first
// such sub-image (raw files of cameras keep it there), else the first page. note says which of how many it is; "" where
// there is one alone. It is an error that there is no image of full resolution where the list is damaged: it may have
// been cut off.
func (f *File) Main() (page *Page, note string, err error) {
	subs, damage := 0, f.damage
	for _, p := range f.Pages {
		subs += len(p.SubImages)
		if damage == nil {
			damage = p.subDamage
		}
		if page == nil && p.full() {
			page, note = p, fmt.Sprintf("page %d", p.Index+1)
		}
	}
	for _, p := range f.Pages {
		for _, sub := range p.SubImages {
			if page == nil && sub.full() {
				page, note = sub, fmt.Sprintf("sub-image %d of page %d", sub.Index+1, p.Index+1)
			}
		}
	}
	if page == nil {
		if page, note = f.Pages[0], "page 1"; damage != nil {
			return page, "", fmt.Errorf("tiff: the file has only smaller versions of its image: %w", damage)
		}
	}
	note = fmt.Sprintf("%s was read, %d×%d pixels: ", note, page.Width, page.Height)
	switch {
	case f.damage != nil:
		note += fmt.Sprintf("the list of pages is damaged after page %d (%v)", len(f.Pages), f.damage)
	case len(f.Pages) == 1 && subs == 0:
		note = ""
	case subs == 0:
		note += fmt.Sprintf("the file has several pages, %d", len(f.Pages))
	default:
		note += fmt.Sprintf("the file has several images, %d in its list of pages and %d within them",
			len(f.Pages), subs)
	}
	return page, note, nil
}
