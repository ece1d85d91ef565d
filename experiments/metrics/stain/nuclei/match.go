package nuclei

import (
	"fmt"
	"math"
	"slices"
)

// Point is a place in pixels.
type Point struct{ X, Y float64 }

// Points are the centroids of the nuclei.
func (d *Detection) Points() []Point {
	out := make([]Point, len(d.Nuclei))
	for k, n := range d.Nuclei {
		out[k] = Point{n.X, n.Y}
	}
	return out
}

// Match pairs places that lie at most radius pixels apart, nearest first, each at most once: pairs holds indices into a and b. Of
// a detection against the truth, len(pairs)/len(a) is the precision and len(pairs)/len(b) the recall.
func Match(a, b []Point, radius float64) (pairs [][2]int, err error) {
	if !(radius > 0) || math.IsInf(radius, 0) {
		return nil, fmt.Errorf("nuclei: the radius is %v pixels; it must be finite and above 0", radius)
	}
	type candidate struct {
		distance float64
		a, b     int
	}
	// Squares of radius pixels: candidates lie in the same one or a neighbour.
	square := func(p Point) [2]int { return [2]int{int(math.Floor(p.X / radius)), int(math.Floor(p.Y / radius))} }
	grid := map[[2]int][]int{}
	for j, p := range b {
		grid[square(p)] = append(grid[square(p)], j)
	}
	var all []candidate
	for i, p := range a {
		s := square(p)
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				for _, j := range grid[[2]int{s[0] + dx, s[1] + dy}] {
					if d := math.Hypot(p.X-b[j].X, p.Y-b[j].Y); d <= radius {
						all = append(all, candidate{d, i, j})
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(x, y candidate) int {
		switch {
		case x.distance != y.distance:
			if x.distance < y.distance {
				return -1
			}
			return 1
		case x.a != y.a:
			return x.a - y.a
		}
		return x.b - y.b
	})
	takenA, takenB := make([]bool, len(a)), make([]bool, len(b))
	for _, c := range all {
		if !takenA[c.a] && !takenB[c.b] {
			takenA[c.a], takenB[c.b] = true, true
			pairs = append(pairs, [2]int{c.a, c.b})
		}
	}
	return pairs, nil
}
