package data

import (
	"regexp"
	"strings"
)

// mistPatient takes the whole-slide image out of a patch's name in MIST: what is left when the numbers at the end, which tell
// the place in the slide, are cut off one by one: "1M2102_12_7" → "1M2102". A name of numbers alone keeps its first. MIST
// knows no patients beyond slides, and its authors divided the patches at random, so that train and val share slides.
func mistPatient(name string) string {
	for {
		i := strings.LastIndexAny(name, "_-")
		if i <= 0 || strings.Trim(name[i+1:], "0123456789") != "" {
			return name
		}
		name = name[:i]
	}
}

// bciGrade takes the HER2 grade out of a name such as "00012_train_3+"; "" if there is none.
func bciGrade(name string) string {
	grade := name[strings.LastIndex(name, "_")+1:]
	if regexp.MustCompile(`^[0-3]\+?$`).MatchString(grade) {
		return grade
	}
	return ""
}
