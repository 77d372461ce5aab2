package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// forgedRow copies a row of a table to another key.
func forgedRow(table, key, value string) []string {
	return []string{
		"CREATE TABLE forged AS SELECT * FROM " + table + " LIMIT 1", fmt.Sprintf("UPDATE forged SET %s = '%s'", key, value),
		"INSERT INTO " + table + " SELECT * FROM forged",
	}
}

// modelFault is something that was done to the table of a read model.
type modelFault struct {
	name, model string
	statements  []string
	want        findingRow // row and field, and what was found and is right
}

func modelFaults() []modelFault {
	const nobody = "00000000-0000-4000-8000-00000000f00d"
	balances, daily, transfers := "{views}main_balances_g1", "{views}main_daily_g1", "{views}main_transfers_g1"
	alice, bob := bank.AccountID("alice").ID.String(), bank.AccountID("bob").ID.String()
	return []modelFault{
		{"a balance", "balances", []string{"UPDATE " + balances + " SET balance = 5501 WHERE handle = 'alice'"}, findingRow{Row: alice, Field: "balance", Found: `"5501"`, Expected: `"5500"`}},
		{"an owner", "balances", []string{"UPDATE " + balances + " SET owner = 'Bib' WHERE handle = 'bob'"}, findingRow{Row: bob, Field: "owner", Found: `"Bib"`, Expected: `"Bob"`}},
		{"an account dropped", "balances", []string{"DELETE FROM " + balances + " WHERE handle = 'bob'"}, findingRow{Row: bob, Found: "no row"}},
		{"an account forged", "balances", forgedRow(balances, "account_id", nobody), findingRow{Row: nobody, Expected: "no row"}},
		{"a day's sum", "daily", []string{"UPDATE " + daily + " SET in_minor = in_minor + 1 WHERE account_id = '" + bob + "'"}, findingRow{Row: bob, Field: "in_minor", Found: `"2101"`, Expected: `"2100"`}},
		{"a day dropped", "daily", []string{"DELETE FROM " + daily + " WHERE account_id = '" + alice + "'"}, findingRow{Row: alice, Found: "no row"}},
		{"a day forged", "daily", forgedRow(daily, "day", "1999-12-31"), findingRow{Row: "1999-12-31", Expected: "no row"}},
		{"a transfer's amount", "transfers", []string{"UPDATE " + transfers + " SET amount = 1"}, findingRow{Field: "amount", Found: `"1"`, Expected: `"2000"`}},
		{"a transfer dropped", "transfers", []string{"DELETE FROM " + transfers}, findingRow{Found: "no row"}},
		{"a transfer forged", "transfers", forgedRow(transfers, "transfer_id", nobody), findingRow{Row: nobody, Expected: "no row"}},
	}
}

// Whatever was done to a read model is found by verify, and named by row and column; and a
// rebuild mends it.
func TestVerifyFindsFaultsInReadModels(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			for _, f := range modelFaults() {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					smallBook(t, db)
					must(t, db, "run", "--once")
					must(t, db, "verify")
					newVandal(t, db).do(f.statements...)
					got := cli(t, db, "verify", "-o", "json")
					if got.code != exitDiffers || !strings.Contains(got.stderr, "where the events are right, daybank rebuild "+f.model+" makes it anew") {
						t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
					}
					wantInModel(t, decode[verified](t, got.stdout), f)
					must(t, db, "rebuild", f.model)
					must(t, db, "verify")
					must(t, db, "deposit", "bob", "1")
					must(t, db, "run", "--once")
					must(t, db, "verify")
				})
			}
		})
	}
}

func wantInModel(t *testing.T, got verified, f modelFault) {
	t.Helper()
	for _, check := range got.Checks {
		if differs := check.Verdict == verdictDiffers; differs != (check.Check == "read model "+f.model) {
			t.Errorf("%+v", check)
		}
	}
	found := got.Findings[0]
	if len(got.Findings) != 1 || found.Table != f.model || found.Field != f.want.Field || !strings.Contains(found.Row, f.want.Row) ||
		f.want.Found != "" && found.Found != f.want.Found || f.want.Expected != "" && found.Expected != f.want.Expected {
		t.Errorf("found %+v\nwant %+v", got.Findings, f.want)
	}
}

// A read model still knows what an event was before somebody changed it. So the rebuild,
// which would forget it, is not what is proposed first.
func TestAReadModelKnowsWhatAnEventWas(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	smallBook(t, db)
	newVandal(t, db).do(set(deposit8, `payload = '{"amount":900}'`)...)
	got := cli(t, db, "verify")
	const hint = "something has changed a read model, or an event after it was in there"
	if got.code != exitDiffers || !strings.Contains(got.stdout, `the field differs  "5500"  "5900"`) || !strings.Contains(got.stderr, hint) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// A read model that another daybank has made is not held against the events, and the
// report says so.
func TestVerifyOfAnotherReadModel(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	smallBook(t, db)
	openBookWith(t, db, newerBalances())
	got := must(t, db, "verify")
	if want := fmt.Sprintf("it is of version %d, and this one has version %d", readmodel.Balances.Version+1, readmodel.Balances.Version); !strings.Contains(got, want) {
		t.Errorf("%s\nwant it to say %s", got, want)
	}
}

// newerBalances is what a later daybank might keep: it makes something else of an opening.
func newerBalances() *daybook.View[daybook.UUID, readmodel.Balance] {
	return &daybook.View[daybook.UUID, readmodel.Balance]{
		Name: readmodel.Balances.Name, Key: readmodel.Balances.Key, Version: readmodel.Balances.Version + 1,
		Keys: readmodel.Balances.Keys,
		Evolve: func(row readmodel.Balance, id daybook.UUID, e daybook.ProjectedEvent) (readmodel.Balance, bool) {
			row, drop := readmodel.Balances.Evolve(row, id, e)
			row.Owner = strings.ToUpper(row.Owner)
			return row, drop
		},
	}
}

// openBookWith opens the book as a program does that has views inline.
func openBookWith(t *testing.T, db string, inline ...daybook.Projector) *daybook.Book {
	t.Helper()
	to, _ := parseDSN(db)
	driver, err := to.open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events, daybook.Inline(inline))
	if err != nil {
		t.Fatal(err)
	}
	return book
}
