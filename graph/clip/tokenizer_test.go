package clip_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/internal/golden"
)

func TestTokenizerEqualsTransformers(t *testing.T) {
	text, err := os.ReadFile(golden.Path(t, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Strings []struct {
			Text                string
			IDs                 []int32
			Length, Untruncated int
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Strings) == 0 {
		t.Fatal("no strings")
	}
	tokenizer := open(t, filepath.Dir(golden.Path(t, "tiny/tokenizer/vocab.json")))
	for _, s := range file.Strings {
		if diff := cmp.Diff(s.IDs, tokenizer.Encode(s.Text)); diff != "" {
			t.Errorf("%q (-transformers +ours):\n%s", s.Text, diff)
		}
		all := tokenizer.Tokens(s.Text)
		if n := min(len(all), tokenizer.Length()); len(all) != s.Untruncated || n != s.Length {
			t.Errorf("%q: %d ids, %d of them kept, want %d and %d", s.Text, len(all), n, s.Untruncated, s.Length)
		}
	}
}

func open(t testing.TB, folder string) *clip.Tokenizer {
	t.Helper()
	tokenizer, err := clip.OpenTokenizer(folder)
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

// The ids of the spelling tokenizer: a byte is its own id, 256 more at the end of a word.
const (
	wordEnd     = 256
	start, end  = 512, 513
	spellingIDs = 514
)

// letters are how CLIP's vocabulary writes the bytes: printable ones of Latin-1 as they are, the others from U+0100.
func letters() []string {
	all, next := make([]string, 256), rune(256)
	for b := range all {
		r := rune(b)
		if b < '!' || b > '~' && b < 0xA1 || b == 0xAD {
			r = next
			next++
		}
		all[b] = string(r)
	}
	return all
}

// spelling are the files of a tokenizer whose tokens are bytes, and pairs of them as merges says.
func spelling(t testing.TB, merges ...string) map[string]string {
	vocabulary := map[string]int{"<|startoftext|>": start, "<|endoftext|>": end}
	for b, letter := range letters() {
		vocabulary[letter], vocabulary[letter+"</w>"] = b, b+wordEnd
	}
	for i, pair := range merges {
		vocabulary[strings.ReplaceAll(pair, " ", "")] = spellingIDs + i
	}
	text, err := json.Marshal(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"vocab.json": string(text),
		"merges.txt": strings.Join(append([]string{"#version: 0.2"}, merges...), "\n") + "\n",
	}
}

// folder writes files into a new folder.
func folder(t testing.TB, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// spell writes the ids of the spelling tokenizer as words.
func spell(ids []int32) string {
	var words []string
	var word []byte
	for _, id := range ids[1 : len(ids)-1] {
		switch {
		case id == start:
			words = append(words, "<|startoftext|>")
		case id == end:
			words = append(words, "<|endoftext|>")
		case id >= wordEnd:
			words, word = append(words, string(append(word, byte(id)))), nil
		default:
			word = append(word, byte(id))
		}
	}
	return strings.Join(words, "|")
}

// TestWords has the words that transformers 4.48.3 makes on Python 3.11 without ftfy: BasicTokenizer, then
// CLIPTokenizer's pattern.
func TestWords(t *testing.T) {
	tokenizer := open(t, folder(t, spelling(t)))
	marks := func(n int, mark string) string { return strings.Repeat(mark, n) }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", " \t\n", ""},
		{"case", "H&E \u0130i \u1e9e", "h|&|e|i|\u0307|i|\u00df"},
		{"final sigma", "ΣΑΣ ΑΣ. ΑΣ'Α Σ", "σας|ας|.|ασ|'|α|σ"},
		{"contractions", "it's IT'S they'll 'sx '\u017f '", "it|'s|it|'s|they|'ll|'s|x|'\u017f|'"},
		{"apostrophe after others", "!'s", "!'|s"},
		{"digits alone", "12\u00bd\u2163", "1|2|\u00bd|\u2173"},
		{"controls", "a\x00b\x07c\x7f\u200bd\ufeffe\u00adf\ufffd", "abcdef"},
		{"not UTF-8", "a\xffb\xc3", "ab"},
		{"white space", "a\u00a0b\u3000c\u2028d\u2029e\u0085f\vg", "a|b|c|d|efg"},
		{"Chinese characters", "a漢字b\uf900\U00020000", "a|漢|字|b|\u8c48|\U00020000"},
		{"composed", "e\u0301 a\u0302\u0323 \u1100\u1161\u11a8 \u2126 \u0958 \u0344", "\u00e9|\u1ead|\uac01|\u03c9|\u0915|\u093c|\u0308\u0301"},
		{"more marks than norm takes", "e" + marks(40, "\u0301") + "x", "\u00e9|" + marks(39, "\u0301") + "|x"},
		{"marks out of order", "a" + marks(20, "\u0301") + marks(20, "\u0323"), "\u1ea1|" + marks(19, "\u0323") + marks(20, "\u0301")},
		{"ypogegrammeni", "!\u0345! \u0345 α\u0345", "!|!|\u1fb3"},
		{"special", "a<|endoftext|>b<|startoftext|>", "a|<|endoftext|>|b|<|startoftext|>"},
		{"special in another case", "<|ENDOFTEXT|> <|\u017ftartoftext|> <|endof\x00text|>", "<|endoftext|>|<|\u017ftartoftext|>|<|endoftext|>"},
		{"newer than Unicode 14", "a\U0001f6dcb\U00011f02c", "abc"},
		{"emoji", "\U0001f469\u200d\U0001f52c\U0001f52ca\U0001f642b", "\U0001f469\U0001f52c\U0001f52c|a|\U0001f642|b"},
		{"private", "a\ue000b\U000f0000c", "abc"},
	} {
		if got := spell(tokenizer.Tokens(c.text)); got != c.want {
			t.Errorf("%s: %+q: %+q, want %+q", c.name, c.text, got, c.want)
		}
	}
}

func TestPairsJoinInTheOrderLearnt(t *testing.T) {
	const ab, bc, aa, abc = spellingIDs, spellingIDs + 1, spellingIDs + 2, spellingIDs + 3
	tokenizer := open(t, folder(t, spelling(t, "b c</w>", "a b", "a a", "a bc</w>")))
	for text, want := range map[string][]int32{
		"abc":   {abc},
		"abcd":  {bc, 'c', 'd' + wordEnd},
		"aaaab": {aa, aa, 'b' + wordEnd}, // "b</w>" is not "b"
		"aaaaa": {aa, aa, 'a' + wordEnd},
		"a":     {'a' + wordEnd},
		"bc a":  {ab, 'a' + wordEnd},
		"bcabc": {'b', 'c', abc},
	} {
		ids := tokenizer.Tokens(text)
		if diff := cmp.Diff(want, ids[1:len(ids)-1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestSettings(t *testing.T) {
	legacy := map[string]string{
		"tokenizer_config.json":   `{"model_max_length": 9, "pad_token": "<|endoftext|>", "bos_token": {"__type": "AddedToken", "content": "<|startoftext|>", "lstrip": false}}`,
		"special_tokens_map.json": `{"pad_token": "!", "unk_token": {"content": "?"}}`,
		"added_tokens.json":       `{"<new>": 900}`,
	}
	for _, c := range []struct {
		name   string
		files  map[string]string
		vocab  int
		text   string
		padded []int32
	}{
		{"none", nil, spellingIDs, strings.Repeat("a", 74), slices.Concat([]int32{start}, slices.Repeat([]int32{'a'}, 73), []int32{'a' + wordEnd, end, end})},
		{"too long", map[string]string{"tokenizer_config.json": `{"model_max_length": 4}`}, spellingIDs, "abcdef", []int32{start, 'a', 'b', end}},
		{"length not known", map[string]string{"tokenizer_config.json": `{"model_max_length": 1000000000000000019884624838656}`}, spellingIDs, "", slices.Concat([]int32{start}, slices.Repeat([]int32{end}, 76))},
		// The padding splits words as every special token does, and is not at a word's end.
		{"legacy", legacy, 901, "a!b<new>", []int32{start, 'a' + wordEnd, '!', 'b' + wordEnd, 900, end, '!', '!', '!'}},
		{"a list of added tokens goes before", map[string]string{
			"tokenizer_config.json":   `{"model_max_length": 6, "pad_token": "x", "added_tokens_decoder": {"700": {"content": "x"}, "701": {"content": "xx"}}}`,
			"special_tokens_map.json": legacy["special_tokens_map.json"],
			"added_tokens.json":       legacy["added_tokens.json"],
		}, 702, "xxx", []int32{start, 701, 700, end, 700, 700}},
		{"additional", map[string]string{
			"tokenizer_config.json":   `{"model_max_length": 6, "additional_special_tokens": ["a"]}`,
			"special_tokens_map.json": `{"additional_special_tokens": ["b"]}`,
		}, spellingIDs, "abc", []int32{start, 'a', 'b', 'c' + wordEnd, end, end}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := spelling(t)
			for name, text := range c.files {
				files[name] = text
			}
			tokenizer := open(t, folder(t, files))
			if diff := cmp.Diff(c.padded, tokenizer.Encode(c.text)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.text, diff)
			}
			if tokenizer.Length() != len(c.padded) || tokenizer.VocabSize() != c.vocab {
				t.Errorf("length %d, vocabulary of %d, want %d and %d", tokenizer.Length(), tokenizer.VocabSize(), len(c.padded),
					c.vocab)
			}
		})
	}
}

// TestTokenizerJSON: the same ids from tokenizer.json alone, with merges as lines and as pairs.
func TestTokenizerJSON(t *testing.T) {
	files := spelling(t, "a b", "ab c</w>")
	want := open(t, folder(t, files))
	for _, merges := range []string{`["a b", "ab c</w>"]`, `[["a", "b"], ["ab", "c</w>"]]`} {
		text := `{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "continuing_subword_prefix": "",
			"vocab": ` + files["vocab.json"] + `, "merges": ` + merges + `},
			"added_tokens": [{"id": 512, "content": "<|startoftext|>", "lstrip": false}, {"id": 800, "content": "<new>"}]}`
		tokenizer := open(t, folder(t, map[string]string{"tokenizer.json": text}))
		if diff := cmp.Diff(want.Encode("abc abd"), tokenizer.Encode("abc abd")); diff != "" {
			t.Errorf("%s (-vocab.json +tokenizer.json):\n%s", merges, diff)
		}
		if diff := cmp.Diff([]int32{start, 'a' + wordEnd, 800, end}, tokenizer.Tokens("a<new>")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", merges, diff)
		}
	}
}

func TestOpenTokenizerRefuses(t *testing.T) {
	good := spelling(t)
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		file, text, want string
	}{
		{"vocab.json", "", "vocab.json: want an object of tokens and their ids: unexpected end"},
		{"vocab.json", "[]", "vocab.json: want an object of tokens and their ids: json: cannot unmarshal array"},
		{"vocab.json", "{}", "vocab.json: no tokens"},
		{"vocab.json", `{"a": -1}`, `vocab.json: token "a" has the id -1, want 0 or more`},
		{"vocab.json", `{"a": 1.5}`, "vocab.json: want an object of tokens and their ids: json: cannot unmarshal number 1.5"},
		{"vocab.json", `{"a": 1}`, `: the special token "<|startoftext|>" has no id: it is neither in the vocabulary nor an added token`},
		{"merges.txt", "", `merges.txt: line 1: "": want #version`},
		{"merges.txt", "a b\n", `merges.txt: line 1: "a b": want #version`},
		{"merges.txt", "#version: 0.2\na b\na\n", `merges.txt: line 3: "a": want two symbols`},
		{"merges.txt", "#version: 0.2\na b " + long, `merges.txt: line 2: "a b xxx`},
		{"merges.txt", "#version: 0.2\n\xff a", "merges.txt: not UTF-8 text"},
		{"tokenizer_config.json", "{", "tokenizer_config.json: not a JSON object: unexpected end of JSON input"},
		{"tokenizer_config.json", `{"tokenizer_class": "T5Tokenizer"}`, `tokenizer_config.json: tokenizer_class: "T5Tokenizer" is not supported`},
		{"tokenizer_config.json", `{"padding_side": "left"}`, `tokenizer_config.json: padding_side: "left" is not supported: want "right"`},
		{"tokenizer_config.json", `{"model_max_length": 1}`, "tokenizer_config.json: model_max_length: 1: want a whole number from 2 to 65536"},
		{"tokenizer_config.json", `{"model_max_length": 7.5}`, "tokenizer_config.json: model_max_length: 7.5: want a whole number"},
		{"tokenizer_config.json", `{"model_max_length": 1e29}`, "tokenizer_config.json: model_max_length: 1e+29: want a whole number"},
		{"tokenizer_config.json", `{"pad_token": "[PAD]"}`, `: the special token "[PAD]" has no id`},
		{"tokenizer_config.json", `{"pad_token": ""}`, `tokenizer_config.json: token "" has no content`},
		{"tokenizer_config.json", `{"pad_token": 5}`, "tokenizer_config.json: token 5: want a text or an object"},
		{"tokenizer_config.json", `{"pad_token": {"content": "!", "lstrip": true}}`, `tokenizer_config.json: token "!": lstrip, rstrip and single_word are not supported`},
		{"tokenizer_config.json", `{"added_tokens_decoder": {"5": null}}`, `tokenizer_config.json: added_tokens_decoder: token "" with the id 5: want a text`},
		{"tokenizer_config.json", `{"added_tokens_decoder": {"-5": "a"}}`, `tokenizer_config.json: added_tokens_decoder: token "a" with the id -5: want a text and an id of 0 or more`},
		{"special_tokens_map.json", "7", "special_tokens_map.json: json: cannot unmarshal number"},
		{"added_tokens.json", `["a"]`, "added_tokens.json: want an object of tokens and their ids"},
		{"tokenizer.json", `{"added_tokens": [{"id": 3}]}`, `tokenizer.json: token {"id": 3} has no content`},
	} {
		files := map[string]string{"vocab.json": good["vocab.json"], "merges.txt": good["merges.txt"]}
		files[c.file] = c.text
		dir := folder(t, files)
		_, err := clip.OpenTokenizer(dir)
		if err == nil || !strings.HasPrefix(err.Error(), dir) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want … %s", c.file, c.text, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an empty folder": {nil, "no tokenizer: want vocab.json and merges.txt, or tokenizer.json"},
		"no merges":       {map[string]string{"vocab.json": "{}", "tokenizer.json": "{}"}, "merges.txt"},
		"no vocabulary":   {map[string]string{"merges.txt": "#version"}, "vocab.json"},
	} {
		_, err := clip.OpenTokenizer(folder(t, c.files))
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want fs.ErrNotExist and %s", name, err, c.want)
		}
	}
	for text, want := range map[string]string{
		`{"model": {"type": "WordPiece"}}`:                                                             "tokenizer.json: model: want CLIP's: type BPE, end_of_word_suffix </w>",
		`{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {}}}`:                        "tokenizer.json: model: vocab: no tokens",
		`{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"a": 1}, "merges": [5]}}`:   "tokenizer.json: merge 5: want two symbols",
		`{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"a": 1}, "merges": ["a"]}}`: `tokenizer.json: merge "a": want two symbols`,
	} {
		if _, err := clip.OpenTokenizer(folder(t, map[string]string{"tokenizer.json": text})); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want … %s", text, err, want)
		}
	}
}

func TestTokenizerProperties(t *testing.T) {
	tokenizer := open(t, folder(t, spelling(t, "a b", "e r</w>")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		checkIDs(t, tokenizer, a)
		plain := func(text string) []int32 { ids := tokenizer.Tokens(text); return ids[1 : len(ids)-1] }
		if diff := cmp.Diff(slices.Concat(plain(a), []int32{end}, plain(b)), plain(a+"<|endoftext|>"+b)); diff != "" {
			t.Errorf("a special token changes its neighbours (-alone +together):\n%s", diff)
		}
		if diff := cmp.Diff(plain(norm.NFC.String(a)), plain(norm.NFD.String(a))); diff != "" {
			t.Errorf("equivalent texts differ (-NFC +NFD):\n%s", diff)
		}
		if alone, together := slices.Concat(plain(a), plain(b)), plain(a+" "+b); !slices.Equal(alone, together) {
			t.Errorf("a space does not separate: alone %v, together %v", alone, together)
		}
	})
}

type errorer interface{ Errorf(string, ...any) }

// checkIDs checks what holds for any text.
func checkIDs(t errorer, tokenizer *clip.Tokenizer, text string) {
	ids, all := tokenizer.Encode(text), tokenizer.Tokens(text)
	if len(ids) != tokenizer.Length() {
		t.Errorf("%q: %d ids, want %d", text, len(ids), tokenizer.Length())
	}
	for _, id := range slices.Concat(ids, all) {
		if id < 0 || int(id) >= tokenizer.VocabSize() {
			t.Errorf("%q: id %d is out of the vocabulary of %d", text, id, tokenizer.VocabSize())
		}
	}
	n := min(len(ids), len(all))
	if !slices.Equal(ids[:n-1], all[:n-1]) || ids[n-1] != all[len(all)-1] {
		t.Errorf("%q: padded %v is not the beginning and the end of %v", text, ids, all)
	}
}

func FuzzEncode(f *testing.F) {
	for _, text := range []string{
		"H&E", "<|endoftext|>!", "a\u0301\u0323 漢字 'ſ", "\xff\xf0", "ΑΣ\u0345",
		strings.Repeat("\u0301", 50),
	} {
		f.Add(text)
	}
	files := spelling(f, "a b", "e r</w>", "ab er</w>")
	files["tokenizer_config.json"] = `{"pad_token": "!"}`
	tokenizer := open(f, folder(f, files))
	f.Fuzz(func(t *testing.T, text string) { checkIDs(t, tokenizer, text) })
}

// FuzzOpenTokenizer: any files are an error or a tokenizer that works.
func FuzzOpenTokenizer(f *testing.F) {
	const vocabulary = `{"a": 0, "b</w>": 1, "ab</w>": 2, "<|startoftext|>": 3, "<|endoftext|>": 4}`
	f.Add(vocabulary, "#version: 0.2\na b</w>\n", `{"model_max_length": 5}`)
	f.Add(vocabulary, "#version\r\na b</w>\r\n", `{"added_tokens_decoder": {"7": {"content": "b"}}, "pad_token": null}`)
	f.Add(vocabulary, "#version", `{"additional_special_tokens": ["a", null]}`)
	f.Add(`{}`, "", `[]`)
	f.Fuzz(func(t *testing.T, vocabulary, merges, config string) {
		dir := folder(t, map[string]string{"vocab.json": vocabulary, "merges.txt": merges, "tokenizer_config.json": config})
		if tokenizer, err := clip.OpenTokenizer(dir); err == nil {
			checkIDs(t, tokenizer, "ab ba <|endoftext|>")
		}
	})
}

// FuzzOpenTokenizerJSON is FuzzOpenTokenizer for a folder with tokenizer.json alone.
func FuzzOpenTokenizerJSON(f *testing.F) {
	f.Add(`{"model": {"type": "BPE", "end_of_word_suffix": "</w>",
		"vocab": {"a": 0, "<|startoftext|>": 3, "<|endoftext|>": 4}, "merges": ["a a", ["a", "b"]]}, "added_tokens": [{"id": 5, "content": "b"}]}`)
	f.Add(`{"model": null, "added_tokens": null}`)
	f.Fuzz(func(t *testing.T, text string) {
		if tokenizer, err := clip.OpenTokenizer(folder(t, map[string]string{"tokenizer.json": text})); err == nil {
			checkIDs(t, tokenizer, "ab ba <|endoftext|>")
		}
	})
}
