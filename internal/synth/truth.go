package synth

// Truth is what is known of a pair. Places are in pixels of the image: the middle of the first pixel is (0.5, 0.5).
type Truth struct {
	Name            string  `json:"name"`
	Patient         string  `json:"patient"`
	Slide           string  `json:"slide"`
	Seed            uint64  `json:"seed"`
	Index           int     `json:"index"`
	Size            int     `json:"size"`
	MPP             float64 `json:"mpp"`
	Marker          Marker  `json:"marker"`
	Pattern         string  `json:"pattern"` // how the tumour grows
	HE              Stain   `json:"he_stain"`
	IHC             Stain   `json:"ihc_stain"`
	Misregistration float64 `json:"misregistration"` // the limit; what it came to: see Nucleus
	// TumourNuclei and PositiveNuclei count nuclei inside the image. PositiveFraction is their quotient, 0 without tumour.
	TumourNuclei     int       `json:"tumour_nuclei"`
	PositiveNuclei   int       `json:"positive_nuclei"`
	PositiveFraction float64   `json:"positive_fraction"`
	Nuclei           []Nucleus `json:"nuclei"`
}

// Nucleus is one whose middle lies in the H&E image.
type Nucleus struct {
	X     float64 `json:"x"`
	Y     float64 `json:"y"`
	IHCX  float64 `json:"ihc_x"` // where it lies in the IHC image, perhaps outside
	IHCY  float64 `json:"ihc_y"`
	Angle float64 `json:"angle"` // of the major axis against x, radians, turning from x to y
	Morphology
	Positive  bool    `json:"positive"`
	Intensity float64 `json:"intensity"` // of the marker, 0..1
}

func (t *Truth) record(nuclei []nucleus, g *registration) {
	for i := range nuclei {
		n := &nuclei[i]
		x, y := n.x/t.MPP, n.y/t.MPP
		if x < 0 || y < 0 || x >= float64(t.Size) || y >= float64(t.Size) {
			continue
		}
		ix, iy := g.target(x, y)
		t.Nuclei = append(t.Nuclei, Nucleus{
			X: quantise(x), Y: quantise(y), IHCX: quantise(ix), IHCY: quantise(iy), Angle: quantise(n.angle),
			Morphology: n.Morphology, Positive: n.intensity > 0, Intensity: quantise(n.intensity),
		})
		if n.Kind == Tumour {
			t.TumourNuclei++
		}
		if n.intensity > 0 {
			t.PositiveNuclei++
		}
	}
	if t.TumourNuclei > 0 {
		t.PositiveFraction = quantise(float64(t.PositiveNuclei) / float64(t.TumourNuclei))
	}
}
