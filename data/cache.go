package data

import (
	"sync"

	"github.com/histdist/histdist/data/imagefile"
)

// cache keeps decoded images up to a limit. The first that fit stay: an epoch uses each image once in a new order, for
// which a cache that throws out the oldest would mostly miss.
type cache struct {
	lock   sync.Mutex
	limit  int64
	bytes  int64
	images map[string]*imagefile.Image // by path
	hits   int64
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, images: map[string]*imagefile.Image{}}
}

func (c *cache) get(path string) *imagefile.Image {
	c.lock.Lock()
	defer c.lock.Unlock()
	img := c.images[path]
	if img != nil {
		c.hits++
	}
	return img
}

func (c *cache) put(path string, img *imagefile.Image) {
	size := int64(len(img.Pix))
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.images[path] == nil && c.bytes+size <= c.limit {
		c.images[path] = img
		c.bytes += size
	}
}
