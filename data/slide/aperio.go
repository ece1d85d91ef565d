package slide

import (
	"math"
	"strconv"
	"strings"
)

// isAperio reports whether a description is Aperio's: the library's name and the sizes in the first lines, then
// "|key = value" for each property.
func isAperio(description string) bool { return strings.HasPrefix(description, "Aperio") }

// aperioImage returns what Aperio calls an image that is no level, "label" or "macro"; "" for others.
func aperioImage(description string) string {
	if !isAperio(description) {
		return ""
	}
	_, second, _ := strings.Cut(description, "\n")
	for _, name := range []string{"label", "macro"} {
		if strings.HasPrefix(second, name+" ") {
			return name
		}
	}
	return ""
}

func (i *Info) readAperio(description string) {
	for n, part := range strings.Split(description, "|") {
		key, value, ok := strings.Cut(part, "=")
		if n == 0 || !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		i.Properties = append(i.Properties, Property{"aperio." + key, value})
		switch number := positive(value); key {
		case "MPP":
			i.MPP = [2]float64{number, number}
		case "AppMag":
			i.Magnification = number
		}
	}
}

// positive reads a number above 0; 0 for any other text.
func positive(text string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
