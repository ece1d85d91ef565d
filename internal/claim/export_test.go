package claim

import "time"

// OpenAt is Open with a clock.
func OpenAt(items []Item, o Options, now func() time.Time) (*Queue, error) {
	return open(items, o, now)
}

// Sign gives a sign of life.
func (q *Queue) Sign() error {
	q.board.mu.Lock()
	defer q.board.mu.Unlock()
	return q.board.sign()
}

// FromEnvironment is the part that variables say.
var FromEnvironment = fromEnvironment

// Order is the order in which a part does items.
func (p Part) Order(items []Item) (order []int, own int) { return p.order(items) }

// File is the file of an item's claim of a number.
func (q *Queue) File(item string, number int) string { return q.board.claimFile(item, number) }
