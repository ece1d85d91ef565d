package evaluate

import "fmt"

// minPatients is how many patients there must be for intervals to be drawn by patient: few of them have too few combinations.
const minPatients = 5

// fewPatients is below what number of patients percentile intervals are clearly too narrow: of normal means, 95 % intervals from 20 values
// hold 93 %, those from 6 hold 87 %.
const fewPatients = 20

// units says what is drawn together: patients where all names tell one and there are enough of them.
func (e *evaluation) units() (labels []string, by string) {
	n := len(e.table.Rows)
	patients := map[string]bool{}
	unnamed := 0
	for _, p := range e.table.Rows {
		if p.Patient == "" {
			unnamed++
		}
		patients[p.Patient] = true
	}
	u := &e.results.Units
	labels = make([]string, n)
	switch {
	case unnamed > 0:
		u.Why = fmt.Sprintf("the names of %d of %d pairs tell no patient", unnamed, n)
	case len(patients) == n:
		u.Why = "no two pairs are of one patient, as far as names tell"
	case len(patients) < minPatients:
		u.Why = fmt.Sprintf("there are %d patients: too few to draw from", len(patients))
	default:
		for i, p := range e.table.Rows {
			labels[i] = p.Patient
		}
		u.By, u.Count = "patient", len(patients)
	}
	if unnamed == 0 {
		e.results.Counts.Patients = len(patients)
	}
	if u.By == "" {
		u.By, u.Count = "image", n
		for i := range labels {
			labels[i] = e.table.Rows[i].Name
		}
	}
	return labels, u.By
}
