package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/daybook-go/daybook"
)

// errEnded is for a transaction that write has not ended. Nothing of it is kept: see
// [session.guard].
var errEnded = errors.New("the transaction is over before its time, by a COMMIT or ROLLBACK in hand-written SQL or by an error that was passed over: nothing was written")

// write runs f in a transaction that holds the file's writer lock from its start.
// It waits for the lock as long as ctx lives. f says whether there is anything to
// commit; the context it gets does not end, because watching one costs a goroutine
// for every statement, and it must look at ctx itself where it takes long.
func (db *DB) write(ctx context.Context, f func(ctx context.Context, s *session) (commit bool, err error)) (err error) {
	s, err := db.session(ctx)
	if err != nil {
		return err
	}
	// What has begun is ended whatever becomes of ctx.
	ended := context.WithoutCancel(ctx)
	settled := false
	defer func() {
		if !settled { // f has panicked, or ended its goroutine
			_ = s.rollback(ended) // a session that is broken is not used again
		}
		err = errors.Join(err, db.putBack(s))
	}()
	err = patient(ctx, func() error {
		_, err := s.ExecContext(ctx, `BEGIN IMMEDIATE`)
		return err
	})
	s.over.Store(false)
	commit := false
	if err == nil {
		commit, err = f(ended, s)
	}
	settled = true
	if err != nil || !commit {
		// Where ctx ended meanwhile the driver reports that for a BEGIN, although the
		// transaction may have begun.
		return explain(errors.Join(err, s.rollback(ended)))
	}
	if err = ctx.Err(); err != nil {
		return errors.Join(err, s.rollback(ended))
	}
	if s.over.Load() {
		return errors.Join(errEnded, s.rollback(ended)) // there may be another one
	}
	return s.commit(ended)
}

// commit ends the transaction well, or says what is known of it.
func (s *session) commit(ctx context.Context) error {
	s.mayCommit.Store(true)
	_, err := s.ExecContext(ctx, `COMMIT`)
	s.mayCommit.Store(false)
	if err == nil {
		return nil
	}
	var e *sqlite.Error
	full := errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
	err = explain(errors.Join(err, s.rollback(ctx)))
	if full {
		return err // the commit's last page was not written, so it cannot be found later
	}
	// The commit may be in the log although it could not be made durable.
	return fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
}
