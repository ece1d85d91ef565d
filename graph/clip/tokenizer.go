package clip

import "strings"

// Tokenizer turns a prompt into the ids that the text encoder reads, as transformers' slow CLIPTokenizer does where
// ftfy is not installed: id for id, with its Unicode 14 (Python 3.11). It does not unescape HTML, nor mend quotes and
// ligatures, as ftfy would. A Tokenizer may be used by many goroutines at once.
type Tokenizer struct {
	pairs *bytePairs
	added []addedToken // longest first

	start, end, pad   int32
	length, vocabSize int
}

// Length is the number of ids that Encode returns: the model's context length, 77.
func (t *Tokenizer) Length() int { return t.length }

// VocabSize is one more than the largest id: how many rows an embedding needs at least.
func (t *Tokenizer) VocabSize() int { return t.vocabSize }

// Encode returns the ids of a prompt, Length of them: a start token, the text, an end token and padding. A text that is
// too long loses its last ids. Bytes that are not UTF-8 are passed over.
func (t *Tokenizer) Encode(text string) []int32 {
	ids := t.Tokens(text)
	if len(ids) > t.length {
		ids = append(ids[:t.length-1], t.end)
	}
	for len(ids) < t.length {
		ids = append(ids, t.pad)
	}
	return ids
}

// Tokens returns the ids of a text of any length, from the start token to the end token, neither cut nor padded.
func (t *Tokenizer) Tokens(text string) []int32 {
	ids := []int32{t.start}
	from := 0
	for at := 0; at < len(text); {
		// Added tokens are cut out before anything else, and only where the case matches.
		token, ok := t.addedAt(text[at:])
		if !ok {
			at++
			continue
		}
		ids = append(t.encodeWords(ids, text[from:at]), token.ID)
		at += len(token.Content)
		from = at
	}
	return append(t.encodeWords(ids, text[from:]), t.end)
}

// addedAt returns the longest added token that text begins with.
func (t *Tokenizer) addedAt(text string) (addedToken, bool) {
	for _, token := range t.added {
		if strings.HasPrefix(text, token.Content) {
			return token, true
		}
	}
	return addedToken{}, false
}

// encodeWords appends the ids of a text without added tokens.
func (t *Tokenizer) encodeWords(ids []int32, text string) []int32 {
	for _, word := range splitWords(cleanText(text)) {
		ids = t.pairs.encode(ids, word)
	}
	return ids
}
