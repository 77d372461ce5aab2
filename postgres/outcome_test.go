package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

type result struct {
	outcomes []daybook.Outcome
	err      error
}

// way is one in which an append gets to the server.
type way struct {
	expected daybook.Expected
	append   func(ctx context.Context, db *DB, book daybook.BookID, batch ...daybook.Append) ([]daybook.Outcome, error)
}

// one is an append that goes that way.
func (w way) one() daybook.Append {
	a := deposits(account(), 1)
	a.Entries[0].Expected = w.expected
	return a
}

// aside appends in a goroutine; the channel gets what became of it.
func (w way) aside(ctx context.Context, db *DB, book daybook.BookID, batch ...daybook.Append) <-chan result {
	done := make(chan result, 1)
	go func() {
		outcomes, err := w.append(ctx, db, book, batch...)
		done <- result{outcomes, err}
	}()
	return done
}

func appendNow(ctx context.Context, db *DB, book daybook.BookID, batch ...daybook.Append) ([]daybook.Outcome, error) {
	return db.Append(ctx, book, batch, daybook.InlineWork{})
}

func appendAhead(ctx context.Context, db *DB, book daybook.BookID, batch ...daybook.Append) ([]daybook.Outcome, error) {
	return db.AppendAhead(ctx, book, batch, 0, func() {})
}

// everyWay runs a test for each.
func everyWay(t *testing.T, test func(t *testing.T, w way)) {
	t.Helper()
	for name, w := range map[string]way{
		"guessed": {daybook.NoEvents(), appendNow},
		"ahead":   {daybook.NoEvents(), appendAhead},
		"locked":  {daybook.Any(), appendNow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// appendAside appends in a goroutine; the channel gets what became of it.
func appendAside(ctx context.Context, db *DB, book daybook.BookID, a daybook.Append) <-chan result {
	return way{append: appendNow}.aside(ctx, db, book, a)
}

// waitFor returns the pid of a session of daybook's of which condition is true.
func waitFor(t testing.TB, conn *pgx.Conn, condition string) int32 {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var pid int32
		exec(t, conn, `SELECT pg_stat_clear_snapshot()`) // a transaction sees what it has seen once
		err := conn.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'daybook' AND `+condition).Scan(&pid)
		if err == nil {
			return pid
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
	}
	t.Fatalf("no session was ever %s", condition)
	return 0
}

const waitsForTheHead = `wait_event_type = 'Lock'`

func lockHead(t testing.TB, conn *pgx.Conn, book daybook.BookID) {
	t.Helper()
	// In one message: in between, a client may be ended for its silence.
	exec(t, conn, fmt.Sprintf(`BEGIN; SELECT daybook.lock_head(%d)`, book))
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		db, book, conn := openBook(t)
		lockHead(t, conn, book)
		ctx, cancel := context.WithCancel(t.Context())
		done := w.aside(ctx, db, book, w.one())
		waitFor(t, conn, waitsForTheHead)
		cancel()
		if got := <-done; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, daybook.ErrUnclear) {
			t.Errorf("error is %v", got.err)
		}
		exec(t, conn, `COMMIT`)
		wantHead(t, conn, book, 0)
		appendOne(t, db, book, w.one())
		wantHead(t, conn, book, 1)
	})
}

// A server that says nothing at all, not even to a request to cancel, holds nobody whose
// context has ended.
func TestCancelledWhileTheServerIsSilent(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		dsn := pgtest.Start(t).DSN() // all that share a server wait for a session that stands still
		if err := Migrate(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
		db, book, conn := openBookAt(t, dsn)
		atInsert(t, conn, `PERFORM pg_sleep(30)`)
		ctx, cancel := context.WithCancel(t.Context())
		done := w.aside(ctx, db, book, w.one())
		process, err := os.FindProcess(int(waitFor(t, conn, `wait_event = 'PgSleep'`)))
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := process.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		cancel()
		if got := <-done; !errors.Is(got.err, daybook.ErrUnclear) {
			t.Errorf("error is %v, want it unclear", got.err)
		}
		if took := time.Since(began); took > commitTimeout/2 {
			t.Errorf("it took %v, as if nobody had called it off", took)
		}
	})
}

// atInsert makes the server run a statement in the middle of every append.
func atInsert(t testing.TB, conn *pgx.Conn, statement string) {
	t.Helper()
	exec(t, conn, `CREATE FUNCTION at_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN `+statement+`; RETURN NULL; END $$`)
	exec(t, conn, `CREATE TRIGGER at_insert AFTER INSERT ON daybook.events EXECUTE FUNCTION at_insert()`)
}

func TestCancelledWhileCommitting(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		db, book, conn := openBook(t)
		atInsert(t, conn, `PERFORM pg_sleep(30)`)
		ctx, cancel := context.WithCancel(t.Context())
		done := w.aside(ctx, db, book, w.one())
		waitFor(t, conn, `wait_event = 'PgSleep'`)
		cancel()
		if got := <-done; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, daybook.ErrUnclear) {
			t.Errorf("outcomes are %+v, error %v, want it cancelled by the server", got.outcomes, got.err)
		}
		wantHead(t, conn, book, 0)
	})
}

func TestErrorWhileCommitting(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		db, book, conn := openBook(t)
		atInsert(t, conn, `RAISE 'the disk is full' USING ERRCODE = '53100'`)
		_, err := w.append(t.Context(), db, book, w.one())
		if err == nil || errors.Is(err, daybook.ErrUnclear) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("error is %v", err)
		}
		wantHead(t, conn, book, 0)
		if open := value[int64](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daybook' AND datname = current_database() AND state <> 'idle'`); open != 0 {
			t.Errorf("%d connections are left in a transaction", open)
		}
	})
}

