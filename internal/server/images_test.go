package server

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSlides(t *testing.T) {
	s, _ := start(t, folderOfSlides(t), nil)
	answer, text := get(t, s, "/api/v1/slides")
	list := decoded[[]slideAnswer](t, answer, text)
	if len(list) != 2 {
		t.Fatalf("there are %d slides: %s", len(list), text)
	}
	one := theSlide(t, s)
	want := slideAnswer{
		ID: one.ID, Name: patient + ".ome.tiff", Width: 1500, Height: 600, MPP: &[2]float64{0.5, 0.5}, Vendor: "ome-tiff",
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Error(diff)
	}
	want.Levels = []levelAnswer{{1500, 600, 1}, {750, 300, 2}}
	answer, text = get(t, s, "/api/v1/slides/"+one.ID)
	if diff := cmp.Diff(want, decoded[slideAnswer](t, answer, text)); diff != "" {
		t.Error(diff)
	}
	answer, text = get(t, s, "/api/v1/slides/"+one.ID+"/tissue")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/geo+json" ||
		!bytes.HasPrefix(text, []byte(`{"type":"FeatureCollection"`)) {
		t.Errorf("%s, %v: %s", answer.Status, answer.Header, text)
	}
}

// Identifiers are those of the first start, and say nothing of the name: another state has others.
func TestIdentifiers(t *testing.T) {
	folder, state := folderOfSlides(t), t.TempDir()
	in := func(o *Options) { o.State = state }
	s, _ := start(t, folder, in)
	first := theSlide(t, s).ID
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, folder, in)
	if id := theSlide(t, again).ID; id != first || len(id) != 22 {
		t.Errorf("the identifier is %s; it was %s", id, first)
	}
	other, _ := start(t, folder, nil)
	if id := theSlide(t, other).ID; id == first {
		t.Error("the identifier is a function of the path")
	}
	// Known without a listing: a client may keep it.
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	third, _ := start(t, folder, in)
	if answer, text := get(t, third, "/api/v1/images/"+first+".dzi"); answer.StatusCode != 200 {
		t.Errorf("%s: %s", answer.Status, text)
	}
}

