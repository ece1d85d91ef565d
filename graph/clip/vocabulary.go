package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/histdist/histdist/internal/hfconfig"
)

const (
	// defaultLength is CLIP's context length, for folders that give none.
	defaultLength = 77
	// unknownLength is transformers' number for no length.
	unknownLength = 1e30
	// maxLength is the largest length that is accepted.
	maxLength = 1 << 16
	// maxMerges is how many merges CLIPTokenizer reads: CLIP's ids without those of 256 bytes, twice, and of two special
	// tokens.
	maxMerges = 49152 - 256 - 2
)

// OpenTokenizer reads the tokenizer in a model folder, such as stable-diffusion-v1-5/tokenizer: vocab.json and
// merges.txt, or tokenizer.json if both are missing; and, if they exist, tokenizer_config.json, special_tokens_map.json
// and added_tokens.json, with transformers' order of precedence. Errors name the file at fault.
func OpenTokenizer(folder string) (*Tokenizer, error) {
	vocabulary, merges, err := readModel(folder)
	if err != nil {
		return nil, err
	}
	s, err := readSettings(folder)
	if err != nil {
		return nil, err
	}
	for _, token := range s.added {
		vocabulary[token.Content] = token.ID
	}
	t := &Tokenizer{
		pairs:  &bytePairs{letters: byteLetters(), ranks: make(map[[2]string]int, len(merges)), ids: vocabulary},
		length: s.length,
	}
	for rank, pair := range merges {
		t.pairs.ranks[pair] = rank
	}
	for _, id := range vocabulary {
		t.vocabSize = max(t.vocabSize, int(id)+1)
	}
	// The special tokens count as added ones, even the padding: where it is "!", every "!" is one token.
	added := map[string]addedToken{}
	for _, token := range slices.Concat(s.added, s.special()) {
		id, ok := vocabulary[token.Content]
		if !ok {
			return nil, fmt.Errorf("%s: the special token %q has no id: it is neither in the vocabulary nor an added token",
				folder, token.Content)
		}
		token.ID = id
		added[token.Content] = token
	}
	t.added = slices.SortedFunc(maps.Values(added), func(a, b addedToken) int { return len(b.Content) - len(a.Content) })
	t.start, t.end, t.pad = added[s.BOS.Content].ID, added[s.EOS.Content].ID, added[s.Pad.Content].ID
	t.pairs.unknown = added[s.Unknown.Content].ID
	return t, nil
}

// readModel reads vocab.json and merges.txt or else tokenizer.json: the vocabulary and the merges in the order they
// were learnt.
func readModel(folder string) (map[string]int32, [][2]string, error) {
	vocabularyText, vocabularyErr := hfconfig.ReadFile(filepath.Join(folder, "vocab.json"))
	mergesText, mergesErr := hfconfig.ReadFile(filepath.Join(folder, "merges.txt"))
	if errors.Is(vocabularyErr, fs.ErrNotExist) && errors.Is(mergesErr, fs.ErrNotExist) {
		path := filepath.Join(folder, "tokenizer.json")
		text, err := hfconfig.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("%s: no tokenizer: want vocab.json and merges.txt, or tokenizer.json: %w", folder,
				fs.ErrNotExist)
		}
		if err != nil {
			return nil, nil, err
		}
		vocabulary, merges, err := parseModel(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		return vocabulary, merges, nil
	}
	if err := errors.Join(vocabularyErr, mergesErr); err != nil {
		return nil, nil, err
	}
	vocabulary, err := parseVocabulary(vocabularyText)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(folder, "vocab.json"), err)
	}
	merges, err := parseMerges(mergesText)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(folder, "merges.txt"), err)
	}
	return vocabulary, merges, nil
}

// parseVocabulary reads vocab.json: {"symbol": id, …}.
func parseVocabulary(text []byte) (map[string]int32, error) {
	var vocabulary map[string]int32
	if err := json.Unmarshal(text, &vocabulary); err != nil {
		return nil, fmt.Errorf("want an object of tokens and their ids: %w", err)
	}
	if len(vocabulary) == 0 {
		return nil, errors.New("no tokens")
	}
	for token, id := range vocabulary {
		if id < 0 {
			return nil, fmt.Errorf("token %q has the id %d, want 0 or more", token, id)
		}
	}
	return vocabulary, nil
}

