package clip_test

import (
	"encoding/json"
	"io/fs"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/internal/golden"
)

// example is a string of the golden file and what transformers makes of it.
type example struct {
	Text        string
	IDs         []int32
	Length      int
	Untruncated int
}

func examples(t testing.TB) []example {
	t.Helper()
	text, err := os.ReadFile(golden.Path(t, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Strings []example }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Strings) == 0 {
		t.Fatal("no strings in the golden tokenizer.json")
	}
	return file.Strings
}

func open(t testing.TB, folder string) *clip.Tokenizer {
	t.Helper()
	tokenizer, err := clip.OpenTokenizer(folder)
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

func TestTokenizerEqualsTransformers(t *testing.T) {
	tokenizer := open(t, filepath.Dir(golden.Path(t, "tiny/tokenizer/vocab.json")))
	for _, e := range examples(t) {
		got := tokenizer.Encode(e.Text)
		if diff := cmp.Diff(e.IDs, got); diff != "" {
			t.Errorf("%q (-transformers +ours):\n%s", e.Text, diff)
		}
		all := tokenizer.Tokens(e.Text)
		if len(all) != e.Untruncated {
			t.Errorf("%q: %d ids without padding, want %d", e.Text, len(all), e.Untruncated)
		}
		if n := min(len(all), tokenizer.Length()); n != e.Length || !slices.Equal(all[:n-1], e.IDs[:n-1]) {
			t.Errorf("%q: ids %v don't begin as those of length %d: %v", e.Text, all, e.Length, e.IDs)
		}
	}
}
