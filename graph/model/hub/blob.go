package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/lockfile"
	"github.com/histdist/histdist/internal/parallel"
)

// incomplete ends the name of a content that is not complete. Hugging Face's own tools leave such names alone; they
// would take HASH.incomplete for a beginning of theirs.
const incomplete = ".histdist.incomplete"

func (r *repository) blob(f file) string { return filepath.Join(r.folder, "blobs", f.hash) }

func (r *repository) snapshot() string { return filepath.Join(r.folder, "snapshots", r.commit) }

// contentOf returns where a file's content is: among the blobs, or, if a tool could make no links, in the snapshot; ""
// if it isn't there.
func (r *repository) contentOf(f file) string {
	for _, path := range []string{r.blob(f), filepath.Join(r.snapshot(), filepath.FromSlash(f.path))} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == f.size {
			return path
		}
	}
	return ""
}

// fetch downloads a file's content unless it is there.
func (c *Client) fetch(ctx context.Context, repo *repository, f file, t *tally) (err error) {
	if repo.contentOf(f) != "" {
		return t.add(f.path, f.size)
	}
	unlock, err := c.lock(ctx, repo, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if repo.contentOf(f) != "" { // of another process
		return t.add(f.path, f.size)
	}
	p, err := c.openPartial(repo.blob(f)+incomplete, f.size)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = p.file.Close() // a second time at worst
		}
	}()
	_, there := p.missing()
	if err := t.add(f.path, there); err != nil {
		return err
	}
	err = c.complete(ctx, repo, f, p, t)
	if errors.Is(err, ErrHash) {
		if there > 0 { // what an earlier run left may be damaged: a machine that lost its power
			err = errors.Join(p.restart(), t.add(f.path, -f.size))
			if err == nil {
				err = c.complete(ctx, repo, f, p, t)
			}
		}
		if errors.Is(err, ErrHash) {
			err = errors.Join(err, p.file.Close(), os.Remove(p.path))
		}
	}
	if err != nil {
		return c.explain(ctx, repo, err)
	}
	return p.commit(repo.blob(f))
}

