package infer

import (
	"fmt"
	"slices"
	"strings"
)

// Without lists the parts of the method that a translation leaves out, for ablations, separated by commas; "" is none.
//
//	tokens         zeros instead of the vision transformer's tokens
//	concatenation  zeros instead of the H&E's latents, next to the noisy ones
//	inversion      a translation that begins with noise, as with 0 steps of inversion
type Without string

const (
	withoutTokens        = "tokens"
	withoutConcatenation = "concatenation"
	withoutInversion     = "inversion"
)

// UnmarshalText takes a list of parts.
func (w *Without) UnmarshalText(text []byte) error {
	for _, part := range Without(text).parts() {
		if !slices.Contains([]string{withoutTokens, withoutConcatenation, withoutInversion}, part) {
			return fmt.Errorf("%q can't be left out: want %s, %s or %s", part, withoutTokens, withoutConcatenation,
				withoutInversion)
		}
	}
	*w = Without(text)
	return nil
}

func (w Without) parts() []string {
	if w == "" {
		return nil
	}
	return strings.Split(string(w), ",")
}

func (w Without) has(part string) bool { return slices.Contains(w.parts(), part) }

// Concatenation reports whether the H&E's latents are left out.
func (w Without) Concatenation() bool { return w.has(withoutConcatenation) }
