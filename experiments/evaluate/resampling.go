package evaluate

import "fmt"

// minPatients is the smallest number of patients to draw intervals by patient: fewer have too few combinations.
const minPatients = 5

// fewPatients is the number of patients below which percentile intervals are clearly too narrow: 95 % intervals of
// normal means cover 93 % with 20 values, 87 % with 6.
const fewPatients = 20

// units labels what is resampled together: patients, if all are known and there are enough of them.
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
