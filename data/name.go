package data

import (
	"regexp"
	"strings"
)

// mistPatient extracts the slide from a patch's name in MIST by cutting off the trailing numbers, which locate the
// patch: "1M2102_12_7" → "1M2102". A name of only numbers keeps its first. MIST knows no patients beyond slides, and
// its authors split patches at random, so train and val share slides.
func mistPatient(name string) string {
	for {
		i := strings.LastIndexAny(name, "_-")
		if i <= 0 || strings.Trim(name[i+1:], "0123456789") != "" {
			return name
		}
		name = name[:i]
	}
}

// bciGrade extracts the HER2 grade from a name such as "00012_train_3+"; "" if there is none.
func bciGrade(name string) string {
	grade := name[strings.LastIndex(name, "_")+1:]
	if regexp.MustCompile(`^[0-3]\+?$`).MatchString(grade) {
		return grade
	}
	return ""
}
