package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

// openAside opens in a goroutine; the channel gets what became of it.
func openAside(t *testing.T, dsn string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		db, err := Open(t.Context(), dsn)
		if err == nil {
			err = db.Close()
		}
		done <- err
	}()
	return done
}

// waitForLock returns the pid of a session that waits for a lock on the table. Other
// than waitFor it finds one that has not logged in yet.
func waitForLock(t *testing.T, conn *pgx.Conn, table string) int32 {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var pid int32
		err := conn.QueryRow(t.Context(), `SELECT pid FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass`, table).Scan(&pid)
		if err == nil {
			return pid
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
	}
	t.Fatalf("no session ever waited for %s", table)
	return 0
}

// terminate ends a session, and waits until it is gone.
func terminate(t *testing.T, conn *pgx.Conn, pid int32) {
	t.Helper()
	if !value[bool](t, conn, `SELECT pg_terminate_backend($1, $2)`, pid, patience.Milliseconds()) {
		t.Fatal("the session does not end")
	}
}

// An administrator, or a server that stops, may end a session at any time, and that
// of a program that has only begun as well.
func TestOpenWhileSessionsAreEnded(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"while it checks the tables": versionTable,
		// Every session that logs in looks up the settings of its role there.
		"while it logs in": "pg_catalog.pg_db_role_setting",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Start(t, "autovacuum=off").DSN() // its workers log in too
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			conn := connect(t, dsn)
			exec(t, conn, `BEGIN`)
			exec(t, conn, `LOCK TABLE `+table+` IN ACCESS EXCLUSIVE MODE`)
			done := openAside(t, dsn)
			for range maxTries - 1 {
				terminate(t, conn, waitForLock(t, conn, table))
			}
			waitForLock(t, conn, table)
			exec(t, conn, `COMMIT`)
			if err := <-done; err != nil {
				t.Errorf("the last try failed: %v", err)
			}

			exec(t, conn, `BEGIN`)
			exec(t, conn, `LOCK TABLE `+table+` IN ACCESS EXCLUSIVE MODE`)
			done = openAside(t, dsn)
			for range maxTries {
				terminate(t, conn, waitForLock(t, conn, table))
			}
			if err := <-done; sqlState(err) != codeTerminated || errors.Is(err, daybook.ErrSchema) {
				t.Errorf("with every session ended, error is %v", err)
			}
			exec(t, conn, `COMMIT`)
		})
	}
}
