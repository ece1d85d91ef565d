package golden

import (
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// A damaged file must give an error and never tensors that reach beyond it.
func FuzzParse(f *testing.F) {
	view, err := safetensors.NewTensorView(safetensors.F32, []uint64{2}, make([]byte, 8))
	if err != nil {
		f.Fatal(err)
	}
	buffer, err := safetensors.Serialize(map[string]safetensors.TensorView{"x": view}, map[string]string{"seed": "1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(buffer)
	f.Add(buffer[:len(buffer)-4])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, buffer []byte) {
		file, err := parse(buffer)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			elements := uint64(1)
			for _, n := range file.Shape(t, name) {
				elements *= uint64(n)
			}
			info := file.info(t, name)
			if raw := file.data[info.DataOffsets[0]:info.DataOffsets[1]]; uint64(len(raw)) != elements*info.DType.Size() {
				t.Errorf("tensor %q: %d bytes for shape %v of %s", name, len(raw), info.Shape, info.DType)
			}
		}
	})
}
