package queue

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
)

// migrations are SQL scripts by their number, each of which takes the schema from the version before to its own.
//
//go:embed migrations/*.sql
var migrations embed.FS

// scripts returns the migrations in their order; the first is that to version 1.
func scripts() ([]string, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries { // sorted by name
		text, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, string(text))
	}
	return list, nil
}

// errVersion says that a database was made by a later version of the program.
var errVersion = errors.New("made by a later version of this program")

// migrate brings the schema up to date, one version in each transaction. The version is SQLite's user_version.
func migrate(ctx context.Context, db *sql.DB) error {
	list, err := scripts()
	if err != nil {
		return err
	}
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(list) {
		return fmt.Errorf("%w: its schema is version %d, and %d is the last that is known", errVersion, version, len(list))
	}
	for ; version < len(list); version++ {
		if err := step(ctx, db, list[version], version+1); err != nil {
			return fmt.Errorf("schema %d: %w", version+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, script string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}
