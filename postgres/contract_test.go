package postgres_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/daybooktest"
	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
)

// template makes databases that have been migrated.
var template = &pgtest.Template{Prepare: func(dsn string) error { return postgres.Migrate(context.Background(), dsn) }}

func TestDriver(t *testing.T) {
	daybooktest.Driver(t, func(t testing.TB) daybooktest.Opener {
		t.Helper()
		dsn := template.DSN(t)
		return func(t testing.TB) daybook.Driver {
			t.Helper()
			db, err := postgres.Open(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
	})
}

// The control of the suite's follower on a real server: a table as it is built all
// too often, with its order from a sequence, loses events for a reader that
// remembers the last number.
func TestABigserialLosesEventsForTheSameFollower(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), `CREATE TABLE log (place bigserial PRIMARY KEY, name text NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	log := bigserial{pool}
	var lost *daybooktest.LostError
	for range 5 { // it is chance, and once is nearly always enough
		if _, err := pool.Exec(t.Context(), `TRUNCATE log RESTART IDENTITY`); err != nil {
			t.Fatal(err)
		}
		err = daybooktest.Follow(t.Context(), daybooktest.Followed{Write: log.write, Follow: log.follow}, 20)
		if errors.As(err, &lost) {
			return
		}
	}
	t.Errorf("the control must lose events, or the check of the engine sees nothing; it got: %v", err)
}

type bigserial struct{ pool *pgxpool.Pool }

func (b bigserial) write(ctx context.Context, name string, heavy bool) error {
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit there is nothing to roll back
	if _, err := tx.Exec(ctx, `INSERT INTO log (name) VALUES ($1)`, name); err != nil {
		return err
	}
	if heavy {
		time.Sleep(10 * time.Millisecond) // what a transaction does besides
	}
	return tx.Commit(ctx)
}

func (b bigserial) follow(ctx context.Context) iter.Seq2[daybooktest.Seen, error] {
	return func(yield func(daybooktest.Seen, error) bool) {
		last := int64(0)
		for {
			page, err := b.after(ctx, last)
			if err != nil {
				yield(daybooktest.Seen{}, err)
				return
			}
			for _, seen := range page {
				if !yield(seen, nil) {
					return
				}
				last = seen.Place
			}
		}
	}
}

func (b bigserial) after(ctx context.Context, last int64) (page []daybooktest.Seen, err error) {
	rows, err := b.pool.Query(ctx, `SELECT place, name FROM log WHERE place > $1 ORDER BY place`, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seen daybooktest.Seen
		if err := rows.Scan(&seen.Place, &seen.Name); err != nil {
			return nil, err
		}
		page = append(page, seen)
	}
	return page, rows.Err()
}
