package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/bmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/server/queue"
)

// encoded is an image of a few colours.
func encoded(t testing.TB, width, height int, format imagefile.Format) []byte {
	t.Helper()
	img := imagefile.New(width, height)
	for i := range width * height {
		c := colour(i%width, i/width)
		copy(img.Pix[3*i:], c[:])
	}
	data, err := imagefile.Encode(img, format, imagefile.WriteOptions{Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bomb is a PNG file whose header says that it is large.
func bomb(width, height uint32) []byte {
	head := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	head = append(binary.BigEndian.AppendUint32(head, height), 8, 2, 0, 0, 0)
	chunk := func(data []byte) []byte {
		out := binary.BigEndian.AppendUint32(nil, uint32(len(data)-4))
		return binary.BigEndian.AppendUint32(append(out, data...), crc32.ChecksumIEEE(data))
	}
	file := append([]byte("\x89PNG\r\n\x1a\n"), chunk(head)...)
	file = append(file, chunk([]byte("IDAT\x78\x9c\x03\x00\x00\x00\x00\x01"))...)
	return append(file, chunk([]byte("IEND"))...)
}

func TestUploads(t *testing.T) {
	s, _ := start(t, "", withTokens(t))
	anna, bert := "Authorization: Bearer "+tokenAnna, "Authorization: Bearer "+tokenBert
	slidePath := filepath.Join(t.TempDir(), "x.ome.tiff")
	writeSlide(t, slidePath, 700, 300)
	slide, err := os.ReadFile(slidePath)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query string
		data  []byte
		mpp   float64
	}{
		"png":             {"", encoded(t, 700, 300, imagefile.PNG), 0.5},
		"png, 0.25":       {"?mpp=0.25", encoded(t, 700, 300, imagefile.PNG), 0.25},
		"jpeg":            {"?name=Probe%201", encoded(t, 700, 300, imagefile.JPEG), 0.5},
		"slide":           {"?name=x.svs", slide, 0.5},
		"slide, 1 µm":     {"?mpp=1", slide, 1},
		"tiff as a slide": {"?mpp=0.5", encoded(t, 700, 300, imagefile.TIFF), 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads"+test.query, bytes.NewReader(test.data), anna)
			one := decoded[slideAnswer](t, answer, text)
			if answer.StatusCode != 201 || one.Width != 700 || one.Height != 300 || one.MPP == nil || one.MPP[0] != test.mpp {
				t.Errorf("%s: %s", answer.Status, text)
			}
			path := answer.Header.Get("Location")
			if path != "/api/v1/slides/"+one.ID {
				t.Errorf("it is at %s", path)
			}
			tile := "/api/v1/images/" + one.ID + "_files/10/2_1.jpg"
			for header, want := range map[string]int{anna: 200, bert: 404, "": 401} {
				for _, path := range []string{path, tile} {
					if answer, text := get(t, s, path, header); answer.StatusCode != want {
						t.Errorf("%s, %s: %s: %.200s", path, header, answer.Status, text)
					}
				}
			}
			path = "/api/v1/uploads/" + one.ID
			for _, step := range []struct {
				header string
				want   int
			}{{bert, 404}, {anna, 204}, {anna, 404}} {
				if answer, _ := ask(t, s, http.MethodDelete, path, nil, step.header); answer.StatusCode != step.want {
					t.Errorf("DELETE by %s: %s", step.header, answer.Status)
				}
			}
			if answer, _ := get(t, s, tile, anna); answer.StatusCode != 404 {
				t.Errorf("a tile of a deleted upload: %s", answer.Status)
			}
		})
	}
	nothingLeft(t, s)
}

// nothingLeft checks that no upload has left a file.
func nothingLeft(t *testing.T, s *Server) {
	t.Helper()
	entries, err := os.ReadDir(s.uploads.folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// An image's pixels are those that were sent.
func TestUploadLosesNothing(t *testing.T) {
	s, _ := start(t, "", nil)
	sent := encoded(t, 300, 200, imagefile.PNG)
	answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads", bytes.NewReader(sent))
	one := decoded[slideAnswer](t, answer, text)
	_, text = get(t, s, "/api/v1/iiif/"+one.ID+"/full/max/0/default.png")
	if !bytes.Equal(pixels(t, text), pixels(t, sent)) {
		t.Error("the pixels differ")
	}
}

func pixels(t testing.TB, data []byte) []byte {
	t.Helper()
	img, err := imagefile.Decode(data, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return img.Pix
}

// unsized hides the length of a body.
type unsized struct{ io.Reader }

func TestUploadsAreChecked(t *testing.T) {
	s, log := start(t, "", func(o *Options) { o.MaxUploadBytes, o.MaxUploadPixels = 1<<16, 1e6 })
	for name, test := range map[string]struct {
		query  string
		body   io.Reader
		status int
		want   string
	}{
		"empty":              {"", strings.NewReader(""), 400, "empty"},
		"too long":           {"", bytes.NewReader(make([]byte, 1<<16+1)), 413, "65536 bytes"},
		"too long, no size":  {"", unsized{bytes.NewReader(make([]byte, 1<<16+1))}, 413, "65536 bytes"},
		"text":               {"", strings.NewReader("hello, this is no image at all"), 422, "JPEG, PNG"},
		"pixels":             {"", bytes.NewReader(bomb(1001, 1000)), 413, "1001×1000 pixels"},
		"bomb":               {"", bytes.NewReader(bomb(1<<31-1, 1<<31-1)), 413, "pixels"},
		"no pixels":          {"", bytes.NewReader(bomb(0, 5)), 422, "can't be read"},
		"nothing after head": {"", bytes.NewReader(bomb(500, 500)), 422, "can't be read"},
		"cut off":            {"", bytes.NewReader(encoded(t, 200, 200, imagefile.PNG)[:200]), 422, "can't be read"},
		"gif":                {"", strings.NewReader("GIF89a\x01\x00\x01\x00"), 422, "GIF"},
		"mpp":                {"?mpp=0", strings.NewReader("x"), 400, "mpp"},
		"mpp, a word":        {"?mpp=NaN", strings.NewReader("x"), 400, "mpp"},
		"name":               {"?name=" + strings.Repeat("x", 201), strings.NewReader("x"), 400, "name"},
		"name, a line":       {"?name=a%0ab", strings.NewReader("x"), 400, "name"},
		"name, no UTF-8":     {"?name=%ff", strings.NewReader("x"), 400, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads"+test.query, test.body)
			if answer.StatusCode != test.status || !strings.Contains(string(text), test.want) ||
				strings.Contains(string(text), s.state) {
				t.Errorf("%s: %s; want %d, %s", answer.Status, text, test.status, test.want)
			}
		})
	}
	nothingLeft(t, s)
	if strings.Contains(log.String(), s.state) {
		t.Errorf("the log has paths:\n%s", log)
	}
}

// Results and uploads together keep to their limit.
func TestUploadsKeepToTheDisk(t *testing.T) {
	data := encoded(t, 100, 100, imagefile.PNG)
	s, _ := start(t, "", func(o *Options) { o.MaxDisk, o.Devices = int64(len(data))+100, nil })
	waiting := queue.New{User: localUser, Disk: 101, Request: []byte("{}")}
	if _, _, err := s.jobs.queue.Add(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	for _, body := range []io.Reader{bytes.NewReader(data), unsized{bytes.NewReader(data)}} {
		answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads", body)
		if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", answer.Status, text)
		}
	}
	nothingLeft(t, s)
}

// Uploads outlive a server, but not their time.
func TestUploadsExpire(t *testing.T) {
	state := t.TempDir()
	in := func(o *Options) { o.State, o.Keep = state, option.Duration(time.Hour) }
	s, _ := start(t, "", in)
	answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads", bytes.NewReader(encoded(t, 10, 10, imagefile.PNG)))
	one := decoded[slideAnswer](t, answer, text)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(state, "uploads", ".incoming-1"), 0o700); err != nil { // of a server that was killed
		t.Fatal(err)
	}
	s, _ = start(t, "", in)
	path := fmt.Sprintf("/api/v1/slides/%s", one.ID)
	if answer, text := get(t, s, path); answer.StatusCode != 200 {
		t.Errorf("after another start: %s: %s", answer.Status, text)
	}
	s.expireUploads(time.Now().Add(59 * time.Minute))
	if answer, _ := get(t, s, path); answer.StatusCode != 200 {
		t.Errorf("after 59 minutes: %s", answer.Status)
	}
	s.expireUploads(time.Now().Add(61 * time.Minute))
	if answer, _ := get(t, s, path); answer.StatusCode != 404 {
		t.Errorf("after 61 minutes: %s", answer.Status)
	}
	nothingLeft(t, s)
}

// Images of more pixels than are decoded as a whole are taken if they can be decoded row by row.
func TestLargeImages(t *testing.T) {
	s, _ := start(t, "", func(o *Options) { o.MaxDisk = 2_000_000 })
	s.uploads.whole = 1000
	var b bytes.Buffer
	if err := bmp.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	progressive, err := os.ReadFile(filepath.FromSlash("../../data/internal/jpeg/testdata/420-progressive.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data   []byte
		status int
		want   string
	}{
		"png":              {encoded(t, 700, 300, imagefile.PNG), 201, `"width":700,"height":300`},
		"jpeg":             {encoded(t, 700, 300, imagefile.JPEG), 201, `"width":700,"height":300`},
		"bmp":              {b.Bytes(), 413, "1200 pixels; at most 1000"},
		"progressive jpeg": {progressive, 413, "progressive"},
		"too large a png":  {bomb(1<<15, 1<<15+1), 413, "1073774592 pixels; at most 1073741824"},
		"no room for it":   {bomb(1000, 1000), 503, "no room"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, text := ask(t, s, http.MethodPost, "/api/v1/uploads", bytes.NewReader(test.data))
			if answer.StatusCode != test.status || !strings.Contains(string(text), test.want) {
				t.Fatalf("%s: %s; want %d, %s", answer.Status, text, test.status, test.want)
			}
			if test.status != 201 {
				return
			}
			one := decoded[slideAnswer](t, answer, text)
			_, png := get(t, s, "/api/v1/iiif/"+one.ID+"/full/max/0/default.png")
			if !bytes.Equal(pixels(t, png), pixels(t, test.data)) {
				t.Error("the pixels differ")
			}
			if answer, _ := ask(t, s, http.MethodDelete, "/api/v1/uploads/"+one.ID, nil); answer.StatusCode != 204 {
				t.Errorf("DELETE: %s", answer.Status)
			}
		})
	}
	nothingLeft(t, s)
}