// parseMerges reads merges.txt: a line with the version, then a pair of symbols in each line.
func parseMerges(text []byte) ([][2]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8 text")
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")), "\n")
	if !strings.Contains(lines[0], "#version") {
		return nil, fmt.Errorf("line 1: %.60q: want #version", lines[0])
	}
	lines = lines[1:min(len(lines), 1+maxMerges)]
	merges := make([][2]string, len(lines))
	for i, line := range lines {
		symbols := strings.Fields(line)
		if len(symbols) != 2 {
			return nil, fmt.Errorf("line %d: %.60q: want two symbols", i+2, line)
		}
		merges[i] = [2]string(symbols)
	}
	return merges, nil
}

// parseModel reads the model of a tokenizer.json, whose merges are lines as in merges.txt or, from newer versions,
// pairs.
func parseModel(text []byte) (map[string]int32, [][2]string, error) {
	var file struct {
		Model struct {
			Type         string          `json:"type"`
			Vocabulary   json.RawMessage `json:"vocab"`
			Merges       []merge         `json:"merges"`
			EndOfWord    string          `json:"end_of_word_suffix"`
			Subword      string          `json:"continuing_subword_prefix"`
			ByteFallback bool            `json:"byte_fallback"`
		} `json:"model"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, nil, err
	}
	m := file.Model
	if m.Type != "BPE" || m.EndOfWord != endOfWord || m.Subword != "" || m.ByteFallback {
		return nil, nil, fmt.Errorf("model: want CLIP's: type BPE, end_of_word_suffix %s, no continuing_subword_prefix, "+
			"no byte_fallback", endOfWord)
	}
	vocabulary, err := parseVocabulary(m.Vocabulary)
	if err != nil {
		return nil, nil, fmt.Errorf("model: vocab: %w", err)
	}
	merges := make([][2]string, min(len(m.Merges), maxMerges))
	for i := range merges {
		merges[i] = m.Merges[i]
	}
	return vocabulary, merges, nil
}

// merge is a pair of symbols: "a b" or ["a", "b"].
type merge [2]string

// UnmarshalJSON takes either form.
func (m *merge) UnmarshalJSON(text []byte) error {
	var line string
	var symbols []string
	if json.Unmarshal(text, &line) == nil {
		symbols = strings.Fields(line)
	} else if err := json.Unmarshal(text, &symbols); err != nil {
		return fmt.Errorf("merge %.60s: want two symbols", text)
	}
	if len(symbols) != 2 {
		return fmt.Errorf("merge %.60s: want two symbols", text)
	}
	*m = merge(symbols)
	return nil
}

// settings is what the configuration files of a tokenizer say.
type settings struct {
	BOS        addedToken           `json:"bos_token"`
	EOS        addedToken           `json:"eos_token"`
	Unknown    addedToken           `json:"unk_token"`
	Pad        addedToken           `json:"pad_token"`
	Separator  addedToken           `json:"sep_token"`
	Class      addedToken           `json:"cls_token"`
	Mask       addedToken           `json:"mask_token"`
	Additional []addedToken         `json:"additional_special_tokens"`
	Decoder    map[int32]addedToken `json:"added_tokens_decoder"`

	added  []addedToken // with their ids; of two for one text the later counts
	length int
}

// special returns the special tokens that are set.
func (s *settings) special() []addedToken {
	all := append([]addedToken{s.BOS, s.EOS, s.Unknown, s.Pad, s.Separator, s.Class, s.Mask}, s.Additional...)
	return slices.DeleteFunc(all, func(token addedToken) bool { return token.Content == "" })
}

// readSettings reads the configuration files that exist onto CLIPTokenizer's defaults. Where tokenizer_config.json
// lists the added tokens, as transformers has written it since version 4.34, the others are not read.
func readSettings(folder string) (*settings, error) {
	s := &settings{
		BOS: addedToken{Content: startOfText}, EOS: addedToken{Content: endOfText},
		Unknown: addedToken{Content: endOfText}, Pad: addedToken{Content: endOfText},
		length: defaultLength,
	}
	if err := readOptional(filepath.Join(folder, "tokenizer_config.json"), s.parseConfig); err != nil {
		return nil, err
	}
	if s.Decoder != nil {
		return s, nil
	}
	return s, errors.Join(
		readOptional(filepath.Join(folder, "special_tokens_map.json"), s.parseSpecialTokens),
		readOptional(filepath.Join(folder, "added_tokens.json"), s.parseAddedTokens),
		readOptional(filepath.Join(folder, "tokenizer.json"), s.parseModelTokens),
	)
}

// readOptional parses a file; one that isn't there is passed over.
func readOptional(path string, parse func(text []byte) error) error {
	text, err := hfconfig.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := parse(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// tokenizerFixed are the keys of tokenizer_config.json of which only one kind of tokenizer is built.
var tokenizerFixed = hfconfig.Fixed{
	"tokenizer_class":      {"CLIPTokenizer", "CLIPTokenizerFast", nil},
	"padding_side":         {"right"},
	"truncation_side":      {"right"},
	"split_special_tokens": {false},
}

// parseConfig reads tokenizer_config.json.
func (s *settings) parseConfig(text []byte) error {
	c := struct {
		ModelMaxLength float64 `json:"model_max_length"` // 77
	}{defaultLength}
	if err := hfconfig.Decode(text, &c, tokenizerFixed); err != nil {
		return err
	}
	if c.ModelMaxLength < unknownLength {
		s.length = int(c.ModelMaxLength)
		if float64(s.length) != c.ModelMaxLength || s.length < 2 || s.length > maxLength {
			return fmt.Errorf("model_max_length: %v: want a whole number from 2 to %d", c.ModelMaxLength, maxLength)
		}
	}
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(s.Decoder)) {
		if err := s.add(s.Decoder[id].Content, id); err != nil {
			return fmt.Errorf("added_tokens_decoder: %w", err)
		}
	}
	return nil
}

// parseSpecialTokens reads special_tokens_map.json, {"bos_token": token, …}, which precedes tokenizer_config.json.
func (s *settings) parseSpecialTokens(text []byte) error {
	additional := s.Additional
	s.Additional = nil
	err := json.Unmarshal(text, s)
	s.Additional = append(additional, s.Additional...)
	return err
}

// parseAddedTokens reads added_tokens.json, {"text": id, …}.
func (s *settings) parseAddedTokens(text []byte) error {
	var ids map[string]int32
	if err := json.Unmarshal(text, &ids); err != nil {
		return fmt.Errorf("want an object of tokens and their ids: %w", err)
	}
	for content, id := range ids {
		if err := s.add(content, id); err != nil {
			return err
		}
	}
	return nil
}

// parseModelTokens reads the added tokens of tokenizer.json.
func (s *settings) parseModelTokens(text []byte) error {
	var file struct {
		Added []addedToken `json:"added_tokens"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	for _, token := range file.Added {
		if err := s.add(token.Content, token.ID); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
	}
	return nil
}

func (s *settings) add(content string, id int32) error {
	if content == "" || id < 0 {
		return fmt.Errorf("token %q with the id %d: want a text and an id of 0 or more", content, id)
	}
	s.added = append(s.added, addedToken{content, id})
	return nil
}

// addedToken is a text that is one token wherever it occurs.
type addedToken struct {
	Content string
	ID      int32
}

// UnmarshalJSON takes the text alone, or an object as transformers and tokenizers write it. null changes nothing.
func (a *addedToken) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	var token struct {
		Content    string `json:"content"`
		ID         int32  `json:"id"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		SingleWord bool   `json:"single_word"`
	}
	if json.Unmarshal(text, &token.Content) != nil {
		if err := json.Unmarshal(text, &token); err != nil {
			return fmt.Errorf("token %.60s: want a text or an object with content and flags", text)
		}
	}
	if token.Content == "" {
		return fmt.Errorf("token %.60s has no content", text)
	}
	if token.LStrip || token.RStrip || token.SingleWord {
		return fmt.Errorf("token %q: lstrip, rstrip and single_word are not supported", token.Content)
	}
	*a = addedToken{token.Content, token.ID}
	return nil
}
