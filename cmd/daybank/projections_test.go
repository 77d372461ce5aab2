package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// generations lists those of a projection.
func generations(t testing.TB, db, name string) []projectionRow {
	t.Helper()
	rows := decode[[]projectionRow](t, must(t, db, "projections", "-o", "json"))
	return slices.DeleteFunc(rows, func(r projectionRow) bool { return r.Projection != name })
}

// liveOf is the live generation of a projection; zero where there is none.
func liveOf(t testing.TB, db, name string) projectionRow {
	t.Helper()
	for _, r := range generations(t, db, name) {
		if r.Live {
			return r
		}
	}
	return projectionRow{}
}

// eventually waits until something holds that another process brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came about that %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// behindBook has alice and bob, five events, and all read models.
func behindBook(t *testing.T, db string) {
	t.Helper()
	for _, line := range []string{"open alice --owner Alice", "open bob --owner Bob", "deposit alice 100", "transfer alice bob 20", "run --once"} {
		must(t, db, strings.Fields(line)...)
	}
}

// poison records an event of alice's that this program cannot read, at position 6, and one behind
// it. balances is paused then: else the event could not be recorded.
func poison(t *testing.T, db string) {
	t.Helper()
	record(t, db, "alice", "InterestAccrued", 1, `{"rate":"0.5"}`)
	must(t, db, "deposit", "bob", "1")
}

func TestOnePoisonEventStopsOneReadModel(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			poison(t, db)
			got := cli(t, db, "run", "--once", "-o", "json")
			if got.code != exitError || strings.Count(got.stderr, "cannot take") != 1 {
				t.Errorf("exit code %d, stderr %q, want an error, once", got.code, got.stderr)
			}
			for _, part := range []string{"projection daily cannot take position 6: InterestAccrued", "no event type", "daybank projections skip daily --position 6 --reason TEXT"} {
				if !strings.Contains(got.stderr, part) {
					t.Errorf("stderr %q does not say %q", got.stderr, part)
				}
			}
			daily, transfers := liveOf(t, db, "daily"), liveOf(t, db, "transfers")
			if daily.State != stateStopped || daily.Position != 5 || daily.FailedPosition != 6 || !strings.Contains(daily.LastError, "no event type") {
				t.Errorf("daily is %+v", daily)
			}
			if transfers.State != stateCurrent || transfers.Position != 7 {
				t.Errorf("transfers is %+v, want it to have gone on", transfers)
			}
			if table := must(t, db, "projections"); !strings.Contains(table, `at position 6: unknown event: no event type "InterestAccrued"`) {
				t.Errorf("the table does not say where and why:\n%s", table)
			}
			got = cli(t, db, "rebuild", "--dry-run", "daily")
			if got.code != exitOK || !strings.Contains(got.stderr, "daily is behind the book, at position 5 of 7") {
				t.Errorf("a dry run up to where it is: exit code %d, %s", got.code, got.stderr)
			}

			got = cli(t, db, "projections", "skip", "daily", "--position", "7", "--reason", "mistaken")
			if got.code != exitUsage || !strings.Contains(got.stderr, "it has stopped at position 6") {
				t.Errorf("skipping another event: exit code %d, %s", got.code, got.stderr)
			}
			must(t, db, "projections", "skip", "daily", "--position", "6", "--reason", "no\trate here yet")
			must(t, db, "run", "--once")
			daily = liveOf(t, db, "daily")
			if daily.State != stateCurrent || daily.Position != 7 || daily.FailedPosition != 0 || daily.LastError != "" || daily.Skipped != 1 {
				t.Errorf("after it was skipped, daily is %+v", daily)
			}
			skips := decode[[]skipRow](t, must(t, db, "projections", "skips", "-o", "json"))
			if len(skips) != 1 || skips[0].Projection != "daily" || skips[0].Position != 6 || skips[0].Reason != "no\trate here yet" || skips[0].SkippedAt == "" {
				t.Errorf("skips are %+v", skips)
			}
			if got = cli(t, db, "projections"); !strings.Contains(got.stderr, "1 event passed over: daybank projections skips lists what and why") {
				t.Errorf("stderr %q does not say that an event is missing", got.stderr)
			}
			must(t, db, "rebuild", "daily") // passes over it, too

			got = cli(t, db, "resume", "balances")
			if got.code != exitError || !strings.Contains(got.stderr, "projection balances cannot take position 6") || !strings.Contains(got.stderr, "balances stays paused") {
				t.Errorf("resuming one that cannot take an event: exit code %d, %s", got.code, got.stderr)
			}
			if balances := liveOf(t, db, "balances"); balances.State != statePaused || balances.Position != 5 {
				t.Errorf("balances is %+v", balances)
			}
			must(t, db, "deposit", "bob", "1")
		})
	}
}

