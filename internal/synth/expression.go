package synth

import "math"

// Express returns the marker's intensity in a nucleus, 0 (negative) or 0.2..1, from its appearance in the H&E. Only
// tumour cells are ever positive.
//
//	er    pale nuclei; the larger and paler the stronger
//	pr    nuclei with a distinct nucleolus; the larger it is the stronger
//	ki67  nuclei with coarse chromatin, and mitoses
//	her2  cells with large nuclei, whatever their texture
func (m Marker) Express(n Morphology) float64 {
	if n.Kind != Tumour {
		return 0
	}
	var score float64 // positive from 0 on, strongest at 1
	switch m {
	case ER:
		if n.Pallor < 0.42 { // a large nucleus doesn't make up for darkness
			return 0
		}
		score = 0.6*(n.Pallor-0.42)/0.4 + 0.4*(n.area()-35)/35
	case PR:
		score = (n.Nucleolus - 0.6) / 0.5
	case Ki67:
		score = (n.Chromatin - 0.55) / 0.35
	case HER2:
		score = (n.area() - 36) / 24
	}
	if score < 0 {
		return 0
	}
	return 0.2 + 0.8*min(1, score)
}

// area of the nucleus in µm².
func (n Morphology) area() float64 { return math.Pi * n.A * n.B }
