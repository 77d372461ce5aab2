package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

// A client that holds the head and says nothing more must not stop the book.
func TestSilentClientIsEnded(t *testing.T) {
	t.Parallel()
	dsn := with(t, migrated.DSN(t), "idle_in_transaction_session_timeout", "300ms")
	db, book, conn := openBookAt(t, dsn)
	silent, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Release()
	lockHead(t, silent.Conn(), book)
	appendOne(t, db, book, deposits(account(), 1))
	wantHead(t, conn, book, 1)
}

// sendLock is what locks the head of a book.
func sendLock(pipeline *pgconn.Pipeline, book daybook.BookID) {
	pipeline.SendQueryParams(beginSQL, nil, nil, nil, nil)
	pipeline.SendQueryParams(lockSQL, [][]byte{fmt.Appendf(nil, "%d", book)}, nil, nil, nil)
}

// stopWithin sends a message, but for its end.
func stopWithin(t *testing.T, conn *pgx.Conn, book daybook.BookID, send func(*pgconn.Pipeline, daybook.BookID)) *pgconn.Pipeline {
	t.Helper()
	pipeline := conn.PgConn().StartPipeline(t.Context())
	send(pipeline, book)
	pipeline.SendFlushRequest() // and no Sync
	if err := pipeline.Flush(); err != nil {
		t.Fatal(err)
	}
	return pipeline
}

// A client that falls silent within a message, its statement sent and the end of it
// not, is an active one to the server, which waits for it without limit.
func TestAClientThatIsSilentWithinAMessageIsEnded(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(pipeline *pgconn.Pipeline, book daybook.BookID){
		"after the lock": sendLock,
		"after an event": func(pipeline *pgconn.Pipeline, book daybook.BookID) {
			id := daybook.NewUUID().String()
			var params [][]byte
			for _, text := range []string{fmt.Sprint(book), "0", "account", id, "1", id, "MoneyDeposited", "1", "{}", "{}", "2026-01-01T00:00:00Z", id} {
				params = append(params, []byte(text))
			}
			params[len(params)-1] = nil // it rests on no event
			pipeline.SendQueryParams(appendOneSQL, params, nil, nil, nil)
		},
		"after loading rows": func(pipeline *pgconn.Pipeline, book daybook.BookID) {
			sendLock(pipeline, book)
			pipeline.SendQueryParams(stateSQL, [][]byte{fmt.Append(nil, book)}, nil, nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := with(t, with(t, migrated.DSN(t), "idle_in_transaction_session_timeout", "300ms"), "lock_timeout", "2s")
			db, book, conn := openBookAt(t, dsn)
			silent, err := db.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Release()
			stopWithin(t, silent.Conn(), book, send)
			waitFor(t, conn, `state = 'active' AND wait_event = 'ClientRead' AND backend_xid IS NOT NULL`)
			appendOne(t, db, book, deposits(account(), 1))
			wantHead(t, conn, book, 1)
		})
	}
}

// onClock returns a book on a server whose clock is wrong, to be set right: see
// [pgtest.StartWithClock].
func onClock(t *testing.T, ahead time.Duration, idle, lock string) (*pgtest.Server, *DB, daybook.BookID, *pgx.Conn) {
	t.Helper()
	s := pgtest.StartWithClock(t)
	s.SetClock(ahead)
	if err := Migrate(t.Context(), s.DSN()); err != nil {
		t.Fatal(err)
	}
	db, book, conn := openBookAt(t, with(t, with(t, s.DSN(), "idle_in_transaction_session_timeout", idle), "lock_timeout", lock))
	return s, db, book, conn
}

// Whether a client is silent is not for the server's clock to say: when that is set
// ahead, everybody looks as if he had been for long.
func TestAClockSetAheadEndsNobody(t *testing.T) {
	t.Parallel()
	s, db, book, conn := onClock(t, -24*time.Hour, "10min", "200ms")
	slow, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Release()
	pipeline := stopWithin(t, slow.Conn(), book, sendLock)
	waitFor(t, conn, `state = 'active' AND wait_event = 'ClientRead' AND backend_xid IS NOT NULL`)
	s.SetClock(0)
	if _, err := db.Append(t.Context(), book, []daybook.Append{deposits(account(), 1)}, daybook.InlineWork{}); sqlState(err) != codeLockTimeout {
		t.Errorf("while the head is locked: error is %v, want a lock timeout", err)
	}
	pipeline.SendQueryParams(commitSQL, nil, nil, nil, nil)
	if err := pipeline.Sync(); err != nil {
		t.Error(err)
	}
	if err := pipeline.Close(); err != nil {
		t.Errorf("the slow client, who went on: %v", err)
	}
	appendOne(t, db, book, deposits(account(), 1))
	wantHead(t, conn, book, 1)
}

// And when it is set back, the server's own time-outs are put off by as much.
func TestAClockSetBackKeepsNobodySilent(t *testing.T) {
	t.Parallel()
	for name, fallSilent := range map[string]func(*testing.T, *pgx.Conn, daybook.BookID){
		"within a message": func(t *testing.T, conn *pgx.Conn, book daybook.BookID) {
			t.Helper()
			stopWithin(t, conn, book, sendLock)
		},
		"between two statements": func(t *testing.T, conn *pgx.Conn, book daybook.BookID) {
			t.Helper()
			exec(t, conn, beginSQL)
			exec(t, conn, lockSQL, int64(book))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db, book, conn := onClock(t, 24*time.Hour, "1s", "1500ms")
			silent, err := db.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Release()
			fallSilent(t, silent.Conn(), book)
			waitFor(t, conn, `wait_event = 'ClientRead' AND backend_xid IS NOT NULL`)
			s.SetClock(0)
			appendOne(t, db, book, deposits(account(), 1))
			wantHead(t, conn, book, 1)
		})
	}
}
