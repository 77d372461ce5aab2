package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// tamper runs an SQL statement past the library, in the database of a script: tamper
// 'UPDATE snapshots SET …'.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tamper STATEMENT")
	}
	ts.Check(execByHand(context.Background(), ts.Getenv(envDB), args[0]))
}

func execByHand(ctx context.Context, db, statement string) (err error) {
	to, reason := parseDSN(db)
	if reason != "" {
		return errors.New(reason)
	}
	if to.path != "" {
		file, err := sql.Open("sqlite", "file:"+(&url.URL{Path: to.path}).EscapedPath())
		if err != nil {
			return err
		}
		_, err = file.ExecContext(ctx, statement)
		return errors.Join(err, file.Close())
	}
	conn, err := pgx.Connect(ctx, to.url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `SET search_path = daybook, daybook_views; `+statement)
	return errors.Join(err, conn.Close(ctx))
}

// another keeps a snapshot of an account as a program of another fold would: another
// HANDLE.
func another(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: another HANDLE")
	}
	decider := bank.Accounts
	decider.FoldVersion += 1000
	ts.Check(keepAs(context.Background(), ts.Getenv(envDB), args[0], decider))
}

// keepAs keeps a snapshot of an account as a program with that decider would.
func keepAs(ctx context.Context, db, handle string, decider daybook.Decider[bank.Account, bank.Command, bank.Event]) error {
	return withBook(ctx, db, func(book *daybook.Book) error {
		_, err := daybook.NewRepository(book, decider, daybook.Snapshots{}).Keep(ctx, bank.AccountID(handle))
		return err
	})
}

// payCents deposits a cent to alice so many times, in one append.
func payCents(t *testing.T, db string, n int) {
	t.Helper()
	entry := daybook.Entry{Aggregate: bank.AccountID("alice"), Expected: daybook.Any()}
	for range n {
		entry.Events = append(entry.Events, daybook.Event{Data: bank.MoneyDeposited{Amount: 1}})
	}
	if err := withBook(t.Context(), db, func(book *daybook.Book) error {
		_, err := book.Append(t.Context(), entry)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// withBook runs f on the main book, without the program.
func withBook(ctx context.Context, db string, f func(*daybook.Book) error) (err error) {
	to, reason := parseDSN(db)
	if reason != "" {
		return errors.New(reason)
	}
	driver, err := to.open(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	book, err := daybook.Open(ctx, driver, "main", bank.Events, daybook.Inline{readmodel.Balances})
	if err != nil {
		return err
	}
	return f(book)
}

// lying is a decider of the program's own fold that makes too much of every deposit:
// what a change of Evolve is of which FoldVersion says nothing.
func lying() daybook.Decider[bank.Account, bank.Command, bank.Event] {
	decider := bank.Accounts
	decider.Evolve = func(a bank.Account, event bank.Event) bank.Account {
		if deposit, ok := event.(bank.MoneyDeposited); ok {
			deposit.Amount += 100
			event = deposit
		}
		return bank.Accounts.Evolve(a, event)
	}
	return decider
}

// The sample that finds a snapshot which lies is an error that says what to do, and
// what it says to do helps.
func TestASnapshotThatLies(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "it's", "--owner", "Alice")
			must(t, db, "deposit", "it's", "5")
			if err := keepAs(t.Context(), db, "it's", lying()); err != nil {
				t.Fatal(err)
			}
			must(t, db, "deposit", "it's", "2")

			const want = "it's at sequence number 3: with the snapshot at 2 the account is 8.00 EUR (open), and all events give 7.00 EUR (open)"
			const hint = `daybank snapshot 'it'\''s' --drop removes the snapshots`
			for name, verb := range map[string]func(context.Context, *session) error{
				"a reader": func(ctx context.Context, s *session) error {
					_, err := s.accounts.Load(ctx, bank.AccountID("it's"))
					return err
				},
				"a writer": func(ctx context.Context, s *session) error {
					_, err := s.accounts.Execute(ctx, bank.AccountID("it's"), bank.Deposit{Amount: eur(1)})
					return err
				},
			} {
				var stderr bytes.Buffer
				a := &app{
					stdout: bufio.NewWriter(&bytes.Buffer{}), stderr: &stderr, db: db, book: "main", getenv: func(string) string { return "" },
					snapshots: daybook.Snapshots{CheckOneIn: 1},
				}
				code := a.report(t.Context(), a.reading(t.Context(), verb))
				if code != exitError || !strings.Contains(stderr.String(), want) || !strings.Contains(stderr.String(), hint) || strings.Count(stderr.String(), "\n") != 2 {
					t.Errorf("%s: exit code %d, stderr %q", name, code, stderr.String())
				}
			}
			// replay compares every one of them.
			got := cli(t, db, "replay", "it's", "-o", "json")
			if r := decode[replayed](t, got.stdout); got.code != exitError || r.SnapshotsCompared != 1 || r.SnapshotsWrong != 1 || r.Agrees || r.Balance != "7.00" {
				t.Errorf("replay: exit code %d, %+v", got.code, r)
			}
			if !strings.Contains(got.stderr, "the first at 2: it holds 6.00 EUR (open), the events give 5.00 EUR (open)") || !strings.Contains(got.stderr, hint) {
				t.Errorf("replay: stderr %q", got.stderr)
			}
			must(t, db, "snapshot", "it's", "--drop")
			must(t, db, "snapshot", "it's")
			if out := must(t, db, "replay", "it's"); !strings.Contains(out, "snapshots compared            1\n") {
				t.Errorf("after dropping and keeping:\n%s", out)
			}
		})
	}
}

