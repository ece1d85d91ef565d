package queue

import (
	"cmp"
	"maps"
	"slices"
)

// waiting is what the order of jobs depends on.
type waiting struct {
	id, user string
	number   int64 // of its arrival
	begun    bool  // it ran before the last restart
}

// order sorts jobs into the order in which they are done. Those that were running go first. Then users take turns: the
// next job is the oldest of the user whose last turn is longest ago; users without one come first, by their oldest job.
func order(jobs []waiting, turns map[string]int64) []waiting {
	sorted := slices.SortedFunc(slices.Values(jobs), func(a, b waiting) int { return cmp.Compare(a.number, b.number) })
	var result []waiting
	lists := map[string][]waiting{}
	for _, j := range sorted {
		if j.begun {
			result = append(result, j)
		} else {
			lists[j.user] = append(lists[j.user], j)
		}
	}
	turns = maps.Clone(turns)
	if turns == nil {
		turns = map[string]int64{}
	}
	var last int64
	for _, t := range turns {
		last = max(last, t)
	}
	for len(lists) > 0 {
		var next string
		for user, list := range lists {
			best, some := lists[next]
			if !some || cmp.Or(cmp.Compare(turns[user], turns[next]), cmp.Compare(list[0].number, best[0].number)) < 0 {
				next = user
			}
		}
		list := lists[next]
		result = append(result, list[0])
		last++
		turns[next] = last
		if lists[next] = list[1:]; len(list) == 1 {
			delete(lists, next)
		}
	}
	return result
}
