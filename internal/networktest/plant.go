package networktest

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// Plant changes one value of a float32 tensor in a .safetensors file: damage that weights.Save refuses to write.
func Plant(t testing.TB, path, tensor string, index int, value float32) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body := 8 + binary.LittleEndian.Uint64(file)
	var header map[string]struct {
		DType   string    `json:"dtype"`
		Offsets [2]uint64 `json:"data_offsets"`
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(file[8:body], &keys); err != nil {
		t.Fatal(err)
	}
	delete(keys, "__metadata__")
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	at, ok := header[tensor]
	if !ok || at.DType != "F32" {
		t.Fatalf("%s: tensor %q of type %q: want one of F32", path, tensor, at.DType)
	}
	binary.LittleEndian.PutUint32(file[body+at.Offsets[0]+4*uint64(index):], math.Float32bits(value))
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
}