// A command keeps what it has come to, and waits for it.
func TestVerbsKeepSnapshots(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			payCents(t, db, 119)
			if got := must(t, db, "snapshots", "-o", "json"); got != "[]\n" {
				t.Errorf("before anything was asked: %s", got)
			}
			must(t, db, "balance", "alice")
			var numbers []int64
			for _, r := range decode[[]snapshotRow](t, must(t, db, "snapshots", "alice", "-o", "json")) {
				if numbers = append(numbers, r.SequenceNumber); !r.Sound || !r.Current || r.Account != "alice" {
					t.Errorf("%+v", r)
				}
			}
			if fmt.Sprint(numbers) != "[50 100]" {
				t.Errorf("snapshots at %v after a load at 120, want 50 and 100", numbers)
			}
			payCents(t, db, 29)
			must(t, db, "deposit", "alice", "1")
			if got := decode[[]snapshotRow](t, must(t, db, "snapshots", "-o", "json")); len(got) != 3 || got[2].SequenceNumber != 150 {
				t.Errorf("after a deposit that is event 150: %+v", got)
			}
			if got := balanceOf(t, db, "alice"); got != "2.48 at 150" {
				t.Errorf("alice is %s", got)
			}
		})
	}
}

// A database that does not take snapshots fails no command, and says so.
func TestSnapshotsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			payCents(t, db, 60)
			refuse := `CREATE TRIGGER full BEFORE INSERT ON snapshots BEGIN SELECT RAISE(ABORT, 'no room'); END`
			if strings.HasPrefix(db, "postgres") {
				refuse = `CREATE FUNCTION full_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
					CREATE TRIGGER full_up BEFORE INSERT ON snapshots FOR EACH ROW EXECUTE FUNCTION full_up()`
			}
			if err := execByHand(t.Context(), db, refuse); err != nil {
				t.Fatal(err)
			}
			got := cli(t, db, "balance", "alice")
			if got.code != exitOK || !strings.Contains(got.stdout, "0.60") || !strings.Contains(got.stderr, "daybank: a snapshot could not be kept, which changes no answer: ") || !strings.Contains(got.stderr, "no room") {
				t.Errorf("exit code %d\n%s\n%s", got.code, got.stdout, got.stderr)
			}
			if got = cli(t, db, "snapshot", "alice"); got.code != exitError || !strings.Contains(got.stderr, "no room") {
				t.Errorf("snapshot: exit code %d, stderr %q", got.code, got.stderr)
			}
			got = cli(t, db, "snapshot", "--all", "-o", "json")
			if r := decode[snapshotsKept](t, got.stdout); got.code != exitError || r.Accounts != 1 || r.Failed != 1 || r.Written != 0 {
				t.Errorf("snapshot --all: exit code %d, %+v", got.code, r)
			}
		})
	}
}

// An account that cannot be read stops no other from being kept.
func TestKeepingAllPassesOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			record(t, db, "alice", "InterestAccrued", 1, `{"rate":"0.5"}`)
			must(t, db, "open", "bob", "--owner", "Bob")
			got := cli(t, db, "snapshot", "--all", "-o", "json")
			if r := decode[snapshotsKept](t, got.stdout); got.code != exitError || r != (snapshotsKept{Accounts: 2, Written: 1, Failed: 1}) || !strings.Contains(got.stderr, "InterestAccrued") {
				t.Errorf("exit code %d, %+v, stderr %q", got.code, r, got.stderr)
			}
			if rows := decode[[]snapshotRow](t, must(t, db, "snapshots", "-o", "json")); len(rows) != 1 || rows[0].Account != "bob" {
				t.Errorf("snapshots: %+v", rows)
			}
		})
	}
}

// A writer of snapshots that is stuck holds no command up for long: here another
// process has the lock of the file.
func TestACommandDoesNotHangBySnapshots(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "alice", "--owner", "Alice")
	payCents(t, db, 60)
	unlock := lockFile(t, strings.TrimPrefix(db, "sqlite:"))
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	if got := cliContext(ctx, db, "balance", "alice"); got.code != exitOK || !strings.Contains(got.stdout, "0.60") || ctx.Err() != nil {
		t.Errorf("exit code %d after %v\n%s\n%s", got.code, ctx.Err(), got.stdout, got.stderr)
	}
}

// maxWait is far less than what a writer of snapshots waits for a lock, and far more
// than a command waits for the writer.
const maxWait = 20 * flushTimeout

func TestComplaintsAreBounded(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	a := &app{stderr: &stderr, getenv: func(string) string { return "" }}
	var told complaints
	for i := range maxComplaints + 3 {
		told.add(fmt.Errorf("%w: number %d", daybook.ErrSnapshotCorrupt, i))
	}
	told.add(&daybook.SnapshotError{})
	a.complain(&told)
	told.add(errors.New("after the end"))
	if got := stderr.String(); strings.Count(got, "\n") != maxComplaints+1 || !strings.Contains(got, "and 3 more about snapshots") || strings.Contains(got, "after the end") {
		t.Errorf("stderr:\n%s", got)
	}
}
