package clip

// endOfWord marks the last symbol of a word.
const endOfWord = "</w>"

// The tokens that split a text wherever they occur, whatever the vocabulary's own are.
const (
	startOfText = "<|startoftext|>"
	endOfText   = "<|endoftext|>"
)

// bytePairs is byte-pair encoding (Sennrich et al. 2016, "Neural machine translation of rare words with subword units")
// on bytes: a word's bytes, each written as a letter, are joined pair by pair, the pair that was learnt first before
// all others.
type bytePairs struct {
	letters [256]string       // how each byte is written
	ranks   map[[2]string]int // when a pair of symbols was learnt
	ids     map[string]int32  // the vocabulary: symbol → id
	unknown int32             // the id of symbols out of the vocabulary
}

// byteLetters returns how GPT-2 and CLIP write bytes: printable ones of Latin-1 as themselves, the others as U+0100 and
// on.
func byteLetters() (letters [256]string) {
	other := rune(256)
	for b := range letters {
		r := rune(b)
		if r < '!' || r > '~' && r < '¡' || r == '\u00ad' {
			r = other
			other++
		}
		letters[b] = string(r)
	}
	return letters
}

// encode appends the ids of a word, which is not empty.
func (b *bytePairs) encode(ids []int32, word string) []int32 {
	if word == startOfText || word == endOfText {
		return append(ids, b.id(word))
	}
	symbols := make([]string, len(word))
	for i := range len(word) {
		symbols[i] = b.letters[word[i]]
	}
	symbols[len(symbols)-1] += endOfWord
	for {
		first, second, ok := b.earliest(symbols)
		if !ok {
			break
		}
		symbols = join(symbols, first, second)
	}
	for _, symbol := range symbols {
		ids = append(ids, b.id(symbol))
	}
	return ids
}

func (b *bytePairs) id(symbol string) int32 {
	if id, ok := b.ids[symbol]; ok {
		return id
	}
	return b.unknown
}

// earliest returns the neighbours in symbols that were learnt first, if any were.
func (b *bytePairs) earliest(symbols []string) (first, second string, ok bool) {
	best := 0
	for i := range len(symbols) - 1 {
		rank, known := b.ranks[[2]string{symbols[i], symbols[i+1]}]
		if known && (!ok || rank < best) {
			best, ok = rank, true
			first, second = symbols[i], symbols[i+1]
		}
	}
	return first, second, ok
}

// join joins first and second wherever they are neighbours, from the left, in place.
func join(symbols []string, first, second string) []string {
	out := symbols[:0]
	for i := 0; i < len(symbols); i++ {
		if i+1 < len(symbols) && symbols[i] == first && symbols[i+1] == second {
			out = append(out, first+second)
			i++
		} else {
			out = append(out, symbols[i])
		}
	}
	return out
}
