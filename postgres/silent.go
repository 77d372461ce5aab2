package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// silentSQL lists the sessions of this login whose client says nothing in the middle
// of one of the statements $1, or after it, with something locked; and ends those of
// them that are among $2. A session goes by what it is doing, so that one which has
// gone on is another. With it comes how long it may be silent, in microseconds.
//
// idle_in_transaction_session_timeout does not see all of them: the server takes a
// client that has sent a statement and not yet the end of its message for an active
// one, and no server before PostgreSQL 17 has a time-out for that. And where its
// clock is set back, all its time-outs come later by as much.
const silentSQL = `
SELECT a.doing, a.patience, CASE WHEN a.doing = ANY ($2::text[]) THEN pg_catalog.pg_terminate_backend(a.pid) ELSE false END
FROM (
	SELECT s.pid, concat_ws(' ', s.pid, s.backend_xid, s.query_start, s.state) AS doing,
		(extract(epoch FROM nullif(current_setting('idle_in_transaction_session_timeout'), '0')::interval) * 1000000)::bigint AS patience
	FROM pg_catalog.pg_stat_activity AS s
	WHERE s.datname = current_database() AND s.usename = current_user AND s.pid <> pg_catalog.pg_backend_pid()
		AND s.state IN ('active', 'idle in transaction') AND s.wait_event = 'ClientRead' AND s.backend_xid IS NOT NULL
		AND (left(s.query, 200) IN (SELECT left(q, 200) FROM unnest($1::text[]) AS own(q)) OR starts_with(s.query, '` + ownMark + `'))
) AS a
WHERE a.patience IS NOT NULL`

// ownStatements are what a client of this package can be in the middle of while it
// holds a head, besides those that begin with ownMark.
var ownStatements = []string{lockSQL, lastSQL, lookupSQL, appendSQL, appendOneSQL, fenceSQL}

// silence is who was seen silent, and since when. It is measured here: by the server's
// clock everybody has long been silent when that is set ahead, and nobody when it is
// set back.
type silence struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// sighting is a session that is silent, and how long it may be.
type sighting struct {
	doing    string
	patience time.Duration
}

// mayBreak reports whether err is that a lock was not to be had in time, and a silent
// client may have held it: then it is worth another try. It ends those who have been
// silent, from the first time they were seen so, for as long as a client may be
// between statements.
func (s *silence) mayBreak(ctx context.Context, conn *pgx.Conn, err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != codeLockTimeout || conn.IsClosed() {
		return false
	}
	seen, err := silent(ctx, conn, []string{})
	if err != nil || len(seen) == 0 {
		return false
	}
	if long := s.long(seen, time.Now()); len(long) > 0 { //nolint:forbidigo // how long a client is silent is no business of the caller's clock
		_, err = silent(ctx, conn, long)
	}
	return err == nil
}

// silent looks who is, and ends those that are named.
func silent(ctx context.Context, conn *pgx.Conn, end []string) ([]sighting, error) {
	rows, err := conn.Query(ctx, silentSQL, ownStatements, end)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (seen sighting, err error) {
		var micros int64
		err = row.Scan(&seen.doing, &micros, nil)
		seen.patience = time.Duration(micros) * time.Microsecond
		return seen, err
	})
}

// long notes who is silent now, forgets who no longer is, and returns those who have
// been for too long.
func (s *silence) long(seen []sighting, now time.Time) (tooLong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.since
	s.since = map[string]time.Time{}
	for _, one := range seen {
		since, known := before[one.doing]
		if !known {
			since = now
		}
		s.since[one.doing] = since
		if now.Sub(since) >= one.patience {
			tooLong = append(tooLong, one.doing)
		}
	}
	return tooLong
}
