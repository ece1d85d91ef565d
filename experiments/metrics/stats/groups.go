package stats

// Groups are indices of values that are drawn together: images of one patient are not independent.
type Groups [][]int

// By makes a group of the values with one label, in the order of their first appearance.
func By(labels []string) Groups {
	var groups Groups
	place := map[string]int{}
	for i, label := range labels {
		if _, known := place[label]; !known {
			place[label] = len(groups)
			groups = append(groups, nil)
		}
		groups[place[label]] = append(groups[place[label]], i)
	}
	return groups
}
