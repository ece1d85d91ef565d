package docs

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/server"
	"github.com/histdist/histdist/internal/server/models"
)

// patience bounds what runs outside this process, so that a test that hangs ends.
const patience = 10 * time.Minute

// The slide of served: a piece of tissue on glass.
const (
	slideName   = "he.ome.tiff"
	slideWidth  = 1536
	slideHeight = 1024
)

// served starts what histdist serve serves, on the reference device, with a slide, and a model of a few weights in the
// place of the demonstration's. It returns the handler and the slide's file.
func served(t *testing.T, settings func(*server.Settings)) (s *server.Server, slide string) {
	t.Helper()
	t.Setenv(openslide.Variable, openslide.Off)
	folder, model := t.TempDir(), filepath.Join(t.TempDir(), "demo")
	for from, to := range map[string]string{"tiny": model, "tiny-phikon": filepath.Join(model, "phikon")} {
		if err := os.CopyFS(to, os.DirFS(golden.Path(t, from))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(model, "histdist.json"), []byte(`{"marker":"ER","mpp":0.5,"presets":{"fast":
		{"steps-inversion":1,"steps-translation":2,"solver-inversion":"dpm","solver":"dpm","eta":"zero"}}}`))
	slide = filepath.Join(folder, slideName)
	writeSlide(t, slide)
	o := server.Options{
		Settings: server.DefaultSettings(), Version: "test", Models: []models.Source{{Folder: model}},
		Foreground: true,
		Devices:    []models.Device{{Name: "ref", Open: func() (device.Device, error) { return catalog.Open("ref", 1) }}},
	}
	o.Slides, o.State = []string{folder}, t.TempDir()
	if settings != nil {
		settings(&o.Settings)
	}
	s, err := server.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, slide
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tissue is the colour of the slide's pixels: an ellipse of pink on white.
func tissue(x, y int) color.RGBA {
	dx, dy := float64(x)/slideWidth-0.5, float64(y)/slideHeight-0.5
	if dx*dx+dy*dy > 0.2 {
		return color.RGBA{244, 243, 245, 255}
	}
	return color.RGBA{uint8(190 + x%7), uint8(110 + y%11), uint8(170 + (x+y)%5), 255}
}

func writeSlide(t *testing.T, path string) {
	t.Helper()
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{Width: slideWidth, Height: slideHeight, MPP: [2]float64{0.5, 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	columns, rows := w.Tiles()
	for row := range rows {
		for column := range columns {
			at := w.Tile(column, row)
			var pix []uint8
			for y := at.Min.Y; y < at.Max.Y; y++ {
				for x := at.Min.X; x < at.Max.X; x++ {
					c := tissue(x, y)
					pix = append(pix, c.R, c.G, c.B)
				}
			}
			if err := w.WriteTile(column, row, pix); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

var runnable = regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)```\n")

// The examples with curl run as they are, one after the other in one shell, against a server at another address.
func TestServingExamples(t *testing.T) {
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the examples of serving.md can't run: %v", err)
		}
	}
	s, _ := served(t, nil)
	listening := httptest.NewServer(s)
	defer listening.Close()
	examples := runnable.FindAllStringSubmatch(documents(t)["docs/serving.md"], -1)
	if len(examples) < 5 {
		t.Fatalf("serving.md has %d examples that run", len(examples))
	}
	script := "set -euo pipefail\n"
	for _, m := range examples {
		script += m[1]
	}
	const address = "http://127.0.0.1:8080"
	if !strings.Contains(script, address) {
		t.Fatalf("the examples don't name the server's address, %s", address)
	}
	script = strings.ReplaceAll(script, address, listening.URL)
	if strings.Contains(script, ":8080") {
		t.Fatal("an example names another address")
	}
	folder := t.TempDir()
	writeImage(t, filepath.Join(folder, "image.png"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", script)
	command.Dir, command.Env = folder, append(os.Environ(), "HOME="+folder, "no_proxy=127.0.0.1")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for name, begin := range map[string]string{"stain.ome.tiff": "II", "stain.png": "\x89PNG", "tile.jpg": "\xff\xd8"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.HasPrefix(data, []byte(begin)) {
			t.Errorf("%s begins with %q", name, data[:min(len(data), 8)])
		}
	}
	if !bytes.Contains(output, []byte(`"state":"done"`)) {
		t.Errorf("no job was done:\n%s", output)
	}
}

func writeImage(t *testing.T, path string) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, slideWidth, slideHeight))
	for y := range slideHeight {
		for x := range slideWidth {
			m.SetRGBA(x, y, tissue(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	write(t, path, b.Bytes())
}

// What serving.md says of settings, metrics and files is so.
func TestServingNames(t *testing.T) {
	text := documents(t)["docs/serving.md"]
	s, _ := served(t, nil)
	listening := httptest.NewServer(s)
	defer listening.Close()
	var metrics bytes.Buffer
	for range 2 { // what is counted by route isn't there before the first request
		answer, err := http.Get(listening.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		metrics.Reset()
		if _, err := metrics.ReadFrom(answer.Body); err != nil {
			t.Fatal(err)
		}
	}
	reference := documents(t)["docs/configuration.md"]
	for _, m := range regexp.MustCompile("`(histdist_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
		if name := m[1]; !strings.Contains(metrics.String(), "# TYPE "+name+" ") {
			t.Errorf("serving.md names the metric %s, which the server doesn't have", name)
		}
	}
	for _, m := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(serverOptions(text), -1) {
		if !strings.Contains(reference, "`"+m+"`") {
			t.Errorf("serving.md names the option %s, which configuration.md doesn't have", m)
		}
	}
}

// serverOptions are the parts of a text that are about this program's options: inline code and commands of histdist.
func serverOptions(text string) string {
	var parts []string
	for _, m := range regexp.MustCompile("`(--[^`]+)`|(?m)^(?:ExecStart=\\S*|/usr/local/bin/|bin/)?histdist serve (.*)$").
		FindAllStringSubmatch(text, -1) {
		parts = append(parts, m[1]+m[2])
	}
	return strings.Join(parts, "\n")
}
