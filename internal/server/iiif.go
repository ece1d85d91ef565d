package server

import (
	"image"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/server/catalogue"
)

// The IIIF Image API 3.0 (https://iiif.io/api/image/3.0/), compliance level 2 but for CORS, which it asks for: pages of
// other sites must not read slides. Viewers of this origin, and programs, don't need it.

func (s *Server) iiifRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/iiif/{image}", handle: s.iiifBase},
		{pattern: "GET /api/v1/iiif/{image}/info.json", handle: s.iiifInfo},
		{
			pattern: "GET /api/v1/iiif/{image}/{region}/{size}/{rotation}/{file}",
			path:    "/api/v1/iiif/{image}/{region}/{size}/{rotation}/{quality}.{format}", handle: s.iiifImage,
		},
	}
}

// iiifBase leads from an image to what is known of it, as the API has it.
func (s *Server) iiifBase(w http.ResponseWriter, r *http.Request) error {
	one, _, err := s.image(r.Context(), userOf(r), r.PathValue("image"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/api/v1/iiif/"+one.ID+"/info.json", http.StatusSeeOther)
	return nil
}

const jsonLD = "application/ld+json"

// iiifInfo is the answer of GET /api/v1/iiif/{image}/info.json.
type iiifInfo struct {
	Context        string     `json:"@context"`
	ID             string     `json:"id"`
	Type           string     `json:"type"`
	Protocol       string     `json:"protocol"`
	Profile        string     `json:"profile"`
	Width          int        `json:"width"`
	Height         int        `json:"height"`
	MaxArea        int        `json:"maxArea"`
	MaxWidth       int        `json:"maxWidth"`
	Sizes          []iiifSize `json:"sizes"`
	Tiles          []iiifTile `json:"tiles"`
	ExtraQualities []string   `json:"extraQualities"`
	ExtraFeatures  []string   `json:"extraFeatures"`
}

type iiifSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

type iiifTile struct {
	Width        int   `json:"width"`
	ScaleFactors []int `json:"scaleFactors"`
}

func (s *Server) iiifInfo(w http.ResponseWriter, r *http.Request) error {
	one, d, _, err := s.deepZoom(r.Context(), userOf(r), r.PathValue("image"))
	if err != nil {
		return err
	}
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	base := url.URL{Scheme: scheme, Host: r.Host, Path: "/api/v1/iiif/" + one.ID}
	i := iiifInfo{
		Context: "http://iiif.io/api/image/3/context.json", ID: base.String(), Type: "ImageService3",
		Protocol: "http://iiif.io/api/image", Profile: "level2", Width: d.Width, Height: d.Height,
		MaxArea: catalogue.MaxPixels, MaxWidth: catalogue.MaxSide, Tiles: []iiifTile{{Width: catalogue.TileSize}},
		ExtraQualities: []string{"color", "gray", "bitonal"}, ExtraFeatures: []string{"mirroring", "sizeUpscaling"},
	}
	for level := d.Levels() - 1; level >= 0; level-- {
		width, height := d.Size(level)
		if height <= catalogue.MaxPixels/width && max(width, height) > catalogue.TileSize/2 {
			i.Sizes = append([]iiifSize{{width, height}}, i.Sizes...)
		}
		factor := 1 << (d.Levels() - 1 - level)
		if max(width, height) > catalogue.TileSize/2 || factor == 1 {
			i.Tiles[0].ScaleFactors = append(i.Tiles[0].ScaleFactors, factor)
		}
	}
	h := w.Header()
	h.Set("Cache-Control", keepTime)
	h.Set("Vary", "Accept, Authorization, Host, X-Forwarded-Proto")
	if strings.Contains(r.Header.Get("Accept"), jsonLD) { // whoever doesn't ask for it may not know it
		h.Set("Content-Type", jsonLD+`;profile="`+i.Context+`"`)
	}
	return reply(w, http.StatusOK, i)
}

func (s *Server) iiifImage(w http.ResponseWriter, r *http.Request) error {
	one, d, quality, err := s.deepZoom(r.Context(), userOf(r), r.PathValue("image"))
	if err != nil {
		return err
	}
	part, err := iiifPart(d.Width, d.Height, r.PathValue("region"), r.PathValue("size"), r.PathValue("rotation"),
		r.PathValue("file"))
	if err != nil {
		return err
	}
	part.Quality = quality
	media := "image/jpeg"
	if part.Format == imagefile.PNG {
		media = "image/png"
	}
	return sendPart(w, r, one, part, media)
}

// iiifPart reads what of an image is asked for, and how.
func iiifPart(width, height int, region, size, rotation, file string) (p catalogue.Part, err error) {
	if p.Rect, err = iiifRegion(width, height, region); err != nil {
		return p, err
	}
	if p.Width, p.Height, err = iiifSizeOf(p.Rect.Dx(), p.Rect.Dy(), size); err != nil {
		return p, err
	}
	if p.Change.Turn, p.Change.Mirror, err = iiifRotation(rotation); err != nil {
		return p, err
	}
	quality, format, _ := strings.Cut(file, ".")
	switch quality {
	case "default", "color":
	case "gray":
		p.Change.Colour = catalogue.Grey
	case "bitonal":
		p.Change.Colour = catalogue.Bitonal
	default:
		return p, badIIIF("quality", quality, "default, color, gray or bitonal")
	}
	switch format {
	case "jpg":
		p.Format = imagefile.JPEG
	case "png":
		p.Format = imagefile.PNG
	default:
		return p, badIIIF("format", format, "jpg or png")
	}
	return p, nil
}

func badIIIF(what, text, want string) error {
	const longest = 40
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return problem(http.StatusBadRequest, "%s %q: want %s", what, text, want)
}

// iiifRegion reads a region: full, square, x,y,w,h or pct:x,y,w,h. It is cut to the image.
func iiifRegion(width, height int, text string) (image.Rectangle, error) {
	whole := image.Rect(0, 0, width, height)
	switch text {
	case "full":
		return whole, nil
	case "square":
		side := min(width, height)
		return image.Rect(0, 0, side, side).Add(image.Pt((width-side)/2, (height-side)/2)), nil
	}
	wrong := badIIIF("region", text, "full, square, x,y,w,h in pixels or pct:x,y,w,h, with some of the image")
	numbers, percent := strings.CutPrefix(text, "pct:")
	parts := strings.Split(numbers, ",")
	if len(parts) != 4 {
		return whole, wrong
	}
	var v [4]int
	for i, part := range parts {
		if !percent {
			n, ok := index(part)
			if !ok {
				return whole, wrong
			}
			v[i] = n
			continue
		}
		share, ok := decimal(part)
		if !ok {
			return whole, wrong
		}
		v[i] = int(math.Round(min(share, 100) / 100 * float64([]int{width, height}[i%2])))
	}
	r := image.Rectangle{Min: image.Pt(v[0], v[1]), Max: image.Pt(v[0]+v[2], v[1]+v[3])}.Intersect(whole)
	if v[2] < 1 || v[3] < 1 || r.Empty() {
		return whole, wrong
	}
	return r, nil
}

// decimal reads a number without sign and exponent.
func decimal(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// iiifSizeOf reads to what size a region of width × height pixels is scaled: max, w, or ,h or w,h or pct:n or !w,h.
// With ^ in front it may be enlarged.
func iiifSizeOf(width, height int, text string) (w, h int, err error) {
	wrong := badIIIF("size", text, "max, w, or ,h or w,h or pct:n or !w,h, with ^ in front of what enlarges")
	form, enlarge := strings.CutPrefix(text, "^")
	scaled := func(by float64) (int, int, error) {
		if !(by > 0) || by*float64(max(width, height)) > math.MaxInt32 {
			return 0, 0, wrong
		}
		return max(1, int(math.Round(float64(width)*by))), max(1, int(math.Round(float64(height)*by))), nil
	}
	left, right, two := strings.Cut(form, ",")
	inside := strings.HasPrefix(left, "!")
	x, okX := index(strings.TrimPrefix(left, "!"))
	y, okY := index(right)
	okX, okY = okX && x > 0, okY && y > 0
	switch share, percent := strings.CutPrefix(form, "pct:"); {
	case form == "max":
		limit := min(math.Sqrt(catalogue.MaxPixels/(float64(width)*float64(height))),
			catalogue.MaxSide/float64(max(width, height)))
		if limit >= 1 && !enlarge {
			return width, height, nil
		}
		// Both are rounded down, to stay within the limits.
		return max(1, int(float64(width)*limit)), max(1, int(float64(height)*limit)), nil
	case percent:
		n, ok := decimal(share)
		if !ok {
			return 0, 0, wrong
		}
		w, h, err = scaled(n / 100)
	case !two:
		return 0, 0, wrong
	case inside && okX && okY:
		by := min(float64(x)/float64(width), float64(y)/float64(height))
		if !enlarge {
			by = min(by, 1)
		}
		w, h, err = scaled(by)
	case inside:
		return 0, 0, wrong
	case okX && right == "":
		w, h, err = scaled(float64(x) / float64(width))
	case left == "" && okY:
		w, h, err = scaled(float64(y) / float64(height))
	case okX && okY:
		w, h = x, y
	default:
		return 0, 0, wrong
	}
	switch {
	case err != nil:
		return 0, 0, err
	case (w > width || h > height) && !enlarge:
		return 0, 0, problem(http.StatusBadRequest, "size %q: the region has %d×%d pixels: ^ in front enlarges it",
			text, width, height)
	case max(w, h) > catalogue.MaxSide, h > catalogue.MaxPixels/w:
		return 0, 0, problem(http.StatusBadRequest, "%d×%d pixels: at most %d are made at once, with sides up to %d", w, h,
			catalogue.MaxPixels, catalogue.MaxSide)
	}
	return w, h, nil
}

// iiifRotation reads a rotation: degrees, with ! in front to mirror first.
func iiifRotation(text string) (degrees int, mirror bool, err error) {
	number, mirror := strings.CutPrefix(text, "!")
	degrees, ok := index(number)
	if !ok || degrees%90 != 0 || degrees > 360 {
		return 0, false, badIIIF("rotation", text, "0, 90, 180 or 270, with ! in front to mirror")
	}
	return degrees % 360, mirror, nil
}
