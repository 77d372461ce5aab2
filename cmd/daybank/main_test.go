package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daybook-go/daybook/bench"
	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
)

// The test binary is also the program: where it is called daybank, as scripts and
// [command] do, it runs main; and it is the processes that a benchmark starts.
func TestMain(m *testing.M) {
	if done, err := bench.Child(context.Background()); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitError)
		}
		os.Exit(exitOK)
	}
	testscript.Main(m, map[string]func(){"daybank": main})
}

// Every script of testdata/script runs on both engines, on an empty book; those in
// its sub-directories are about one engine.
func TestScripts(t *testing.T) {
	t.Parallel()
	t.Run("on SQLite", func(t *testing.T) {
		t.Parallel()
		runScripts(t, "testdata/script", inFile)
	})
	t.Run("on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		skipWithoutPostgres(t)
		runScripts(t, "testdata/script", onServer)
	})
	t.Run("about SQLite", func(t *testing.T) {
		t.Parallel()
		runScripts(t, "testdata/script/sqlite", func(testing.TB, string) string { return "" })
	})
	t.Run("about PostgreSQL", func(t *testing.T) {
		t.Parallel()
		skipWithoutPostgres(t)
		runScripts(t, "testdata/script/postgres", emptyServer)
	})
}

// runScripts runs the scripts in dir, each with $DAYBANK_DB as db returns it for
// the script's own directory.
func runScripts(t *testing.T, dir string, db func(t testing.TB, dir string) string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			script, ok := env.T().(testing.TB)
			if !ok {
				return errors.New("testscript runs in something else than a testing.TB")
			}
			env.Setenv("DAYBANK_DB", db(script, env.WorkDir))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "tamper": tamper, "another": another},
	})
}

// exits runs a command that must end with a given code: exits 3 daybank withdraw …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// inFile names a SQLite file that is not there yet.
func inFile(_ testing.TB, dir string) string { return "sqlite:" + filepath.Join(dir, "bank.db") }

// emptyServer makes a PostgreSQL database that is not migrated.
func emptyServer(t testing.TB, _ string) string {
	t.Helper()
	return pgtest.DSN(t)
}

// onServer makes a migrated PostgreSQL database.
func onServer(t testing.TB, _ string) string {
	t.Helper()
	dsn := pgtest.DSN(t)
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func skipWithoutPostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL: skipped by -short")
	}
}

// engines returns, for each engine, how to get an empty book on it. The directory
// is where a file may be made.
func engines() map[string]func(tb testing.TB, dir string) string {
	return map[string]func(testing.TB, string) string{"on SQLite": inFile, "on PostgreSQL": onServer}
}

// outcome is what a run of the program left behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// cli runs the program in this process.
func cli(t testing.TB, db string, args ...string) outcome {
	t.Helper()
	return cliContext(t.Context(), db, args...)
}

func cliContext(ctx context.Context, db string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	getenv := func(name string) string {
		if name == envDB {
			return db
		}
		return ""
	}
	code := run(ctx, args, strings.NewReader(""), &stdout, &stderr, getenv)
	return outcome{stdout.String(), stderr.String(), code}
}

// must runs the program in this process and returns its output; anything but
// success ends the test.
func must(t testing.TB, db string, args ...string) string {
	t.Helper()
	got := cli(t, db, args...)
	if got.code != exitOK {
		t.Fatalf("daybank %s: exit code %d\n%s", strings.Join(args, " "), got.code, got.stderr)
	}
	return got.stdout
}

// command prepares the program to run as a process of its own.
func command(t testing.TB, db string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("daybank") // testscript.Main has put it there
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(cmd.Environ(), envDB+"="+db)
	return cmd
}