// A rebuild that comes to an event it cannot take leaves the live generation as it is, says so,
// and goes on from there once the event can be taken.
func TestARebuildThatCannotTakeAnEvent(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			vandal := newVandal(t, db)
			vandal.do(set(3, `event_type = 'InterestAccrued'`)...)
			for _, args := range [][]string{{"rebuild", "daily"}, {"rebuild", "daily", "--dry-run"}} {
				got := cli(t, db, args...)
				if got.code != exitError || got.stdout != "" || !strings.Contains(got.stderr, "position 3") || !strings.Contains(got.stderr, `no event type "InterestAccrued"`) {
					t.Errorf("%v: exit code %d, %s%s", args, got.code, got.stdout, got.stderr)
				}
			}
			all := generations(t, db, "daily")
			if len(all) != 2 || all[0].State != stateCurrent || all[1].State != "building" || all[1].FailedPosition != 3 {
				t.Errorf("generations are %+v", all)
			}
			vandal.do(set(3, `event_type = 'MoneyDeposited'`)...)
			rebuilt := decode[[]rebuiltRow](t, must(t, db, "rebuild", "daily", "-o", "json"))
			if len(rebuilt) != 1 || rebuilt[0].Generation != 2 || rebuilt[0].ResumedAt != 2 || rebuilt[0].Position != 5 {
				t.Errorf("rebuilt %+v, want generation 2 taken up at position 2", rebuilt)
			}
			must(t, db, "rebuild", "daily", "--dry-run")
			must(t, db, "verify")
		})
	}
}

// A read model that no program declares any more is in the way of every append, as long as
// nobody takes it out.
func TestAReadModelOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			makeForeign(t, db)
			if got := cli(t, db, "deposit", "alice", "1"); got.code != exitError || !strings.Contains(got.stderr, "foreign") {
				t.Errorf("exit code %d, %s, want to be told of the read model", got.code, got.stderr)
			}
			got := cli(t, db, "pause", "nope")
			if got.code != exitUsage || !strings.Contains(got.stderr, "there are balances, daily, transfers, foreign") {
				t.Errorf("exit code %d, %s, want the names there are", got.code, got.stderr)
			}
			if got = cli(t, db, "projections", "drop", "foreign"); got.code != exitConflict {
				t.Errorf("dropping one that is inline: exit code %d, %s", got.code, got.stderr)
			}
			must(t, db, "pause", "foreign")
			must(t, db, "deposit", "alice", "1")
			if got := liveOf(t, db, "foreign"); got.State != statePaused || got.Kind != "inline" {
				t.Errorf("foreign is %+v", got)
			}
			for _, args := range [][]string{{"resume", "foreign"}, {"rebuild", "foreign"}, {"projections", "copy", "foreign"}, {"projections", "drop-kept", "foreign"}, {"run", "foreign"}} {
				if got = cli(t, db, args...); got.code != exitUsage || !strings.Contains(got.stderr, `"foreign" is no read model of this program: there are balances, daily, transfers`) {
					t.Errorf("%v: exit code %d, %s", args, got.code, got.stderr)
				}
			}
			must(t, db, "projections", "drop", "foreign")
			if left := generations(t, db, "foreign"); len(left) != 0 {
				t.Errorf("there is still %+v", left)
			}
			must(t, db, "verify")
		})
	}
}

// makeForeign makes a read model that is part of every append, and that the program does not
// have.
func makeForeign(t *testing.T, db string) {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	driver, err := to.open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	}()
	type count struct{ Events int64 }
	foreign := &daybook.View[daybook.UUID, count]{
		Name: "foreign", Keys: daybook.PerAggregate,
		Evolve: func(row count, _ daybook.UUID, _ daybook.ProjectedEvent) (count, bool) {
			return count{row.Events + 1}, false
		},
	}
	if _, err := daybook.Open(t.Context(), driver, "main", bank.Events, daybook.Inline{readmodel.Balances, foreign}); err != nil {
		t.Fatal(err)
	}
}

