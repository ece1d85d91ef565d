package slide

import (
	"errors"
	"fmt"
	"math"
)

// The micrometres per pixel that are believed: from 200× to 1×.
const (
	minMPP = 0.05
	maxMPP = 10
)

// ErrMPP says that it is not known how large the pixels of a slide are.
var ErrMPP = errors.New("the size of its pixels is not known")

// checkMPP returns why the micrometres per pixel of a file can't be used.
func checkMPP(mpp [2]float64) error {
	const giveIt = "say what is right: --mpp"
	x, y := mpp[0], mpp[1]
	switch {
	case x == 0 || y == 0:
		return fmt.Errorf("%w: the file has no micrometres per pixel; %s", ErrMPP, giveIt)
	case !believable(x) || !believable(y):
		return fmt.Errorf("%w: the file says %.4g × %.4g µm, but slides have %g to %g µm per pixel; %s",
			ErrMPP, x, y, minMPP, float64(maxMPP), giveIt)
	case math.Abs(x-y) > 0.01*min(x, y):
		return fmt.Errorf("%w: the file says %.4g × %.4g µm, which are not square; %s", ErrMPP, x, y, giveIt)
	}
	return nil
}

func believable(mpp float64) bool { return mpp >= minMPP && mpp <= maxMPP }
