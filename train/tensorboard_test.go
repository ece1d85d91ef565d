package train_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/train"
)

// records takes a TFRecord file apart and checks both checksums of each record.
func records(t *testing.T, text []byte) (list [][]byte) {
	t.Helper()
	check := func(data []byte, sum uint32) {
		t.Helper()
		c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
		if want := (c>>15 | c<<17) + 0xa282ead8; sum != want {
			t.Errorf("record %d: checksum %08x, want %08x", len(list), sum, want)
		}
	}
	for len(text) > 0 {
		if len(text) < 12 {
			t.Fatalf("record %d: %d bytes are left", len(list), len(text))
		}
		check(text[:8], binary.LittleEndian.Uint32(text[8:]))
		n := binary.LittleEndian.Uint64(text)
		if uint64(len(text)) < n+16 {
			t.Fatalf("record %d of %d bytes: %d are left", len(list), n, len(text))
		}
		data := text[12 : 12+n]
		check(data, binary.LittleEndian.Uint32(text[12+n:]))
		list = append(list, data)
		text = text[16+n:]
	}
	return list
}

// field is a field of a message: an integer, a fixed number's bits, or bytes.
type field struct {
	number, wire int
	value        uint64
	data         []byte
}

// message decodes the fields of a Protocol Buffers message.
func message(t *testing.T, text []byte) (list []field) {
	t.Helper()
	for len(text) > 0 {
		key, n := binary.Uvarint(text)
		if n <= 0 {
			t.Fatalf("no key in %x", text)
		}
		text = text[n:]
		f := field{number: int(key >> 3), wire: int(key & 7)}
		switch f.wire {
		case 0:
			f.value, n = binary.Uvarint(text)
		case 1:
			f.value, n = binary.LittleEndian.Uint64(text), 8
		case 2:
			var size uint64
			size, n = binary.Uvarint(text)
			f.data = text[n : n+int(size)]
			n += int(size)
		case 5:
			f.value, n = uint64(binary.LittleEndian.Uint32(text)), 4
		default:
			t.Fatalf("wire type %d", f.wire)
		}
		list, text = append(list, f), text[n:]
	}
	return list
}

// describe writes an event in short.
func describe(t *testing.T, event []byte) string {
	t.Helper()
	s := ""
	for _, f := range message(t, event) {
		switch f.number {
		case 1:
			if seconds := math.Float64frombits(f.value); seconds < 1.6e9 {
				t.Errorf("wall time %g", seconds)
			}
		case 2:
			s += fmt.Sprintf("step %d", f.value)
		case 3:
			s += " version " + string(f.data)
		case 7:
			s += fmt.Sprintf(" session %v", message(t, f.data)[0].value)
		case 5:
			for _, v := range message(t, f.data) {
				for _, f := range message(t, v.data) {
					switch f.number {
					case 1:
						s += " " + string(f.data)
					case 2:
						s += fmt.Sprintf("=%g", math.Float32frombits(uint32(f.value)))
					case 4:
						m := message(t, f.data)
						picture, err := png.Decode(bytes.NewReader(m[3].data))
						if err != nil {
							t.Fatal(err)
						}
						s += fmt.Sprintf("=%d×%d in %d: %v", m[1].value, m[0].value, m[2].value, picture.At(1, 0))
					}
				}
			}
		}
	}
	return s
}

func TestTensorBoard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	if kept := os.Getenv("HISTDIST_TENSORBOARD"); kept != "" { // to look at with TensorBoard itself
		dir = kept
	}
	b, err := train.NewTensorBoard(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, 3, 2))
	m.Set(1, 0, color.RGBA{R: 200, G: 100, B: 50, A: 255})
	for _, err := range []error{
		b.Observe(train.Start{}),
		b.Observe(train.Scores{Step: 1, Values: []train.Scalar{{Name: "train/loss", Value: 0.5}, {Name: "x", Value: -2}}}),
		b.Observe(train.Scores{Step: 300, Values: []train.Scalar{{Name: "train/loss", Value: math.Inf(1)}}}),
		b.Observe(train.Start{Step: 200}),
		b.Observe(train.Panel{Step: 201, Name: "panel", Image: m}),
		b.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files %v, %v", names, err)
	}
	var got []string
	for _, r := range records(t, mustRead(t, names[0])) {
		got = append(got, describe(t, r))
	}
	want := []string{
		"step 0 version brain.Event:2", "step 0 session 1", "step 1 train/loss=0.5 x=-2", "step 300 train/loss=+Inf",
		"step 201 session 1",
		"step 201 panel=3×2 in 3: {200 100 50 255}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
