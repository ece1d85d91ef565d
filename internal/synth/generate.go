package synth

import (
	"context"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

// Pair is one tissue in two stains.
type Pair struct {
	HE, IHC *imagefile.Image // Size × Size
	Truth   Truth
}

// Generate makes the pair with an index, from 0. It depends on Size, MPP, Marker, Misregistration, PatientPairs and
// Seed alone. Each patient has PatientPairs consecutive pairs. The images are as scanned, before JPEG.
func Generate(ctx context.Context, c Config, index int) (Pair, error) {
	if err := c.Validate(); err != nil {
		return Pair{}, err
	}
	if index < 0 {
		return Pair{}, fmt.Errorf("synth: index is %d, must not be negative", index)
	}
	number := index / c.PatientPairs
	person := newPatient(c.Seed, number)
	lab := person.laboratory

	// Pixels wider than half a µm are made of smaller ones.
	scale := max(1, int(math.Ceil(c.MPP/0.55)))
	res := c.MPP / float64(scale)
	border := 0 // pixels of the image that the IHC may take from outside it
	if c.Misregistration > 0 {
		border = int(c.Misregistration) + 2
	}

	f := newNoise(random(c.Seed, index, forTexture))
	t := newTissue(person, f, random(c.Seed, index, forTissue), float64(c.Size)*c.MPP)
	if err := ctx.Err(); err != nil {
		return Pair{}, err
	}
	nuclei := populate(t, random(c.Seed, index, forNuclei))
	for i := range nuclei {
		nuclei[i].intensity = c.Marker.Express(nuclei[i].Morphology)
	}
	if err := ctx.Err(); err != nil {
		return Pair{}, err
	}
	canvas := paint(t, nuclei, c.Marker, (c.Size+2*border)*scale, border*scale, res)
	if err := ctx.Err(); err != nil {
		return Pair{}, err
	}

	still := registration{}
	moving := newRegistration(random(c.Seed, index, forRegistration), c.Misregistration, c.Size)
	he := transmit(lab.he, canvas.heH, canvas.heE, canvas.side, lab.heGain, lab.eoGain, 0)
	ihc := transmit(lab.ihc, canvas.ihH, canvas.ihD, canvas.side, lab.counterGain, lab.dabGain, lab.background)
	if border > 0 {
		he, ihc = still.moved(he, scale, border), moving.moved(ihc, scale, border)
	}
	p := Pair{
		HE:  he.shrunk(scale).expose(lab, c.MPP, random(c.Seed, index, forHESensor)),
		IHC: ihc.shrunk(scale).expose(lab, c.MPP, random(c.Seed, index, forIHCSensor)),
	}
	p.Truth = Truth{
		Name: c.name(index), Patient: patientName(number), Slide: c.slide(index),
		Seed: c.Seed, Index: index, Size: c.Size, MPP: c.MPP, Marker: c.Marker, Pattern: person.pattern.String(),
		HE: lab.he, IHC: lab.ihc, Misregistration: c.Misregistration,
	}
	p.Truth.record(nuclei, &moving)
	return p, nil
}
