package slide

import (
	"container/list"
	"context"
	"image"
	"sync"
)

// tileCacheBytes is the memory for a slide's decoded tiles in bytes, unless Options say another.
const tileCacheBytes = 128 << 20

// tileKey names a tile of a level.
type tileKey struct{ level, column, row int }

// tileCache keeps the decoded tiles that were used last: neighbouring regions share them.
type tileCache struct {
	limit int // bytes

	lock  sync.Mutex
	bytes int
	order list.List // of *cachedTile, the one used last in front
	tiles map[tileKey]*list.Element
}

// readTile decodes a tile.
type readTile func() ([]uint8, error)

type cachedTile struct {
	key   tileKey
	bytes int
	read  func() ([]uint8, error) // once
}

// get returns a tile of so many bytes, which nobody changes, from the cache or else from read. Two goroutines that ask
// for it at the same time get it from one call.
func (c *tileCache) get(key tileKey, bytes int, read func() ([]uint8, error)) ([]uint8, error) {
	tile, err := c.entry(key, bytes, read).read()
	if err != nil {
		c.remove(key) // so that the next one tries again
	}
	return tile, err
}

func (c *tileCache) entry(key tileKey, bytes int, read func() ([]uint8, error)) *cachedTile {
	c.lock.Lock()
	defer c.lock.Unlock()
	if at := c.tiles[key]; at != nil {
		c.order.MoveToFront(at)
		return at.Value.(*cachedTile)
	}
	if c.tiles == nil {
		c.tiles = map[tileKey]*list.Element{}
	}
	tile := &cachedTile{key, bytes, sync.OnceValues(read)}
	c.tiles[key] = c.order.PushFront(tile)
	c.bytes += bytes
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
	return tile
}

// copy fills pix, the rectangle r of a level in RGB, from its tiles of width × height pixels. tile says which pixels
// one covers, and decodes it.
func (c *tileCache) copy(ctx context.Context, pix []uint8, level int, r image.Rectangle, width, height int,
	tile func(column, row int) (at image.Rectangle, read readTile),
) error {
	for row := r.Min.Y / height; row*height < r.Max.Y; row++ {
		for column := r.Min.X / width; column*width < r.Max.X; column++ {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			at, read := tile(column, row)
			values, err := c.get(tileKey{level, column, row}, 3*at.Dx()*at.Dy(), read)
			if err != nil {
				return err
			}
			part := at.Intersect(r)
			for y := part.Min.Y; y < part.Max.Y; y++ {
				line := values[((y-at.Min.Y)*at.Dx()+part.Min.X-at.Min.X)*3:][:3*part.Dx()]
				copy(pix[((y-r.Min.Y)*r.Dx()+part.Min.X-r.Min.X)*3:], line)
			}
		}
	}
	return nil
}

func (c *tileCache) remove(key tileKey) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if at := c.tiles[key]; at != nil {
		c.drop(at)
	}
}

func (c *tileCache) drop(at *list.Element) {
	tile := c.order.Remove(at).(*cachedTile)
	delete(c.tiles, tile.key)
	c.bytes -= tile.bytes
}
