package catalogue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// What was used last stays, within the bytes.
func TestCacheIsBounded(t *testing.T) {
	c := newCache(20*(1000+overhead), 2)
	defer c.close()
	made := map[string]int{}
	get := func(key string, size int) {
		t.Helper()
		data, err := c.get(t.Context(), key, false, func(context.Context) ([]byte, error) {
			made[key]++
			return make([]byte, size), nil
		})
		if err != nil || len(data) != size {
			t.Fatalf("%s: %d bytes, %v", key, len(data), err)
		}
	}
	for i := range 100 {
		get(fmt.Sprint(i), 1000)
		get("0", 1000)
		if s := c.statistics(); s.Bytes > c.limit {
			t.Fatalf("%d bytes are kept", s.Bytes)
		}
	}
	if made["0"] != 1 {
		t.Errorf("what is used again and again is made %d times", made["0"])
	}
	get("50", 1000)
	if made["50"] != 2 {
		t.Error("what was not used for long is kept")
	}
	get("large", 20_000) // would take the place of all others
	get("0", 1000)
	if made["0"] != 1 {
		t.Error("a large one has taken the place of others")
	}
}

// What is kept is no larger than it counts, however large the buffer that it was made in.
func TestCacheKeepsNoBuffers(t *testing.T) {
	c := newCache(1<<20, 2)
	defer c.close()
	const tiles, size = 100, 1000
	for i := range tiles {
		_, err := c.get(t.Context(), fmt.Sprint(i), false, func(context.Context) ([]byte, error) {
			return make([]byte, size, 100*size), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var held int64
	for _, at := range c.kept {
		held += int64(cap(at.Value.(*kept).data)) + overhead
	}
	if s := c.statistics(); s.Bytes != held || len(c.kept) != tiles || held > tiles*2*(size+overhead) {
		t.Errorf("%d tiles are kept in %d bytes, %d are counted", len(c.kept), held, s.Bytes)
	}
}

// All who ask at the same time get what is made once; an error is not kept.
func TestCacheMakesOnce(t *testing.T) {
	c := newCache(1<<20, 2)
	defer c.close()
	begun, go_ := make(chan struct{}), make(chan struct{})
	made := 0
	create := func(context.Context) ([]byte, error) {
		made++
		close(begun)
		<-go_
		return nil, errors.New("not this time")
	}
	var all sync.WaitGroup
	ask := func() {
		if _, err := c.get(t.Context(), "key", false, create); err == nil {
			t.Error("no error")
		}
	}
	all.Go(ask)
	<-begun
	for range 5 {
		all.Go(ask)
	}
	for waiting := 0; waiting < 6; {
		c.lock.Lock()
		waiting = c.making["key"].waiting
		c.lock.Unlock()
	}
	close(go_)
	all.Wait()
	if made != 1 {
		t.Errorf("it was made %d times", made)
	}
	data, err := c.get(t.Context(), "key", false, func(context.Context) ([]byte, error) { return []byte("x"), nil })
	if err != nil || string(data) != "x" {
		t.Errorf("afterwards: %q, %v", data, err)
	}
}

// When all who wait have left, what is made is given up; as long as one waits, it isn't.
func TestCacheGivesUp(t *testing.T) {
	c := newCache(1<<20, 2)
	defer c.close()
	begun, ended := make(chan struct{}), make(chan struct{})
	create := func(ctx context.Context) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
	first, cancelFirst := context.WithCancel(t.Context())
	second, cancelSecond := context.WithCancel(t.Context())
	left := make(chan error, 2)
	get := func(ctx context.Context) {
		_, err := c.get(ctx, "key", false, create)
		left <- err
	}
	go get(first)
	<-begun
	go get(second)
	for waiting := 0; waiting < 2; {
		c.lock.Lock()
		waiting = c.making["key"].waiting
		c.lock.Unlock()
	}
	cancelFirst()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	select {
	case <-ended:
		t.Error("it was given up though one waits")
	default:
	}
	cancelSecond()
	<-ended
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the second: %v", err)
	}
}

// Closing waits for what is being made.
func TestCacheCloses(t *testing.T) {
	c := newCache(1<<20, 1)
	begun := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		_, err := c.get(t.Context(), "key", false, func(ctx context.Context) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		got <- err
	}()
	<-begun
	c.close()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := c.get(t.Context(), "other", false, nil); !errors.Is(err, errClosed) {
		t.Errorf("afterwards: %v", err)
	}
}
