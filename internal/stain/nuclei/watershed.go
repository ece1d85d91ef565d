package nuclei

// watershed splits a mask into basins of the response [height,width]: each pixel belongs to the peak it climbs to. A
// peak has its own basin if the way to a higher one descends by at least depth and by the given part of its height.
// labels are 1..basins, with gaps, and 0 outside the mask (Vincent and Soille, IEEE Trans. Pattern Anal. Mach. Intell.
// 13(6), 1991, flooded from above, with the dynamics of Grimaud 1992).
func watershed(response plane, mask []bool, depth, part float32) (labels []int32, basins int) {
	order := descending(response, mask)
	w, h := response.width, response.height
	labels = make([]int32, len(mask))
	// Basins are a forest: parent[k] is what k was joined to, peak[k] the height of the highest peak in it.
	parent, peak := []int32{0}, []float32{0}
	root := func(k int32) int32 {
		for parent[k] != k {
			parent[k] = parent[parent[k]]
			k = parent[k]
		}
		return k
	}
	shoulder := func(peak, saddle float32) bool { return peak-saddle < max(depth, part*peak) }
	for _, at := range order {
		level := response.v[at]
		x, y := int(at)%w, int(at)/w
		own, best := int32(0), float32(0)
		for ny := max(0, y-1); ny <= min(h-1, y+1); ny++ {
			for nx := max(0, x-1); nx <= min(w-1, x+1); nx++ {
				next := ny*w + nx
				k := labels[next]
				if k == 0 {
					continue
				}
				k = root(k)
				if own != 0 && own != k {
					low, high := own, k
					if peak[low] > peak[high] {
						low, high = high, low
					}
					if shoulder(peak[low], level) {
						parent[low] = high
						own, k = high, high
					}
				}
				// The steepest way up. (Were it the highest peak, it would creep down the flank of its neighbours.)
				if v := response.v[next]; own == 0 || v > best {
					own, best = k, v
				}
			}
		}
		if own == 0 {
			own = int32(len(parent))
			parent, peak = append(parent, own), append(peak, level)
		}
		labels[at] = own
	}
	for i, k := range labels {
		if k != 0 {
			labels[i] = root(k)
		}
	}
	return labels, len(parent) - 1
}

// descending returns the pixels of a mask, those with the largest response first.
func descending(response plane, mask []bool) []int32 {
	const levels = 1 << 16
	low, high := float32(0), float32(0)
	n := 0
	for i, in := range mask {
		if !in {
			continue
		}
		v := response.v[i]
		if n == 0 {
			low, high = v, v
		}
		low, high = min(low, v), max(high, v)
		n++
	}
	if n == 0 || low == high {
		high = low + 1
	}
	// A counting sort, by 16 bits of the response and then by place, makes the order deterministic.
	scale := (levels - 1) / (high - low)
	bin := func(v float32) int { return levels - 1 - int((v-low)*scale) }
	starts := make([]int32, levels+1)
	for i, in := range mask {
		if in {
			starts[bin(response.v[i])+1]++
		}
	}
	for k := range levels {
		starts[k+1] += starts[k]
	}
	order := make([]int32, n)
	for i, in := range mask {
		if in {
			k := bin(response.v[i])
			order[starts[k]] = int32(i)
			starts[k]++
		}
	}
	return order
}

// fillHoles adds to a mask what it encloses, where that has at most limit pixels.
func fillHoles(mask []bool, w, h, limit int) {
	seen := make([]bool, len(mask))
	var region []int32
	for start := range mask {
		if mask[start] || seen[start] {
			continue
		}
		region = append(region[:0], int32(start))
		seen[start] = true
		open := false // it reaches the border of the image
		for next := 0; next < len(region); next++ {
			at := int(region[next])
			x, y := at%w, at/w
			for _, to := range [4]struct {
				inside bool
				at     int
			}{{x > 0, at - 1}, {x < w-1, at + 1}, {y > 0, at - w}, {y < h-1, at + w}} {
				if !to.inside {
					open = true
				} else if !mask[to.at] && !seen[to.at] {
					seen[to.at] = true
					region = append(region, int32(to.at))
				}
			}
		}
		if !open && len(region) <= limit {
			for _, at := range region {
				mask[at] = true
			}
		}
	}
}
