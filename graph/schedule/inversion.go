package schedule

import "fmt"

// Inversion takes x a step from the sample towards noise as HistDiST does: DDIMInverse, but samples are never clipped, and a share
// eta of the noise is fresh, with the deviation of equation 16 of Song, Meng and Ermon, "Denoising Diffusion Implicit Models"
// (2021), between the same two noise levels.
func Inversion(s *Schedule, x, output []float32, step Step) error {
	if err := s.invert(x, output, step, false); err != nil {
		return fmt.Errorf("inversion step: %w", err)
	}
	return nil
}
