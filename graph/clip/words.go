package clip

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// cleanText is transformers' BasicTokenizer(strip_accents=False, do_split_on_punc=False): control characters and such
// that Unicode 14 does not know go, Chinese characters become words, the rest is composed (NFC) and made lower case.
// One space separates the words.
func cleanText(text string) string {
	known := rangetable.Assigned("15.0.0")
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r == 0 || r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) || !unicode.Is(known, r) ||
			unicode.Is(newIn15, r):
		case unicode.Is(chinese, r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	words := strings.Fields(compose(b.String()))
	for i, word := range words {
		words[i] = lower(word)
	}
	return strings.Join(words, " ")
}

// compose is Unicode's NFC. norm.NFC is not used on the whole text, for it puts a U+034F after 30 combining marks in a
// row.
func compose(text string) string {
	var runes []rune
	for _, r := range text {
		runes = append(runes, []rune(norm.NFD.String(string(r)))...)
	}
	// Combining marks between two starters go into the order of their classes.
	for i := 0; i < len(runes); i++ {
		marks := i
		for i < len(runes) && combiningClass(runes[i]) > 0 {
			i++
		}
		slices.SortStableFunc(runes[marks:i],
			func(a, b rune) int { return cmp.Compare(combiningClass(a), combiningClass(b)) })
	}
	out := runes[:0]
	starter, last := -1, uint8(0) // where in out the last starter is, and the class of what follows it so far
	for _, r := range runes {
		class := combiningClass(r)
		if starter >= 0 && (starter == len(out)-1 || last != 0 && last < class) {
			if whole, ok := composite(out[starter], r); ok {
				out[starter] = whole
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		last = class
		out = append(out, r)
	}
	return string(out)
}

func combiningClass(r rune) uint8 { return norm.NFC.PropertiesString(string(r)).CCC() }

// composite returns the one character that a starter and a character after it make, if they do.
func composite(starter, r rune) (rune, bool) {
	if norm.NFC.PropertiesString(string(r)).BoundaryBefore() {
		return 0, false
	}
	pair := norm.NFC.String(string([]rune{starter, r}))
	whole, size := utf8.DecodeRuneInString(pair)
	return whole, size == len(pair)
}

// lower is Python's str.lower, which knows two cases that strings.ToLower does not: İ, and the Σ at the end of a word.
func lower(word string) string {
	runes := []rune(word)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(runes, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is the condition Final_Sigma of the Unicode standard, 3.13: a cased letter before runes[i], none after it.
func endsWord(runes []rune, i int) bool {
	before := i - 1
	for before >= 0 && caseIgnorable(runes[before]) {
		before--
	}
	after := i + 1
	for after < len(runes) && caseIgnorable(runes[after]) {
		after++
	}
	return before >= 0 && cased(runes[before]) && (after == len(runes) || !cased(runes[after]))
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
}

// caseIgnorable is the property Case_Ignorable; the characters named are those of Word_Break MidLetter, MidNumLet and
// Single_Quote.
func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:··՟״‘’․‧︓﹒﹕＇．：", r)
}

// splitWords cuts a clean text into what byte pairs may be made in, as CLIP's pattern finds it, from the left and in
// this order:
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
func splitWords(text string) []string {
	var words []string
	for len(text) > 0 {
		size := wordLength(text)
		if size > 0 {
			words = append(words, text[:size])
		} else {
			_, size = utf8.DecodeRuneInString(text)
		}
		text = text[size:]
	}
	return words
}

// wordLength returns how many bytes the pattern matches at the beginning of text, which is not empty; 0 if it does not
// match.
func wordLength(text string) int {
	for _, literal := range [...]string{startOfText, endOfText, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if size := prefixFold(text, literal); size > 0 {
			return size
		}
	}
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case unicode.IsLetter(r):
		return runLength(text, unicode.IsLetter)
	case unicode.IsNumber(r):
		return size
	default:
		return runLength(text, isOther)
	}
}

// prefixFold returns the length of text's prefix that is the literal, whose letters are lower case as the text's are.
// The pattern ignores case: a long s, which has no other lower case, is an s to it.
func prefixFold(text, literal string) int {
	rest := text
	for i := range len(literal) {
		switch {
		case strings.HasPrefix(rest, literal[i:i+1]):
			rest = rest[1:]
		case literal[i] == 's' && strings.HasPrefix(rest, "ſ"):
			rest = rest[len("ſ"):]
		default:
			return 0
		}
	}
	return len(text) - len(rest)
}

func runLength(text string, in func(rune) bool) int {
	for i, r := range text {
		if !in(r) {
			return i
		}
	}
	return len(text)
}

// isOther is [^\s\p{L}\p{N}]. U+0345 is not in it, though a mark, since the pattern ignores case and the upper case of
// U+0345 is a letter.
func isOther(r rune) bool {
	return r != '\u0345' && !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r)
}
