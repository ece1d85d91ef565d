package lora

import (
	"fmt"
	"strconv"
	"strings"
)

// Uses are adapters as they are written on a command line: FILE or FILE:WEIGHT, separated by commas. The weight is 1 if
// it is left out.
type Uses []Use

// Use is an adapter with the weight that it is added with.
type Use struct {
	Path   string
	Weight float64
}

// maxWeight bounds weights: larger ones are typing errors.
const maxWeight = 100

// UnmarshalText reads adapters.
func (u *Uses) UnmarshalText(text []byte) error {
	var list Uses
	for word := range strings.SplitSeq(string(text), ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		use := Use{Path: word, Weight: 1}
		if at := strings.LastIndexByte(word, ':'); at >= 0 { // C:\… has one, too
			if w, err := strconv.ParseFloat(word[at+1:], 64); err == nil {
				use = Use{Path: word[:at], Weight: w}
			}
		}
		if use.Path == "" || !(use.Weight >= -maxWeight && use.Weight <= maxWeight) {
			return fmt.Errorf("adapter %q: want FILE or FILE:WEIGHT with a weight from −%d to %[2]d", word, maxWeight)
		}
		list = append(list, use)
	}
	*u = list
	return nil
}

// String is what UnmarshalText reads.
func (u Uses) String() string {
	words := make([]string, len(u))
	for i, use := range u {
		words[i] = fmt.Sprintf("%s:%g", use.Path, use.Weight)
	}
	return strings.Join(words, ",")
}

// MarshalText writes String.
func (u Uses) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
