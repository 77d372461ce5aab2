package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

const (
	// tortureChildren are at work at any time, with tortureWriters each.
	tortureChildren, tortureWriters = 2, 4
	// tortureStrikes are made in a round, tortureRest apart at most.
	tortureStrikes = 12
	tortureRest    = 250 * time.Millisecond
)

// rack is where the rounds are fought.
type rack struct {
	app    *app
	target target
	driver daybook.Driver
	result tortured

	book, dir string // of the round under way
	seed      uint64
	rand      *rand.Rand
	started   int
	children  []*torture.Process
	forbidden bool // the server does not let us end sessions
}

func (r *rack) workload(name string, writers int) torture.Workload {
	return torture.Workload{Seed: r.seed, Name: name, Dir: r.dir, Writers: writers, Aggregates: 6, MaxEvents: 50}
}

// strike is what goes wrong in a round.
func (r *rack) strike(ctx context.Context) (err error) {
	defer func() {
		for _, child := range r.children {
			err = errors.Join(err, child.Stop())
		}
		r.children = nil
	}()
	for len(r.children) < tortureChildren {
		if err := r.start(); err != nil {
			return err
		}
	}
	for range tortureStrikes {
		if err := r.rest(ctx); err != nil {
			return err
		}
		if r.target.url != "" && !r.forbidden && r.rand.IntN(3) > 0 {
			err = r.session(ctx)
		} else {
			err = r.kill()
		}
		if err != nil {
			return err
		}
	}
	return r.rest(ctx)
}

func (r *rack) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(r.rand.Int64N(int64(tortureRest)))):
		return nil
	}
}

// start starts this program again, as a writer.
func (r *rack) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dsn := r.target.url
	if r.target.path != "" {
		dsn = "sqlite:" + r.target.path
	}
	r.started++
	cmd := exec.Command(program, "torture") //nolint:gosec // ourselves
	cmd.Args[0] = os.Args[0]
	child, err := torture.Child{Workload: r.workload(fmt.Sprintf("child%d", r.started), tortureWriters), Database: dsn, Book: r.book}.Start(cmd)
	if err != nil {
		return err
	}
	r.children = append(r.children, child)
	return nil
}

// kill kills a child, wherever it is, and starts another.
func (r *rack) kill() error {
	i := r.rand.IntN(len(r.children))
	victim := r.children[i]
	r.children = append(r.children[:i:i], r.children[i+1:]...)
	r.result.Killed++
	return errors.Join(victim.Kill(), r.start())
}

// session cancels what a writer's session is doing, or ends the session. Only those
// of this program in this database are looked at.
func (r *rack) session(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.target.url)
	if err != nil {
		return nil // all connections may be taken; then nothing is struck
	}
	defer conn.Close(ctx)
	what, count := "pg_cancel_backend", &r.result.Cancelled
	if r.rand.IntN(2) == 0 {
		what, count = "pg_terminate_backend", &r.result.Terminated
	}
	var struck bool
	err = conn.QueryRow(ctx, `SELECT `+what+`(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = current_user AND application_name = $1 AND pid <> pg_backend_pid()
		ORDER BY state = 'active' DESC, random() LIMIT 1`, r.application()).Scan(&struck)
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case errors.As(err, &refused) && refused.Code == "42501":
		r.forbidden = true
		r.app.note("the server does not permit to end sessions: that is left out")
		return nil
	case err == nil && struck:
		*count++
	}
	return err
}

// application is what the sessions of the writers are called: as the address says,
// or as the engine calls them.
func (r *rack) application() string {
	if u, err := url.Parse(r.target.url); err == nil {
		if name := u.Query().Get("application_name"); name != "" {
			return name
		}
	}
	return "daybook"
}
