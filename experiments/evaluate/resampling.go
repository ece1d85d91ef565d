package evaluate

import "fmt"

// minPatients is the smallest number of patients to draw intervals by patient: fewer have too few combinations.
const minPatients = 5

// fewPatients is the number of patients below which percentile intervals are clearly too narrow: 95 % intervals of
// normal means cover 93 % with 20 values, 87 % with 6.
const fewPatients = 20

// unite decides what is resampled together, patients if all are known and there are enough of them, and labels the rows
// with it.
func (e *evaluation) unite() {
	rows := e.table.Rows
	images, patients := make([]string, len(rows)), make([]string, len(rows))
	known := map[string]bool{}
	unnamed := 0
	for i, p := range rows {
		images[i], patients[i] = p.Name, p.Patient
		if p.Patient == "" {
			unnamed++
		}
		known[p.Patient] = true
	}
	u := Units{By: "image", Count: len(rows)}
	e.labels = images
	switch {
	case unnamed > 0:
		u.Why = fmt.Sprintf("the names of %d of %d pairs tell no patient", unnamed, len(rows))
	case len(known) == len(rows):
		u.Why = "no two pairs are of one patient, as far as names tell"
	case len(known) < minPatients:
		u.Why = fmt.Sprintf("there are %d patients: too few to draw from", len(known))
	default:
		u = Units{By: "patient", Count: len(known)}
		e.labels = patients
	}
	if unnamed == 0 {
		e.results.Counts.Patients = len(known)
	}
	e.results.Units = u
}
