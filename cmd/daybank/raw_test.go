package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// lockFile takes the writer lock of a SQLite file, as a program that writes does.
// The function returned lets go of it.
func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// record appends an event as a program of another day or another maker might. Where the
// book has balances, it has paused them: else the book would refuse the append.
func record(t *testing.T, db, handle, eventType string, version int, payload string) {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	driver, err := to.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	}()
	book, err := driver.OpenBook(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := daybook.Open(t.Context(), driver, "main", bank.Events)
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.PauseProjection(t.Context(), readmodel.Balances.Name); err != nil && !errors.Is(err, daybook.ErrInvalid) {
		t.Fatal(err) // and not that there are none
	}
	work := daybook.InlineWork{}
	if pinned, err := driver.Pin(t.Context(), book); err != nil {
		t.Fatal(err)
	} else {
		state, stateErr := pinned.State(t.Context())
		if err := errors.Join(stateErr, pinned.Close()); err != nil {
			t.Fatal(err)
		}
		work.Revision = state.Inline
	}
	outcomes, err := driver.Append(t.Context(), book, []daybook.Append{{Entries: []daybook.EncodedEntry{{
		Aggregate: bank.AccountID(handle), Expected: daybook.Any(),
		Events: []daybook.Recorded{{EventID: daybook.NewUUID(), EventType: eventType, SchemaVersion: version, Payload: []byte(payload)}},
	}}}}, work)
	if err == nil {
		err = outcomes[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		eventType, payload string
		version            int
	}{
		"an unknown type":                  {"InterestAccrued", `{"rate":"0.5"}`, 1},
		"a newer schema version":           {"MoneyDeposited", `{"amount":1,"fee":2}`, 99},
		"a payload that is not an event's": {"MoneyDeposited", `{"amount":"one"}`, 1},
		"an amount of null":                {"MoneyDeposited", `{"amount":null}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, empty := range engines() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					must(t, db, "open", "alice", "--owner", "Alice")
					must(t, db, "open", "bob", "--owner", "Bob")
					must(t, db, "deposit", "alice", "5")
					record(t, db, "alice", one.eventType, one.version, one.payload)

					for _, args := range [][]string{{"balance", "alice"}, {"show", "alice"}, {"replay", "alice"}, {"deposit", "alice", "1"}, {"withdraw", "alice", "1"}, {"close", "alice"}, {"transfer", "bob", "alice", "1"}, {"accounts"}, {"report"}, {"why", "alice"}, {"statement", "alice"}, {"diff", "alice", "--from", "0"}, {"plot", "alice"}} {
						got := cli(t, db, args...)
						if got.code != exitError {
							t.Errorf("%v: exit code %d, want %d", args, got.code, exitError)
						}
						for _, part := range []string{"book main", "position 4", one.eventType, fmt.Sprintf("schema version %d", one.version)} {
							if !strings.Contains(got.stderr, part) {
								t.Errorf("%v: stderr %q does not name %s", args, got.stderr, part)
							}
						}
					}
					if got := cli(t, db, "accounts", "-o", "json"); !strings.Contains(got.stdout, `"bob"`) || strings.Contains(got.stdout, `"alice"`) {
						t.Errorf("accounts: %s, want bob, who can be read, and not alice", got.stdout)
					}
					// What was before it, other accounts and the raw events are still there.
					must(t, db, "balance", "alice", "--at-sequence", "2")
					must(t, db, "deposit", "bob", "1")
					events := decode[[]object](t, must(t, db, "events", "-o", "json"))
					if len(events) != 5 || events[3]["event_type"] != one.eventType {
						t.Errorf("events: %v", events)
					}
					got := cli(t, db, "history", "alice", "-o", "json")
					history := decode[[]object](t, got.stdout)
					if got.code != exitOK || len(history) != 3 || history[1]["balance_minor"] != 500.0 || history[2]["balance_minor"] != nil {
						t.Errorf("history: exit code %d, %v, want the last balance to be null", got.code, history)
					}
					if !strings.Contains(got.stderr, "position 4") {
						t.Errorf("history: stderr %q does not name the place", got.stderr)
					}
				})
			}
		})
	}
}

func TestAnAccountOfSchemaVersion1IsInEuro(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			record(t, db, "alice", "AccountOpened", 1, `{"account_id":"alice","owner_name":"Alice"}`)
			must(t, db, "deposit", "alice", "1.50")
			got := decode[accountRow](t, must(t, db, "balance", "alice", "-o", "json"))
			if got.Currency != "EUR" || got.Balance != "1.50" || got.SequenceNumber != 2 {
				t.Errorf("the account is %+v", got)
			}
		})
	}
}

// Facts that were recorded about an account that nobody opened are listed, so that
// the list adds up, and are no account to the other verbs.
func TestFactsWithoutAnOpening(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			record(t, db, "ghost", "MoneyDeposited", 1, `{"amount":5}`)
			got := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json"))
			want := []accountRow{{
				Account: bank.AccountID("ghost").ID.String(), Balance: "5", BalanceMinor: 5,
				SequenceNumber: 1, Position: 1, Status: "not opened",
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
			if got := cli(t, db, "balance", "ghost"); got.code != exitNotFound {
				t.Errorf("balance: exit code %d, %s", got.code, got.stderr)
			}
			must(t, db, "history", "ghost")
		})
	}
}

// What others have stored is shown and not obeyed, in every table.
func TestHostileEventsAreShownEscaped(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			record(t, db, "mallory", "AccountOpened", 2, `{"account_id":"mallory","owner_name":"\u001b[2Jm\u202ea\nl","currency":"EUR"}`)
			record(t, db, "mallory", "MoneyDeposited", 1, "{\"amount\":1,\"reference\":\"a\u202eb\u009b1m\"}")
			record(t, db, "eve", "AccountOpened", 2, `{"account_id":"\u001b[2Je","owner_name":"\u001b[2Je","currency":"E\u001b[1mR"}`)
			for _, args := range [][]string{{"balance", "mallory"}, {"show", "mallory"}, {"accounts"}, {"events"}, {"history", "mallory"}, {"deposit", "mallory", "1"},
				{"report"}, {"why", "mallory"}, {"statement", "mallory"}, {"statement", "mallory", "-o", "csv"}, {"diff", "mallory", "--from", "0"}, {"plot", "mallory"},
				{"balance", "eve"}, {"why", "eve"}, {"statement", "eve"}, {"statement", "eve", "-o", "csv"}, {"diff", "eve", "--from", "0"}, {"plot", "eve"}} {
				got := cli(t, db, args...)
				if got.code != exitOK || strings.ContainsFunc(strings.ReplaceAll(got.stdout, "\n", ""), isUnprintable) {
					t.Errorf("%v: exit code %d, %q", args, got.code, got.stdout)
				}
			}
			if got := must(t, db, "balance", "mallory"); !strings.Contains(got, `\u{1b}[2Jm\u{202e}a\u{a}l`) {
				t.Errorf("balance: %q, want the name spelled out", got)
			}
		})
	}
}

// A long book is listed whole, in as many blocks as it takes, by every verb.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	const accounts, perAccount = 3, 500
	to, _ := parseDSN(db)
	driver, err := to.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events)
	if err != nil {
		t.Fatal(err)
	}
	for i := range accounts {
		handle := fmt.Sprintf("account-%d", i)
		entry := daybook.Entry{Aggregate: bank.AccountID(handle), Events: []daybook.Event{
			{Data: bank.AccountOpened{AccountID: handle, OwnerName: "Somebody", Currency: "EUR"}},
		}}
		for range perAccount {
			entry.Events = append(entry.Events, daybook.Event{Data: bank.MoneyDeposited{Amount: 1}})
		}
		if _, err := book.Append(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	const total = accounts * (perAccount + 1)
	if got := decode[[]eventRow](t, must(t, db, "events", "-o", "json")); len(got) != total || got[total-1].Position != total {
		t.Errorf("%d events in JSON, want %d", len(got), total)
	}
	lines := strings.Split(strings.TrimSuffix(must(t, db, "events"), "\n"), "\n")
	if len(lines) != total+1 {
		t.Errorf("%d lines in the table, want %d and one of titles", len(lines), total)
	}
	for i, line := range lines[1:] {
		if strings.Index(line, "{") != strings.Index(lines[0], "PAYLOAD") || !strings.HasPrefix(strings.TrimSpace(line), fmt.Sprint(i+1)) {
			t.Fatalf("line %d is not in line with the titles:\n%s\n%s", i+1, lines[0], line)
		}
	}
	for i := range accounts {
		if got := balanceOf(t, db, fmt.Sprintf("account-%d", i)); got != "5.00 at 501" {
			t.Errorf("account %d is %s", i, got)
		}
	}
	again := decode[replayed](t, must(t, db, "replay", "account-2", "-o", "json"))
	if !again.Agrees || again.EventsReplayed != perAccount+1 || again.Balance != "5.00" {
		t.Errorf("replay: %+v", again)
	}
	history := decode[[]historyRow](t, must(t, db, "history", "account-1", "-o", "json"))
	if last := history[len(history)-1]; len(history) != perAccount+1 || *last.BalanceMinor != 500 {
		t.Errorf("history: %d events, the last %+v", len(history), last)
	}
	if got := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")); len(got) != accounts {
		t.Errorf("%d accounts, want %d", len(got), accounts)
	}
}

// A balance that cannot be counted is not shown as if it were right.
func TestAHistoryThatAddsUpToTooMuch(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "open", "bob", "--owner", "Bob")
			for range 2 {
				record(t, db, "alice", "MoneyDeposited", 1, `{"amount":9223372036854775807}`)
			}
			for _, args := range [][]string{{"balance", "alice"}, {"show", "alice"}, {"replay", "alice"}, {"accounts"}, {"deposit", "alice", "1"}, {"report"}, {"why", "alice"}, {"statement", "alice"}, {"diff", "alice", "--from", "0"}, {"plot", "alice"}} {
				got := cli(t, db, args...)
				if got.code != exitRefused || !strings.Contains(got.stderr, "alice has a history that adds up to more than can be counted") || strings.Contains(got.stdout, "alice") {
					t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, got.code, got.stdout, got.stderr)
				}
			}
			must(t, db, "balance", "alice", "--at-sequence", "2")
			history := decode[[]object](t, must(t, db, "history", "alice", "-o", "json"))
			if history[1]["balance_minor"] == nil || history[2]["balance_minor"] != nil {
				t.Errorf("history: %v, want the last balance to be null", history)
			}
		})
	}
}

// The exit code of every error, and that the order of the table is right.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		err  error
		want int
	}{
		{errors.New("anything"), exitError},
		{&daybook.OutcomeUnknownError{EventIDs: []daybook.UUID{{1}}, Err: context.Canceled}, exitError},
		{&daybook.DecodeError{Err: daybook.ErrUnknownEvent}, exitError},
		{daybook.ErrSchema, exitError},
		{usage("x"), exitUsage},
		{usage("x: %w", bank.ErrClosed), exitUsage},
		{&daybook.InvalidError{}, exitUsage},
		{&daybook.TooLargeError{}, exitUsage},
		{&bank.AmountError{}, exitUsage},
		{&bank.CurrencyError{}, exitUsage},
		{&bank.HandleError{}, exitUsage},
		{&bank.TextError{}, exitUsage},
		{&bank.ClosedError{}, exitRefused},
		{&bank.InsufficientFundsError{}, exitRefused},
		{&daybook.ConflictError{}, exitConflict},
		{&daybook.KeyReusedError{}, exitConflict},
		{&bank.NotOpenedError{}, exitNotFound},
		{&daybook.NotThereError{}, exitNotFound},
		{&hintError{&differsError{"book main", 1}, ""}, exitDiffers},
		{named(&daybook.ConflictError{Aggregate: bank.AccountID("alice")}, "alice"), exitConflict},
	} {
		if got := exitCode(one.err); got != one.want {
			t.Errorf("%v: exit code %d, want %d", one.err, got, one.want)
		}
	}
}

// A pipe that breaks is no error where it is the one to whoever reads the results,
// and only there.
func TestBrokenPipes(t *testing.T) {
	t.Parallel()
	broken := &net.OpError{Op: "write", Err: syscall.EPIPE}
	var stderr strings.Builder
	a := &app{stderr: &stderr, getenv: func(string) string { return "" }}
	for _, err := range []error{broken, fmt.Errorf("postgres: append: %w", broken), &daybook.OutcomeUnknownError{EventIDs: []daybook.UUID{{1}}, Err: broken}} {
		stderr.Reset()
		if code := a.report(t.Context(), err); code != exitError || stderr.Len() == 0 {
			t.Errorf("%v: exit code %d, stderr %q", err, code, stderr.String())
		}
	}
	stderr.Reset()
	_, err := reader{brokenPipe{}}.Write([]byte("result"))
	if code := a.report(t.Context(), err); code != exitOK || stderr.Len() != 0 {
		t.Errorf("%v: exit code %d, stderr %q", err, code, stderr.String())
	}
}

// Who has stopped reading hides nothing that went wrong before.
func TestABrokenPipeDoesNotHideTheExitCode(t *testing.T) {
	t.Parallel()
	db := "sqlite:" + t.TempDir() + "/bank.db"
	must(t, db, "open", "alice", "--owner", "Alice")
	var stderr strings.Builder
	code := run(t.Context(), []string{"--db", db, "history", "alice"}, strings.NewReader(""), brokenPipe{}, &stderr, func(string) string { return "" })
	if code != exitOK || stderr.Len() != 0 {
		t.Errorf("a result nobody reads: exit code %d, stderr %q", code, stderr.String())
	}
	code = run(t.Context(), []string{"--db", db, "withdraw", "alice", "5"}, strings.NewReader(""), brokenPipe{}, &stderr, func(string) string { return "" })
	if code != exitRefused {
		t.Errorf("a refusal: exit code %d, stderr %q", code, stderr.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Where it stays unknown what became of a command, the user is told how to find out.
func TestAnUnknownOutcomeSaysHowToFindOut(t *testing.T) {
	t.Parallel()
	unknown := &daybook.OutcomeUnknownError{EventIDs: []daybook.UUID{{15: 7}}, Err: errors.New("the server is gone")}
	for name, one := range map[string]struct {
		flags writeFlags
		want  string
	}{
		"with a key":    {writeFlags{keyed: true}, "run the same command again, with the same --key"},
		"without a key": {writeFlags{}, "look for event id 00000000-0000-0000-0000-000000000007 in daybank history alice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr strings.Builder
			a := &app{stderr: &stderr, getenv: func(string) string { return "" }}
			code := a.report(t.Context(), one.flags.explain(unknown, "alice"))
			if code != exitError || !strings.Contains(stderr.String(), "alice: it is not known whether this was recorded: the server is gone") || !strings.Contains(stderr.String(), one.want) {
				t.Errorf("exit code %d, stderr %q", code, stderr.String())
			}
			// The user's Ctrl-C changes the code, and not what there is to know.
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			stderr.Reset()
			code = a.report(ctx, one.flags.explain(unknown, "alice"))
			if code != exitInterrupted || !strings.Contains(stderr.String(), "it is not known") || !strings.Contains(stderr.String(), one.want) {
				t.Errorf("interrupted: exit code %d, stderr %q", code, stderr.String())
			}
		})
	}
}