// Exactly what the readers of JSON are promised.
func TestTheJSONContractOfProjections(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			members := []string{
				"projection", "kind", "generation", "version", "state", "live", "position", "lag_events", "lag_seconds", "rate_per_second",
				"failed_position", "last_error", "skipped", "running", "updated_at",
			}
			for _, args := range []string{"projections", "run --once", "projections copy daily"} {
				for _, one := range decode[[]object](t, must(t, db, append(strings.Fields(args), "-o", "json")...)) {
					checkMembers(t, args, one, members)
				}
			}
			for _, args := range []string{"pause daily", "resume daily"} {
				checkMembers(t, args, decode[object](t, must(t, db, append(strings.Fields(args), "-o", "json")...)), members)
			}
			for _, one := range decode[[]object](t, must(t, db, "rebuild", "daily", "-o", "json")) {
				checkMembers(t, "rebuild", one, []string{"projection", "generation", "position", "rows", "resumed_at", "elapsed_microseconds"})
			}
			for _, args := range []string{"projections drop-kept daily", "projections drop daily"} {
				checkMembers(t, args, decode[object](t, must(t, db, append(strings.Fields(args), "-o", "json")...)), []string{"projection", "dropped"})
			}
			must(t, db, "run", "--once")
			poison(t, db)
			cli(t, db, "run", "--once")
			skip := must(t, db, "projections", "skip", "daily", "--position", "6", "--reason", "x", "-o", "json")
			checkMembers(t, "skip", decode[object](t, skip), []string{"projection", "position", "reason", "skipped_at"})
			if list := must(t, db, "projections", "skips", "-o", "json"); list != "[\n"+strings.TrimSuffix(skip, "\n")+"\n]\n" {
				t.Errorf("skips are %s, and skip printed %s", list, skip)
			}
		})
	}
}

// Somebody has edited rows by hand; what differs is listed up to a bound and counted, nothing is
// changed, and a rebuild mends it.
func TestADryRunIsBoundedAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			const accounts = 1_001
			openMany(t, db, accounts, 0)
			must(t, db, "run", "--once")
			if err := execByHand(t.Context(), db, `UPDATE main_balances_g1 SET owner = 'Mallory'`); err != nil {
				t.Fatal(err)
			}
			before := must(t, db, "projections", "-o", "json") + stored(t, db)
			got := cli(t, db, "rebuild", "balances", "daily", "--dry-run")
			if want := fmt.Sprintf("daybank: 1000 of %d differences are shown", accounts); got.code != exitDiffers || strings.Count(got.stdout, "Mallory") != 1000 || !strings.Contains(got.stderr, want) {
				t.Errorf("exit code %d, %d rows, %s", got.code, strings.Count(got.stdout, "Mallory"), got.stderr)
			}
			got = cli(t, db, "rebuild", "balances", "--dry-run", "-o", "json")
			r := decode[dryRun](t, got.stdout)
			if got.code != exitDiffers || r.DifferencesTotal != accounts || len(r.Differences) != 1000 || r.Differences[0].Field != "owner" || *r.Differences[0].Is != "Mallory" {
				t.Errorf("exit code %d, %d differences of %d", got.code, len(r.Differences), r.DifferencesTotal)
			}
			if after := must(t, db, "projections", "-o", "json") + stored(t, db); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			must(t, db, "rebuild", "balances")
			must(t, db, "rebuild", "balances", "daily", "--dry-run")
			must(t, db, "verify")
		})
	}
}

// stored says what tables there are.
func stored(t *testing.T, db string) (tables string) {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	var err error
	if to.path == "" {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(t.Context(), to.url); err == nil {
			err = errors.Join(conn.QueryRow(t.Context(), `SELECT string_agg(table_schema || '.' || table_name, ' ' ORDER BY table_schema, table_name)
				FROM information_schema.tables`).Scan(&tables), conn.Close(t.Context()))
		}
	} else {
		var file *sql.DB
		if file, err = sql.Open("sqlite", to.path); err == nil {
			err = errors.Join(file.QueryRowContext(t.Context(), `SELECT group_concat(name || coalesce(sql, '')) FROM sqlite_schema`).Scan(&tables), file.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// openMany opens accounts, and deposits to each so many times.
func openMany(t *testing.T, db string, accounts, deposits int) {
	t.Helper()
	must(t, db, "migrate")
	if err := withBook(t.Context(), db, func(book *daybook.Book) error {
		var entries []daybook.Entry
		events := 0
		for i := range accounts {
			handle := fmt.Sprintf("a%d", i)
			e := daybook.Entry{Aggregate: bank.AccountID(handle), Events: []daybook.Event{{Data: bank.AccountOpened{AccountID: handle, OwnerName: "Owner " + handle, Currency: "EUR"}}}}
			for range deposits {
				e.Events = append(e.Events, daybook.Event{Data: bank.MoneyDeposited{Amount: 1}})
			}
			entries, events = append(entries, e), events+1+deposits
			if events < 5_000 && i < accounts-1 {
				continue
			}
			if _, err := book.Append(t.Context(), entries...); err != nil {
				return err
			}
			entries, events = nil, 0
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
