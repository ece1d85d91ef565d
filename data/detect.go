package data

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// detected are suffixes that would pair images.
type detected struct {
	suffixes string // for Location.Suffixes
	pairs    int
	he, ihc  string // the names of a pair
	guessed  bool   // the names don't say which of the two is H&E
}

// detect looks for what tells names of H&E images from their partners'; both means that the two lists are the same. It
// finds nothing if less than a quarter of the images would have a partner.
func detect(he, ihc []string, both bool) (detected, bool) {
	ofHE, ofIHC := candidates(he), candidates(ihc)
	var best detected
	bestScore := 0
	for _, a := range sortedKeys(ofHE) {
		for _, b := range sortedKeys(ofIHC) {
			switch {
			case both && (a == b || !isHE(a) && isHE(b)), // b is H&E: the other way round
				strings.Count(a, "*") != strings.Count(b, "*"),
				strings.Contains(a, "/") != strings.Contains(b, "/") && a != "*" && b != "*":
				continue
			}
			d := detected{suffixes: a + "," + b, guessed: both && !isHE(a)}
			for _, shared := range sortedKeys(ofHE[a]) {
				if other, ok := ofIHC[b][shared]; ok && (!both || other != ofHE[a][shared]) {
					if d.pairs++; d.pairs == 1 {
						d.he, d.ihc = ofHE[a][shared], other
					}
				}
			}
			score := 4 * d.pairs
			if isHE(a) {
				score += 2
			}
			if strings.HasPrefix(a, "*") && strings.Count(a, "*") == 1 {
				score++ // an ending is the usual way
			}
			if d.pairs > 0 && (score > bestScore || score == bestScore && len(d.suffixes) < len(best.suffixes)) {
				best, bestScore = d, score
			}
		}
	}
	a, b, _ := strings.Cut(best.suffixes, ",")
	if len(a) > 1 && len(b) > 1 && a[0] == '*' && b[0] == '*' && strings.Count(best.suffixes, "*") == 2 {
		best.suffixes = a[1:] + "," + b[1:]
	}
	return best, 4*best.pairs >= min(len(he), len(ihc)) && best.pairs > 0
}

// candidates are the patterns that many names fit: for each, the names by what the pattern leaves of them.
func candidates(names []string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, name := range names {
		for pattern, shared := range cuts(name) {
			if all[pattern] == nil {
				all[pattern] = map[string]string{}
			}
			all[pattern][shared] = name
		}
	}
	maps.DeleteFunc(all, func(_ string, fitting map[string]string) bool { return 8*len(fitting) < len(names) })
	const most = 64
	if len(all) > most {
		byCount := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
			return cmp.Or(len(all[b])-len(all[a]), strings.Compare(a, b))
		})
		for _, pattern := range byCount[most:] {
			delete(all, pattern)
		}
	}
	return all
}

// cuts are the ways to cut a word out of a name, and the name itself: what is left by the pattern.
func cuts(name string) map[string]string {
	list := map[string]string{"*": name}
	add := func(begin, end int) {
		before, word, after := name[:begin], name[begin:end], name[end:]
		if !strings.ContainsFunc(word, unicode.IsLetter) || strings.Contains(word, "*") || strings.Contains(word, ",") {
			return
		}
		var pattern, shared string
		switch {
		case before != "" && after != "":
			between := "_"
			if strings.Contains(word, "/") {
				between = "/"
			}
			pattern, shared = "*"+word+"*", before+between+after
		case before != "":
			pattern, shared = "*"+word, before
		case after != "":
			pattern, shared = word+"*", after
		default:
			return
		}
		list[pattern] = shared
	}
	ends := wordEnds(name)
	for i := range len(ends) - 1 {
		begin, end := ends[i], ends[i+1]
		delimiter := func(at int) bool { return at < len(name) && strings.ContainsRune("_-. /", rune(name[at])) }
		switch {
		case i == 0 && delimiter(end):
			add(begin, end+1) // HE_*
		case delimiter(begin) && end == len(name):
			add(begin, end) // *_HE
		case delimiter(begin) && delimiter(end):
			add(begin, end+1) // *_HE_*
		}
	}
	// The last word without a delimiter: case1HE.
	last := len(name)
	for last > 0 && unicode.IsLetter(rune(name[last-1])) && unicode.IsUpper(rune(name[last-1])) {
		last--
	}
	if last < len(name) && last > 0 && !strings.ContainsRune("_-. /", rune(name[last-1])) {
		add(last, len(name))
	}
	return list
}

// wordEnds are the places of a name's delimiters, of its beginning and its end.
func wordEnds(name string) []int {
	ends := []int{0}
	for i, r := range name {
		if i > 0 && strings.ContainsRune("_-. /", r) {
			ends = append(ends, i)
		}
	}
	return append(ends, len(name))
}

func isHE(pattern string) bool {
	var letters strings.Builder
	for _, r := range strings.ToLower(pattern) {
		if unicode.IsLetter(r) {
			letters.WriteRune(r)
		}
	}
	switch letters.String() {
	case "he", "hne", "hande", "haematoxylin", "hematoxylin", "hematoxylineosin":
		return true
	}
	return false
}
