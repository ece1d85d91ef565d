package devicetest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/ref"
	"github.com/histdist/histdist/graph/op"
)

// naive computes a case by the loops of naive_test.go; nil if it has none.
func naive(c testCase, data [][]float64) []float64 {
	switch s := c.spec.(type) {
	case op.Conv2D:
		return naiveConv(s, c.in, data)
	case op.ConvDataGrad:
		return naiveConvDataGrad(s, c.in, data)
	case op.ConvWeightGrad:
		return naiveConvWeightGrad(s, c.in, data)
	case op.Linear:
		return naiveLinear(s, c.in, data)
	case op.LinearDataGrad:
		return naiveLinearDataGrad(s, c.in, data)
	case op.LinearWeightGrad:
		return naiveLinearWeightGrad(c.in, data)
	case op.Attention:
		return naiveAttention(s, c.in, data)
	case op.AttentionGrad:
		return naiveAttentionGrad(s, c.in, data)
	case op.GroupNormStats:
		return naiveGroupNormStats(s, c.in[0], data[0])
	case op.GroupNorm:
		return naiveGroupNorm(s, c.in[0], data)
	case op.GroupNormGradSums:
		return naiveGroupNormGradSums(s, c.in[0], data)
	case op.GroupNormGradInput:
		return naiveGroupNormGradInput(s, c.in[0], data)
	}
	return nil
}

// TestOracle compares package ref in float64 with the definitions.
func TestOracle(t *testing.T) {
	d := newRef(t)
	for _, f := range families() {
		for name, draw := range f.odd {
			if c := rapid.Custom(draw).Example(1); naive(c, c.draw(device.Float64)) == nil {
				continue
			}
			t.Run(name, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					c := draw(t)
					in := c.draw(device.Float64)
					m := memory{device: d}
					got, err := m.execute(c, c.encode(in, device.Float64), variant{precision: device.Float64})
					if err := errors.Join(err, m.close()); err != nil {
						t.Fatalf("%v: %v", c, err)
					}
					want := []result{{encode(naive(c, in), device.Float64), device.Float64}}
					if err := c.compare(got, c.truth(in, want), device.Float64); err != nil {
						t.Fatalf("%v: %v", c, err)
					}
				})
			})
		}
	}
}

// TestCoverage demands a case and an odd case for every operation of graph/op but views, which have no kernel.
func TestCoverage(t *testing.T) {
	covered, odd := map[string]bool{}, map[string]bool{"Cast": true} // Cast has two forms, both among the cases
	for _, f := range families() {
		for _, c := range f.cases {
			covered[op.Name(c.spec)] = true
			if _, err := c.spec.Infer(c.in); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for _, draw := range f.odd {
			c := rapid.Custom(draw).Example(1)
			odd[op.Name(c.spec)] = true
		}
	}
	for _, name := range specs(t) {
		if name == "View" || name == "Pick" {
			continue
		}
		if !covered[name] {
			t.Errorf("%s: no case", name)
		}
		if !odd[name] {
			t.Errorf("%s: no odd case", name)
		}
	}
}

// specs lists the types of graph/op that have a method Infer, which are the operations.
func specs(t *testing.T) []string {
	files, err := filepath.Glob("../../../op/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of graph/op: %v", err)
	}
	var names []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Infer" {
				continue
			}
			if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				names = append(names, id.Name)
			}
		}
	}
	sort.Strings(names)
	return names
}

func newRef(t *testing.T) device.Device {
	d := ref.New()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
