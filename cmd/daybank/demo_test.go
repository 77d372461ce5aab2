package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook/internal/pgtest"
)

// temporaryDemo runs the demo without --db, with dir for temporary files.
func temporaryDemo(ctx context.Context, dir string, stdout io.Writer, args ...string) (code int, stderr string) {
	var messages bytes.Buffer
	getenv := func(name string) string {
		return map[string]string{"TMPDIR": dir, envDB: "nonsense: it is not to be looked at"}[name]
	}
	code = run(ctx, append([]string{"demo"}, args...), strings.NewReader(""), stdout, &messages, getenv)
	return code, messages.String()
}

// mustBeEmpty fails the test where the demo left something behind.
func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("%s was left behind", entry.Name())
	}
}

// sections returns the titles of the numbered sections.
func sections(stdout string) (titles []string) {
	for line := range strings.Lines(stdout) {
		if number, _, _ := strings.Cut(line, " "); strings.HasSuffix(number, ".") && strings.Trim(number, "0123456789") == "." {
			titles = append(titles, strings.TrimSpace(line))
		}
	}
	return titles
}

func wantSections() (titles []string) {
	for i, step := range new(tour).steps() {
		titles = append(titles, fmt.Sprintf("%d. %s", i+1, step.title))
	}
	return titles
}

func TestDemoOnATemporaryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout bytes.Buffer
	code, stderr := temporaryDemo(t.Context(), dir, &stdout)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr)
	}
	mustBeEmpty(t, dir)
	if diff := cmp.Diff(wantSections(), sections(stdout.String())); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	lines := strings.Split(stdout.String(), "\n")
	if len(lines) > 138 {
		t.Errorf("the demo has %d lines", len(lines))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > screenWidth && !strings.HasPrefix(line, "Database") {
			t.Errorf("longer than %d characters: %s", screenWidth, line)
		}
		if line != "" && line[0] != ' ' && strings.Contains(line, "   ") && !strings.HasPrefix(line, "Book") {
			t.Errorf("a row of a table stands outside the margin: %s", line)
		}
		if plainText(line) != line {
			t.Errorf("not plain: %q", line)
		}
	}
	for _, want := range []string{
		"cannot withdraw 1000.00 EUR",
		"is at sequence number 5, expected 4",
		`the key "salary-2026-11" was used before`,
		"events are append-only: UPDATE is refused",
		"events are append-only: DELETE is refused",
		"(before the opening)",
		"4 January                 0.00 EUR             40.00 EUR",
		"carol: 166616.67 EUR at sequence number 10000",
		"The temporary file was removed.",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not shown", want)
		}
	}
}

func TestDemoShowsTheSpecificationsTable(t *testing.T) {
	t.Parallel()
	out := must(t, "", "demo", "--db", inFile(t, t.TempDir()))
	_, section, _ := strings.Cut(out, "\n2. ")
	section, _, _ = strings.Cut(section, "\n3. ")
	var got [][]string
	for line := range strings.Lines(section) {
		if fields := strings.Fields(line); len(fields) == 5 && (fields[0] == "aggregate_id" || strings.HasSuffix(fields[0], "…")) {
			got = append(got, fields[1:4])
		}
	}
	want := [][]string{
		{"event_type", "payload", "sequence_number"},
		{"AccountOpened", `{"account_id":"alice",`, "1"},
		{"MoneyDeposited", `{"amount":10000}`, "2"},
		{"MoneyWithdrawn", `{"amount":3000}`, "3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestDemoOnADatabase(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, db string) {
		t.Helper()
		first := must(t, "", "demo", "--db", db)
		if diff := cmp.Diff(wantSections(), sections(first)); diff != "" {
			t.Errorf("sections (-want +got):\n%s", diff)
		}
		if migrated := strings.Contains(first, "so it was migrated"); migrated != strings.HasPrefix(db, "postgres") {
			t.Errorf("says that it was migrated: %v", migrated)
		}
		if second := must(t, "", "demo", "--db", db); strings.Contains(second, "so it was migrated") {
			t.Error("the second run migrates again")
		}
		if got := must(t, db, "accounts", "-o", "json"); got != "[]\n" {
			t.Errorf("the main book is not empty: %s", got)
		}
		// The commands that the demo ends with work on what it left behind.
		_, tail, _ := strings.Cut(first, "Look at it")
		for _, line := range strings.Split(strings.TrimSpace(tail), "\n")[1:] {
			verb := strings.Fields(line)
			must(t, db, verb[slices.Index(verb, "--book"):]...)
		}
	}
	t.Run("on a SQLite file that is not there yet", func(t *testing.T) {
		t.Parallel()
		test(t, inFile(t, t.TempDir()))
	})
	t.Run("on an empty PostgreSQL database", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.DSN(t))
	})
}

