package unet

import (
	"encoding/json"
	"fmt"
)

// PerLevel is a number for each level of a network. Files give one number for all levels, or a list.
type PerLevel []int

// UnmarshalJSON takes a number or a list of numbers.
func (p *PerLevel) UnmarshalJSON(text []byte) error {
	var one int
	if err := json.Unmarshal(text, &one); err == nil {
		*p = PerLevel{one}
		return nil
	}
	var many []int
	if err := json.Unmarshal(text, &many); err != nil {
		return err
	}
	*p = many
	return nil
}

// MarshalJSON writes one number where that is all there is.
func (p PerLevel) MarshalJSON() ([]byte, error) {
	if len(p) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]int(p))
}

// At is the number of a level.
func (p PerLevel) At(level int) int {
	if len(p) == 1 {
		return p[0]
	}
	return p[level]
}

// Check reports what is wrong with the numbers of a key for a network of so many levels: all must be 1 or more.
func (p PerLevel) Check(key string, levels int) error {
	if len(p) != 1 && len(p) != levels {
		return fmt.Errorf("%s: %d numbers for %d levels", key, len(p), levels)
	}
	for _, n := range p {
		if n < 1 {
			return fmt.Errorf("%s: %v: want numbers of 1 or more", key, []int(p))
		}
	}
	return nil
}
