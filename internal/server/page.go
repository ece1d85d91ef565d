package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/histdist/histdist/internal/server/web"
)

// pageRoutes serve the page: its files need no token, for they are the same for everybody.
func (s *Server) pageRoutes() []route {
	return []route{
		{pattern: "GET /{$}", open: true, hidden: true, handle: func(w http.ResponseWriter, r *http.Request) error {
			return sendPage(w, r, "index.html")
		}},
		{
			pattern: "GET /assets/{file...}", open: true, hidden: true,
			handle: func(w http.ResponseWriter, r *http.Request) error {
				return sendPage(w, r, path.Join("assets", r.PathValue("file")))
			},
		},
	}
}

func sendPage(w http.ResponseWriter, r *http.Request, name string) error {
	if !fs.ValidPath(name) {
		return problem(http.StatusNotFound, "the page has no such file")
	}
	text, err := fs.ReadFile(web.Files(), name)
	if err != nil {
		return problem(http.StatusNotFound, "the page has no such file")
	}
	sum := sha256.Sum256(text)
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return nil
}
