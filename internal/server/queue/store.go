package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// store is the database. All writing goes through one connection, so that nothing waits for a lock; readers see the
// last whole transaction meanwhile (SQLite's write-ahead log).
type store struct {
	path   string
	writer *sql.DB
	reader *sql.DB
}

// readers is how many may read at once.
const readers = 4

// openStore opens a database, which it makes if there is none, and brings its schema up to date.
func openStore(ctx context.Context, path string) (_ *store, err error) {
	s := &store{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(s.wrap(err), s.close())
		}
	}()
	// Full synchronisation: a job that was accepted survives a failure of power, too.
	common := []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}
	if s.writer, err = connect(path, append(common, "wal_autocheckpoint(200)"), 1); err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.writer); err != nil {
		return nil, err
	}
	s.reader, err = connect(path, append(common, "query_only(1)"), readers)
	return s, err
}

// connect returns connections on which some pragmas are set.
func connect(path string, pragmas []string, most int) (*sql.DB, error) {
	path, err := filepath.Abs(path) // what begins otherwise would be the name of a host
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")} // escapes ? and #
	values := url.Values{"_txlock": {"immediate"}}
	for _, p := range pragmas {
		values.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", name.String()+"?"+values.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// check looks for damage.
func (s *store) check(ctx context.Context) error {
	var result string
	if err := s.writer.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", errCheck, result)
	}
	return nil
}

var errCheck = errors.New("SQLite's check found")

func (s *store) close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} { // the writer last: it empties the log into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// wrap says in a user's words what is wrong with the database.
func (s *store) wrap(err error) error {
	var code int
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		code = e.Code() & 0xff // without the extended part
	}
	switch {
	case err == nil || ours(err):
		return err
	case errors.Is(err, errVersion):
		return fmt.Errorf("%s: %w; use that version, or name another state folder", s.path, err)
	case errors.Is(err, errCheck), code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %s: %w; put a backup in its place, or move it and its folder away to begin without jobs",
			ErrDamaged, s.path, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrStorage, s.path, err)
}

// ours reports whether an error says nothing of the database.
func ours(err error) bool {
	for _, e := range []error{
		ErrFull, ErrDisk, ErrTooLarge, ErrKey, ErrNotFound, ErrNotEnded, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// update runs a function in a transaction of the writer.
func (s *store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.wrap(func() error {
		tx, err := s.writer.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after Commit it does nothing
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	}())
}

// querier is a database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// row is a job as it is stored.
type row struct {
	Job
	number  int64
	deaths  int
	shelved sql.NullInt64
}

const columns = `number, id, user, request, state, cancel, begun, deaths, created, started, ended, shelved, spent, disk,
	error, progress`

// rows are the jobs that a condition, and an order, choose.
func rows(ctx context.Context, q querier, where string, args ...any) (list []row, err error) {
	err = each(ctx, q, func(found *sql.Rows) error {
		var r row
		var created, spent int64
		var started, ended sql.NullInt64
		var request, progress []byte
		if err := found.Scan(&r.number, &r.ID, &r.User, &request, &r.State, &r.Stopping, &r.Restarted, &r.deaths,
			&created, &started, &ended, &r.shelved, &spent, &r.Disk, &r.Error, &progress); err != nil {
			return err
		}
		if err := json.Unmarshal(progress, &r.Progress); err != nil {
			return fmt.Errorf("job %s: progress: %w", r.ID, err)
		}
		r.Request = request
		r.Created, r.Started, r.Ended = moment(created), maybe(started), maybe(ended)
		r.Spent = time.Duration(spent) * time.Millisecond
		r.Stopping = r.Stopping && r.State == Running
		list = append(list, r)
		return nil
	}, "SELECT "+columns+" FROM jobs "+where, args...)
	return list, err
}

// one is the job that a condition chooses; ErrNotFound if there is none.
func one(ctx context.Context, q querier, where string, args ...any) (row, error) {
	list, err := rows(ctx, q, where, args...)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	return list[0], nil
}

func moment(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }

func maybe(milliseconds sql.NullInt64) time.Time {
	if !milliseconds.Valid {
		return time.Time{}
	}
	return moment(milliseconds.Int64)
}

// line returns the jobs that wait, in the order in which they are done.
func line(ctx context.Context, q querier) ([]waiting, error) {
	var jobs []waiting
	err := each(ctx, q, func(found *sql.Rows) error {
		var w waiting
		err := found.Scan(&w.id, &w.user, &w.number, &w.begun)
		jobs = append(jobs, w)
		return err
	}, "SELECT id, user, number, begun FROM jobs WHERE state = 'queued'")
	if err != nil {
		return nil, err
	}
	turns := map[string]int64{}
	err = each(ctx, q, func(found *sql.Rows) error {
		var user string
		var turn int64
		err := found.Scan(&user, &turn)
		turns[user] = turn
		return err
	}, "SELECT user, turn FROM turns")
	return order(jobs, turns), err
}

// each calls a function for every row of a query.
func each(ctx context.Context, q querier, f func(*sql.Rows) error, query string, args ...any) (err error) {
	found, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		if err := f(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// number is the single number that a query returns.
func number(ctx context.Context, q querier, query string, args ...any) (n int64, err error) {
	err = each(ctx, q, func(found *sql.Rows) error { return found.Scan(&n) }, query, args...)
	return n, err
}

// texts are the single texts of the rows of a query.
func texts(ctx context.Context, q querier, query string, args ...any) (list []string, err error) {
	err = each(ctx, q, func(found *sql.Rows) error {
		var text string
		err := found.Scan(&text)
		list = append(list, text)
		return err
	}, query, args...)
	return list, err
}

// placeholders are n question marks.
func placeholders(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }
