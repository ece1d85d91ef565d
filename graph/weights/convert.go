package weights

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/nlpodyssey/safetensors"

	"github.com/histdist/histdist/graph/device"
)

// isFloat reports whether values of a type can be parameters.
func isFloat(t safetensors.DType) bool {
	switch t {
	case safetensors.F32, safetensors.F16, safetensors.BF16, safetensors.F64:
		return true
	}
	return false
}

// decode reads len(dst) elements of a floating-point type.
func decode(dst []float32, src []byte, t safetensors.DType) {
	switch t {
	case safetensors.F32:
		copy(bytesOf(dst), src)
	case safetensors.BF16:
		src = src[:2*len(dst)]
		for i := range dst {
			dst[i] = device.FromBFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case safetensors.F16:
		src = src[:2*len(dst)]
		for i := range dst {
			dst[i] = fromFloat16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case safetensors.F64:
		src = src[:8*len(dst)]
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
}

// encode writes src as a type and returns the index of the first finite element that became infinite, else -1.
func encode(dst []byte, src []float32, t DType) int {
	overflow := -1
	switch t {
	case Float32:
		copy(dst, bytesOf(src))
	case BFloat16:
		for i, f := range src {
			h := device.ToBFloat16(f)
			if h&0x7fff == 0x7f80 && overflow < 0 && !math.IsInf(float64(f), 0) {
				overflow = i
			}
			binary.LittleEndian.PutUint16(dst[2*i:], h)
		}
	case Float16:
		for i, f := range src {
			h := toFloat16(f)
			if h&0x7fff == 0x7c00 && overflow < 0 && !math.IsInf(float64(f), 0) {
				overflow = i
			}
			binary.LittleEndian.PutUint16(dst[2*i:], h)
		}
	}
	return overflow
}

func fromFloat16(h uint16) float32 {
	// The exponent's bias is 127 instead of 15, which holds for subnormal numbers too.
	f := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	if f >= 65536 { // infinity or NaN
		f = math.Float32frombits(math.Float32bits(f) | 0x7f800000)
	}
	return math.Float32frombits(math.Float32bits(f) | uint32(h&0x8000)<<16)
}

// toFloat16 rounds to nearest even; from 65520 on that is infinity.
func toFloat16(f float32) uint16 {
	u := math.Float32bits(f)
	sign, u := uint16(u>>16)&0x8000, u&0x7fffffff
	switch {
	case u > 0x7f800000: // NaN
		return sign | 0x7e00 | uint16(u>>13)&0x3ff
	case u >= 0x477ff000:
		return sign | 0x7c00
	case u < 0x38800000: // subnormal: next to 0.5 the last bit is worth 2⁻²⁴
		return sign | uint16(math.Float32bits(math.Float32frombits(u)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((u-112<<23+0xfff+u>>13&1)>>13)
}

// bytesOf views floats as the bytes that files have: little-endian, as all machines are that this program runs on.
func bytesOf(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// floatsOf views aligned bytes as floats.
func floatsOf(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func isAligned(b []byte) bool { return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4 == 0 }
