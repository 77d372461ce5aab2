package torture_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, for a connection past the engine

	"github.com/daybook-go/daybook/sqlite"
)

// inFile is the arena of the faults of SQLite.
func inFile(t *testing.T) *arena {
	t.Helper()
	path := filepath.Join(t.TempDir(), "torture.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return &arena{address: path, direct: path}
}

func sqliteFaults() []fault {
	return []fault{
		{name: "sqlite-kill", arena: inFile, writers: 2, strike: killChildren(2)},
		{name: "sqlite-lock", arena: inFile, writers: 4, strike: func(ctx context.Context, r *round) error {
			child, err := r.start(r.address)
			if err != nil {
				return err
			}
			err = r.repeatedly(ctx, 1, func() error { return r.occupy(ctx) })
			return errors.Join(err, child.Stop())
		}},
	}
}

// occupied is how long the file is locked: longer than the engine lets SQLite wait
// in one go, 20 times, and in long runs longer than anybody's busy_timeout.
func occupied() time.Duration {
	if *flagTime > 0 {
		return 15 * time.Second
	}
	return 2 * time.Second
}

// occupy keeps the writers' lock of the file, as a backup or a careless shell does.
func (r *round) occupy(ctx context.Context) error {
	db, err := sql.Open("sqlite", r.address)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		if _, err = conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(occupied()):
	}
	_, err = conn.ExecContext(ctx, `ROLLBACK`)
	return err
}
