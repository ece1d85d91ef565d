package vm

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/histdist/histdist/graph/op"
)

// dumper writes a program under compilation as text, a line for each step:
//
//	3  %7 [2 7 5 16] exact = Conv2D{KH:3 KW:3 Bias:true} x conv_in.weight conv_in.bias  # net: conv_in
//
// Computed values are numbered in the order in which they were made; parameters and inputs have their names.
type dumper struct {
	w      io.Writer
	err    error
	live   bool    // once lifetimes are known
	calls  []*call // once there are kernels
	placed bool    // once the arena is there
}

func (d *dumper) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

func (d *dumper) graph(pass string, g *graph) {
	d.printf("== %s: %d steps\n", pass, len(g.steps))
	call := 0
	for i, s := range g.steps {
		d.printf("%4d  ", i)
		if s.prelude != nil {
			d.printf("(%s) ", s.prelude.name)
		}
		d.printf("%s = %s", d.declared(s.out), specText(s.spec))
		for _, v := range s.in {
			d.printf(" %s", v)
		}
		if !s.isView() {
			if d.calls != nil {
				d.call(d.calls[call])
			}
			call++
		}
		d.printf("  # %s\n", s.place)
	}
	d.printf("      return")
	for _, v := range g.outputs {
		d.printf(" %s", v)
	}
	d.printf("\n")
}

func (v *value) String() string {
	if v.producer == nil {
		return v.name
	}
	return fmt.Sprintf("%%%d", v.id)
}

// declared is a value with all that is known of it.
func (d *dumper) declared(v *value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v %v", v, []int(v.shape), v.dtype)
	switch l := v.lifetime; {
	case v.root != v:
		fmt.Fprintf(&b, " in %v+%d", v.root, v.offset)
	case !d.live:
	case l.kept:
		fmt.Fprintf(&b, " held %d-kept", l.first)
	case l.output:
		fmt.Fprintf(&b, " held %d-end", l.first)
	default:
		fmt.Fprintf(&b, " held %d-%d", l.first, l.last)
	}
	return b.String()
}

func (d *dumper) call(c *call) {
	if a := c.kernel.Algorithm(); a != "" {
		d.printf(" by %s", a)
	}
	if d.placed && c.out.at.space == arenaSpace {
		d.printf(" to arena+%d", c.out.at.offset)
	}
	if n := c.kernel.Workspace(); n > 0 {
		d.printf(" with %d bytes", n)
		if d.placed {
			d.printf(" at arena+%d", c.workspace.offset)
		}
	}
}

func (d *dumper) memory(m MemoryReport) {
	d.printf("arena %d bytes, at least %d; kernels %d; copies %d\n", m.Arena, m.LowerBound, m.Packed, m.Copies)
}

// specText is a Spec's name and its attributes that aren't zero.
func specText(s op.Spec) string {
	var parts []string
	var add func(v reflect.Value)
	add = func(v reflect.Value) {
		if v.Kind() != reflect.Struct {
			return
		}
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i)
			switch {
			case !name.IsExported() || f.IsZero():
			case name.Anonymous:
				add(f)
			default:
				parts = append(parts, fmt.Sprintf("%s:%v", name.Name, f))
			}
		}
	}
	add(reflect.ValueOf(s))
	if len(parts) == 0 {
		return op.Name(s)
	}
	return op.Name(s) + "{" + strings.Join(parts, " ") + "}"
}
