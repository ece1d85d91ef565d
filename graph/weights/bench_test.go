package weights_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/formula"
)

// gigabyte makes parameters of a gigabyte in float32, of the U-Net's kinds and about in its proportions.
func gigabyte(b *testing.B) gorgonia.Nodes {
	b.Helper()
	s := op.NewScope("network")
	for i := range 9 {
		r := s.Sub(strconv.Itoa(i))
		r.Param("conv1.weight", 3, 3, 1280, 1280)
		r.Param("conv1.bias", 1280)
		r.Param("proj_in.weight", 1, 1, 1280, 1280)
		r.Param("ff.weight", 5120, 1280)
		r.Param("attn.weight", 1280, 1280)
		r.Param("small.weight", 3, 3, 320, 320)
		r.Param("norm.weight", 1280)
	}
	check(b, s.Err())
	return s.Params()
}

func bytesOf(params gorgonia.Nodes) (n int64) {
	for _, p := range params {
		n += 4 * int64(p.Shape().TotalSize())
	}
	return n
}

// BenchmarkLoad opens and binds a gigabyte of parameters that is in the page cache, and saves it; MB/s count float32.
func BenchmarkLoad(b *testing.B) {
	params := gigabyte(b)
	m, err := formula.Weights{Gain: 1}.Bind(params)
	check(b, err)
	tensors, err := weights.FromParams(params)
	check(b, err)
	for _, dtype := range []weights.DType{weights.Float32, weights.Float16, weights.BFloat16} {
		path := filepath.Join(b.TempDir(), "model.safetensors")
		check(b, weights.Save(path, tensors, weights.SaveOptions{DType: dtype}))
		b.Run(fmt.Sprintf("save/%v", dtype), func(b *testing.B) {
			b.SetBytes(bytesOf(params))
			for b.Loop() {
				check(b, weights.Save(path, tensors, weights.SaveOptions{DType: dtype}))
			}
		})
		b.Run(fmt.Sprintf("open/%v", dtype), func(b *testing.B) {
			for b.Loop() {
				s, err := weights.Open(path, weights.Options{})
				check(b, err)
				check(b, s.Close())
			}
		})
		b.Run(fmt.Sprintf("bind/%v", dtype), func(b *testing.B) {
			params := gigabyte(b)
			b.SetBytes(bytesOf(params))
			for b.Loop() {
				s, err := weights.Open(path, weights.Options{})
				check(b, err)
				check(b, s.Bind(params, weights.Mapping{}))
				check(b, s.Close())
			}
		})
	}
	check(b, m.Close())
}
