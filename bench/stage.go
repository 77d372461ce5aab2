package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/postgres"
)

// cleanUpTimeout bounds dropping what was made, which goes on when the run was
// interrupted.
const cleanUpTimeout = time.Minute

// lab is what all scenarios of a run share.
type lab struct {
	Options
	id     string        // in the names of everything that is made
	schema string        // of the baselines' tables
	pool   *pgxpool.Pool // for making them and reading them back; nil without PostgreSQL
	server server
}

// newLab makes the schema for the baselines, where there is a PostgreSQL.
func newLab(ctx context.Context, o Options) (*lab, error) {
	id := daybook.NewUUID().String()
	l := &lab{Options: o, id: id[len(id)-8:]}
	if o.PostgreSQL == "" {
		return l, nil
	}
	// The library's own address and checks: a server that would not do for a book
	// does not do for its baselines.
	db, err := postgres.Open(ctx, o.PostgreSQL)
	if err != nil {
		return nil, err
	}
	if err = db.Close(); err != nil {
		return nil, err
	}
	if l.pool, err = openPool(ctx, o.PostgreSQL, 2); err != nil {
		return nil, err
	}
	l.schema = "daybook_bench_" + l.id
	if _, err := l.pool.Exec(ctx, "CREATE SCHEMA "+l.schema); err != nil {
		l.pool.Close()
		return nil, fmt.Errorf("bench: making a schema for the baselines' tables: %w", err)
	}
	l.server = findServer(ctx, l.pool)
	return l, nil
}

// close drops what the run has made, as far as it can be dropped.
func (l *lab) close(ctx context.Context) error {
	if l.pool == nil {
		return nil
	}
	defer l.pool.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if _, err := l.pool.Exec(ctx, "DROP SCHEMA "+l.schema+" CASCADE"); err != nil {
		return fmt.Errorf("bench: dropping the schema %s, which can be dropped by hand: %w", l.schema, err)
	}
	return nil
}

// newStage returns a place for a scenario.
func (l *lab) newStage(scenario string) *stage {
	return &stage{lab: l, scenario: scenario, pools: map[int]*pgxpool.Pool{}}
}

// stage is a scenario's place within the lab.
type stage struct {
	*lab
	scenario string
	closers  []func(context.Context) error
	pools    map[int]*pgxpool.Pool // by their size
}

// onClose has f called when the scenario has ended, the last one first.
func (s *stage) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

func (s *stage) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// bookName is the name of the scenario's book.
func (s *stage) bookName() string { return "bench-" + s.id + "-" + s.scenario }

// target is where a contender writes, to be told to another process.
type target struct {
	DSN    string
	Book   string // the daybook's
	Schema string // of a baseline's
	Table  string
}

// table is the quoted name of the baseline's table.
func (t target) table() string { return pgx.Identifier{t.Schema, t.Table}.Sanitize() }

// target returns a place for the contender of that name.
func (s *stage) target(contender string) target {
	return target{
		DSN: s.PostgreSQL, Book: s.bookName(), Schema: s.schema,
		Table: strings.ReplaceAll(s.scenario+"_"+contender, "-", "_"),
	}
}

// openPool opens a pool of connections as a program without our library would.
func openPool(ctx context.Context, dsn string, connections int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(min(connections, maxConnections))  //nolint:gosec // bounded by a small constant
	delete(config.ConnConfig.RuntimeParams, "allow_data_loss") // of package postgres
	return pgxpool.NewWithConfig(ctx, config)
}

// maxConnections bounds a baseline's connections: two processes of them fit into a
// server with the usual max_connections of 100.
const maxConnections = 64

// connections returns a pool of so many, until the stage is closed. Contenders that
// ask for the same number share them, as they take turns: a server has not enough
// for all.
func (s *stage) connections(ctx context.Context, n int) (*pgxpool.Pool, error) {
	if pool := s.pools[n]; pool != nil {
		return pool, nil
	}
	pool, err := openPool(ctx, s.PostgreSQL, n)
	if err != nil {
		return nil, err
	}
	s.pools[n] = pool
	s.onClose(func(context.Context) error {
		pool.Close()
		return nil
	})
	return pool, nil
}

// openBook opens a book on PostgreSQL, until the returned function is called.
func openBook(ctx context.Context, t target, options ...daybook.OpenOption) (*daybook.Book, func() error, error) {
	db, err := postgres.Open(ctx, t.DSN)
	if err != nil {
		return nil, nil, err
	}
	book, err := daybook.Open(ctx, db, t.Book, newRegistry(), options...)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return book, db.Close, nil
}

// book opens the scenario's book, until the stage is closed.
func (s *stage) book(ctx context.Context) (*daybook.Book, error) {
	return s.open(ctx, s.target(nameDaybook))
}

// namedBook opens one of several books of the scenario, until the stage is closed.
func (s *stage) namedBook(ctx context.Context, name string, options ...daybook.OpenOption) (*daybook.Book, error) {
	t := s.target(nameDaybook)
	t.Book += "-" + name
	return s.open(ctx, t, options...)
}

func (s *stage) open(ctx context.Context, t target, options ...daybook.OpenOption) (*daybook.Book, error) {
	book, closeBook, err := openBook(ctx, t, options...)
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return closeBook() })
	return book, nil
}
