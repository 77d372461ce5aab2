// Package pgtest gives tests a PostgreSQL of their own.
//
// There are three things to know. [DSN] is an empty database on a server that
// all tests of one test binary share. A [Template] makes databases that are
// prepared already, for example migrated. [Start] is a server of one's own, to
// be killed and restarted at will; [StartWithClock] is one whose clock can be set.
//
// Where $DAYBOOK_TEST_DATABASE_URL is set, DSN and Template make their databases
// on that server. Otherwise, and for Start always, the server is a private one,
// started from the newest PostgreSQL binaries that are installed, on a Unix
// socket, with fsync on. It ends with the test binary, however that ends.
//
// A test that needs PostgreSQL skips under "go test -short" and otherwise fails
// where there is none: it never passes without having run. Unix only.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvURL names the environment variable with the postgres:// address of a server
// to use instead of a private one. Its role must be allowed to create databases.
const EnvURL = "DAYBOOK_TEST_DATABASE_URL"

// adminTimeout bounds making and dropping one database. It is generous: a
// machine that runs many tests at once has slow disks.
const adminTimeout = 2 * time.Minute

// Main runs the tests of a binary, stops the shared server if one was started,
// and exits. Call it from TestMain. Without it the server stops all the same,
// a moment after the binary has ended.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// DSN returns the postgres:// address of a new, empty database, which is dropped
// when t ends. On the private server the role is a superuser.
//
// It skips t under "go test -short", and ends it as failed where there is no
// PostgreSQL. Safe for parallel tests.
func DSN(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "")
}

// A Template is a database prepared once for a test binary, of which every test
// gets a copy: cheaper than preparing each. Use it by pointer, as a variable of
// the test package.
type Template struct {
	// Prepare fills the empty database at dsn. It must have closed its
	// connections when it returns: PostgreSQL does not copy a database in use.
	Prepare func(dsn string) error

	once sync.Once
	name string
	err  error
}

// DSN is like [DSN], but the new database is a copy of the template. Where
// Prepare failed, every test that asks fails with that error.
func (tp *Template) DSN(t testing.TB) string {
	t.Helper()
	admin := adminDSN(t)
	tp.once.Do(func() { tp.name, tp.err = tp.make(admin) })
	if tp.err != nil {
		t.Fatalf("pgtest: preparing the template database: %v", tp.err)
	}
	return newDatabase(t, tp.name)
}

func (tp *Template) make(admin string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	name := databaseName()
	if err := runSQL(ctx, admin, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	dsn, err := withDatabase(admin, name)
	if err == nil {
		err = tp.Prepare(dsn)
	}
	if err != nil {
		return "", errors.Join(err, dropDatabase(admin, name))
	}
	// A private server takes the template with it; on somebody else's server
	// Main has to.
	shared.keep(name)
	return name, nil
}

// newDatabase makes a database that lives as long as t, as a copy of the one
// named template, or empty where that is "".
func newDatabase(t testing.TB, template string) string {
	t.Helper()
	admin := adminDSN(t)
	name := databaseName()
	statement := "CREATE DATABASE " + name
	if template != "" {
		statement += " TEMPLATE " + template
	}
	ctx, cancel := context.WithTimeout(t.Context(), adminTimeout)
	defer cancel()
	if err := runSQL(ctx, admin, statement); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := dropDatabase(admin, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	dsn, err := withDatabase(admin, name)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return dsn
}

// adminDSN returns the address of the shared server's maintenance database.
func adminDSN(t testing.TB) string {
	t.Helper()
	skipIfShort(t)
	dsn, err := shared.open()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return dsn
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL: skipped by -short")
	}
}

// dropDatabase throws out whoever is still connected: a test that leaks a
// connection is found by other means than a hanging clean-up.
func dropDatabase(admin, name string) error {
	// Not the test's context, which has ended by the time of the clean-up.
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	return runSQL(ctx, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// runSQL runs one statement on a connection of its own.
func runSQL(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to run %q: %w", statement, err)
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("running %q: %w", statement, err)
	}
	return nil
}

// closeConn says goodbye so that the server's log stays quiet; that it could
// not is of no interest.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// databaseName needs no quoting, and is unlike any other even where several test
// binaries share a server.
func databaseName() string {
	return "daybook_test_" + strings.ToLower(rand.Text())
}

func withDatabase(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("reading the server's address: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}
