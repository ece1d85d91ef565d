package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"
)

// A header never leads beyond the file, and where the library accepts the file too it says the same.
func FuzzSafetensors(f *testing.F) {
	view, err := safetensors.NewTensorView(safetensors.F32, []uint64{2, 1}, make([]byte, 8))
	if err != nil {
		f.Fatal(err)
	}
	half, err := safetensors.NewTensorView(safetensors.F16, []uint64{3}, make([]byte, 6))
	if err != nil {
		f.Fatal(err)
	}
	b, err := safetensors.Serialize(map[string]safetensors.TensorView{"x": view, "y": half},
		map[string]string{"format": "pt"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, _, err := parseSafetensors(b)
		if err != nil {
			return
		}
		checkTensors(t, b, tensors)
		library, err := safetensors.Deserialize(b)
		if err != nil { // it refuses fields that it doesn't know
			return
		}
		for _, x := range tensors {
			want, ok := library.Tensor(x.name)
			if !ok || want.DType() != x.dtype || !bytes.Equal(want.Data(), x.data) {
				t.Errorf("tensor %q: %v %v of %d bytes, not as the library reads it", x.name, x.dtype, x.shape, len(x.data))
			}
		}
		if library.Len() != len(tensors) {
			t.Errorf("%d tensors, the library has %d", len(tensors), library.Len())
		}
	})
}

// checkTensors reads all values, which must lie in the file.
func checkTensors(t *testing.T, file []byte, tensors []*stored) {
	t.Helper()
	for _, x := range tensors {
		d := x.dense()
		if n := elements(x.shape) * int(x.dtype.Size()); len(d) != n || n > len(file) {
			t.Errorf("tensor %q: %d bytes for %v of %v in a file of %d", x.name, len(d), x.shape, x.dtype, len(file))
		}
		if isFloat(x.dtype) {
			decode(make([]float32, elements(x.shape)), d, x.dtype)
		}
	}
}

// pickled is a pickle of {"a": tensor} with float32 elements in storage 0, as torch.save writes it.
func pickled(elements, offset byte, shape, strides []byte) []byte {
	var b bytes.Buffer
	text := func(s string) {
		b.WriteByte('X')
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
		b.WriteString(s)
	}
	numbers := func(list []byte) {
		b.WriteByte('(')
		for _, n := range list {
			b.Write([]byte{'K', n})
		}
		b.WriteByte('t')
	}
	b.WriteString("\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(")
	text("a")
	b.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
	text("storage")
	b.WriteString("ctorch\nFloatStorage\n")
	text("0")
	text("cpu")
	b.Write([]byte{'K', elements, 't', 'Q', 'K', offset})
	numbers(shape)
	numbers(strides)
	b.WriteString("\x89h\x00)RtRu}")
	text("_metadata")
	b.WriteString("h\x00)Rsb.")
	return b.Bytes()
}

// zipped is a file of torch.save.
func zipped(t testing.TB, pickle []byte, storage []byte, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, data := range map[string][]byte{"m/data.pkl": pickle, "m/byteorder": []byte("little"), "m/data/0": storage} {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = e.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// legacy is a file of torch.save before torch 1.6 with one storage.
func legacy(pickle []byte, key string, storage []byte) []byte {
	b := append(slices.Clone(legacyMagic), "\x80\x02M\xe9\x03.\x80\x02}U\x0dlittle_endian\x88s."...)
	b = append(append(b, pickle...), "\x80\x02](U"...)
	b = append(append(append(b, byte(len(key))), key...), "e."...)
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(storage)/4)), storage...)
}

// A file of torch.save never leads beyond the file.
func FuzzTorch(f *testing.F) {
	for _, p := range [][]byte{
		pickled(6, 0, []byte{2, 3}, []byte{3, 1}), pickled(6, 1, []byte{3, 1}, []byte{2, 9}),
		pickled(6, 0, []byte{5, 2}, []byte{0, 1}),
	} {
		f.Add(zipped(f, p, make([]byte, 24), zip.Store))
	}
	f.Add(zipped(f, pickled(6, 0, nil, nil), make([]byte, 24), zip.Deflate))
	f.Add(append(slices.Clone(legacyMagic), "\x80\x02M\xe9\x03."...))
	f.Add(legacy(pickled(6, 0, []byte{2, 3}, []byte{3, 1}), "0", make([]byte, 24)))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, _, err := parseTorch(b)
		if err == nil {
			checkTensors(t, b, tensors)
		}
	})
}

// A pickle makes plain values or an error, whatever its instructions are.
func FuzzPickle(f *testing.F) {
	f.Add(pickled(6, 0, []byte{2, 3}, []byte{3, 1}))
	f.Add([]byte("\x80\x02]q\x00(K\x01G\x3f\xf0\x00\x00\x00\x00\x00\x00e\x8a\x02\xff\xff\x86."))
	f.Add([]byte("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := unpickle(b)
		if err != nil {
			return
		}
		if named, err := stateDict(v); err == nil {
			a := &container{bytes: b, storage: func(string) ([]byte, error) { return nil, errors.New("none") }}
			for _, x := range named {
				if _, _, err := a.tensor(x); err == nil {
					t.Error("a tensor without a storage")
				}
			}
		}
	})
}

