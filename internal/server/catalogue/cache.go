package catalogue

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"sync"
)

// cache keeps what was made, within bytes, and makes a thing once for all who ask for it at the same time.
type cache struct {
	limit int64
	slots chan struct{} // of those that are made at the same time
	large chan struct{} // of large ones

	lock   sync.Mutex
	bytes  int64
	order  list.List // of *kept, the one used last in front
	kept   map[string]*list.Element
	making map[string]*making
	hits   int64
	misses int64
	makers sync.WaitGroup
	closed bool
}

type kept struct {
	key  string
	data []byte
}

// overhead is the memory of an entry besides its data.
const overhead = 256

// making is a thing that is being made.
type making struct {
	waiting int // for it
	cancel  context.CancelFunc
	done    chan struct{} // closed when data and err are there
	data    []byte
	err     error
}

func newCache(limit int64, atOnce int) *cache {
	return &cache{
		limit: limit, slots: make(chan struct{}, atOnce), large: make(chan struct{}, 1), kept: map[string]*list.Element{},
		making: map[string]*making{},
	}
}

var errClosed = errors.New("the catalogue is closed")

// get returns the data of a key, from the cache or else from create, whose context ends when nobody waits for it any
// more. Nobody changes data.
func (c *cache) get(ctx context.Context, key string, large bool, create func(context.Context) ([]byte, error)) (
	[]byte, error,
) {
	c.lock.Lock()
	if at := c.kept[key]; at != nil {
		c.order.MoveToFront(at)
		c.hits++
		c.lock.Unlock()
		return at.Value.(*kept).data, nil
	}
	if c.closed {
		c.lock.Unlock()
		return nil, errClosed
	}
	m := c.making[key]
	if m == nil {
		m = c.begin(ctx, key, large, create)
	}
	m.waiting++
	c.lock.Unlock()

	select {
	case <-m.done:
		return m.data, m.err
	case <-ctx.Done():
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if m.waiting--; m.waiting == 0 {
		m.cancel()
		if c.making[key] == m {
			delete(c.making, key) // whoever asks next begins anew
		}
	}
	return nil, ctx.Err()
}

// begin starts to make a thing.
func (c *cache) begin(
	ctx context.Context, key string, large bool, create func(context.Context) ([]byte, error),
) *making {
	c.misses++
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &making{cancel: cancel, done: make(chan struct{})}
	c.making[key] = m
	c.makers.Go(func() {
		defer cancel()
		m.data, m.err = c.make(ctx, large, create)
		c.lock.Lock()
		if c.making[key] == m {
			delete(c.making, key)
		}
		if m.err == nil {
			c.keep(key, m.data)
		}
		c.lock.Unlock()
		close(m.done)
	})
	return m
}

// make makes a thing when it is its turn.
func (c *cache) make(ctx context.Context, large bool, create func(context.Context) ([]byte, error)) ([]byte, error) {
	if large {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return create(ctx)
}

// keep adds data, and drops what was not used for longest.
func (c *cache) keep(key string, data []byte) {
	if cap(data) > len(data)+len(data)/8 { // an encoder's buffer, which is many times larger than a tile of glass
		data = bytes.Clone(data)
	}
	size := int64(cap(data)) + overhead
	if size > c.limit/8 || c.kept[key] != nil || c.closed {
		return
	}
	c.kept[key] = c.order.PushFront(&kept{key, data})
	c.bytes += size
	for c.bytes > c.limit {
		last := c.order.Remove(c.order.Back()).(*kept)
		delete(c.kept, last.key)
		c.bytes -= int64(cap(last.data)) + overhead
	}
}

func (c *cache) statistics() Statistics {
	c.lock.Lock()
	defer c.lock.Unlock()
	return Statistics{Hits: c.hits, Misses: c.misses, Bytes: c.bytes}
}

// close waits for what is being made, which it cancels.
func (c *cache) close() {
	c.lock.Lock()
	c.closed = true
	for _, m := range c.making {
		m.cancel()
	}
	c.lock.Unlock()
	c.makers.Wait()
}
