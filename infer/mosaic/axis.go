package mosaic

import "math"

// axis is one direction of an image that is covered with intervals of one length, in order; only neighbours, or near
// the ends their neighbours, overlap. Lengths are in latents.
type axis struct {
	length int // of the image
	window int // of an interval, at most length
	starts []int
	// bounds are the places where one interval hands over to the next: bounds[k] is from k to k+1. The hand-over is
	// smooth over reach on both sides.
	bounds, reach []float64
}

// newAxis covers length with windows that overlap by overlap or a little more, evenly.
func newAxis(length, window, overlap int) axis {
	window = min(window, length)
	stride := max(window-overlap, 1)
	n := (length-window+stride-1)/stride + 1
	a := axis{length: length, window: window}
	for i := range n {
		at := 0
		if n > 1 {
			at = i * (length - window) / (n - 1)
		}
		a.starts = append(a.starts, at)
	}
	a.handOver()
	return a
}

// shifted returns the axis with its windows moved by less than a stride: by is taken modulo it. The ends stay
// covered.
func (a axis) shifted(by int) axis {
	if len(a.starts) < 2 {
		return a
	}
	by %= max(a.starts[1]-a.starts[0], 1)
	b := axis{length: a.length, window: a.window}
	last := -1
	for i := -1; i <= len(a.starts); i++ {
		at := by
		switch {
		case i < 0:
			at += a.starts[0] - (a.starts[1] - a.starts[0])
		case i == len(a.starts):
			at += a.starts[i-1] + a.starts[1] - a.starts[0]
		default:
			at += a.starts[i]
		}
		if at = min(max(at, 0), a.length-a.window); at != last {
			b.starts = append(b.starts, at)
			last = at
		}
	}
	b.handOver()
	return b
}

// handOver computes the bounds: the middle of each overlap, and as much of it as keeps hand-overs apart.
func (a *axis) handOver() {
	n := len(a.starts) - 1
	a.bounds, a.reach = make([]float64, max(n, 0)), make([]float64, max(n, 0))
	for k := range n {
		a.bounds[k] = float64(a.starts[k+1]+a.starts[k]+a.window) / 2
	}
	for k := range n {
		reach := float64(a.starts[k]+a.window-a.starts[k+1]) / 2
		if k > 0 {
			reach = min(reach, (a.bounds[k]-a.bounds[k-1])/2)
		}
		if k < n-1 {
			reach = min(reach, (a.bounds[k+1]-a.bounds[k])/2)
		}
		a.reach[k] = max(reach, 0)
	}
}

// sharp makes every hand-over a cut, at a whole latent.
func (a axis) sharp() axis {
	a.reach = make([]float64, len(a.reach))
	return a
}

// weights are those of interval k at its window·scale places, scale for each latent. Those of all intervals add up to 1
// everywhere.
func (a axis) weights(k, scale int) []float32 {
	w := make([]float32, a.window*scale)
	for i := range w {
		at := float64(a.starts[k]) + (float64(i)+0.5)/float64(scale)
		w[i] = float32(a.handed(k-1, at) * (1 - a.handed(k, at)))
	}
	return w
}

// handed is how much interval k has handed over to its successor at a place: a raised cosine from 0 to 1.
func (a axis) handed(k int, at float64) float64 {
	switch {
	case k < 0:
		return 1
	case k >= len(a.bounds):
		return 0
	}
	b, r := a.bounds[k], a.reach[k]
	switch {
	case at <= b-r:
		if at < b || r > 0 {
			return 0
		}
		return 1
	case at >= b+r:
		return 1
	}
	return (1 - math.Cos(math.Pi*(at-b+r)/(2*r))) / 2
}

// core is the part of the axis that belongs to interval k alone: from one bound to the next, in whole latents.
func (a axis) core(k int) (from, to int) {
	to = a.length
	if k > 0 {
		from = int(a.bounds[k-1])
	}
	if k < len(a.bounds) {
		to = int(a.bounds[k])
	}
	return from, to
}

// within returns the first and the last interval, plus one, that overlap [from,to).
func (a axis) within(from, to int) (first, end int) {
	for end = 0; end < len(a.starts) && a.starts[end] < to; end++ {
		if a.starts[end]+a.window <= from {
			first = end + 1
		}
	}
	return first, end
}

// grouped divides the windows evenly into groups of at most n ≥ 2, each of which shares one with the next.
func (a axis) grouped(n int) (groups []span) {
	strides := len(a.starts) - 1
	count := max((strides+n-2)/(n-1), 1)
	for i := range count {
		groups = append(groups, span{i * strides / count, (i+1)*strides/count + 1})
	}
	return groups
}

// span are the windows first … end−1 of an axis.
type span struct{ first, end int }

// around is the axis of groups of windows: of different lengths, so that only its hand-overs and cores are used.
func (a axis) around(groups []span) axis {
	g := axis{length: a.length, window: a.window}
	for _, s := range groups {
		g.starts = append(g.starts, a.starts[s.first])
	}
	for k := range len(groups) - 1 {
		from, to := a.starts[groups[k+1].first], a.starts[groups[k].end-1]+a.window
		g.bounds = append(g.bounds, float64((from+to)/2))
		g.reach = append(g.reach, float64((to-from)/2))
	}
	return g
}

// weight is the weight of interval k at a latent.
func (a axis) weight(k, at int) float64 {
	x := float64(at) + 0.5
	return a.handed(k-1, x) * (1 - a.handed(k, x))
}