// lock keeps other processes, of Hugging Face's tools too, from downloading the same content.
func (c *Client) lock(ctx context.Context, repo *repository, f file) (unlock func() error, err error) {
	path := filepath.Join(repo.locks, f.hash+".lock")
	for waited := false; ; waited = true {
		l, err := lockfile.Acquire(path)
		var held *lockfile.HeldError
		if !errors.As(err, &held) {
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		}
		if !waited {
			if err := c.report(progress.Note(fmt.Sprintf("%s: waiting: %v", f.path, held))); err != nil {
				return nil, err
			}
		}
		if err := c.wait(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// complete downloads the parts that aren't there and checks the whole.
func (c *Client) complete(ctx context.Context, repo *repository, f file, p *partial, t *tally) error {
	d := &download{c, repo, f, p, t}
	if err := d.run(ctx); err != nil {
		return err
	}
	return d.verify(ctx)
}

// download is one file that is downloaded.
type download struct {
	*Client
	repo *repository
	file file
	*partial
	tally *tally
}

// errNoRanges is the error of a server that sends whole files only.
var errNoRanges = errors.New("the server sends no ranges")

func (d *download) run(ctx context.Context) error {
	todo, _ := d.missing()
	if len(todo) == 0 {
		return nil
	}
	if len(d.done) == 1 {
		return d.whole(ctx)
	}
	// The first shows whether there are ranges.
	err := d.retry(ctx, d.ranged(ctx, todo[0]))
	if err == nil {
		err = parallel.Each(ctx, len(todo)-1, connections, func(i int) error {
			return d.retry(ctx, d.ranged(ctx, todo[i+1]))
		})
	}
	if errors.Is(err, errNoRanges) {
		return d.whole(ctx)
	}
	return err
}

// ranged returns a function that downloads a part, or what is left of it since its last call.
func (d *download) ranged(ctx context.Context, i int) func() (bool, error) {
	at, to := d.bounds(i)
	return func() (bool, error) {
		began := at
		err := d.read(ctx, fmt.Sprintf("%d-%d", at, to-1), func(answer *http.Response, body io.Reader) error {
			if answer.StatusCode != http.StatusPartialContent {
				return errNoRanges
			}
			want := fmt.Sprintf("bytes %d-%d/%d", at, to-1, d.size)
			if got := answer.Header.Get("Content-Range"); got != want {
				return fmt.Errorf("%s: the server sends %q, want %q", d.file.path, got, want)
			}
			return d.copy(body, &at, to)
		})
		if err == nil {
			err = d.mark(i)
		}
		return at > began, err
	}
}

// whole downloads a file from its beginning to its end, in one request.
func (d *download) whole(ctx context.Context) error {
	if _, there := d.missing(); there > 0 {
		if err := errors.Join(d.restart(), d.tally.add(d.file.path, -there)); err != nil {
			return err
		}
	}
	farthest := int64(0)
	return d.retry(ctx, func() (bool, error) {
		at := int64(0)
		err := d.read(ctx, "", func(answer *http.Response, body io.Reader) error {
			if n := answer.ContentLength; n >= 0 && n != d.size {
				return fmt.Errorf("%s: the server sends %d bytes, want %d", d.file.path, n, d.size)
			}
			return d.copy(body, &at, d.size)
		})
		moved := at > farthest
		farthest = max(farthest, at)
		if err != nil {
			return moved, errors.Join(err, d.tally.add(d.file.path, -at))
		}
		for i := range d.done {
			if err := d.mark(i); err != nil {
				return moved, err
			}
		}
		return moved, nil
	})
}

// read makes a request for the file and has its answer used.
func (d *download) read(ctx context.Context, bytes string, use func(*http.Response, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := d.get(ctx, "/"+d.repo.id+"/resolve/"+d.repo.commit+"/"+escape(d.file.path), bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", d.file.path, err)
	}
	body := watch(answer.Body, cancel)
	defer body.Close()
	if other := linkedHash(answer); other != "" && len(other) == len(d.file.hash) && other != d.file.hash {
		return fmt.Errorf("%s: the list of files names the content %s, and the file's own address %s: is %s a mirror that "+
			"isn't current?", d.file.path, d.file.hash, other, d.Endpoint)
	}
	return use(answer, body)
}

// copy writes what comes to the disk, and moves at on, up to the position to.
func (d *download) copy(body io.Reader, at *int64, to int64) error {
	buffer := make([]byte, 256<<10)
	for *at < to {
		n, err := body.Read(buffer[:min(int64(len(buffer)), to-*at)])
		if n > 0 {
			if err := d.write(buffer[:n], *at); err != nil {
				return err
			}
			*at += int64(n)
			if err := d.tally.count(d.file.path, int64(n), int64(n)); err != nil {
				return err
			}
		}
		switch {
		case *at == to:
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
			fallthrough
		case err != nil:
			return &temporaryError{error: fmt.Errorf("%s: the connection broke off: %w", d.file.path, err)}
		}
	}
	return nil
}

// verify compares the hash of what is on the disk with the announced one.
func (d *download) verify(ctx context.Context) error {
	var h hash.Hash
	if len(d.file.hash) == 2*sha256.Size {
		h = sha256.New()
	} else { // of a blob in git
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", d.size)
	}
	content := io.NewSectionReader(d.partial.file, 0, d.size)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch n, err := io.CopyN(h, content, 16<<20); {
		case errors.Is(err, io.EOF):
			if got := hex.EncodeToString(h.Sum(nil)); got != d.file.hash {
				return fmt.Errorf("%s: %w: what came has the hash %s, want %s: run the command again, or ask who runs the "+
					"server or the proxy", d.file.path, ErrHash, got, d.file.hash)
			}
			return nil
		case err != nil:
			return fmt.Errorf("%s, after %d bytes: %w", d.path, n, err)
		}
	}
}

// linkedHash returns the hash of the content that the endpoint named in its answer or its redirect; "" if it didn't.
func linkedHash(answer *http.Response) string {
	for a := answer; a != nil; a = a.Request.Response {
		if tag := a.Header.Get("X-Linked-Etag"); tag != "" {
			return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
		}
	}
	return ""
}

// escape escapes the parts of a path.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
