package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// shared is the server of this test binary. It is a package variable because
// "once per binary" has no other owner: tests know nothing of one another.
var shared sharedServer

type sharedServer struct {
	mu      sync.Mutex
	opened  bool
	dsn     string
	err     error
	private *cluster // nil where EnvURL names the server
	kept    []string // databases that outlive their test
}

// open returns the address of the maintenance database, after starting the
// server at the first call. A failure is final: a server that does not start for
// one test would cost every other test the same wait.
func (s *sharedServer) open() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return s.dsn, s.err
	}
	s.opened = true
	if given := os.Getenv(EnvURL); given != "" {
		s.dsn, s.err = given, checkServer(given)
		return s.dsn, s.err
	}
	s.private, s.err = newCluster(nil, "")
	if s.err == nil {
		s.dsn = s.private.dsn()
	}
	return s.dsn, s.err
}

// keep notes a database to be dropped by close.
func (s *sharedServer) keep(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, name)
}

// close stops the private server and removes it, or drops what was kept on
// somebody else's. It does nothing where no server was asked for.
func (s *sharedServer) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.private != nil {
		return s.private.remove()
	}
	var errs []error
	for _, name := range s.kept {
		errs = append(errs, dropDatabase(s.dsn, name))
	}
	s.kept = nil
	return errors.Join(errs...)
}

// checkServer makes sure that the server at dsn answers and is new enough.
func checkServer(dsn string) error {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return fmt.Errorf("$%s must be an address like postgres://user:password@host:5432/postgres", EnvURL)
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to the server of $%s: %w", EnvURL, err)
	}
	defer closeConn(ctx, conn)
	var number int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err != nil {
		return fmt.Errorf("asking the server of $%s for its version: %w", EnvURL, err)
	}
	if major := number / 10000; major < minMajor {
		return fmt.Errorf("the server of $%s is PostgreSQL %d; daybook needs %d or newer", EnvURL, major, minMajor)
	}
	return nil
}