func TestLostWhileWaiting(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	lockHead(t, conn, book)
	done := appendAside(t.Context(), db, book, deposits(account(), 1))
	exec(t, conn, `SELECT pg_terminate_backend($1)`, waitFor(t, conn, waitsForTheHead))
	exec(t, conn, `COMMIT`)
	if got := <-done; got.err != nil {
		t.Errorf("the second try failed: %v", got.err)
	}
	wantHead(t, conn, book, 1)
}

func TestLostWhileWriting(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		db, book, conn := openBook(t)
		atInsert(t, conn, `PERFORM pg_terminate_backend(pg_backend_pid())`)
		a := w.one()
		_, err := w.append(t.Context(), db, book, a)
		if !errors.Is(err, daybook.ErrUnclear) || sqlState(err) != "57P01" {
			t.Errorf("error is %v", err)
		}
		exec(t, conn, `DROP TRIGGER at_insert ON daybook.events`)
		wantHead(t, conn, book, 0)
		outcomes, err := w.append(t.Context(), db, book, a)
		if err != nil || outcomes[0].Duplicate {
			t.Errorf("outcomes are %+v, error %v", outcomes, err)
		}
		wantHead(t, conn, book, 1)
	})
}

// The commit is in the log and waits for a standby that does not exist. When its
// connection is ended, the error looks like the one of TestLostWhileWriting, when the
// wait is cancelled there is a warning and no error; in both cases the event is there.
func TestLostAfterCommit(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"pg_terminate_backend", "pg_cancel_backend"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t)
			if err := Migrate(t.Context(), server.DSN()); err != nil {
				t.Fatal(err)
			}
			db, book, conn := openBookAt(t, server.DSN())
			exec(t, conn, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
			exec(t, conn, `SELECT pg_reload_conf()`)
			a, done := appendUntilOneWaits(t, db, book, conn)
			exec(t, conn, `SELECT `+end+`($1)`, waitFor(t, conn, waitsForAStandby))
			if got := <-done; !errors.Is(got.err, daybook.ErrUnclear) {
				t.Errorf("outcomes are %+v, error %v", got.outcomes, got.err)
			}
			position := value[int64](t, conn, `SELECT position FROM daybook.heads`)
			// That it is there does not make it safe: the retry waits for the standby too.
			done = appendAside(t.Context(), db, book, a)
			waitFor(t, conn, waitsForAStandby)
			exec(t, conn, `ALTER SYSTEM SET synchronous_standby_names = ''`)
			exec(t, conn, `SELECT pg_reload_conf()`)
			if got := <-done; got.err != nil || !got.outcomes[0].Duplicate || got.outcomes[0].Records[1].Position != position {
				t.Errorf("outcomes are %+v, error %v", got.outcomes, got.err)
			}
			wantHead(t, conn, book, position)
		})
	}
}

// appendUntilOneWaits appends until the server has heard of its standby, and returns
// the append that waits for it.
func appendUntilOneWaits(t *testing.T, db *DB, book daybook.BookID, conn *pgx.Conn) (daybook.Append, <-chan result) {
	t.Helper()
	for {
		a := deposits(account(), 2)
		done := appendAside(t.Context(), db, book, a)
		for waits, ended := false, false; !ended; {
			select {
			case got := <-done:
				if got.err != nil {
					t.Fatal(got.err)
				}
				ended = true
			default:
				waits = value[bool](t, conn, `SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'daybook' AND `+waitsForAStandby)
			}
			if waits {
				return a, done
			}
		}
	}
}

const waitsForAStandby = `wait_event = 'SyncRep'`

func TestServerDownAndBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	if err := Migrate(t.Context(), server.DSN()); err != nil {
		t.Fatal(err)
	}
	db := openDB(t, server.DSN())
	book, err := db.OpenBook(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	aggregate := account()
	appendOne(t, db, book, deposits(aggregate, 1))
	server.Kill()
	_, err = db.Append(t.Context(), book, []daybook.Append{deposits(aggregate, 1)}, daybook.InlineWork{})
	if err == nil || errors.Is(err, daybook.ErrUnclear) || !strings.Contains(err.Error(), "the server cannot be reached: see that it runs") {
		t.Errorf("error is %v", err)
	}
	server.Restart()
	if recorded := appendOne(t, db, book, deposits(aggregate, 1)); recorded[0].Position != 2 {
		t.Errorf("position is %d", recorded[0].Position)
	}
	server.Restart()
	if records, err := db.Read(t.Context(), book, daybook.Query{Limit: 10}, nil); err != nil || len(records) != 2 {
		t.Errorf("read %d records, error %v", len(records), err)
	}
}