func TestDemoWithTheApplicationsRole(t *testing.T) {
	t.Parallel()
	dsn := onServer(t, "")
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	login := strings.ReplaceAll(newTour(&app{}, time.Unix(0, 0)).app.book, "-", "_")
	execSQL(t, admin, fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'not a secret' IN ROLE daybook_app`, login))
	t.Cleanup(func() {
		execSQL(t, admin, `DROP ROLE `+login)
		_ = admin.Close(context.WithoutCancel(t.Context()))
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if query := u.Query(); u.User == nil { // a server on a Unix socket
		query.Set("user", login)
		query.Set("password", "not a secret")
		u.RawQuery = query.Encode()
	} else {
		u.User = url.UserPassword(login, "not a secret")
	}
	out := must(t, "", "demo", "--db", u.String())
	if !strings.Contains(out, "permission denied") {
		t.Errorf("the statements are not refused by privilege:\n%s", out)
	}
	if strings.Contains(out, "20secret") || strings.Contains(out, "a+secret") || strings.Contains(out, "not a secret") {
		t.Errorf("the password is shown:\n%s", out)
	}
}

func execSQL(t *testing.T, conn *pgx.Conn, text string) {
	t.Helper()
	if _, err := conn.Exec(context.WithoutCancel(t.Context()), text); err != nil {
		t.Error(err)
	}
}

// stopper ends a context as soon as something is written that contains a text.
type stopper struct {
	bytes.Buffer
	at   string
	stop func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.at)) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, title := range []string{"1. ", "5. ", "9. "} {
		t.Run("after section "+title+"no file is left", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			code, stderr := temporaryDemo(ctx, dir, &stopper{at: "\n" + title, stop: cancel})
			if code != exitInterrupted || !strings.Contains(stderr, "interrupted") {
				t.Errorf("exit code %d, %q", code, stderr)
			}
			mustBeEmpty(t, dir)
		})
	}
	t.Run("before the beginning no file is left", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if code, stderr := temporaryDemo(ctx, dir, io.Discard); code != exitInterrupted {
			t.Errorf("exit code %d, %q", code, stderr)
		}
		mustBeEmpty(t, dir)
	})
}

func TestDemoFailsWithAFailingCheck(t *testing.T) {
	t.Parallel()
	t.Run("an arithmetic that differs from the book's", func(t *testing.T) {
		t.Parallel()
		var stdout, stderr bytes.Buffer
		a := &app{
			stdout: bufio.NewWriter(&stdout), stderr: &stderr, db: inFile(t, t.TempDir()),
			getenv: func(string) string { return "" },
		}
		tour := newTour(a, time.Unix(0, 0))
		tour.expect(alice, 1)
		if code := a.report(t.Context(), errors.Join(tour.start(t.Context()), a.stdout.Flush())); code != exitError {
			t.Errorf("exit code %d", code)
		}
		want := "alice: 70.00 EUR at sequence number 3, expected 70.01 EUR at sequence number 4"
		if !strings.Contains(stdout.String(), "FAILED  "+want) || !strings.Contains(stderr.String(), "demo, section 1 (Open two accounts, pay in, draw out): the check failed: "+want) {
			t.Errorf("stdout %s\nstderr %s", stdout.String(), stderr.String())
		}
		if strings.Contains(stdout.String(), "That was it") || len(sections(stdout.String())) != 1 {
			t.Errorf("it goes on:\n%s", stdout.String())
		}
	})
	for _, verb := range []string{"UPDATE", "DELETE"} {
		t.Run("a database that lets "+verb+" pass", func(t *testing.T) {
			t.Parallel()
			db := inFile(t, t.TempDir())
			must(t, db, "migrate")
			dropTrigger(t, db, map[string]string{"UPDATE": "events_never_updated", "DELETE": "events_never_deleted"}[verb])
			got := cli(t, "", "demo", "--db", db)
			if got.code != exitError || !strings.Contains(got.stderr, verb+" refused by the database: false, expected true") {
				t.Errorf("exit code %d, %s", got.code, got.stderr)
			}
			// What passed was given up again: every event is still the one it was.
			_, book, _ := strings.Cut(got.stdout, "Book      ")
			book, _, _ = strings.Cut(book, "\n")
			if out := must(t, db, "--book", book, "replay", alice); !strings.Contains(out, "1562.00 EUR") {
				t.Errorf("an event was changed:\n%s", out)
			}
			if got = cli(t, "", "demo", "--db", db, "-o", "json"); got.code != exitError || !strings.Contains(got.stdout, `"ok":false`) {
				t.Errorf("exit code %d, %s", got.code, got.stdout)
			}
		})
	}
}

func dropTrigger(t *testing.T, dsn, name string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(dsn, "sqlite:")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `DROP TRIGGER `+name); err != nil {
		t.Fatal(err)
	}
}

func TestDemoAsJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout bytes.Buffer
	if code, stderr := temporaryDemo(t.Context(), dir, &stdout, "-o", "json"); code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	mustBeEmpty(t, dir)
	var got demoReport
	if err := json.Unmarshal(stdout.Bytes(), &got, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	if !got.OK || !got.Temporary || !strings.HasPrefix(got.Book, "demo-") || !strings.HasPrefix(got.Database, "sqlite:"+dir) {
		t.Errorf("%+v", got)
	}
	if got.BulkEvents != bulkEvents || got.AppendMicroseconds <= 0 || got.ReplayMicroseconds <= 0 || got.SnapshotMicroseconds <= 0 {
		t.Errorf("%+v", got)
	}
	checked := map[int]bool{}
	for _, c := range got.Checks {
		checked[c.Section] = true
		if !c.OK || c.Expected != c.Actual {
			t.Errorf("%+v", c)
		}
	}
	if len(checked) != len(wantSections()) {
		t.Errorf("sections with a check: %v", checked)
	}
}

func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a book":                        {[]string{"--book", "main"}, exitUsage, "leave --book out"},
		"an empty database":             {[]string{"--db", ""}, exitUsage, "names no database"},
		"a database of no known kind":   {[]string{"--db", "mysql://x"}, exitUsage, `"mysql:" is no database this program knows`},
		"an argument":                   {[]string{"alice"}, exitUsage, "takes no arguments"},
		"a server that is not there":    {[]string{"--db", "postgres://127.0.0.1:1/x"}, exitError, "127.0.0.1"},
		"a directory that is not there": {[]string{"--db", "sqlite:" + filepath.Join(t.TempDir(), "none", "demo.db")}, exitError, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli(t, "", append([]string{"demo"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stderr, test.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", got.code, test.code, test.says, got.stderr)
			}
		})
	}
	t.Run("a directory for temporary files that is not there", func(t *testing.T) {
		t.Parallel()
		code, stderr := temporaryDemo(t.Context(), filepath.Join(t.TempDir(), "none"), io.Discard)
		if code != exitError || !strings.Contains(stderr, "set $TMPDIR") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	})
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"sqlite:bank.db": "sqlite:bank.db", "sqlite:my bank.db": "'sqlite:my bank.db'",
		"it's": `'it'\''s'`, "": "''", "postgres://h/d?a=b&c=d": "'postgres://h/d?a=b&c=d'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q becomes %s, want %s", word, got, want)
		}
	}
}
