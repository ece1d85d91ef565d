package devicetest

import (
	"encoding/binary"
	"math"

	"github.com/histdist/histdist/graph/device"
)

// encode stores numbers as an element type, rounded to nearest, ties to even.
func encode(x []float64, t device.DType) []byte {
	b := make([]byte, 0, int64(len(x))*t.Size())
	for _, v := range x {
		switch t {
		case device.Float32:
			b = binary.NativeEndian.AppendUint32(b, math.Float32bits(float32(v)))
		case device.BFloat16:
			b = binary.NativeEndian.AppendUint16(b, bfloat16(float32(v)))
		case device.Float64:
			b = binary.NativeEndian.AppendUint64(b, math.Float64bits(v))
		case device.Int32:
			b = binary.NativeEndian.AppendUint32(b, uint32(int32(v)))
		}
	}
	return b
}

// decode is the inverse of encode.
func decode(b []byte, t device.DType) []float64 {
	size := int(t.Size())
	x := make([]float64, len(b)/size)
	for i := range x {
		e := b[i*size:]
		switch t {
		case device.Float32:
			x[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(e)))
		case device.BFloat16:
			x[i] = float64(math.Float32frombits(uint32(binary.NativeEndian.Uint16(e)) << 16))
		case device.Float64:
			x[i] = math.Float64frombits(binary.NativeEndian.Uint64(e))
		case device.Int32:
			x[i] = float64(int32(binary.NativeEndian.Uint32(e)))
		}
	}
	return x
}

// bfloat16 is the upper half of a finite float32, rounded to nearest, ties to even.
func bfloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
