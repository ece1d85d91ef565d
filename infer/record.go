package infer

import (
	"slices"

	"github.com/histdist/histdist/graph/weights"
)

// recorder keeps the latents before each step of one image, and those after the last: see FileOptions.Latents.
type recorder struct {
	states map[Phase][]float32 // [steps+1,C,h,w]
	shape  [4]int
}

func (r *recorder) add(e Step) {
	r.shape = e.Shape
	pixels, channels := e.Shape[1]*e.Shape[2], e.Shape[3]
	for c := range channels {
		for p := range pixels {
			r.states[e.Phase] = append(r.states[e.Phase], e.Latents[p*channels+c])
		}
	}
}

func (r *recorder) save(path string) error {
	var tensors []weights.Tensor
	for _, phase := range []Phase{Inversion, Translation} {
		values := r.states[phase]
		if len(values) == 0 {
			continue // without inversion
		}
		shape := []int{0, r.shape[3], r.shape[1], r.shape[2]}
		shape[0] = len(values) / (shape[1] * shape[2] * shape[3])
		tensors = append(tensors, weights.NewTensor(string(phase), shape, slices.Clip(values)))
	}
	return weights.Save(path, tensors, weights.SaveOptions{})
}
