package clip

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// ByteVocabulary is the number of ids of the tokenizer that WriteByteTokenizer writes: each byte inside a word, each
// byte at the end of a word, and the two tokens around a text.
const ByteVocabulary = 256 + 256 + 2

// WriteByteTokenizer writes the files of a CLIPTokenizer without merges, for encoders that are trained from nothing: a
// text is its bytes. The ids of bytes are CLIP's own. The folder is made.
func WriteByteTokenizer(folder string, length int) error {
	vocabulary := map[string]int{startOfText: ByteVocabulary - 2, endOfText: ByteVocabulary - 1}
	letters := byteLetters()
	// CLIP counts the printable bytes first, in their order, then the others: the order in which it made up letters for
	// them.
	id := 0
	for _, printable := range []bool{true, false} {
		for b, letter := range letters {
			if (letter == string(rune(b))) == printable {
				vocabulary[letter], vocabulary[letter+endOfWord] = id, id+256
				id++
			}
		}
	}
	special := func(id int) map[string]any {
		return map[string]any{
			"content": []string{startOfText, endOfText}[id-(ByteVocabulary-2)], "lstrip": false,
			"normalized": true, "rstrip": false, "single_word": false, "special": true,
		}
	}
	start, end := ByteVocabulary-2, ByteVocabulary-1
	config := map[string]any{
		"added_tokens_decoder":         map[int]any{start: special(start), end: special(end)},
		"bos_token":                    startOfText,
		"clean_up_tokenization_spaces": false,
		"do_lower_case":                true,
		"eos_token":                    endOfText,
		"errors":                       "replace",
		"extra_special_tokens":         map[string]any{},
		"model_max_length":             length,
		"pad_token":                    endOfText,
		"tokenizer_class":              "CLIPTokenizer",
		"unk_token":                    endOfText,
	}
	tokens := map[string]any{
		"bos_token": startOfText, "eos_token": endOfText, "pad_token": endOfText,
		"unk_token": endOfText,
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	for name, content := range map[string]any{
		"vocab.json": vocabulary, "tokenizer_config.json": config, "special_tokens_map.json": tokens,
	} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "merges.txt"), []byte("#version: 0.2\n"), 0o644); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	return nil
}
