// Package postgres keeps books in a PostgreSQL database, version 15 or newer.
//
// [Migrate] makes the tables, in the schema "daybook"; [Open] connects. The order of
// a book is kept by one row per book, its head: an append locks it, takes the next
// positions and lets go of it when it has committed. So nobody can see an event
// before everything that stands before it.
//
// Programs write through functions of the database that belong to the owner of the
// tables. The role daybook_app may call these and read, and write snapshots, which are
// a cache, and what projections keep; UPDATE, DELETE and TRUNCATE of events are refused
// to the owner too. The tables of projections are in the schema "daybook_views".
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/daybook-go/daybook"
)

// DB is a PostgreSQL database with books in it, as a pool of connections. It is
// safe for concurrent use. Programs hand it to [daybook.Open].
type DB struct {
	pool *pgxpool.Pool
	// sql lends connections of pool to hand-written SQL. It keeps none itself.
	sql    *sql.DB
	silent silence
	ahead  lanes
}

var _ daybook.Driver = (*DB)(nil)

// Open connects to the database at dsn, "postgres://user:password@host:port/database"
// or "host=… dbname=…"; what is missing comes from the PG… environment variables.
// The tables must be there: else the error wraps [daybook.ErrSchema], and so it does
// for tables newer than this program and for a server older than PostgreSQL 15.
//
// dsn may set the size of the pool (pool_max_conns) and the settings of the
// sessions, such as application_name. An open transaction that its client has
// left silent is ended after idle_in_transaction_session_timeout, here 10 s, so
// that it cannot hold up a book for long; nobody waits for a lock longer than
// lock_timeout, here 15 s, at a time, and who has waited so long, and meets the same
// client silent after a second wait, in the middle of a message perhaps, ends it.
//
// A server that could lose what it has acknowledged, because fsync, full_page_writes
// or synchronous_commit is off, is refused with a [*daybook.InvalidError], unless dsn
// has the parameter allow_data_loss=on.
func Open(ctx context.Context, dsn string) (*DB, error) {
	config, lossAllowed, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	db := &DB{pool: pool, sql: stdlib.OpenDBFromPool(pool)}
	err = db.do(ctx, func(conn *pgx.Conn) error {
		err := checkTables(ctx, conn)
		if err == nil && !lossAllowed {
			err = checkDurable(ctx, conn)
		}
		return err
	})
	if err != nil {
		pool.Close()
		if !errors.Is(err, daybook.ErrSchema) && !errors.Is(err, daybook.ErrInvalid) {
			err = explain("open", err)
		}
		return nil, err
	}
	return db, nil
}

// parse reads dsn and adds the settings that this package relies on.
func parse(dsn string) (config *pgxpool.Config, lossAllowed bool, err error) {
	config, err = pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, false, fmt.Errorf("postgres: the address of the database: %w", err) // pgx leaves the password out
	}
	switch value := config.ConnConfig.RuntimeParams[allowDataLoss]; value {
	case "", "off":
	case "on":
		lossAllowed = true
	default:
		return nil, false, &daybook.InvalidError{Field: allowDataLoss, Reason: fmt.Sprintf("%q is neither on nor off", value)}
	}
	delete(config.ConnConfig.RuntimeParams, allowDataLoss)
	// Rows are decoded from the binary form that this mode gives.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	params := config.ConnConfig.RuntimeParams
	params["default_transaction_isolation"] = "read committed"
	params["TimeZone"] = "UTC"
	// Every statement here is a probe or an ordered walk of an index. The plan that
	// a session keeps is made while the table is young or its bounds are unknown;
	// a scan or a sort of the whole table can look cheap then, and never is later.
	params["enable_seqscan"] = "off"
	params["enable_bitmapscan"] = "off"
	params["enable_sort"] = "off"
	params["enable_incremental_sort"] = "off"
	params["jit"] = "off"
	// And as every plan is that simple, to plan again for the values at hand gains
	// nothing: for an append it would take longer than what is planned.
	params["plan_cache_mode"] = "force_generic_plan"
	for name, value := range map[string]string{
		"application_name":                    "daybook",
		"idle_in_transaction_session_timeout": "10s",
		"lock_timeout":                        "15s",
	} {
		if params[name] == "" {
			params[name] = value
		}
	}
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		takeColumns(conn.TypeMap())
		return nil
	}
	config.ConnConfig.OnNotice = func(conn *pgconn.PgConn, notice *pgconn.Notice) {
		if notice.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warned] = notice.Message
		}
	}
	return config, lossAllowed, nil
}

// warned is where a connection keeps the last warning of its server.
const warned = "daybook: warned"

// Close ends all connections, after waiting for the calls under way.
func (db *DB) Close() error {
	err := db.sql.Close()
	db.pool.Close()
	return err
}

// OpenBook returns the id of the book of that name, making the book when it is
// new. A name that is none is refused.
func (db *DB) OpenBook(ctx context.Context, name string) (daybook.BookID, error) {
	var id int64
	err := db.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT daybook.open_book($1)`, name).Scan(&id)
	})
	return daybook.BookID(id), explain("open book", err)
}

// Head returns the last place given out in the book; the zero Head for a book that
// is new.
func (db *DB) Head(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
	head, err := db.head(ctx, `SELECT position, recorded_at FROM daybook.heads WHERE book_id = $1`, book)
	return head, explain("head", err)
}

// fenceSQL moves the recorded_at of the head of book $1 up to $2, or to the clock
// when that is earlier, and returns the head.
const fenceSQL = `SELECT head_position, head_recorded_at FROM daybook.fence($1, $2)`

// Fence makes sure that nothing will ever be recorded at or before t beyond the
// head it returns; see [daybook.Driver].
func (db *DB) Fence(ctx context.Context, book daybook.BookID, t time.Time) (daybook.Head, error) {
	head, err := db.head(ctx, fenceSQL, book, t)
	return head, explain("fence", err)
}

func (db *DB) head(ctx context.Context, query string, book daybook.BookID, args ...any) (daybook.Head, error) {
	var head daybook.Head
	err := db.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, query, append([]any{int64(book)}, args...)...).Scan(&head.Position, &head.RecordedAt)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return daybook.Head{}, noBook(book)
	}
	head.RecordedAt = head.RecordedAt.UTC()
	return head, err
}
