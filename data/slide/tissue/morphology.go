package tissue

import "math"

// grow adds what is within radius pixels of the mask.
func (m *Mask) grow(radius float64) {
	reach := int(radius)
	if reach < 1 {
		return
	}
	// before[y][x] counts the pixels in row y left of x.
	stride := m.Width + 1
	before := make([]int32, stride*m.Height)
	for y := range m.Height {
		row := before[y*stride:][:stride]
		for x, in := range m.In[y*m.Width:][:m.Width] {
			row[x+1] = row[x]
			if in {
				row[x+1]++
			}
		}
	}
	for dy := -reach; dy <= reach; dy++ {
		half := int(math.Sqrt(radius*radius - float64(dy*dy)))
		for y := max(0, -dy); y < min(m.Height, m.Height-dy); y++ {
			row, out := before[(y+dy)*stride:][:stride], m.In[y*m.Width:][:m.Width]
			for x := range out {
				if row[min(m.Width, x+half+1)] > row[max(0, x-half)] {
					out[x] = true
				}
			}
		}
	}
}

// shrink removes what is within radius pixels of the rest of the slide; beyond its edges the mask goes on.
func (m *Mask) shrink(radius float64) {
	m.invert()
	m.grow(radius)
	m.invert()
}

func (m *Mask) invert() {
	for i, in := range m.In {
		m.In[i] = !in
	}
}

// dropSmall removes connected parts of fewer than least pixels: of tissue if in is true, else holes. Pixels of tissue
// are connected at their sides, those of holes at their corners as well, so that either ends where the other begins.
func (m *Mask) dropSmall(in bool, least int) {
	seen := make([]bool, len(m.In))
	var part, next []int
	for start := range m.In {
		if seen[start] || m.In[start] != in {
			continue
		}
		part, next = part[:0], append(next[:0], start)
		seen[start] = true
		for len(next) > 0 {
			at := next[len(next)-1]
			next = next[:len(next)-1]
			part = append(part, at)
			x, y := at%m.Width, at/m.Width
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					nx, ny := x+dx, y+dy
					if in && dx != 0 && dy != 0 || nx < 0 || ny < 0 || nx >= m.Width || ny >= m.Height {
						continue
					}
					if n := ny*m.Width + nx; !seen[n] && m.In[n] == in {
						seen[n] = true
						next = append(next, n)
					}
				}
			}
		}
		if len(part) < least {
			for _, at := range part {
				m.In[at] = !in
			}
		}
	}
}

// joinCorners fills pixels until no two parts of tissue, or of one part, touch at a corner alone: outlines are simple
// then.
func (m *Mask) joinCorners() {
	for changed := true; changed; {
		changed = false
		for y := range m.Height - 1 {
			for x := range m.Width - 1 {
				at := y*m.Width + x
				a, b, c, d := &m.In[at], &m.In[at+1], &m.In[at+m.Width], &m.In[at+m.Width+1]
				if *a == *d && *b == *c && *a != *b {
					*a, *b, *c, *d = true, true, true, true
					changed = true
				}
			}
		}
	}
}
