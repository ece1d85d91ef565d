package model

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A model that stains for several markers has one U-Net, whose class labels (diffusers' num_class_embeds) say what
// stain it is to make: 0 is the H&E, which the inversion goes back through, and k is Purpose.Markers[k−1].

// LabelHE is the class label of the H&E.
const LabelHE = 0

// ErrMarker is the error of a marker that a model hasn't learnt, or of none where one is needed.
var ErrMarker = errors.New("marker")

// CheckMarkers returns an error unless names of markers differ, whatever their case, and none is empty.
func CheckMarkers(names []string) error {
	for i, name := range names {
		if strings.TrimSpace(name) != name || name == "" {
			return fmt.Errorf("%q: want a name, such as ER", name)
		}
		if j := markerIndex(names[:i], name); j >= 0 {
			return fmt.Errorf("%s is there twice: %s and %s are one marker", name, names[j], name)
		}
	}
	return nil
}

func markerIndex(names []string, name string) int {
	return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// IsZero reports whether nothing is known.
func (p Purpose) IsZero() bool { return reflect.ValueOf(p).IsZero() }

// Label returns the class label of a marker, whatever its case, and its name as the model has it. A model without class
// labels takes "" alone; the only marker of a model may be left out.
func (p Purpose) Label(marker string) (label int, name string, err error) {
	n := len(p.Markers)
	switch i := markerIndex(p.Markers, marker); {
	case i >= 0:
		return i + 1, p.Markers[i], nil
	case n == 0 && marker == "":
		return 0, "", nil
	case n == 1 && marker == "":
		return 1, p.Markers[0], nil
	case n == 0 && p.Marker != "":
		return 0, "", fmt.Errorf("%w %s: the model stains for %s alone: leave it out", ErrMarker, marker, p.Marker)
	case n == 0:
		return 0, "", fmt.Errorf("%w %s: the model stains for one marker: leave it out", ErrMarker, marker)
	case marker == "":
		return 0, "", fmt.Errorf("no %w: the model stains for %s: want one or more of them", ErrMarker,
			strings.Join(p.Markers, ", "))
	}
	return 0, "", fmt.Errorf("%w %s: the model hasn't learnt it: want %s", ErrMarker, marker,
		strings.Join(p.Markers, ", "))
}

// Classes is num_class_embeds of the U-Net of a model with these markers.
func (p Purpose) Classes() int {
	if len(p.Markers) == 0 {
		return 0
	}
	return 1 + len(p.Markers)
}
