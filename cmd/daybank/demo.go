package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
)

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show a bank at work on an append-only book, and check it all on the way",
		Long: `Show a bank at work on an append-only book, step by step: each call that is shown is
made, each answer is the book's, and each is checked against what it must be. The
first one that is not ends the demo with exit code 1.

It runs on a temporary SQLite file, which is removed at the end. With --db it runs
on that database, which is made or migrated where it needs to be, in a new book of
its own that stays there: no other book is touched, and it can be run again. The
environment variable ` + envDB + ` is not looked at, and --book is refused.

With -o json there is no tour: the answer is one object with the checks made, what
was expected and found in each, and how long the 10,000 events took.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("book") {
				return usage("--book: the demo runs in a new book of its own, so that yours stays untouched: leave --book out")
			}
			t := newTour(a, time.Now())
			err := t.start(cmd.Context())
			if a.format == formatJSON {
				t.report.OK = err == nil
				err = errors.Join(err, a.show(t.report, nil))
			}
			return err
		},
	}
}

// demoReport is the answer of demo with -o json.
type demoReport struct {
	// Database is without its password; Temporary says that it is gone by now.
	Database  string `json:"database"`
	Temporary bool   `json:"temporary"`
	Book      string `json:"book"`
	// OK says that the demo came to its end and every check held.
	OK     bool        `json:"ok"`
	Checks []demoCheck `json:"checks"`
	// BulkEvents were appended to one account and replayed, in so many microseconds, and
	// the account was loaded with a snapshot in so many.
	BulkEvents           int64 `json:"bulk_events"`
	AppendMicroseconds   int64 `json:"append_microseconds"`
	ReplayMicroseconds   int64 `json:"replay_microseconds"`
	SnapshotMicroseconds int64 `json:"snapshot_microseconds"`
}

// demoCheck is one thing the demo made sure of.
type demoCheck struct {
	Section  int    `json:"section"`
	Check    string `json:"check"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
	OK       bool   `json:"ok"`
}

// tour is one run of the demo.
type tour struct {
	screen
	app     *app
	session *session
	target  target

	section int // the number of the step under way
	// expected is what the demo itself works out, by plain addition: the balance
	// of each account after each of its events, in minor units.
	expected map[string][]int64
	report   demoReport
}

// newTour returns a tour through a book whose name is new: it tells the time, for
// people, and ends in random digits, for two demos that begin in the same second.
func newTour(a *app, now time.Time) *tour {
	id := daybook.NewUUID().String()
	a.book = "demo-" + now.UTC().Format("20060102-150405-") + id[len(id)-6:]
	return &tour{
		screen: newScreen(a), app: a, expected: map[string][]int64{},
		report: demoReport{Book: a.book, Checks: []demoCheck{}},
	}
}

// start makes the database where none is given, tours it, and leaves nothing
// behind that was not asked for, however the tour ends.
func (t *tour) start(ctx context.Context) error {
	t.say("daybank demo: a bank at work on an append-only book of events.")
	if t.app.db != "" {
		if err := t.through(ctx); err != nil {
			return err
		}
		return t.goodbye("")
	}
	dir, err := os.MkdirTemp(t.app.getenv("TMPDIR"), "daybank-demo-")
	if err != nil {
		return &hintError{
			fmt.Errorf("no temporary file can be made: %w", err),
			"set $TMPDIR to a directory that can be written to, or name a database with --db sqlite:FILE",
		}
	}
	t.report.Temporary = true
	t.app.db = "sqlite:" + filepath.Join(dir, "demo.db")
	if err := errors.Join(t.through(ctx), os.RemoveAll(dir)); err != nil {
		return err
	}
	return t.goodbye(dir)
}

// through opens the database and takes every step of the tour in it.
func (t *tour) through(ctx context.Context) error {
	var err error
	if t.target, err = t.app.target(); err != nil {
		return err
	}
	t.report.Database = t.target.String()
	migrated, err := t.prepare(ctx)
	if err != nil {
		return err
	}
	kept := "stays; no other book in it is touched"
	if t.report.Temporary {
		kept = "temporary, removed at the end"
	}
	t.say("Database  %s (%s)", t.report.Database, kept)
	if migrated {
		t.say("          its tables were missing or old, so it was migrated, as daybank migrate does")
	}
	t.say("Book      %s", t.app.book)
	return t.app.writing(ctx, func(ctx context.Context, s *session) error {
		t.session = s
		return t.run(ctx)
	})
}