// An index names nothing but files next to it.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata": {"total_size": 4},
		"weight_map": {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}}`))
	f.Add([]byte(`{"weight_map": {"x": "../model.safetensors"}}`))
	f.Add([]byte(`{"weight_map": {"x": null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		shards, err := parseIndex(b)
		if err != nil {
			return
		}
		for _, s := range shards {
			if strings.ContainsAny(s.file, "/\\") || s.file == ".." || len(s.tensors) == 0 {
				t.Errorf("shard %q of %d tensors", s.file, len(s.tensors))
			}
		}
	})
}

// The seeds of the fuzz targets are what they are meant to be.
func TestPickle(t *testing.T) {
	tensors, _, err := parseTorch(zipped(t, pickled(6, 1, []byte{2, 2}, []byte{2, 1}),
		bytesOf([]float32{0, 1, 2, 3, 4, 5}), zip.Store))
	if err != nil || len(tensors) != 1 {
		t.Fatalf("%d tensors, %v", len(tensors), err)
	}
	got := make([]float32, 4)
	decode(got, tensors[0].dense(), tensors[0].dtype)
	if diff := cmp.Diff([]float32{1, 2, 3, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for text, want := range map[string]any{
		"\x80\x02\x8a\x00.": 0, "\x80\x02\x8a\x01\xfe.": -2, "\x80\x02J\xfe\xff\xff\xff.": -2, "\x80\x02M\x00\x01.": 256,
		"\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.":     -1 << 63,
		"\x80\x02\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\x00.": 1<<63 - 1,
		"\x80\x02\x88.": true, "\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00.": 1.5, "\x80\x02U\x02ab.": "ab",
	} {
		if got, err := unpickle([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"\x80\x04.": "protocol 4",
		"\x80\x02\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00.": "64 bits",
		"\x80\x02(.":           "mark",
		"\x80\x02h\x01.":       "never remembered",
		"\x80\x02q\x01.":       "empty stack",
		"\x80\x02N(K\x01e.":    "no list",
		"\x80\x02N(K\x01u.":    "no dictionary",
		"\x80\x02}(K\x01u.":    "without values",
		"\x80\x02NNR.":         "tuple",
		"\x80\x02N)R.":         "no function",
		"\x80\x02t.":           "no mark",
		"\x80\x02i":            "0x69",
		"\x80\x02csys\nexit\n": `"exit"`,
		"\x80\x02" + strings.Repeat("N", maxPushes+1): "values",
	} {
		if _, err := unpickle([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := unpickle([]byte("\x80\x02(K\x01")); !errors.Is(err, errPickleEnd) {
		t.Errorf("error %v, want %v", err, errPickleEnd)
	}
}

// The old format: what it holds, and what is wrong with it.
func TestLegacy(t *testing.T) {
	good, six := pickled(6, 1, []byte{2, 2}, []byte{2, 1}), bytesOf([]float32{0, 1, 2, 3, 4, 5})
	file := legacy(good, "0", six)
	tensors, _, err := parseTorch(file)
	if err != nil || len(tensors) != 1 {
		t.Fatalf("%d tensors, %v", len(tensors), err)
	}
	got := make([]float32, 4)
	decode(got, tensors[0].dense(), tensors[0].dtype)
	if diff := cmp.Diff([]float32{1, 2, 3, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, bad := range map[string][]byte{
		`storage "0" of 6 elements reaches beyond the end`:   file[:len(file)-1],
		`it ends before storage "0"`:                         file[:len(file)-len(six)-1],
		`storage 1 is listed twice, or no tensor has it`:     legacy(good, "1", six),
		`its storage has 6 elements, but there are 20 bytes`: legacy(good, "0", six[:20]),
		`protocol 1000, want 1001`:                           bytes.Replace(file, []byte("M\xe9\x03"), []byte("M\xe8\x03"), 1),
		`byte order big`:                                     bytes.Replace(file, []byte("endian\x88"), []byte("endian\x89"), 1),
		`list of storages: pickle: it ends early`:            file[:bytes.Index(file, []byte("](U"))+2],
		// A list of a list of a list … twice each would take for ever.
		`values within values beyond measure`: legacy([]byte("\x80\x02N"+strings.Repeat("q\x00h\x00\x86", 40)+"."), "0", six),
	} {
		if _, _, err := parseTorch(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// The memory for a header is bounded by its length, whatever it says.
func TestHeaderMemory(t *testing.T) {
	for name, text := range map[string]string{
		"a shape of a million": `{"x":{"dtype":"F32","shape":[` + strings.Repeat("1,", 1<<20) + `1],"data_offsets":[0,4]}}`,
		"a huge tensor":        `{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}` + strings.Repeat(" ", 1<<16),
		"a huge offset":        `{"x":{"dtype":"F32","shape":[1],"data_offsets":[4398046511104,4398046511108]}}` + strings.Repeat(" ", 1<<16),
	} {
		file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
		file = append(append(file, text...), 0, 0, 0, 0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := parseSafetensors(file)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(8*len(file)) {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, got, len(file))
		}
	}
}
