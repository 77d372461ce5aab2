package torture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
	"github.com/daybook-go/daybook/torture"
)

const (
	aDay     = 24 * time.Hour
	tenYears = 3652 * aDay
	// clockPause is how long, at most, writers write between two steps of the clock.
	clockPause = 150 * time.Millisecond
)

// withClock is the arena of a server whose clock can be set.
func withClock(t *testing.T) *arena {
	t.Helper()
	s := &server{pgtest.StartWithClock(t)}
	if err := postgres.Migrate(t.Context(), s.DSN()); err != nil {
		t.Fatal(err)
	}
	return &arena{server: s, address: s.DSN(), direct: s.DSN()}
}

func clockFaults() []fault {
	return []fault{
		{name: "clock", arena: withClock, writers: 12, strike: stepClock},
		{name: "sqlite-clock", arena: inFile, writers: 2, strike: func(ctx context.Context, r *round) error {
			child, err := r.start(r.address)
			if err != nil {
				return err
			}
			return errors.Join(r.leaveBehind(ctx), child.Stop())
		}},
	}
}

// stepClock sets the server's clock again and again: it jumps by seconds, falls back
// by a day, goes ahead by ten years, so that from then on the book is ahead of it,
// jumps there, and comes back. Sessions are terminated meanwhile, and once the server
// crashes and comes back with another time, as a machine without a battery does.
func stepClock(ctx context.Context, r *round) error {
	jump := func() time.Duration { return time.Duration(r.rand.Int64N(int64(10*time.Second))) - 5*time.Second }
	ahead := []time.Duration{jump(), jump(), 0, -aDay + jump(), jump(), jump(), -aDay, 0, tenYears, -aDay, tenYears + jump(), tenYears + jump(), jump(), 0}
	crash := r.rand.IntN(len(ahead))
	for i, d := range ahead {
		if err := r.wait(ctx, clockPause); err != nil {
			return err
		}
		if i == crash {
			r.Kill()
		}
		r.SetClock(d)
		if i == crash {
			r.Restart()
		}
		if err := r.wantClock(ctx, d); err != nil {
			return err
		}
		if _, err := ask[bool](ctx, r.server, `SELECT pg_terminate_backend(pid) `+session); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := r.goesOn(ctx, func() (int64, error) { return ask[int64](ctx, r.server, fmt.Sprintf(bookHead, "daybook."), r.name) }); err != nil {
			return fmt.Errorf("with the clock %v ahead: %w", d, err)
		}
	}
	return r.wait(ctx, strikePause)
}

// bookHead is the position of the book $1, on both engines; %s is the schema.
const bookHead = `SELECT h.position FROM %[1]sheads AS h JOIN %[1]sbooks AS b ON b.book_id = h.book_id WHERE b.name = $1`

// goesOn waits until something has been recorded: a book that refuses everybody keeps
// its other promises easily.
func (r *round) goesOn(ctx context.Context, position func() (int64, error)) error {
	before, err := position()
	for deadline := time.Now().Add(backFor); err == nil && time.Now().Before(deadline); {
		if err = r.wait(ctx, 10*time.Millisecond); err != nil {
			break
		}
		var now int64
		if now, err = position(); now > before {
			return err
		}
	}
	return errors.Join(errors.New("nothing is recorded any more"), err)
}

// wantClock makes sure that a step was one; a minute is how slow a machine may be.
func (r *round) wantClock(ctx context.Context, ahead time.Duration) error {
	told, err := ask[time.Time](ctx, r.server, `SELECT clock_timestamp()`)
	if off := time.Until(told.Add(-ahead)).Abs(); err == nil && off > time.Minute {
		err = fmt.Errorf("the server's clock is to be %v ahead, and says %v: %v off", ahead, told, off)
	}
	return err
}

// leaveBehind makes the book find itself ahead of the clock, by ever more. A Go
// program takes the time from the kernel, where nobody can step it for one program
// alone. But all that an engine sees of another one, whose clock is ahead and who
// answers a question about the past, is a head whose time has come up to that clock.
func (r *round) leaveBehind(ctx context.Context) error {
	db, err := sql.Open("sqlite", r.address+"?_pragma=busy_timeout(30000)")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, ahead := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, 0, 2 * time.Second, aDay, tenYears} {
		if err := r.wait(ctx, strikePause); err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, `UPDATE heads SET recorded_at = max(recorded_at, ?2) WHERE book_id = (SELECT book_id FROM books WHERE name = ?1)`,
			r.name, time.Now().Add(ahead).UnixMicro()); err != nil {
			return err
		}
		if err := r.goesOn(ctx, func() (position int64, err error) {
			err = db.QueryRowContext(ctx, fmt.Sprintf(bookHead, ""), r.name).Scan(&position)
			return position, err
		}); err != nil {
			return fmt.Errorf("with the clock %v behind: %w", ahead, err)
		}
	}
	return r.wait(ctx, strikePause)
}

// clamp is how the server's functions take the time; unclamped is as its clock says
// it, wherever the book has got to.
const clamp, unclamped = `greatest(clock_timestamp(), h.recorded_at + interval '1 microsecond')`, `clock_timestamp()`

// An engine that believes the clock records times that run backward when it is set
// back. It is ours, but for the clamp, under the same fault.
func TestControlTimeWithoutAClamp(t *testing.T) {
	t.Parallel()
	needsServers(t)
	a := withClock(t)
	conn, err := pgx.Connect(t.Context(), a.direct)
	if err != nil {
		t.Fatal(err)
	}
	var functions []string
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(pg_get_functiondef(oid)) FROM pg_proc WHERE pronamespace = 'daybook'::regnamespace AND position($1 IN prosrc) > 0`, clamp).
		Scan(&functions); err != nil {
		t.Fatal(err)
	}
	if len(functions) == 0 {
		t.Fatalf("no function has %s to take away", clamp)
	}
	for _, function := range functions {
		if _, err := conn.Exec(t.Context(), strings.ReplaceAll(function, clamp, unclamped)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), `ALTER TABLE daybook.heads DISABLE TRIGGER heads_never_step_back`); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustBreak(t, []string{"I15"}, func(n int) *torture.Report {
		f := fault{name: "unclamped", writers: 12, strike: stepClock}
		report, err := newRound(t, a, f, n).run(f)
		if err != nil {
			t.Fatal(err)
		}
		return report
	})
}
