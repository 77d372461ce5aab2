package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// endSilentSQL ends the sessions of this login whose client has fallen silent in the
// middle of one of the statements $1, with something locked, for as long as a client
// may be silent between statements. It counts them.
//
// idle_in_transaction_session_timeout does not see them: the server takes a client
// that has sent a statement and not yet the end of its message for an active one, and
// no server before PostgreSQL 17 has a time-out for that.
const endSilentSQL = `
SELECT count(pg_catalog.pg_terminate_backend(a.pid))
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_catalog.pg_backend_pid()
	AND a.state = 'active' AND a.wait_event = 'ClientRead' AND a.backend_xid IS NOT NULL
	AND a.query_start < clock_timestamp() - nullif(current_setting('idle_in_transaction_session_timeout'), '0')::interval
	AND left(a.query, 200) IN (SELECT left(q, 200) FROM unnest($1::text[]) AS own(q))`

// ownStatements are what a client of this package can be in the middle of while it
// holds a head.
var ownStatements = []string{lockSQL, lastSQL, lookupSQL, appendSQL, appendOneSQL, fenceSQL}

// silentEnded reports whether err is that a lock was not to be had in time, and a
// silent client that may have held it was ended: then it is worth another try.
func silentEnded(ctx context.Context, conn *pgx.Conn, err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != codeLockTimeout || conn.IsClosed() {
		return false
	}
	var ended int
	return conn.QueryRow(ctx, endSilentSQL, ownStatements).Scan(&ended) == nil && ended > 0
}
