package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// unknown returns the error for an unknown key.
func (k *keys) unknown(name string) error {
	return fmt.Errorf("unknown key %s%s", name, didYouMean(k.suggest(name)))
}

// didYouMean ends an error with the names that might be meant, if any.
func didYouMean(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return ": did you mean " + names[0] + "?"
	default:
		return ": did you mean " + strings.Join(names[:n-1], ", ") + " or " + names[n-1] + "?"
	}
}

// maxSuggestions is the largest number of names that an error suggests.
const maxSuggestions = 3

// suggest returns the keys and sections that an unknown name might mean. The first of these rules that finds any
// decides: nearly the same spelling, the same name in another section, another program's name for it, a typo in the
// name without its section, shared words.
func (k *keys) suggest(name string) []string {
	known := k.names()
	given := words(name)
	last := words(lastPart(name))
	same := func(a, b []string) bool { return strings.Join(a, "-") == strings.Join(b, "-") }
	for _, like := range []func(key string) bool{
		func(key string) bool { return same(words(key), given) || typo(name, key) },
		func(key string) bool { return same(words(lastPart(key)), last) },
		func(key string) bool {
			return slices.ContainsFunc(strings.Fields(k.synonyms[key]), func(s string) bool { return same(words(s), last) })
		},
		func(key string) bool { return typo(lastPart(name), lastPart(key)) },
	} {
		found := slices.DeleteFunc(slices.Clone(known), func(key string) bool { return !like(key) })
		if len(found) > 0 && len(found) <= maxSuggestions {
			return found
		}
	}
	return byWords(name, known)
}

// byWords returns the known names that share most words with a given one. Rare words count for more, and so does the
// same section.
func byWords(name string, known []string) []string {
	given := words(lastPart(name))
	shares := func(list []string, word string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return sameStem(w, word) })
	}
	best, at := 0.0, []string(nil)
	for _, k := range known {
		parts, score := words(lastPart(k)), 0.0
		for _, w := range parts {
			if !shares(given, w) {
				continue
			}
			rarity := 0
			for _, other := range known {
				if shares(words(lastPart(other)), w) {
					rarity++
				}
			}
			score += 1 / float64(rarity*(len(parts)+len(given)))
		}
		if strings.HasPrefix(k, name[:len(name)-len(lastPart(name))]) {
			score *= 1.5
		}
		switch {
		case score > best:
			best, at = score, []string{k}
		case score == best && score > 0:
			at = append(at, k)
		}
	}
	if len(at) > maxSuggestions {
		return nil
	}
	return at
}

// sameStem reports whether two words are forms of one: accumulate and accumulation, dir and directory.
func sameStem(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n == len(b) || n == len(a) && n >= 3 || n >= 5
}

// words splits a name: batch_size, batch-size and batchSize are two words.
func words(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// typo reports whether a name differs from a known one in a few letters only.
func typo(name, known string) bool {
	most := max(1, min(3, len(lastPart(known))/4))
	return max(len(name)-len(known), len(known)-len(name)) <= most && edits(strings.ToLower(name), known) <= most
}

// edits counts the insertions, deletions, changes and swaps of letters that turn a into b.
func edits(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		table[i][0] = i
	}
	for j := range table[0] {
		table[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			table[i][j] = min(table[i-1][j]+1, table[i][j-1]+1, table[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], table[i-2][j-2]+1)
			}
		}
	}
	return table[len(a)][len(b)]
}
