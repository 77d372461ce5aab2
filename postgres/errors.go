package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-go/daybook"
)

// The SQLSTATEs that this package acts on. Those that begin with ZD are raised by
// the functions and triggers of the migrations.
const (
	codePrivilege     = "42501"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeUnique        = "23505"
	codeNotPrepared   = "26000"
	codeLockTimeout   = "55P03"
	codeTerminated    = "57P01"
	codeWrongHead     = "ZD002"
	codeHole          = "ZD003"
	codeInline        = "ZD006"
	codeDependent     = "2BP01"
	codeViewColumns   = "42P16"
)

// advice says what to do about an error of the server, by SQLSTATE.
var advice = map[string]string{
	codePrivilege:     "the login may not do this: have the owner run GRANT daybook_app TO it",
	codeSerialization: "another transaction stood in the way: try again",
	codeDeadlock:      "another transaction stood in the way: try again",
	codeWrongHead:     "the book is not there, or its head has moved although it was locked: somebody has written to the tables by hand",
	codeHole:          "the event before is missing although the book was locked: somebody has written to the tables by hand",
	codeDependent:     "other objects depend on it: drop these first, and make them again afterwards",
	"25006":           "the database is read-only, a standby perhaps: connect to the primary",
	"28000":           "the server refused the login: check user and password, and the server's pg_hba.conf",
	"28P01":           "the server refused the login: check user and password",
	"3D000":           "there is no such database: create it, or correct the name",
	"53100":           "the server's disk is full: make room there",
	"53200":           "the server is out of memory: append less at once, or give it more",
	"53300":           "the server has no connection left: raise its max_connections, or lower pool_max_conns",
	codeLockTimeout:   "the wait for a lock took longer than lock_timeout: try again, or raise it",
	"57014":           "the server cancelled the statement, at somebody's request or after statement_timeout",
	codeTerminated:    "the server is stopping, or an administrator ended the connection: try again when it is back",
	"57P02":           "the server has crashed: try again when it is back",
	"57P03":           "the server is starting or stopping: try again when it is up",
}

// schemaGone are the SQLSTATEs that say that the tables or functions are not there.
var schemaGone = map[string]bool{"3F000": true, "42P01": true, "42703": true, "42883": true}

// takenByHand is advice for a place in the book that is taken, and not for other keys.
const takenByHand = "the event or its place is there already although the book was locked: somebody has written to the tables by hand"

// tablesError is what has gone wrong besides the events: in the tables of projections,
// or in what the program does in the same transaction.
type tablesError struct {
	what string
	err  error
}

func (e *tablesError) Error() string {
	var refused *pgconn.PgError
	switch {
	case e.what == "":
		return e.err.Error()
	case errors.As(e.err, &refused) && refused.Detail != "":
		return e.what + ": " + e.err.Error() + ": " + refused.Detail
	}
	return e.what + ": " + e.err.Error()
}

func (e *tablesError) Unwrap() error { return e.err }

func isTablesError(err error) bool {
	var tables *tablesError
	return errors.As(err, &tables)
}

// inlineChanged is the answer to an append that knows other inline projections than the
// book has.
func inlineChanged(is, known int64) error {
	return fmt.Errorf("%w: they are at revision %d, not %d", daybook.ErrInlineChanged, is, known)
}

// changedMeanwhile reports whether err may be that a table which inline projections had
// is gone, or another one.
func changedMeanwhile(err error) bool {
	var refused *pgconn.PgError
	return isTablesError(err) && errors.As(err, &refused) && strings.HasPrefix(refused.Code, "42")
}

// refusedRow is err, or a [daybook.RefusedRowError] where it is that, about the table or, where
// that is not known, about the one that the server names.
func refusedRow(table string, err error) error {
	var refused *pgconn.PgError
	var known *daybook.RefusedRowError
	if errors.Is(err, daybook.ErrUnclear) || errors.As(err, &known) || !errors.As(err, &refused) {
		return err
	}
	switch refused.Code[:2] {
	case "22", "23", "54": // data exceptions, constraints, limits
		if table == "" {
			table = refused.TableName
		}
		return &daybook.RefusedRowError{Table: table, Err: err}
	}
	return err
}

// explain says what was being done and what can be done about err.
func explain(doing string, err error) error {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, daybook.ErrProjection): // what a projection says is not about this engine
		return err
	case errors.As(err, &refused) && refused.Code == codeInline:
		return fmt.Errorf("%w: postgres: %s: %w", daybook.ErrInlineChanged, doing, err)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("postgres: %s: %w", doing, err)
	case errors.As(err, &refused) && refused.Code == codeUnique && !isTablesError(err):
		return fmt.Errorf("postgres: %s: %s: %w", doing, takenByHand, err)
	case errors.As(err, &refused) && schemaGone[refused.Code] && !isTablesError(err):
		return fmt.Errorf("%w: the tables are not as this program needs them: call postgres.Migrate: postgres: %s: %w", daybook.ErrSchema, doing, err)
	case errors.As(err, &refused) && advice[refused.Code] != "":
		return fmt.Errorf("postgres: %s: %s: %w", doing, advice[refused.Code], err)
	case errors.As(err, &refused) && errors.As(err, &unreachable):
		return fmt.Errorf("postgres: %s: the server refused the connection: see that the parameters in the address are right: %w", doing, err)
	case errors.As(err, &unreachable):
		return fmt.Errorf("postgres: %s: the server cannot be reached: see that it runs and that the address is right: %w", doing, err)
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}

// lostToAnother reports whether a transaction was rolled back only because of
// another one, so that it may succeed when it is tried again.
func lostToAnother(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == codeSerialization || refused.Code == codeDeadlock)
}

// forgotten reports whether a session no longer has what was prepared in it: hand-written SQL
// may have said DEALLOCATE ALL.
func forgotten(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == codeNotPrepared
}

// endedAtOnce reports whether err is that a connection was ended by an administrator
// before it was made. A server that is stopping refuses it with another code.
func endedAtOnce(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == codeTerminated
}

// endedByHand reports whether a connection was closed not because it was lost, but because
// a context of hand-written SQL has ended, or because it was of no use any more.
func endedByHand(err error) bool {
	return errors.Is(err, errRowsOpen) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// unkept reports whether err says that the server cannot keep a value it was given:
// the classes "data exception" and "program limit exceeded".
func unkept(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && !errors.Is(err, daybook.ErrUnclear) && !isTablesError(err) && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "54"))
}
