package option_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/option"
)

func TestList(t *testing.T) {
	for text, want := range map[string]option.List{
		"":                                nil,
		"a":                               {"a"},
		option.Join("a b", "c,d"):         {"a b", "c,d"},
		option.Join("", "a", "", "b", ""): {"a", "b"},
	} {
		var got option.List
		if err := got.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
		again, err := got.MarshalText()
		if err != nil || string(again) != option.Join(want...) {
			t.Errorf("%q is written as %q, %v", text, again, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]struct {
		value   time.Duration
		written string
	}{
		"168h":   {168 * time.Hour, "168h"},
		"90s":    {90 * time.Second, "1m30s"},
		"15m":    {15 * time.Minute, "15m"},
		"1h0m5s": {time.Hour + 5*time.Second, "1h0m5s"},
		"20s":    {20 * time.Second, "20s"},
		"10h":    {10 * time.Hour, "10h"},
	} {
		var got option.Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want.value {
			t.Errorf("%q: %v, %v", text, time.Duration(got), err)
		}
		if written, err := got.MarshalText(); err != nil || string(written) != want.written {
			t.Errorf("%q is written as %q, %v; want %q", text, written, err, want.written)
		}
	}
	for _, text := range []string{"", "7", "0s", "-1h", "week"} {
		var d option.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
