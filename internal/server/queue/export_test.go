package queue

import (
	"context"
	"fmt"
	"testing"
)

// Waiting and Order show the order of jobs to tests.
type Waiting = waiting

// NewWaiting makes a job that waits.
func NewWaiting(id, user string, number int64, begun bool) Waiting {
	return waiting{id, user, number, begun}
}

// Order returns the names of jobs in their order.
func Order(jobs []Waiting, turns map[string]int64) (ids []string) {
	for _, j := range order(jobs, turns) {
		ids = append(ids, j.id)
	}
	return ids
}

// LimitPages lets the database grow by so many pages at most, as a full disk does; with a negative number it may grow
// again.
func (q *Queue) LimitPages(t *testing.T, more int64) {
	t.Helper()
	var pages, got int64
	ctx := context.Background()
	if err := q.store.writer.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if more < 0 {
		more = 1 << 20
	}
	limit := fmt.Sprintf("PRAGMA max_page_count = %d", pages+more)
	if err := q.store.writer.QueryRowContext(ctx, limit).Scan(&got); err != nil {
		t.Fatal(err)
	}
}

// Version sets the version of the schema that the database says it has.
func (q *Queue) Version(t *testing.T, version int) {
	t.Helper()
	set := fmt.Sprintf("PRAGMA user_version = %d", version)
	if _, err := q.store.writer.ExecContext(context.Background(), set); err != nil {
		t.Fatal(err)
	}
}
