package data

import (
	"fmt"
	"strings"
)

// shownLines is how many messages of one kind are shown: thousands of images can have the same fault.
const shownLines = 5

// group is messages of one kind, one for each image.
type group struct {
	title string
	lines []string
}

// write writes the title with the number of messages, and up to limit of them (0: all), each on a line.
func (g group) write(b *strings.Builder, indent string, limit int) {
	if len(g.lines) == 0 {
		return
	}
	fmt.Fprintf(b, "%s%s (%d):\n", indent, g.title, len(g.lines))
	for i, line := range g.lines {
		if limit > 0 && i == limit {
			fmt.Fprintf(b, "%s\t… and %d more\n", indent, len(g.lines)-limit)
			break
		}
		fmt.Fprintf(b, "%s\t%s\n", indent, line)
	}
}

// among is a list in words, shortened: "3, 7, 9 and 12 more".
func among[T any](list []T) string {
	var texts []string
	for _, x := range list[:min(len(list), shownLines)] {
		texts = append(texts, fmt.Sprint(x))
	}
	text := strings.Join(texts, ", ")
	if more := len(list) - len(texts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// plural is a number with its noun: "1 pair", "2 pairs".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
