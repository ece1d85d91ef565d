package claim

import (
	"fmt"
	"strings"
)

// Outlook is what a process with a part of some items would do, and how far that is.
type Outlook struct {
	Part  Part
	Items int      // of all parts
	Own   int      // of this one, which it does first
	Share float64  // of the work, 0 to 1, that is its own
	Done  int      // of its own
	First []string // of its own that are not done, or failed, in their order
}

// Look finds a part's outlook. It changes nothing, and the folder of claims needs not be there.
func Look(items []Item, p Part, folder string) (Outlook, error) {
	order, own := p.order(items)
	o := Outlook{Part: p, Items: len(items), Own: own}
	b := &Board{folder: folder}
	var all, mine int64
	for at, i := range order {
		item := items[i]
		work := max(item.Work, 1)
		all += work
		if at >= own {
			continue
		}
		mine += work
		last, _, err := b.last(item.Name)
		switch {
		case err != nil:
			return o, err
		case last.finished() && item.current(last):
			o.Done++
		default:
			o.First = append(o.First, item.Name)
		}
	}
	if all > 0 {
		o.Share = float64(mine) / float64(all)
	}
	return o, nil
}

// Text is the outlook as text, with at most so many of the first items. things are what the items are, and unit what
// their work is counted in.
func (o Outlook) Text(things, unit string, most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %s: %d of %d %s, %.1f %% of the %s; done: %d\n",
		o.Part, o.Own, o.Items, things, 100*o.Share, unit, o.Done)
	listed(&b, "begins with", o.First, most, func(name string) string { return name })
	if o.Own < o.Items {
		b.WriteString("then what is left of the other shards\n")
	}
	return b.String()
}
