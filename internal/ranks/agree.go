package ranks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// question is what rank 0 collects parts for.
type question struct {
	name    string
	parts   [][]byte // by rank; nil has not come
	missing int
	done    chan struct{}
}

// FromFirst returns on all ranks what rank 0 passes.
func (j *Job) FromFirst(ctx context.Context, name string, data []byte) ([]byte, error) {
	return j.ask(ctx, name, data, func(parts [][]byte) ([]byte, error) { return parts[0], nil })
}

// Agree returns an Error on all ranks, which says who differs, unless all pass the same facts.
func (j *Job) Agree(ctx context.Context, name string, facts map[string]string) error {
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	_, err = j.ask(ctx, name, text, j.compare)
	return err
}

// compare is what rank 0 does with all ranks' facts.
func (j *Job) compare(parts [][]byte) ([]byte, error) {
	all := make([]map[string]string, len(parts))
	keys := map[string]bool{}
	for i, p := range parts {
		if err := json.Unmarshal(p, &all[i]); err != nil {
			return nil, err
		}
		for k := range all[i] {
			keys[k] = true
		}
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if line := j.differences(k, all); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 {
		return nil, fmt.Errorf("the ranks are not set up alike:\n  %s", strings.Join(lines, "\n  "))
	}
	return nil, nil
}

// differences says who has which value of a fact, if not all have the same; the few come last.
func (j *Job) differences(key string, all []map[string]string) string {
	ranks := map[string][]int{}
	for i, facts := range all {
		ranks[facts[key]] = append(ranks[facts[key]], i)
	}
	if len(ranks) == 1 {
		return ""
	}
	values := slices.SortedFunc(maps.Keys(ranks), func(a, b string) int {
		if n := len(ranks[b]) - len(ranks[a]); n != 0 {
			return n
		}
		return ranks[a][0] - ranks[b][0]
	})
	var parts []string
	for _, v := range values {
		parts = append(parts, fmt.Sprintf("%s on %s", shown(v), j.names(ranks[v])))
	}
	return key + ": " + strings.Join(parts, ", ")
}

func shown(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// names lists ranks: "rank 3 (gpu07)", "ranks 0, 1, 2 and 5 others".
func (j *Job) names(ranks []int) string {
	const shown = 8
	if len(ranks) == 1 {
		host := j.host
		if ranks[0] != j.launch.Rank {
			host = j.members[ranks[0]].host
		}
		return fmt.Sprintf("rank %d (%s)", ranks[0], host)
	}
	var list []string
	for _, r := range ranks[:min(shown, len(ranks))] {
		list = append(list, strconv.Itoa(r))
	}
	text := "ranks " + strings.Join(list, ", ")
	if more := len(ranks) - shown; more > 0 {
		text += fmt.Sprintf(" and %d others", more)
	}
	return text
}

// ask gives rank 0 a part of each rank and all ranks what it makes of them. Its error ends the job.
func (j *Job) ask(ctx context.Context, name string, mine []byte, judge func([][]byte) ([]byte, error)) ([]byte, error) {
	if j.launch.Rank != 0 {
		err := j.members[0].wire.send(message{Kind: ask, Name: name, Data: mine})
		if err != nil {
			j.lost(&j.members[0], err)
		}
		select {
		case a := <-j.answers:
			return a.Data, nil
		case <-j.failed:
			return nil, j.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	q := j.collect(name)
	j.put(q, 0, mine)
	select {
	case <-q.done:
	case <-j.failed:
		return nil, j.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(j.o.Timeout):
		j.fail(fmt.Sprintf("%s: after %s nothing has come from %s", name, j.o.Timeout, j.names(j.silent(q))))
		return nil, j.err
	}
	j.mu.Lock()
	j.question = nil // the next may have its name
	j.mu.Unlock()
	data, err := judge(q.parts)
	if err != nil {
		j.fail(err.Error())
		return nil, j.err
	}
	for _, m := range j.others() {
		if err := m.wire.send(message{Kind: answer, Name: name, Data: data}); err != nil {
			j.lost(m, err)
		}
	}
	return data, j.Err()
}

// collect is the question of a name; the first part of any rank begins it.
func (j *Job) collect(name string) *question {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.question == nil || j.question.name != name {
		j.question = &question{
			name: name, parts: make([][]byte, j.launch.Size), missing: j.launch.Size,
			done: make(chan struct{}),
		}
	}
	return j.question
}

func (j *Job) put(q *question, rank int, part []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if q.parts[rank] != nil {
		return
	}
	q.parts[rank] = append([]byte{}, part...)
	if q.missing--; q.missing == 0 {
		close(q.done)
	}
}

// part takes another rank's part.
func (j *Job) part(m *member, got message) {
	j.mu.Lock()
	leaving := j.leaving
	j.mu.Unlock()
	if leaving {
		j.fail(fmt.Sprintf("rank 0 (%s) has ended before %s", j.host, got.Name))
		return
	}
	j.put(j.collect(got.Name), m.rank, got.Data)
}

// silent are the ranks whose part has not come.
func (j *Job) silent(q *question) (ranks []int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for rank, p := range q.parts {
		if p == nil {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}
