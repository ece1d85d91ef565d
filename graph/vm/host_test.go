package vm

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
)

// TestConvert has all that bfloat16 rounds in a special way, and more than one goroutine's share.
func TestConvert(t *testing.T) {
	n := 3 * stretch
	from, rounded, back := buffer(tensor.Shape{n}, device.Float32), buffer(tensor.Shape{n}, device.BFloat16),
		buffer(tensor.Shape{n}, device.Float32)
	rng := rand.New(rand.NewPCG(1, 2))
	x := device.Slice[float32](from.ptr, n)
	for i := range x {
		x[i] = math.Float32frombits(rng.Uint32()) // numbers of all sizes, infinities, and those that are none
	}
	copy(x, []float32{
		0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32,
		float32(math.NaN()), 1 + 0x1p-8, 1 + 3*0x1p-8,
	})
	convert(rounded, from)
	convert(back, rounded)
	for i, h := range device.Slice[uint16](rounded.ptr, n) {
		if want := device.ToBFloat16(x[i]); h != want {
			t.Fatalf("%g is rounded to %#x, want %#x", x[i], h, want)
		}
		if got, want := device.Slice[float32](back.ptr, n)[i],
			device.FromBFloat16(h); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("%#x is %g, want %g", h, got, want)
		}
	}
}

// BenchmarkConvert rounds the context of 16 images.
func BenchmarkConvert(b *testing.B) {
	shape := tensor.Shape{16, 197, 768}
	from, to := buffer(shape, device.Float32), buffer(shape, device.BFloat16)
	b.SetBytes(from.bytes + to.bytes)
	for b.Loop() {
		convert(to, from)
	}
}

// BenchmarkConvertByElement is what BenchmarkConvert was.
func BenchmarkConvertByElement(b *testing.B) {
	shape := tensor.Shape{16, 197, 768}
	from, to := buffer(shape, device.Float32), buffer(shape, device.BFloat16)
	b.SetBytes(from.bytes + to.bytes)
	for b.Loop() {
		for i := range shape.TotalSize() {
			to.set(i, from.at(i))
		}
	}
}
