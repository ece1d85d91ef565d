package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/parallel"
)

// DefaultEndpoint is where models come from unless HF_ENDPOINT says otherwise.
const DefaultEndpoint = "https://huggingface.co"

// connections is the number of parts, or of small files, that are downloaded at the same time.
const connections = 8

// Client downloads models from one server into one cache.
type Client struct {
	Endpoint string // such as DefaultEndpoint
	Token    string // of the user; "" is none
	Cache    string // the folder: see weights.HubCache
	NoLinks  bool   // no symbolic links in snapshots
	Observe  progress.Observer

	http    *http.Client
	reached atomic.Bool // the server has answered once
	observe sync.Mutex  // one event at a time

	// What tests replace.
	part    int64 // size of parts in bytes
	wait    func(ctx context.Context, d time.Duration) error
	open    func(path string) (disk, error)
	free    func(folder string) (uint64, error)
	symlink func(target, path string) error
}

// New returns a client with the endpoint, the token and the cache that the environment names.
func New(observe progress.Observer) (*Client, error) {
	if offline() {
		return nil, errors.New("HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: nothing is downloaded; unset it, or copy " +
			"the model into Hugging Face's cache")
	}
	cache, err := weights.HubCache()
	if err != nil {
		return nil, err
	}
	token, err := findToken()
	if err != nil {
		return nil, err
	}
	endpoint := strings.TrimRight(os.Getenv("HF_ENDPOINT"), "/")
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	if !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(endpoint, "http://") {
		return nil, fmt.Errorf("HF_ENDPOINT is %q: want an address such as %s", endpoint, DefaultEndpoint)
	}
	c := &Client{
		Endpoint: endpoint, Token: token, Cache: cache, NoLinks: isTrue("HF_HUB_DISABLE_SYMLINKS"), Observe: observe,
		part: defaultPart, wait: sleep, open: openDisk, free: freeSpace, symlink: os.Symlink,
	}
	c.http = &http.Client{Transport: newTransport(), CheckRedirect: c.redirect}
	return c, nil
}

func offline() bool { return isTrue("HF_HUB_OFFLINE") || isTrue("TRANSFORMERS_OFFLINE") }

// isTrue reads a variable as huggingface_hub does.
func isTrue(variable string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(os.Getenv(variable)))
}

// findToken returns the token of the environment or of the file that Hugging Face's tools keep; "" without one.
func findToken() (string, error) {
	if isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
		return "", nil
	}
	for _, variable := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if token := strings.TrimSpace(os.Getenv(variable)); token != "" {
			return token, nil
		}
	}
	path, err := weights.HubToken()
	if err != nil {
		return "", nil //nolint:nilerr // no home, no file
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// Request is what Pull downloads.
type Request struct {
	ID       string // organisation/model, as on the server
	Revision string // a branch, a tag or a commit; "" is main
	// Variant picks weights such as fp16 in the networks that have them; "" picks those without a variant.
	Variant string
	// Folder reports whether a folder of a pipeline is needed; nil: all are.
	Folder func(name string) bool
}

// Progress is the event that a download reports: bytes that are on the disk, those of earlier runs included.
type Progress struct {
	Model       string // its ID
	File        string // that is downloaded, with its folder
	Done, Total int64  // bytes
	Received    int64  // bytes that came over the network in this run
}

// repository is one revision of a model, and its folder in the cache.
type repository struct {
	id, revision, commit string
	folder               string
	locks                string
}

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Pull downloads what is needed of a model and not in the cache yet, and returns the folder of its snapshot. If it
// fails or is stopped, complete files and parts stay for the next run, but the snapshot doesn't appear.
func (c *Client) Pull(ctx context.Context, r Request) (string, error) {
	folder, err := c.pull(ctx, r)
	if err != nil {
		return "", fmt.Errorf("model %s: %w", r.ID, err)
	}
	return folder, nil
}

func (c *Client) pull(ctx context.Context, r Request) (string, error) {
	if r.Revision == "" {
		r.Revision = "main"
	}
	if _, _, err := weights.ParseModelID(r.ID + "@" + r.Revision); err != nil || strings.Contains(r.ID, "@") {
		return "", fmt.Errorf("revision %q: want organisation/model, and a branch, a tag or a commit", r.Revision)
	}
	repo := &repository{id: r.ID, revision: r.Revision, folder: weights.HubRepository(c.Cache, r.ID)}
	repo.locks = filepath.Join(c.Cache, ".locks", filepath.Base(repo.folder))
	list, err := c.list(ctx, repo)
	if err != nil {
		return "", err
	}
	small, large, err := choose(list, r)
	if err != nil {
		return "", err
	}
	if err := c.prepare(repo, small, large); err != nil {
		return "", err
	}
	t := &tally{client: c, model: r.ID, total: sum(small) + sum(large)}
	if err := c.fetchAll(ctx, repo, small, t); err != nil {
		return "", err
	}
	// Indexes are there now, and name more.
	shards, err := repo.shards(list, small)
	if err != nil {
		return "", err
	}
	if len(shards) > 0 {
		if err := c.prepare(repo, shards, nil); err != nil {
			return "", err
		}
		large = append(large, shards...)
		t.total += sum(shards)
	}
	if err := c.fetchAll(ctx, repo, large, t); err != nil {
		return "", err
	}
	return c.place(repo, append(small, large...))
}

// fetchAll downloads files: small ones together, large ones one after the other, in parts.
func (c *Client) fetchAll(ctx context.Context, repo *repository, files []file, t *tally) error {
	var small, large []file
	seen := map[string]bool{}
	for _, f := range files {
		switch {
		case seen[f.hash]: // two names of one content
			if err := t.add(f.path, f.size); err != nil {
				return err
			}
		case f.size <= c.part:
			small = append(small, f)
		default:
			large = append(large, f)
		}
		seen[f.hash] = true
	}
	err := parallel.Each(ctx, len(small), connections, func(i int) error { return c.fetch(ctx, repo, small[i], t) })
	if err != nil {
		return err
	}
	for _, f := range large {
		if err := c.fetch(ctx, repo, f, t); err != nil {
			return err
		}
	}
	return nil
}

// tally counts bytes and reports them.
type tally struct {
	client      *Client
	model       string
	mu          sync.Mutex
	done, total int64
	received    int64
}

// add counts bytes of a file that are there; they are negative if they have to be downloaded again.
func (t *tally) add(path string, bytes int64) error { return t.count(path, bytes, 0) }

// count counts bytes of a file that are there, and those that were received.
func (t *tally) count(path string, bytes, received int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += bytes
	t.received += received
	return t.client.report(Progress{t.model, path, t.done, t.total, t.received})
}

func (c *Client) report(event any) error {
	c.observe.Lock()
	defer c.observe.Unlock()
	return c.Observe.Report(event)
}

func sum(files []file) (n int64) {
	for _, f := range files {
		n += f.size
	}
	return n
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
