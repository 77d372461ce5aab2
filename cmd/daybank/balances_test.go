package main

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// plainly runs f on the book as a program has it that knows of no read model.
func plainly(t *testing.T, db string, f func(*daybook.Book)) {
	t.Helper()
	to, _ := parseDSN(db)
	driver, err := to.open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = driver.Close() }()
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events)
	if err != nil {
		t.Fatal(err)
	}
	f(book)
}

// plainBook makes a book as daybank did before it had read models, of so many events.
func plainBook(t *testing.T, db string, events int) {
	t.Helper()
	must(t, db, "migrate")
	plainly(t, db, func(book *daybook.Book) {
		appendFacts(t, book, "alice", daybook.Event{Data: bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"}})
		for left := events - 1; left > 0; left -= 1000 {
			var facts []daybook.Event
			for range min(left, 1000) {
				facts = append(facts, daybook.Event{Data: bank.MoneyDeposited{Amount: 1}})
			}
			appendFacts(t, book, "alice", facts...)
		}
	})
}

// What only reads makes no read model, and the first write does, from all there is.
func TestTheFirstWriteMakesBalances(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			plainBook(t, db, 3)
			for _, verb := range []string{"accounts", "report", "verify", "balance alice", "show alice", "history alice", "events", "replay alice", "why alice", "statement alice", "snapshots", "projections"} {
				must(t, db, strings.Fields(verb)...)
			}
			wantReadModels(t, db)
			if got := cli(t, db, "deposit", "alice", "1"); got.code != exitOK || got.stderr != "" {
				t.Errorf("exit code %d, %s", got.code, got.stderr)
			}
			wantReadModels(t, db, "balances 1 live")
			must(t, db, "verify")
		})
	}
}

// Several who write at once make it together.
func TestTheFirstWritersMakeBalances(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			plainBook(t, db, 5000)
			const writers = 4
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					if got := cli(t, db, "deposit", "alice", "1"); got.code != exitOK || got.stderr != "" {
						t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
					}
				})
			}
			all.Wait()
			wantReadModels(t, db, "balances 1 live")
			if got := balanceOf(t, db, "alice"); got != "53.99 at 5004" {
				t.Errorf("alice has %s", got)
			}
			must(t, db, "verify")
		})
	}
}

// One that was made by hand is as of then until the next write, which keeps it from there on.
func TestBalancesThatWereMadeByHand(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	plainBook(t, db, 3)
	must(t, db, "rebuild", "balances")
	plainly(t, db, func(book *daybook.Book) {
		appendFacts(t, book, "alice", daybook.Event{Data: bank.MoneyDeposited{Amount: 1}})
	})
	wantReadModels(t, db, "balances 1 live")
	if rows := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")); rows[0].SequenceNumber != 4 {
		t.Errorf("accounts: %+v", rows)
	}
	must(t, db, "deposit", "alice", "1")
	wantReadModels(t, db, "balances 1 live")
	must(t, db, "verify")
}

// Where it takes long, whoever waits is told, once.
func TestMakingBalancesOfALongBook(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	plainBook(t, db, longToRead)
	got := cli(t, db, "deposit", "alice", "1")
	const want = "daybank: reading 20000 events for the read model balances, which every write keeps from now on: this is done once\n"
	if got.code != exitOK || got.stderr != want {
		t.Errorf("exit code %d, stderr %q, want %q", got.code, got.stderr, want)
	}
	if got = cli(t, db, "deposit", "alice", "1"); got.code != exitOK || got.stderr != "" {
		t.Errorf("the second time: exit code %d, stderr %q", got.code, got.stderr)
	}
}

// Every verb that writes keeps the read model.
func TestEveryWriteKeepsBalances(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			accounts := writeImport(t, "accounts.csv", accountsHeader+"carol,2026-01-01\n")
			for _, args := range [][]string{
				{"open", "alice", "--owner", "Alice"}, {"open", "bob", "--owner", "Bob"}, {"deposit", "alice", "10"}, {"withdraw", "alice", "1"},
				{"transfer", "alice", "bob", "9"}, {"close", "alice"}, {"import", "csv", "--mapping", importMapping, accounts},
			} {
				must(t, db, args...)
				v := decode[verified](t, must(t, db, "verify", "-o", "json"))
				for _, check := range v.Checks {
					if check.Check == "read model balances" && (check.Verdict != verdictProved || check.Skipped != "") {
						t.Errorf("after %s: %+v", args[0], check)
					}
				}
			}
			wantReadModels(t, db, "balances 1 live")
		})
	}
}

