package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/server/queue"
)

// jobs reads "a1 b2 a3!": users and numbers; with ! the job was running.
func jobs(text string) (list []queue.Waiting) {
	for _, id := range strings.Fields(text) {
		name, begun := strings.CutSuffix(id, "!")
		var number int64
		if _, err := fmt.Sscan(name[1:], &number); err != nil {
			panic(err)
		}
		list = append(list, queue.NewWaiting(name, name[:1], number, begun))
	}
	return list
}

func TestOrder(t *testing.T) {
	for name, test := range map[string]struct {
		jobs, want string
		turns      map[string]int64
	}{
		"none":                        {"", "", nil},
		"one user, by arrival":        {"a3 a1 a2", "a1 a2 a3", nil},
		"two users take turns":        {"a1 a2 a3 b4 b5", "a1 b4 a2 b5 a3", nil},
		"one whose turn was longest":  {"a1 b2 c3", "c3 b2 a1", map[string]int64{"a": 9, "b": 4, "c": 2}},
		"who had none comes first":    {"a1 b2 b3 c4", "b2 c4 a1 b3", map[string]int64{"a": 1}},
		"those that ran come first":   {"a1 b2! a3! c4", "b2 a3 c4 a1", map[string]int64{"b": 2, "a": 1}},
		"users without jobs are gone": {"b1", "b1", map[string]int64{"a": 1}},
	} {
		got := strings.Join(queue.Order(jobs(test.jobs), test.turns), " ")
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// Every job is done once, a user's in the order of their arrival, and nobody is passed over: between two jobs of one
// user, every other user that waits has one.
func TestOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 30).Draw(t, "users")
		var list []queue.Waiting
		left := map[string]int{}
		for i, u := range users {
			list = append(list, queue.NewWaiting(fmt.Sprintf("%s%d", u, i), u, int64(i), false))
			left[u]++
		}
		turns := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.Int64Range(1, 9)).Draw(t, "turns")
		got := queue.Order(rapid.Permutation(list).Draw(t, "shuffled"), turns)
		if len(got) != len(list) {
			t.Fatalf("%d jobs of %d", len(got), len(list))
		}
		last := map[string]int{}
		since := map[string][]string{} // who had a turn since a user's last
		for _, id := range got {
			user := id[:1]
			var number int
			if _, err := fmt.Sscan(id[1:], &number); err != nil {
				t.Fatal(err)
			}
			if before, some := last[user]; some {
				if number <= before {
					t.Fatalf("%v: %s after %d", got, id, before)
				}
				for other, n := range left {
					if other != user && n > 0 && !slices.Contains(since[user], other) {
						t.Fatalf("%v: %s before any of %s", got, id, other)
					}
				}
			}
			last[user], since[user] = number, nil
			for other := range since {
				since[other] = append(since[other], user)
			}
			left[user]--
		}
	})
}
