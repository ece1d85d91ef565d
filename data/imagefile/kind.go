package imagefile

import (
	"path/filepath"
	"strings"
)

// Kind is the kind of an image that this program made, stated in the file under KeyKind.
type Kind string

// The kinds.
const (
	NotOurs      Kind = "" // another program's, or synthetic tissue, which is input
	VirtualStain Kind = "virtual stain"
	Panel        Kind = "panel"              // several images side by side
	Preview      Kind = "preview"            // a virtual stain of low resolution, of a slide
	Deviation    Kind = "standard deviation" // of several virtual stains
)

// KeyKind is the key of an image's Kind.
const KeyKind = "histdist.kind"

// keySettings is in all virtual stains and panels, also in those of versions without a kind.
const keySettings = "histdist.settings"

// KindOf returns what a file states it is, NotOurs if it can't be read. It doesn't read pixels.
func KindOf(path string) Kind {
	pairs, err := ReadProvenance(path)
	if err != nil {
		return NotOurs
	}
	if kind, _ := valueOf(pairs, KeyKind); kind != "" {
		return Kind(kind)
	}
	settings, _ := valueOf(pairs, keySettings)
	switch {
	case settings == "":
		return NotOurs
	case strings.HasSuffix(strings.TrimSuffix(path, filepath.Ext(path)), "-panel"):
		return Panel
	}
	return VirtualStain
}