// A read model that is paused stays so, and is in nobody's way.
func TestWritesWhileBalancesArePaused(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "pause", "balances")
			must(t, db, "deposit", "alice", "5")
			wantReadModels(t, db, "balances 1 live paused")
			if rows := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")); len(rows) != 1 || rows[0].Balance != "5.00" {
				t.Errorf("accounts: %+v", rows)
			}
			must(t, db, "report")
			must(t, db, "verify")
		})
	}
}

// An event that cannot be read keeps the read model from being made, and stops no other
// account.
func TestWritesWhileBalancesCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			plainBook(t, db, 2)
			record(t, db, "alice", "InterestAccrued", 1, `{"rate":"0.5"}`)
			for _, args := range [][]string{{"open", "bob", "--owner", "Bob"}, {"deposit", "bob", "5"}} {
				got := cli(t, db, args...)
				if got.code != exitOK || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "the read model balances cannot be made") || !strings.Contains(got.stderr, "position 3") {
					t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.stderr)
				}
			}
			got := cli(t, db, "accounts", "-o", "json")
			if rows := decode[[]accountRow](t, got.stdout); got.code != exitError || len(rows) != 1 || rows[0].Account != "bob" || rows[0].Balance != "5.00" {
				t.Errorf("accounts: exit code %d, %+v", got.code, rows)
			}
		})
	}
}

// A read model that is declared otherwise now is made anew by the next write.
func TestBalancesOfAnotherDeclaration(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			plainBook(t, db, 5)
			older := newerBalances()
			older.Version, older.Evolve = readmodel.Balances.Version, readmodel.Balances.Evolve
			openBookWith(t, db, older)
			wantReadModels(t, db, "balances 1 live")
			must(t, db, "report")
			if rows := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")); len(rows) != 1 || rows[0].BalanceMinor != 4 {
				t.Errorf("accounts: %+v", rows)
			}
			must(t, db, "deposit", "alice", "1")
			wantReadModels(t, db, "balances 1 kept", "balances 2 live")
			must(t, db, "verify")
		})
	}
}

// Where a newer daybank keeps the read model, this one writes nothing, and says what can be
// done. It reads as before.
func TestBalancesOfANewerDaybank(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "open", "bob", "--owner", "Bob")
			must(t, db, "deposit", "alice", "5")
			openBookWith(t, db, newerBalances())
			accounts := writeImport(t, "accounts.csv", accountsHeader+"carol,2026-01-01\n")
			for _, args := range [][]string{{"deposit", "alice", "5"}, {"transfer", "alice", "bob", "1"}, {"open", "carol", "--owner", "Carol"}, {"import", "csv", "--mapping", importMapping, accounts}} {
				got := cli(t, db, args...)
				if got.code != exitError || got.stdout != "" && args[0] != "import" ||
					!strings.Contains(got.stderr, "every write to book main keeps balances, in another way than this daybank can") || !strings.Contains(got.stderr, "daybank pause NAME lets others write without it") {
					t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, got.code, got.stdout, got.stderr)
				}
			}
			must(t, db, "report")
			if rows := decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")); len(rows) != 2 || rows[0].Balance != "5.00" || rows[0].Owner != "Alice" {
				t.Errorf("accounts: %+v", rows)
			}
			wantReadModels(t, db, "balances 1 kept", "balances 2 live")
			must(t, db, "pause", "balances")
			must(t, db, "deposit", "alice", "5")
			wantReadModels(t, db, "balances 1 kept", "balances 2 live paused")
		})
	}
}