func TestSessionSettings(t *testing.T) {
	t.Parallel()
	db, _, _ := openBookAt(t, with(t, migrated.DSN(t), "application_name", "mine"))
	for setting, want := range map[string]string{
		"application_name": "mine", "idle_in_transaction_session_timeout": "10s", "lock_timeout": "15s", "TimeZone": "UTC",
		"default_transaction_isolation": "read committed", "synchronous_commit": "on", "fsync": "on",
	} {
		var got string
		if err := db.pool.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s, error %v", setting, got, want, err)
		}
	}
}

func TestAServerThatLosesDataIsRefused(t *testing.T) {
	t.Parallel()
	for _, settings := range [][]string{{"fsync=off"}, {"full_page_writes=off"}, {"synchronous_commit=off"}, {"fsync=off", "synchronous_commit=off"}} {
		t.Run(strings.Join(settings, " "), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Start(t, settings...).DSN()
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), dsn)
			if !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "allow_data_loss=on") {
				t.Errorf("error is %v", err)
			}
			for _, setting := range settings {
				if name, _, _ := strings.Cut(setting, "="); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("error is %v, want it to name %s", err, name)
				}
			}
			openDB(t, with(t, dsn, "allow_data_loss", "on"))
		})
	}
	if _, err := Open(t.Context(), with(t, migrated.DSN(t), "synchronous_commit", "off")); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("a session with synchronous_commit=off: error is %v", err)
	}
	if _, err := Open(t.Context(), with(t, migrated.DSN(t), "allow_data_loss", "perhaps")); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("allow_data_loss=perhaps: error is %v", err)
	}
}

// Every one says what to do, and keeps its cause.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	dsn := migrated.DSN(t)
	t.Run("a read-only database", func(t *testing.T) {
		t.Parallel()
		db, book, _ := openBookAt(t, dsn)
		readOnly := openDB(t, with(t, dsn, "default_transaction_read_only", "on"))
		appendOne(t, db, book, deposits(account(), 1))
		_, err := readOnly.Append(t.Context(), book, []daybook.Append{deposits(account(), 1)}, daybook.InlineWork{})
		if sqlState(err) != "25006" || !strings.Contains(err.Error(), "connect to the primary") {
			t.Errorf("error is %v", err)
		}
		if records, err := readOnly.Read(t.Context(), book, daybook.Query{Limit: 10}, nil); err != nil || len(records) != 1 {
			t.Errorf("reading from it gives %d records, error %v", len(records), err)
		}
	})
	t.Run("no connection left", func(t *testing.T) {
		t.Parallel()
		admin := connect(t, dsn)
		login := newLogin(t, admin, "daybook_app")
		exec(t, admin, `ALTER ROLE `+login+` CONNECTION LIMIT 0`)
		if _, err := Open(t.Context(), as(t, dsn, login)); sqlState(err) != "53300" || !strings.Contains(err.Error(), "pool_max_conns") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a parameter that the server does not know", func(t *testing.T) {
		t.Parallel()
		_, err := Open(t.Context(), with(t, dsn, "foo", "bar"))
		if sqlState(err) != "42704" || !strings.Contains(err.Error(), "see that the parameters in the address are right") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("no such database", func(t *testing.T) {
		t.Parallel()
		admin := connect(t, dsn)
		name := value[string](t, admin, `SELECT current_database()`)
		_, err := Open(t.Context(), strings.Replace(dsn, name, "no_such_database", 1))
		if sqlState(err) != "3D000" || !strings.Contains(err.Error(), "create it, or correct the name") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a wait for the lock that takes longer than lock_timeout", func(t *testing.T) {
		t.Parallel()
		db, book, conn := openBookAt(t, with(t, migrated.DSN(t), "lock_timeout", "100ms"))
		lockHead(t, conn, book)
		_, err := db.Append(t.Context(), book, []daybook.Append{deposits(account(), 1)}, daybook.InlineWork{})
		if sqlState(err) != "55P03" || !strings.Contains(err.Error(), "lock_timeout") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the tables are gone", func(t *testing.T) {
		t.Parallel()
		db, book, conn := openBook(t)
		exec(t, conn, `DROP SCHEMA daybook CASCADE`)
		if _, err := db.Head(t.Context(), book); !errors.Is(err, daybook.ErrSchema) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("an address that is none, without its password", func(t *testing.T) {
		t.Parallel()
		_, err := Open(t.Context(), "postgres://me:secret@host:notaport/db")
		if err == nil || !strings.Contains(err.Error(), "postgres: the address of the database") || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v", err)
		}
	})
}
