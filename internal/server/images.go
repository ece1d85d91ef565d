package server

import (
	"context"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/histdist/histdist/internal/server/catalogue"
)

func (s *Server) imageRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/images/{file}", path: "/api/v1/images/{image}.dzi", handle: s.dzi},
		{
			pattern: "GET /api/v1/images/{folder}/{level}/{file}",
			path:    "/api/v1/images/{image}_files/{level}/{column}_{row}.jpg", handle: s.tile,
		},
	}
}

// keepTime is how long a client may show an image without asking whether it has changed.
const keepTime = "private, max-age=300"

// sendNotModified answers a request that has a tag's content already, and reports whether it did.
func sendNotModified(w http.ResponseWriter, r *http.Request, tag string) bool {
	h := w.Header()
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Cache-Control", keepTime)
	if h.Get("Vary") == "" {
		h.Set("Vary", "Authorization")
	}
	if !matches(r.Header.Get("If-None-Match"), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matches reports whether the header If-None-Match has a tag.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == `"`+tag+`"` || one == "*" {
			return true
		}
	}
	return false
}

// send sends what has a tag, unless the client has it.
func send(w http.ResponseWriter, r *http.Request, data []byte, tag, media string) error {
	if sendNotModified(w, r, tag) {
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // a client that has left needs no answer
	}
	return nil
}

// descriptor is a .dzi file.
type descriptor struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/deepzoom/2008 Image"`
	TileSize int      `xml:"TileSize,attr"`
	Overlap  int      `xml:"Overlap,attr"`
	Format   string   `xml:"Format,attr"`
	Size     struct {
		Width  int `xml:"Width,attr"`
		Height int `xml:"Height,attr"`
	}
}

// deepZoom finds an image and says what its pyramid is like.
func (s *Server) deepZoom(ctx context.Context, user, id string) (*catalogue.Slide, catalogue.DeepZoom, int, error) {
	one, quality, err := s.image(ctx, user, id)
	if err != nil {
		return nil, catalogue.DeepZoom{}, 0, err
	}
	m, err := one.Meta(ctx)
	if err != nil {
		return nil, catalogue.DeepZoom{}, 0, unreadable(one, err)
	}
	return one, catalogue.DeepZoom{Width: m.Width, Height: m.Height}, quality, nil
}

var errNoImage = problem(http.StatusNotFound, "there is no such image")

func (s *Server) dzi(w http.ResponseWriter, r *http.Request) error {
	id, ok := strings.CutSuffix(r.PathValue("file"), ".dzi")
	if !ok {
		return errNoImage
	}
	one, d, _, err := s.deepZoom(r.Context(), userOf(r), id)
	if err != nil {
		return err
	}
	answer := descriptor{TileSize: catalogue.TileSize, Format: "jpg"}
	answer.Size.Width, answer.Size.Height = d.Width, d.Height
	text, err := xml.Marshal(answer)
	if err != nil {
		return err
	}
	tag, err := one.Tag()
	if err != nil {
		return unreadable(one, err)
	}
	return send(w, r, append([]byte(xml.Header), text...), tag, "application/xml")
}

func (s *Server) tile(w http.ResponseWriter, r *http.Request) error {
	id, ok := strings.CutSuffix(r.PathValue("folder"), "_files")
	place, isJPEG := strings.CutSuffix(r.PathValue("file"), ".jpg")
	left, right, two := strings.Cut(place, "_")
	level, okLevel := index(r.PathValue("level"))
	column, okColumn := index(left)
	row, okRow := index(right)
	if !ok || !isJPEG || !two || !okLevel || !okColumn || !okRow {
		return errNoImage
	}
	one, d, quality, err := s.deepZoom(r.Context(), userOf(r), id)
	if err != nil {
		return err
	}
	part, ok := d.Tile(level, column, row, quality)
	if !ok {
		return problem(http.StatusNotFound, "the image has no such tile")
	}
	return sendPart(w, r, one, part, "image/jpeg")
}

// index reads a number without sign and leading zeros.
func index(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == text
}

// sendPart makes a part and sends it, unless the client has it: then it isn't made.
func sendPart(w http.ResponseWriter, r *http.Request, one *catalogue.Slide, part catalogue.Part, media string) error {
	tag, err := one.PartTag(part)
	if err != nil {
		return unreadable(one, err)
	}
	if sendNotModified(w, r, tag) {
		return nil
	}
	data, err := one.Encode(r.Context(), part)
	if err != nil {
		return unreadable(one, err)
	}
	return send(w, r, data, tag, media)
}