// The same where the newer one has made it by a rebuild, before any write.
func TestBalancesThatANewerDaybankHasRebuilt(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			plainBook(t, db, 5)
			if _, err := openBookWith(t, db).Rebuild(t.Context(), newerBalances(), daybook.RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
			wantReadModels(t, db, "balances 1 live")
			got := cli(t, db, "deposit", "alice", "5")
			if got.code != exitError || !strings.Contains(got.stderr, "the read model balances of book main is of another daybank") || !strings.Contains(got.stderr, "daybank pause balances lets others write without it") {
				t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
			}
			must(t, db, "pause", "balances")
			must(t, db, "deposit", "alice", "5")
			wantReadModels(t, db, "balances 1 live paused")
		})
	}
}

// What only reads answers from the events where somebody has removed the table.
func TestReadingWithoutTheTable(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "deposit", "alice", "5")
			want := must(t, db, "accounts")
			newVandal(t, db).do("DROP VIEW {views}main_balances", "DROP TABLE {views}main_balances_g1")
			got := cli(t, db, "accounts")
			if got.code != exitOK || got.stdout != want || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "balances cannot be read") || !strings.Contains(got.stderr, "main_balances_g1") {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			must(t, db, "report")
			for _, args := range [][]string{{"deposit", "alice", "5"}, {"verify"}} {
				if got = cli(t, db, args...); got.code != exitError || !strings.Contains(got.stderr, "main_balances_g1") {
					t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.stderr)
				}
			}
			must(t, db, "rebuild", "balances")
			must(t, db, "deposit", "alice", "5")
			must(t, db, "verify")
		})
	}
}

// login makes a role that may log in, with the rights granted, and returns the database as
// that role sees it.
func login(t *testing.T, db string, rights ...string) string {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	name := "daybank_test_" + strings.ToLower(rand.Text())
	do := func(statement string) {
		if _, err := admin.Exec(t.Context(), strings.ReplaceAll(statement, "{role}", name)); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	do("CREATE ROLE {role} LOGIN PASSWORD 'not a secret'")
	for _, right := range rights {
		do(right)
	}
	t.Cleanup(func() {
		for _, statement := range []string{"DROP OWNED BY ", "DROP ROLE "} {
			if _, err := admin.Exec(context.WithoutCancel(t.Context()), statement+name); err != nil {
				t.Error(err)
			}
		}
		_ = admin.Close(context.WithoutCancel(t.Context()))
	})
	u, err := url.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("user", name)
	query.Set("password", "not a secret")
	u.User, u.RawQuery = nil, query.Encode() // the address may have the administrator in either
	return u.String()
}

// The role that may append also makes the read model, and what one login has made the
// next one keeps.
func TestBalancesByRoles(t *testing.T) {
	t.Parallel()
	skipWithoutPostgres(t)
	db := onServer(t, "")
	one, other := login(t, db, "GRANT daybook_app TO {role}"), login(t, db, "GRANT daybook_app TO {role}")
	must(t, one, "open", "alice", "--owner", "Alice")
	wantReadModels(t, db, "balances 1 live")
	must(t, other, "deposit", "alice", "5")
	must(t, other, "rebuild", "balances")
	must(t, one, "deposit", "alice", "5")
	must(t, db, "withdraw", "alice", "5")
}

// Who may append, and neither make tables nor read those, does both without the read model,
// as long as nobody else keeps it.
func TestBalancesThatMayNotBeMade(t *testing.T) {
	t.Parallel()
	skipWithoutPostgres(t)
	db := onServer(t, "")
	appender := login(t, db, "GRANT USAGE ON SCHEMA daybook TO {role}", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA daybook TO {role}",
		"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA daybook TO {role}")
	got := cli(t, appender, "open", "alice", "--owner", "Alice")
	if got.code != exitOK || !strings.Contains(got.stderr, "the read model balances cannot be made") || !strings.Contains(got.stderr, "permission denied for schema daybook_views") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
	must(t, appender, "accounts")
	must(t, db, "deposit", "alice", "5") // and this one makes it
	wantReadModels(t, db, "balances 1 live")
	want := must(t, db, "accounts")
	got = cli(t, appender, "accounts")
	if got.code != exitOK || got.stdout != want || !strings.Contains(got.stderr, "the read model balances cannot be read") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	must(t, appender, "report")
	got = cli(t, appender, "deposit", "alice", "5")
	if got.code != exitError || !strings.Contains(got.stderr, "permission denied for schema daybook_views") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
}
