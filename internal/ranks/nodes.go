package ranks

import "strings"

// firstNode is the first machine of a list as Slurm writes it: gpu01 of "gpu[01-04,7],login", rack1-node3 of
// "rack[1-2]-node[3,5]".
func firstNode(list string) string {
	var name strings.Builder
	for list != "" {
		plain, rest, bracket := strings.Cut(list, "[")
		if before, _, comma := strings.Cut(plain, ","); comma {
			name.WriteString(before)
			break
		}
		name.WriteString(plain)
		if !bracket {
			break
		}
		numbers, after, _ := strings.Cut(rest, "]")
		if end := strings.IndexAny(numbers, ",-"); end >= 0 {
			numbers = numbers[:end]
		}
		name.WriteString(numbers)
		list = after
	}
	return name.String()
}
