package option_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/option"
)

type inner struct {
	Level float64 `key:"level" want:"above 0, below 1"`
}

type checked struct {
	Any int `key:"any"`
}

func (checked) Validate() error { return option.Wrong("any", "never right") }

type options struct {
	Steps int     `json:"steps,omitempty" want:"2 to 1000" was:"iterations"`
	Share float64 `key:"share" want:"0 or more"`
	Kind  string  `key:"kind" want:"a, b or empty"`
	Seed  uint32  `key:"seed" want:"0 to 4294967295"`
	Other string
	inner
	Section inner   `key:"section"`
	Checked checked `key:"checked"`
}

func TestCheck(t *testing.T) {
	good := options{Steps: 2, inner: inner{0.5}, Section: inner{0.9}}
	for name, test := range map[string]struct {
		change func(o *options)
		want   []string
	}{
		"good": {func(*options) {}, nil},
		"bounds": {
			func(o *options) { o.Steps, o.Level, o.Section.Level = 1001, 0, 1 },
			[]string{"steps", "level", "section.level"},
		},
		"infinite": {func(o *options) { o.Share = math.Inf(1) }, []string{"share"}},
		"NaN":      {func(o *options) { o.Share = math.NaN() }, []string{"share"}},
		"texts":    {func(o *options) { o.Kind = "c" }, []string{"kind"}},
	} {
		o := good
		test.change(&o)
		var keys []string
		for _, err := range option.Split(option.Check(o)) {
			k := (*option.KeyError)(nil)
			if !errors.As(err, &k) {
				t.Fatal(err)
			}
			keys = append(keys, k.Key)
		}
		if diff := cmp.Diff(append(test.want, "checked.any"), keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFields(t *testing.T) {
	var got []string
	for _, f := range option.Fields(&options{}) {
		got = append(got, fmt.Sprint(f.Key, " ", f.Was, " ", f.Kind(), " ", f.Choices()))
	}
	want := []string{
		"steps iterations whole number []", "share  number []", "kind  text [a b]", "seed  whole number []",
		"level  number []", "section.level  number []", "checked.any  whole number []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
