package torture_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
)

// server is a private PostgreSQL, migrated.
type server struct{ *pgtest.Server }

func startServer(t *testing.T, settings ...string) *server {
	t.Helper()
	s := &server{pgtest.Start(t, settings...)}
	if err := postgres.Migrate(t.Context(), s.DSN()); err != nil {
		t.Fatal(err)
	}
	return s
}

// onServer is the arena of most faults.
func onServer(settings ...string) func(t *testing.T) *arena {
	return func(t *testing.T) *arena {
		t.Helper()
		s := startServer(t, settings...)
		return &arena{server: s, address: s.DSN(), direct: s.DSN()}
	}
}

// backFor bounds the wait for a server that recovers.
const backFor = 60 * time.Second

// ask runs a query that returns one value on a connection of its own, and waits for
// the server where it is about to come back.
func ask[T any](ctx context.Context, s *server, query string, args ...any) (value T, err error) {
	ctx, cancel := context.WithTimeout(ctx, backFor)
	defer cancel()
	for {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, s.DSN()); err == nil {
			err = conn.QueryRow(ctx, query, args...).Scan(&value)
			err = errors.Join(err, conn.Close(ctx))
		}
		if err == nil || errors.Is(err, pgx.ErrNoRows) {
			return value, err
		}
		select {
		case <-ctx.Done():
			return value, fmt.Errorf("the server does not come back: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// session is the condition for a session of a writer's, at random. Those that are in
// the middle of something come first.
const session = `FROM pg_stat_activity WHERE application_name = 'daybook' AND backend_type = 'client backend'
	ORDER BY state = 'active' DESC, query LIKE '%append%' DESC, random() LIMIT 1`

func serverFaults() []fault {
	return []fault{
		{name: "backend-kill", arena: onServer(), writers: 12, crowds: true, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 3, func() error {
				pid, err := ask[int](ctx, r.server, `SELECT pid `+session)
				if errors.Is(err, pgx.ErrNoRows) {
					return nil // all have just been thrown out
				}
				if err != nil {
					return err
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return err
				}
				for syscall.Kill(pid, 0) == nil { // the server has not noticed, and would answer as if nothing had happened
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(time.Millisecond):
					}
				}
				return r.back(ctx)
			})
		}},
		{name: "server-kill", arena: onServer(), writers: 12, crowds: true, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 2, func() error {
				r.Kill()
				r.Restart()
				return nil
			})
		}},
		{name: "server-stop", arena: onServer(), writers: 12, crowds: true, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 2, func() error {
				r.Restart()
				return nil
			})
		}},
	}
}

// back waits until the server answers.
func (s *server) back(ctx context.Context) error {
	_, err := ask[int](ctx, s, `SELECT 1`)
	return err
}

func sessionFaults() []fault {
	return []fault{
		{name: "terminate", arena: onServer(), writers: 12, crowds: true, strike: everyFewMilliseconds(`SELECT pg_terminate_backend(pid) ` + session)},
		{name: "cancel", arena: onServer(), writers: 12, crowds: true, strike: everyFewMilliseconds(`SELECT pg_cancel_backend(pid) ` + session)},
		{name: "connections", arena: onServer("max_connections=14", "superuser_reserved_connections=0"), writers: 12, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 3, func() error { return r.exhaust(ctx) })
		}},
	}
}

// everyFewMilliseconds strikes with a statement, many times in a round.
func everyFewMilliseconds(statement string) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error {
		for range 60 {
			if _, err := ask[bool](ctx, r.server, statement); err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			if err := r.wait(ctx, 30*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
}

// exhaust takes every connection there is, ends those of the writers and takes
// theirs too, and keeps them for a while.
func (r *round) exhaust(ctx context.Context) error {
	var taken []*pgx.Conn
	var sessions []uint32
	full := false
	for range 20 {
		conn, err := pgx.Connect(ctx, r.direct)
		if err != nil {
			full = true
			break
		}
		taken, sessions = append(taken, conn), append(sessions, conn.PgConn().PID())
		_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daybook'`)
		if err != nil {
			return err
		}
	}
	err := r.wait(ctx, strikePause)
	for _, conn := range taken {
		err = errors.Join(err, conn.Close(ctx))
	}
	if !full {
		err = errors.Join(err, fmt.Errorf("%d connections, and the server has more", len(taken)))
	}
	return errors.Join(err, r.gone(ctx, sessions))
}

// gone waits until the server has got rid of sessions whose clients have left: until
// then they count.
func (s *server) gone(ctx context.Context, sessions []uint32) error {
	for deadline := time.Now().Add(backFor); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		gone, err := ask[bool](ctx, s, `SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY($1::bigint[]::int[])`, sessions)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("of the sessions %v some never end", sessions)
}
