package tissue

import "math"

// Point is a place in pixels of level 0.
type Point [2]float64

// Polygon is an outline and the outlines of its holes. Rings are not closed: the last point differs from the first.
type Polygon [][]Point

// Polygons returns the outlines of the mask's tissue, along the edges of its pixels. Parts that touch at a corner alone
// are different polygons.
func (m *Mask) Polygons() []Polygon {
	t := tracer{m: m, done: make([]bool, len(m.In)), part: make([]int32, len(m.In))}
	var polygons []Polygon
	// The first edge above a pixel that is met, row by row, is of the outline of its part; those of holes follow.
	for y := range m.Height {
		for x := range m.Width {
			at := y*m.Width + x
			if !m.In[at] || t.done[at] || y > 0 && m.In[at-m.Width] {
				continue
			}
			ring := t.ring(x, y)
			if t.part[at] == 0 {
				polygons = append(polygons, Polygon{ring})
				t.fill(at, int32(len(polygons)))
			} else {
				p := &polygons[t.part[at]-1]
				*p = append(*p, ring)
			}
		}
	}
	return polygons
}

// tracer follows outlines.
type tracer struct {
	m    *Mask
	done []bool  // pixels whose upper edge has been followed
	part []int32 // numbers of the parts of pixels, from 1
}

// in reports whether a pixel is tissue.
func (m *Mask) in(x, y int) bool {
	return x >= 0 && y >= 0 && x < m.Width && y < m.Height && m.In[y*m.Width+x]
}

// steps are the directions of edges: to the right, down, left, up.
var steps = [4][2]int{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}

// ring follows the edges from the upper left corner of a pixel to the right, with tissue on the right-hand side, and
// returns the corners where they turn.
func (t *tracer) ring(x, y int) []Point {
	var ring []Point
	scaleX := float64(t.m.SlideWidth) / float64(t.m.Width)
	scaleY := float64(t.m.SlideHeight) / float64(t.m.Height)
	startX, startY, direction := x, y, 0
	for {
		if direction == 0 {
			t.done[y*t.m.Width+x] = true
		}
		x, y = x+steps[direction][0], y+steps[direction][1]
		// The pixels ahead: to the left and to the right of the edge's direction.
		var left, right bool
		switch direction {
		case 0:
			left, right = t.m.in(x, y-1), t.m.in(x, y)
		case 1:
			left, right = t.m.in(x, y), t.m.in(x-1, y)
		case 2:
			left, right = t.m.in(x-1, y), t.m.in(x-1, y-1)
		default:
			left, right = t.m.in(x-1, y-1), t.m.in(x, y-1)
		}
		next := direction
		switch {
		case !right: // stay with the same tissue, whatever touches it at the corner
			next = (direction + 1) % 4
		case left:
			next = (direction + 3) % 4
		}
		if next != direction {
			ring = append(ring, Point{hundredths(float64(x) * scaleX), hundredths(float64(y) * scaleY)})
		}
		direction = next
		if x == startX && y == startY && direction == 0 {
			return ring
		}
	}
}

func hundredths(v float64) float64 { return math.Round(v*100) / 100 }

// fill numbers the pixels of a part, connected at their sides.
func (t *tracer) fill(start int, number int32) {
	next := []int{start}
	t.part[start] = number
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		x, y := at%t.m.Width, at/t.m.Width
		for _, s := range steps {
			nx, ny := x+s[0], y+s[1]
			if n := ny*t.m.Width + nx; t.m.in(nx, ny) && t.part[n] == 0 {
				t.part[n] = number
				next = append(next, n)
			}
		}
	}
}
