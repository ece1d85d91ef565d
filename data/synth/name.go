package synth

import "fmt"

// Names are like MIST's and begin with the slide: P003_2_21 is pair 21, from the second slide of the third patient.

func patientName(number int) string { return fmt.Sprintf("P%03d", number+1) }

// slide names the slide of a pair: the first half of a patient's pairs is from one, the second from another.
func (c Config) slide(index int) string {
	return fmt.Sprintf("%s_%d", patientName(index/c.PatientPairs), 1+2*(index%c.PatientPairs)/c.PatientPairs)
}

func (c Config) name(index int) string { return fmt.Sprintf("%s_%d", c.slide(index), index) }
