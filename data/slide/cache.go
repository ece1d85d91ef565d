package slide

import (
	"container/list"
	"sync"
)

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
