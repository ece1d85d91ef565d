package imagefile

import (
	"fmt"
	"slices"
	"strings"
)

// ICC says what becomes of an embedded colour profile. It is the option icc of every command that reads images.
type ICC int

// The choices.
const (
	ApplyICC  ICC = iota // colours are converted to sRGB
	IgnoreICC            // the numbers are taken as sRGB, as Pillow does
)

// ICCUsage describes the option.
const ICCUsage = "colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"

var iccNames = []string{"apply", "ignore"}

// Values are the texts of the choices.
func (i ICC) Values() []string { return slices.Clone(iccNames) }

// String is the choice's text.
func (i ICC) String() string { return iccNames[min(max(i, 0), IgnoreICC)] }

// MarshalText implements encoding.TextMarshaler.
func (i ICC) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *ICC) UnmarshalText(text []byte) error {
	at := slices.Index(iccNames, string(text))
	if at < 0 {
		return fmt.Errorf("want %s", strings.Join(iccNames, " or "))
	}
	*i = ICC(at)
	return nil
}

// Set and Type make it a flag.
func (i *ICC) Set(text string) error { return i.UnmarshalText([]byte(text)) }

// Type is what the help shows.
func (i *ICC) Type() string { return "string" }
