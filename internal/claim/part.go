package claim

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Part is one of equal shares of some work: I of N. The zero Part is all of it, for one process alone.
type Part struct{ I, N int } // I is 1 to N

// Auto is the text of a Part that a job array's variables say.
const Auto = "auto"

// UnmarshalText takes I/N, or auto: what Slurm or Kubernetes says of the task. "" is the zero Part.
func (p *Part) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "":
		*p = Part{}
		return nil
	case Auto:
		var err error
		*p, err = fromEnvironment(os.LookupEnv)
		return err
	default:
		first, second, ok := strings.Cut(s, "/")
		i, errI := strconv.Atoi(first)
		n, errN := strconv.Atoi(second)
		if !ok || errI != nil || errN != nil {
			return fmt.Errorf("%q: want I/N, such as 3/8, or %s", s, Auto)
		}
		if n < 1 || i < 1 || i > n {
			return fmt.Errorf("%s: want 1/%d to %[2]d/%[2]d", s, max(n, 1))
		}
		*p = Part{i, n}
		return nil
	}
}

// MarshalText is the inverse, I/N.
func (p Part) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p Part) String() string {
	if p.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.I, p.N)
}

// fromEnvironment is the part of a task of a Slurm array or an indexed Kubernetes Job. Kubernetes doesn't tell a task
// how many there are: the manifest sets JOB_COMPLETIONS.
func fromEnvironment(lookup func(string) (string, bool)) (Part, error) {
	number := func(name string, otherwise int) (int, error) {
		text, ok := lookup(name)
		if !ok {
			if otherwise < 0 {
				return 0, fmt.Errorf("%s: %s is not set", Auto, name)
			}
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%s: %s is %q, want a number", Auto, name, text)
		}
		return n, nil
	}
	numbers := func(defaults map[string]int, names ...string) (values []int, err error) {
		for _, name := range names {
			otherwise, ok := defaults[name]
			if !ok {
				otherwise = -1
			}
			n, wrong := number(name, otherwise)
			values, err = append(values, n), errors.Join(err, wrong)
		}
		return values, err
	}
	if _, ok := lookup("SLURM_ARRAY_TASK_ID"); ok {
		v, err := numbers(map[string]int{"SLURM_ARRAY_TASK_MIN": 0, "SLURM_ARRAY_TASK_STEP": 1},
			"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")
		if err != nil {
			return Part{}, err
		}
		// The tasks of an array such as 1,5,6 are no sequence: two may get one part, and share it.
		return Part{(v[0]-v[2])/max(v[3], 1)%max(v[1], 1) + 1, max(v[1], 1)}, nil
	}
	if _, ok := lookup("JOB_COMPLETION_INDEX"); ok {
		v, err := numbers(nil, "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
		if err != nil {
			return Part{}, err
		}
		if v[0] >= v[1] {
			return Part{}, fmt.Errorf("%s: JOB_COMPLETION_INDEX is %d and JOB_COMPLETIONS %d: want the Job's completions",
				Auto, v[0], v[1])
		}
		return Part{v[0] + 1, v[1]}, nil
	}
	return Part{}, fmt.Errorf("%s: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set: want I/N, such as 3/8",
		Auto)
}

// order is the order in which a process with this part does the items, and how many of them are its own. The largest
// come first, each to the part that has the least work so far, the first of several: of the same items, each part is
// the same everywhere. Those of others follow, from the next part on, each part's last first, where its own process
// comes late. All items are the zero Part's own, in their order.
func (p Part) order(items []Item) (order []int, own int) {
	order = make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	if p.N <= 1 {
		return order, len(items)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(items[b].Work, items[a].Work), cmp.Compare(items[a].Name, items[b].Name))
	})
	parts, loads := make([][]int, p.N), make([]int64, p.N)
	for _, i := range order {
		least := 0
		for k, load := range loads {
			if load < loads[least] {
				least = k
			}
		}
		parts[least] = append(parts[least], i)
		loads[least] += max(items[i].Work, 1)
	}
	order = slices.Clone(parts[p.I-1])
	own = len(order)
	for k := range p.N - 1 {
		theirs := slices.Clone(parts[(p.I+k)%p.N])
		slices.Reverse(theirs)
		order = append(order, theirs...)
	}
	return order, own
}