// prepare migrates a PostgreSQL database that needs it, and only then: migrating
// takes another role. A SQLite file is migrated as it is opened.
func (t *tour) prepare(ctx context.Context) (migrated bool, err error) {
	driver, err := t.target.open(ctx, true)
	if errors.Is(err, daybook.ErrSchema) {
		return true, t.target.migrate(ctx)
	}
	if err != nil {
		return false, err
	}
	return false, driver.Close()
}

// step is a section of the tour.
type step struct {
	title string
	run   func(context.Context) error
}

func (t *tour) steps() []step {
	return []step{
		{"Open two accounts, pay in, draw out", t.begin},
		{"What was written down: one row an event", t.showRows},
		{"A transfer: two accounts, one append, both or neither", t.transfer},
		{"A withdrawal that the account refuses", t.refuse},
		{"A lost race: two writers who believe the same", t.race},
		{"A retry that takes effect once", t.retry},
		{"Nobody changes what was written: SQL, past the library", t.tamper},
		{"The balance is the fold of the events", t.replay},
		{"The balance at every point of the past", t.past},
		{"What was known when: a payment that comes in too late", t.late},
		{"10,000 events on one account, without a snapshot and with one", t.bulk},
	}
}

// run takes the steps, and ends at the first check that does not hold.
func (t *tour) run(ctx context.Context) error {
	for i, step := range t.steps() {
		t.section = i + 1
		t.heading(fmt.Sprintf("%d. %s", t.section, step.title))
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("demo, section %d (%s): %w", t.section, step.title, err)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return nil
}

// check holds an answer of the book against what it must be, shows both, and
// returns an error when they differ.
func check[T comparable](t *tour, what string, actual, expected T) error {
	c := demoCheck{
		Section: t.section, Check: what, OK: actual == expected,
		Expected: fmt.Sprint(expected), Actual: fmt.Sprint(actual),
	}
	t.report.Checks = append(t.report.Checks, c)
	if !c.OK {
		t.failed("%s: %s, expected %s", what, c.Actual, c.Expected)
		return fmt.Errorf("the check failed: %s: %s, expected %s", what, c.Actual, c.Expected)
	}
	if c.Actual == fmt.Sprint(true) {
		t.ok("%s", what)
	} else {
		t.ok("%s: %s", what, c.Actual)
	}
	return nil
}

// goodbye says what was shown and what to try next. dir is the temporary directory,
// where there was one.
func (t *tour) goodbye(dir string) error {
	t.heading("That was it")
	t.say("%d checks, all ok: events that are only ever added, a table that refuses to be changed, races", len(t.report.Checks))
	t.say("lost loudly, retries that count once, and every balance, of now and then, worked out from them.")
	t.say("")
	if dir != "" {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the demo's temporary directory %s is still there: remove it", dir)
		}
		t.say("The temporary file was removed. Now on one that stays (daybank, or: go run ./cmd/daybank):")
		t.command("daybank --db sqlite:bank.db open alice --owner Alice")
		t.command("daybank --db sqlite:bank.db deposit alice 100")
		t.command("daybank --db sqlite:bank.db history alice")
		t.command("daybank demo --db sqlite:demo.db     # or --db postgres://…: this again, to look at afterwards")
		return t.flush()
	}
	at := fmt.Sprintf("daybank --db %s --book %s", shellQuote(t.report.Database), t.app.book)
	if at != plainText(at) || strings.Contains(at, hidden) {
		at = "daybank --book " + t.app.book // never a password, nor what a shell would not take
	}
	t.say("The book stays in the database. Look at it (daybank, or: go run ./cmd/daybank; the same --db):")
	for _, verb := range []string{"history alice", "diff alice --from 2 --to 5", "statement dora --to 2026-01-04", "plot carol", "replay carol", "events --type TransferSent -o json"} {
		t.command("%s %s", at, verb)
	}
	return t.flush()
}

// shellQuote writes a word so that a shell reads it as one.
func shellQuote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
