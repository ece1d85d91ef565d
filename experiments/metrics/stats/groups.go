package stats

// Groups are indices of values that are drawn together: images of one patient are not independent.
type Groups [][]int

// By makes a group of the values with one label, in the order of their first appearance.
func By(labels []string) Groups {
	var groups Groups
	place := map[string]int{}
	for i, label := range labels {
		at, known := place[label]
		if !known {
			at = len(groups)
			place[label] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// size is how many values the groups have.
func (g Groups) size() int {
	n := 0
	for _, group := range g {
		n += len(group)
	}
	return n
}
