package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/daybook-go/daybook"
)

// explain adds what to do about an error of SQLite's, where that is not obvious.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Code() == sqlite3.SQLITE_CONSTRAINT_COMMITHOOK {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full: nothing was written, free some space and try again: %w", err)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the file or its directory cannot be written to: change the permissions: %w", err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("this is no SQLite file: name another: %w", err)
	case sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("the file cannot be opened: check that the directory exists and can be written to: %w", err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the file is damaged: restore it from a backup: %w", err)
	}
	return err
}

// refusedRow is err, or a [daybook.RefusedRowError] where it is that.
func refusedRow(table string, err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG:
		return &daybook.RefusedRowError{Table: table, Err: err}
	}
	return err
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// patient runs f again as long as another process is in the way and ctx lives. For a
// reader that is rare: when the file is opened while another process recovers it or
// is the last to close it.
func patient(ctx context.Context, f func() error) error {
	for {
		err := f()
		switch {
		case err == nil || !isBusy(err):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w: another process holds the file: %w", ctx.Err(), err)
		}
	}
}