// Labels show patients' names.
func TestLabelsAreHidden(t *testing.T) {
	folder := t.TempDir()
	writeAperio(t, filepath.Join(folder, "slide.svs"))
	for _, show := range []bool{false, true} {
		s, _ := start(t, folder, func(o *Options) { o.ShowLabels = show })
		one := theSlide(t, s)
		answer, text := get(t, s, "/api/v1/slides/"+one.ID)
		names := decoded[slideAnswer](t, answer, text).Associated
		if got := strings.Join(names, " "); (got == "label macro") != show || !show && got != "" {
			t.Errorf("shown: %t, associated images: %s", show, got)
		}
		for name, there := range map[string]bool{"label": show, "macro": show, "nothing": false, "..": false} {
			answer, text := get(t, s, "/api/v1/slides/"+one.ID+"/associated/"+name+".jpg")
			if want := map[bool]int{true: 200, false: 404}[there]; answer.StatusCode != want && name != ".." {
				t.Errorf("shown: %t, %s: %s", show, name, answer.Status)
			}
			if there {
				if img, err := jpeg.Decode(bytes.NewReader(text)); err != nil || img.Bounds().Dx() != 32 {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if answer, text := get(t, s, "/api/v1/images/"+one.ID+"_files/0/0_0.jpg"); answer.StatusCode != 200 {
			t.Errorf("tile: %s: %s", answer.Status, text)
		}
	}
}

// writeAperio writes a slide of 64×64 pixels with a label and a macro of 32×32.
func writeAperio(t testing.TB, path string) {
	t.Helper()
	pages := []struct {
		side int
		text string
	}{
		{64, "Aperio Image Library v1\n64x64 |AppMag = 20|MPP = 0.5\x00"},
		{32, "Aperio Image Library v1\nlabel 32x32\x00"},
		{32, "Aperio Image Library v1\nmacro 32x32\x00"},
	}
	order := binary.LittleEndian
	file := []byte("II*\x00\x00\x00\x00\x00")
	link := 4 // where the offset of the next directory is written
	for _, page := range pages {
		place := func(data []byte) uint32 {
			at := len(file)
			file = append(file, data...)
			file = append(file, make([]byte, len(file)%2)...)
			return uint32(at)
		}
		side := uint32(page.side)
		pixels := place(bytes.Repeat([]byte{200, 120, 180}, page.side*page.side))
		text := place([]byte(page.text))
		bits := place([]byte{8, 0, 8, 0, 8, 0})
		fields := [][4]uint32{ // tag, type, count, value
			{256, 4, 1, side},
			{257, 4, 1, side},
			{258, 3, 3, bits},
			{259, 3, 1, 1},
			{262, 3, 1, 2},
			{270, 2, uint32(len(page.text)), text},
			{273, 4, 1, pixels},
			{277, 3, 1, 3},
			{278, 4, 1, side},
			{279, 4, 1, 3 * side * side},
		}
		order.PutUint32(file[link:], uint32(len(file)))
		file = order.AppendUint16(file, uint16(len(fields)))
		for _, f := range fields {
			file = order.AppendUint16(order.AppendUint16(file, uint16(f[0])), uint16(f[1]))
			file = order.AppendUint32(order.AppendUint32(file, f[2]), f[3])
		}
		link = len(file)
		file = append(file, 0, 0, 0, 0)
	}
	write(t, path, file)
}

func TestDeepZoom(t *testing.T) {
	s, _ := start(t, folderOfSlides(t), nil)
	base := "/api/v1/images/" + theSlide(t, s).ID
	answer, text := get(t, s, base+".dzi")
	var d descriptor
	if err := xml.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v: %s", answer.Status, err, text)
	}
	if d.TileSize != 256 || d.Overlap != 0 || d.Format != "jpg" || d.Size.Width != 1500 || d.Size.Height != 600 {
		t.Errorf("the descriptor is %s", text)
	}
	for path, want := range map[string]image.Point{ // the zero point: there is none
		"11/0_0": {256, 256}, "11/5_2": {220, 88}, "11/6_0": {}, "11/0_3": {}, "10/2_1": {238, 44}, "8/0_0": {188, 75},
		"0/0_0": {1, 1}, "1/0_0": {2, 1}, "12/0_0": {}, "-1/0_0": {}, "11/-1_0": {}, "11/00_0": {}, "11/0": {}, "11/0_0_0": {},
		"11/0_9999999999999999999": {}, "99999999999/0_0": {}, "+1/0_0": {}, "011/0_0": {},
	} {
		answer, text := get(t, s, base+"_files/"+path+".jpg")
		if want == (image.Point{}) {
			if answer.StatusCode != 404 {
				t.Errorf("%s: %s", path, answer.Status)
			}
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(text))
		if err != nil || img.Bounds().Size() != want || answer.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("%s: %s, %v, %v", path, answer.Status, err, answer.Header)
		}
	}
	for _, path := range []string{"_files/11/0_0.png", "_files/11/0_0", "_file/11/0_0.jpg", "/11/0_0.jpg", ".xml"} {
		if answer, _ := get(t, s, base+path); answer.StatusCode != 404 {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

// A client that has a tile is told so; when the file changes, it gets the new one.
func TestTags(t *testing.T) {
	folder := folderOfSlides(t)
	s, _ := start(t, folder, nil)
	id := theSlide(t, s).ID
	for _, path := range []string{
		"images/" + id + ".dzi", "images/" + id + "_files/11/1_1.jpg", "slides/" + id + "/tissue",
		"iiif/" + id + "/full/100,/0/default.png",
	} {
		path = "/api/v1/" + path
		first, data := get(t, s, path)
		tag := first.Header.Get("ETag")
		if first.StatusCode != 200 || len(tag) != 24 || len(data) == 0 {
			t.Fatalf("%s: %s, tag %s", path, first.Status, tag)
		}
		for header, want := range map[string]int{
			tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, strings.Trim(tag, `"`): 200,
		} {
			answer, text := get(t, s, path, "If-None-Match: "+header)
			if answer.StatusCode != want || answer.Header.Get("ETag") != tag || (want == 304) != (len(text) == 0) {
				t.Errorf("%s with %s: %s, %d bytes, tag %s", path, header, answer.Status, len(text), answer.Header.Get("ETag"))
			}
		}
		if head, text := ask(t, s, http.MethodHead, path, nil); head.StatusCode != 200 || len(text) > 0 {
			t.Errorf("HEAD %s: %s, %d bytes", path, head.Status, len(text))
		}
	}
	path := "/api/v1/images/" + id + "_files/11/1_1.jpg"
	before, _ := get(t, s, path)
	file := filepath.Join(folder, patient+".ome.tiff")
	writeSlide(t, file, 1500, 600)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	one, err := s.catalogue.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	one.Forget()
	if after, _ := get(t, s, path); after.Header.Get("ETag") == before.Header.Get("ETag") {
		t.Error("a file that has changed has the same tag")
	}
}

// Many clients at once, of more tiles than the cache holds, of slides that change.
func TestManyClients(t *testing.T) {
	folder := t.TempDir()
	for i := range 3 {
		writeSlide(t, filepath.Join(folder, fmt.Sprintf("%d.ome.tiff", i)), 600+i, 500)
	}
	s, _ := start(t, folder, func(o *Options) { o.CacheBytes = 16 << 20 })
	answer, text := get(t, s, "/api/v1/slides")
	list := decoded[[]slideAnswer](t, answer, text)
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := range 30 {
				id := list[(n+i)%len(list)].ID
				path := fmt.Sprintf("/api/v1/images/%s_files/10/%d_%d.jpg", id, i%3, i%2)
				if answer, text := get(t, s, path); answer.StatusCode != 200 {
					t.Errorf("%s: %s: %s", path, answer.Status, text)
				}
				if i%10 == 0 {
					get(t, s, "/api/v1/slides")
					get(t, s, "/metrics")
				}
			}
		})
	}
	clients.Wait()
}

// A file that can't be read is a problem of its own.
func TestBrokenSlide(t *testing.T) {
	s, _ := start(t, folderOfSlides(t), nil)
	answer, text := get(t, s, "/api/v1/slides")
	for _, one := range decoded[[]slideAnswer](t, answer, text) {
		if one.Error == "" {
			continue
		}
		for _, path := range []string{".dzi", "_files/0/0_0.jpg"} {
			answer, text := get(t, s, "/api/v1/images/"+one.ID+path)
			if answer.StatusCode != 422 {
				t.Errorf("%s: %s: %s", path, answer.Status, text)
			}
		}
	}
}
