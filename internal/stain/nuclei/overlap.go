package nuclei

import "fmt"

// Dice is the pixel overlap of two nuclear masks, 2·|A∩B| / (|A|+|B|), 0..1 (Dice, Ecology 26, 1945); 1 for two empty
// masks. Masks of different sizes are an error.
func Dice(a, b *Detection) (float64, error) {
	if a.Width != b.Width || a.Height != b.Height {
		return 0, fmt.Errorf("nuclei: Dice compares masks of one size; these have %d×%d and %d×%d pixels",
			a.Width, a.Height, b.Width, b.Height)
	}
	both, sum := 0, 0
	for i, k := range a.Labels {
		inA, inB := k != 0, b.Labels[i] != 0
		if inA {
			sum++
		}
		if inB {
			sum++
		}
		if inA && inB {
			both++
		}
	}
	if sum == 0 {
		return 1, nil
	}
	return 2 * float64(both) / float64(sum), nil
}
