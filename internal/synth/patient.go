package synth

import (
	"fmt"
	"math/rand/v2"
)

// pattern is how the tumour of a patient grows.
type pattern int

const (
	solid      pattern = iota // nests and sheets
	cords                     // narrow trabeculae along the fibres
	tubules                   // tumour glands with a lumen
	inSitu                    // wide ducts, filled but for sieve-like holes
	singleFile                // single cells in rows between the fibres
	patterns
)

type patient struct {
	pattern     pattern
	vesicular   float64 // how readily tumour nuclei are large and pale, 0..1
	pleomorphic float64 // how much nuclei differ in size, 0..1
	nuclearSize float64 // factor of the tumour's nuclear diameter
	mitotic     float64 // share of tumour cells that divide
	inflamed    float64 // lymphocytes in the stroma, 0..1
	fatty       float64 // how readily there is adipose tissue, 0..1
	collagen    float64 // dense (1) or loose (0) stroma
	laboratory  laboratory
}

func newPatient(seed uint64, number int) patient {
	r := random(seed, number, forPatient)
	p := patient{
		pattern:     drawPattern(r),
		vesicular:   between(r, 0.25, 1),
		pleomorphic: r.Float64(),
		nuclearSize: normal(r, 1, 0.05),
		mitotic:     0.002 + 0.02*r.Float64()*r.Float64(),
		inflamed:    r.Float64() * r.Float64(),
		fatty:       r.Float64() * r.Float64(),
		collagen:    between(r, 0.25, 1),
	}
	p.laboratory = newLaboratory(random(seed, number, forStain))
	return p
}

func drawPattern(r *rand.Rand) pattern {
	x := r.Float64()
	for p, share := range [patterns]float64{solid: 0.36, cords: 0.22, tubules: 0.2, inSitu: 0.14, singleFile: 0.08} {
		if x -= share; x < 0 {
			return pattern(p)
		}
	}
	return solid
}

func (p pattern) String() string {
	return [patterns]string{"solid", "cords", "tubules", "in situ", "single file"}[p]
}

// Names are like MIST's and begin with the slide: P003_2_21 is pair 21, from the second slide of the third patient.

func patientName(number int) string { return fmt.Sprintf("P%03d", number+1) }

// slide names the slide of a pair: the first half of a patient's pairs is from one, the second from another.
func (c Config) slide(index int) string {
	return fmt.Sprintf("%s_%d", patientName(index/c.PatientPairs), 1+2*(index%c.PatientPairs)/c.PatientPairs)
}

func (c Config) name(index int) string { return fmt.Sprintf("%s_%d", c.slide(index), index) }
