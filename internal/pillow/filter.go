package pillow

import (
	"fmt"
	"math"
)

// Filter is a resampling filter, numbered as PIL.Image.Resampling and the "resample" of preprocessor_config.json.
type Filter int

// The filters. All but Nearest widen with the scale when an image shrinks, which keeps fine structures from aliasing.
const (
	Nearest Filter = iota
	Lanczos
	Bilinear
	Bicubic
	Box
	Hamming
)

// String returns the filter's name in lower case.
func (f Filter) String() string {
	names := [...]string{"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}
	if f < 0 || int(f) >= len(names) {
		return fmt.Sprintf("filter %d", int(f))
	}
	return names[f]
}

// kernel is a filter's weight at a distance from the centre in pixels of the coarser image, zero beyond support.
type kernel struct {
	at      func(x float64) float64
	support float64
}

// kernel returns the filter's kernel; false for Nearest.
func (f Filter) kernel() (kernel, bool) {
	switch f {
	case Lanczos:
		return kernel{lanczos, 3}, true
	case Bilinear:
		return kernel{bilinear, 1}, true
	case Bicubic:
		return kernel{bicubic, 2}, true
	case Box:
		return kernel{box, 0.5}, true
	case Hamming:
		return kernel{hamming, 1}, true
	default:
		return kernel{}, false
	}
}

// The kernels follow the order of operations in Pillow's Resample.c. The float64 conversions around products prevent
// fused multiply-adds, which round differently between processors. Lanczos and hamming need sines, which Go and C
// libraries may round differently in the last bit: that changes a 22-bit weight about once in 10⁹.

func box(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func bilinear(x float64) float64 {
	return max(1-math.Abs(x), 0)
}

func hamming(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x == 0:
		return 1
	case x >= 1:
		return 0
	}
	x *= math.Pi
	// Single-precision constants, as in Pillow.
	return math.Sin(x) / x * (float64(float32(0.54)) + float64(float64(float32(0.46))*math.Cos(x)))
}

// bicubic is Keys' cubic convolution with a = −0.5.
func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}

func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return sinc(x) * sinc(x/3)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}
