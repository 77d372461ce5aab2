package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook/bank"
)

// vandal is somebody with the right to do anything, a superuser or whoever can write
// to the file, who has switched the triggers off on purpose.
type vandal struct {
	*testing.T
	exec     func(statement string) error
	replacer *strings.Replacer
}

func newVandal(t *testing.T, db string) *vandal {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	ctx := t.Context()
	if to.path == "" {
		conn, err := pgx.Connect(ctx, to.url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
		v := &vandal{t, func(statement string) error {
			_, err := conn.Exec(ctx, statement)
			return err
		}, strings.NewReplacer("{events}", "daybook.events", "{heads}", "daybook.heads", "{hour}", "interval '1 hour'", "{json}", "jsonb", "{snapshots}", "daybook.snapshots", "{views}", "daybook_views.", "{micro}", "interval '1 microsecond'")}
		v.do("ALTER TABLE {events} DISABLE TRIGGER ALL", "ALTER TABLE {heads} DISABLE TRIGGER ALL")
		return v
	}
	file, err := sql.Open("sqlite", to.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	v := &vandal{t, func(statement string) error {
		_, err := file.ExecContext(ctx, statement)
		return err
	}, strings.NewReplacer("{events}", "events", "{heads}", "heads", "{hour}", "3600000000", "{json}", "", "{snapshots}", "snapshots", "{views}", "", "{micro}", "1")}
	v.do("DROP TRIGGER events_never_updated", "DROP TRIGGER events_never_deleted", "DROP TRIGGER events_never_replaced", "DROP TRIGGER heads_never_back")
	return v
}

// do runs statements in which tables are named in braces.
func (v *vandal) do(statements ...string) {
	v.Helper()
	for _, statement := range statements {
		if err := v.exec(v.replacer.Replace(statement)); err != nil {
			v.Fatalf("%s: %v", statement, err)
		}
	}
}

// A book of nine events to be tampered with.
const (
	deposit3    = 3 // alice, 100.00
	withdrawal4 = 4 // alice, 30.00: she has 70.00
	sent5       = 5 // alice to bob, 20.00
	received6   = 6
	withdrawal7 = 7 // bob, 20.00: he has nothing
	deposit8    = 8 // alice, 5.00
	lastEvent   = 9 // bob, 1.00
)

func smallBook(t *testing.T, db string) {
	t.Helper()
	for _, args := range []string{
		"open alice --owner Alice", "open bob --owner Bob", "deposit alice 100", "withdraw alice 30", "transfer alice bob 20",
		"withdraw bob 20", "deposit alice 5", "deposit bob 1",
	} {
		must(t, db, strings.Fields(args)...)
	}
}

// fault is something that was done to the book, and what must be found.
type fault struct {
	name       string
	statements []string
	want       []string // "check @position", some of the findings
}

// swap exchanges a column's values of two events, by way of one that is free.
func swap(column string, a, b int, free string) []string {
	value := func(n int) string {
		return fmt.Sprintf("(SELECT %s FROM {events} WHERE book_id = 1 AND position = %d)", column, n)
	}
	if column == "position" {
		return []string{
			fmt.Sprintf("UPDATE {events} SET position = %s WHERE book_id = 1 AND position = %d", free, a),
			fmt.Sprintf("UPDATE {events} SET position = %d WHERE book_id = 1 AND position = %d", a, b),
			fmt.Sprintf("UPDATE {events} SET position = %d WHERE book_id = 1 AND position = %s", b, free),
		}
	}
	return []string{

		fmt.Sprintf("UPDATE {events} SET %s = CASE position WHEN %d THEN %s ELSE %s END WHERE book_id = 1 AND position IN (%d, %d)",
			column, a, value(b), value(a), a, b),
	}
}

func set(position int, assignment string) []string {
	return []string{fmt.Sprintf("UPDATE {events} SET %s WHERE book_id = 1 AND position = %d", assignment, position)}
}

// flip changes a payload, and nothing else in it.
func flip(position int, from, to string) []string {
	return set(position, fmt.Sprintf("payload = {json}(replace(CAST(payload AS text), '%s', '%s'))", from, to))
}

func drop(position int) []string {
	return []string{fmt.Sprintf("DELETE FROM {events} WHERE book_id = 1 AND position = %d", position)}
}

// forge writes an event of alice as if it had been recorded last.
func forge(sequence int, payload string) string {
	return fmt.Sprintf(`INSERT INTO {events} (book_id, position, aggregate_type, aggregate_id, sequence_number, event_id, event_type,
			schema_version, payload, metadata, occurred_at, recorded_at)
		SELECT 1, %d, aggregate_type, aggregate_id, %d, '01a20b64-0000-7000-8000-00000000f00d', event_type,
			schema_version, '%s', metadata, occurred_at, (SELECT recorded_at FROM {events} WHERE book_id = 1 AND position = %d)
		FROM {events} WHERE book_id = 1 AND position = %d`, lastEvent+1, sequence, payload, lastEvent, withdrawal4)
}

func faults() []fault {
	return []fault{
		{"a digit of one half of a transfer", flip(sent5, "2000", "2001"), []string{"transfers @6", "money @0"}},
		{"a digit of a deposit that was spent", set(deposit3, `payload = '{"amount":1000}'`), []string{"rules @4", "rules @5"}},
		{"an amount below zero", set(deposit8, `payload = '{"amount":-500}'`), []string{"rules @8"}},
		{"the last event dropped", drop(lastEvent), []string{"positions @9"}},
		{"an event in the middle dropped", drop(withdrawal4), []string{"positions @4", "sequence numbers @5"}},
		{"one half of a transfer dropped", drop(received6), []string{"positions @6", "sequence numbers @7", "transfers @5", "rules @7", "money @0"}},
		{"all events dropped", []string{"DELETE FROM {events}"}, []string{"positions @1"}},
		{"two events of an account swapped", swap("position", deposit3, deposit8, "1000"), []string{"sequence numbers @3", "times @4", "rules @4"}},
		{"two events of two accounts swapped", swap("position", withdrawal4, withdrawal7, "1000"), []string{"times @5", "sequence numbers @4", "rules @4"}},
		{"the payloads of two events swapped", swap("payload", deposit3, deposit8, ""), []string{"rules @4"}},
		{"a sequence number changed", set(deposit8, "sequence_number = 7"), []string{"sequence numbers @8"}},
		{"a recorded time set back", set(deposit8, "recorded_at = recorded_at - {hour}"), []string{"times @8"}},
		{"the last recorded time set forward", set(lastEvent, "recorded_at = recorded_at + {hour}"), []string{"times @9"}},
		{"a row forged behind the head", []string{forge(6, `{"amount":100}`)}, []string{"positions @10"}},
		{"a row forged, and the head moved", []string{forge(6, `{"amount":5501}`), "UPDATE {heads} SET position = 10 WHERE book_id = 1"}, []string{"rules @10"}},
		{"the head moved", []string{"UPDATE {heads} SET position = 12 WHERE book_id = 1"}, []string{"positions @10"}},
		{"the head moved back", []string{"UPDATE {heads} SET position = 8 WHERE book_id = 1"}, []string{"positions @9"}},
		{"an event of an unknown type", set(deposit8, "event_type = 'InterestAccrued'"), []string{"events @8"}},
		{"a schema version that is not known", set(deposit8, "schema_version = 99"), []string{"events @8"}},
		{"a payload of another shape", set(deposit8, `payload = '{"amount":"five"}'`), []string{"events @8"}},
		{"metadata that is none", set(deposit8, `metadata = '[1]'`), []string{"events @8"}},
		{"another type of aggregate", set(deposit8, "aggregate_type = 'customer'"), []string{"sequence numbers @8"}},
		{"an event given to another account", set(deposit8, fmt.Sprintf("aggregate_id = '%s'", bank.AccountID("carol").ID)), []string{"sequence numbers @8", "rules @8"}},
		{"an account opened as another", set(2, `payload = '{"account_id":"bib","owner_name":"Bob","currency":"EUR"}'`), []string{"rules @2"}},
		{"an account's currency changed", set(2, `payload = '{"account_id":"bob","owner_name":"Bob","currency":"USD"}'`), []string{"money @0"}},
	}
}

// Whatever was done to the events is found, and named by its place, on both engines.
func TestVerifyFindsEveryFault(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			for _, f := range faults() {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					smallBook(t, db)
					if got := cli(t, db, "verify"); got.code != exitOK {
						t.Fatalf("before: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
					}
					newVandal(t, db).do(f.statements...)
					got := cli(t, db, "verify", "-o", "json")
					if got.code != exitDiffers {
						t.Fatalf("exit code %d, want %d\n%s%s", got.code, exitDiffers, got.stdout, got.stderr)
					}
					wantFindings(t, decode[verified](t, got.stdout), f.want)
					table := cli(t, db, "verify")
					if table.code != exitDiffers || !strings.Contains(table.stdout, verdictDiffers) {
						t.Errorf("exit code %d, and the table is\n%s", table.code, table.stdout)
					}
				})
			}
		})
	}
}

func wantFindings(t *testing.T, got verified, want []string) {
	t.Helper()
	found := map[string]bool{}
	for _, one := range got.Findings {
		found[fmt.Sprintf("%s @%d", one.Check, one.Position)] = true
	}
	for _, one := range want {
		if !found[one] {
			t.Errorf("there is no finding %s", one)
		}
	}
	if len(got.Findings) == 0 || got.Proved || t.Failed() {
		t.Errorf("found:\n%+v", got.Findings)
	}
}

// An id that only a SQLite file can hold stops the reading: the place is named, and
// nothing is said to be proved.
func TestVerifyCannotReadAForgedID(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	smallBook(t, db)
	newVandal(t, db).do(set(deposit8, "aggregate_id = 'alice'")...)
	got := cli(t, db, "verify")
	if got.code != exitError || got.stdout != "" || !strings.Contains(got.stderr, `the id of the aggregate at position 8 is no UUID: "alice"`) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// Ctrl-C ends it, with the exit code of all verbs.
func TestVerifyInterrupted(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	smallBook(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := cliContext(ctx, db, "verify"); got.code != exitInterrupted || got.stdout != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
