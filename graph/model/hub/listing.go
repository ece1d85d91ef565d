package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// file is a file of a model.
type file struct {
	path string // in the model, with slashes
	size int64  // in bytes
	hash string // in hexadecimal: the SHA-256 of a large file; of others git's SHA-1
}

// entry is a file or a folder in the server's list.
type entry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"` // of git's blob; of large files that of a pointer
	LFS  *struct {
		OID  string `json:"oid"` // SHA-256
		Size int64  `json:"size"`
	} `json:"lfs"`
}

const (
	// maxAnswer is the longest list that is read, in bytes.
	maxAnswer = 64 << 20
	// maxPages is the largest number of pages of a list.
	maxPages = 1000
	// maxFile is more than any file has, in bytes.
	maxFile = 1 << 50
)

// list finds the commit of a revision and its files.
func (c *Client) list(ctx context.Context, repo *repository) ([]file, error) {
	var info struct {
		SHA string `json:"sha"`
	}
	model := "/api/models/" + repo.id
	if _, err := c.json(ctx, model+"/revision/"+url.PathEscape(repo.revision), &info); err != nil {
		return nil, c.explain(ctx, repo, err)
	}
	if !commitHash.MatchString(info.SHA) {
		return nil, fmt.Errorf("%s names the commit %q, which is none: is HF_ENDPOINT a server of models?", c.Endpoint,
			info.SHA)
	}
	repo.commit = info.SHA
	tree := model + "/tree/" + repo.commit
	var files []file
	for query := "recursive=true&expand=false"; query != ""; {
		var page []entry
		header, err := c.json(ctx, tree+"?"+query, &page)
		if err != nil {
			return nil, c.explain(ctx, repo, err)
		}
		for _, e := range page {
			if e.Type != "file" {
				continue
			}
			f := file{e.Path, e.Size, e.OID}
			if e.LFS != nil {
				f.size, f.hash = e.LFS.Size, e.LFS.OID
			}
			files = append(files, f)
		}
		query = nextPage(header)
		if len(files) > maxPages*1000 {
			return nil, fmt.Errorf("more than %d files: no model has so many", maxPages*1000)
		}
	}
	return files, nil
}

var (
	contentHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	nextLink    = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)
)

// check reports what is wrong with what a server says of a file that is wanted.
func (f file) check() error {
	switch {
	case !filepath.IsLocal(filepath.FromSlash(f.path)) || strings.ContainsAny(f.path, "\\:\x00"):
		return fmt.Errorf("file %q: its path leads out of the model", f.path)
	case !contentHash.MatchString(f.hash):
		return fmt.Errorf("file %s: the server names no hash of its content, but %q", f.path, f.hash)
	case f.size < 0 || f.size > maxFile:
		return fmt.Errorf("file %s: %d bytes can't be", f.path, f.size)
	}
	return nil
}

// nextPage returns the query of a list's next page; "" after the last. A mirror may pass on the address of another
// server, which is not asked.
func nextPage(h http.Header) string {
	m := nextLink.FindStringSubmatch(h.Get("Link"))
	if m == nil {
		return ""
	}
	u, err := url.Parse(m[1])
	if err != nil {
		return ""
	}
	return u.RawQuery
}

// json asks for a value below the endpoint.
func (c *Client) json(ctx context.Context, below string, v any) (header http.Header, err error) {
	err = c.retry(ctx, func() (bool, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answer, err := c.get(ctx, below, "")
		if err != nil {
			return false, err
		}
		body := watch(answer.Body, cancel)
		defer body.Close()
		text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
		if err != nil {
			return false, &temporaryError{error: fmt.Errorf("%s: %w", c.Endpoint, err)}
		}
		if len(text) > maxAnswer {
			return false, fmt.Errorf("%s: an answer of more than %d bytes", c.Endpoint, maxAnswer)
		}
		if err := json.Unmarshal(text, v); err != nil {
			return false, errors.Join(fmt.Errorf("%s doesn't answer as a server of models: is HF_ENDPOINT right, or does a "+
				"proxy ask for a login?", c.Endpoint), err)
		}
		header = answer.Header
		return true, nil
	})
	return header, err
}
