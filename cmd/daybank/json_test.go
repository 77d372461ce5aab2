package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The members of the JSON contract, in the words of docs/reference/json.md. This
// test is the contract: a member may be added to it, and never taken away.
var (
	accountMembers = []string{"account", "balance", "balance_minor", "currency", "owner", "position", "sequence_number", "status"}
	eventMembers   = []string{
		"aggregate_id", "event_id", "event_type", "metadata", "occurred_at", "payload", "position", "recorded_at", "schema_version", "sequence_number",
	}
	movementMembers  = []string{"amount", "amount_minor", "command", "counterparty", "reference"}
	statementMembers = []string{
		"account", "by", "closing_balance", "closing_balance_minor", "credits", "credits_minor", "currency", "debits", "debits_minor",
		"events", "from", "opening_balance", "opening_balance_minor", "owner", "position", "to",
	}
	currencyMembers = []string{
		"accounts_closed", "accounts_not_opened", "accounts_open", "balance", "balance_minor", "currency", "deposited", "deposited_minor", "deposits",
		"in_transit", "in_transit_minor", "transferred", "transferred_minor", "transfers", "withdrawals", "withdrawn", "withdrawn_minor",
	}
	namesOfChecks = []string{
		"positions", "times", "events", "sequence numbers", "snapshots", "rules", "transfers", "money", "snapshots of account",
		"read model balances", "read model daily", "read model transfers",
	}
)

type object = map[string]any

func checkMembers(t *testing.T, what string, value object, want ...[]string) {
	t.Helper()
	names := slices.Sorted(slices.Values(slices.Concat(want...)))
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(value))); diff != "" {
		t.Errorf("members of %s (-want +got):\n%s", what, diff)
	}
}

func TestTheJSONContract(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			opened := decode[object](t, must(t, db, "open", "alice", "--owner", "Alice", "-o", "json"))
			checkMembers(t, "open", opened, accountMembers, []string{"events"})
			must(t, db, "open", "bob", "--owner", "Bob", "-o", "json")
			deposited := decode[object](t, must(t, db, "deposit", "alice", "100", "-o", "json", "--occurred-at", "2020-01-02T03:04:05+01:00"))
			checkMembers(t, "deposit", deposited, accountMembers, []string{"events"})

			moved := decode[object](t, must(t, db, "transfer", "alice", "bob", "30.5", "-o", "json"))
			checkMembers(t, "transfer", moved, accountMembers, []string{"events", "to", "transfer_id"})
			checkMembers(t, "to", moved["to"].(object), accountMembers)
			for _, event := range moved["events"].([]any) {
				checkMembers(t, "an event", event.(object), eventMembers)
				if got := event.(object)["payload"].(object)["transfer_id"]; got != moved["transfer_id"] {
					t.Errorf("the event's transfer id is %v, want %v", got, moved["transfer_id"])
				}
			}

			want := object{
				"account": "alice", "owner": "Alice", "currency": "EUR", "balance": "69.50", "balance_minor": 6950.0,
				"sequence_number": 3.0, "position": 4.0, "status": "open",
			}
			if diff := cmp.Diff(want, decode[object](t, must(t, db, "balance", "alice", "-o", "json"))); diff != "" {
				t.Errorf("balance (-want +got):\n%s", diff)
			}
			accounts := decode[[]object](t, must(t, db, "accounts", "-o", "json"))
			if len(accounts) != 2 || !cmp.Equal(accounts[0], want) {
				t.Errorf("accounts: %v, want alice as balance has her, and bob", accounts)
			}
			page := decode[[]object](t, must(t, db, "accounts", "-o", "json", "--limit", "1"))
			checkMembers(t, "the last account of a page", page[0], accountMembers, []string{"next"})
			shown := decode[object](t, must(t, db, "show", "alice", "-o", "json"))
			checkMembers(t, "show", shown, accountMembers, []string{"aggregate_id", "opened_at", "last_occurred_at", "last_recorded_at"})
			replayed := decode[object](t, must(t, db, "replay", "alice", "-o", "json"))
			checkMembers(t, "replay", replayed, accountMembers, []string{
				"events_replayed", "elapsed_microseconds", "loaded_balance_minor", "agrees", "snapshots_compared", "snapshots_wrong", "snapshots_corrupt",
			})

			checkTravel(t, db)
			checkEvents(t, db)
			checkVerified(t, db)
		})
	}
}

func checkTravel(t *testing.T, db string) {
	t.Helper()
	reported := decode[object](t, must(t, db, "report", "-o", "json"))
	checkMembers(t, "report", reported, []string{"agrees", "currencies", "findings", "position", "recorded_at"})
	checkMembers(t, "a currency", reported["currencies"].([]any)[0].(object), currencyMembers)

	for _, event := range decode[[]object](t, must(t, db, "why", "alice", "-o", "json")) {
		checkMembers(t, "an event of why", event, eventMembers, movementMembers, []string{"balance", "balance_minor"})
	}
	differing := decode[object](t, must(t, db, "diff", "alice", "--from", "0", "-o", "json"))
	checkMembers(t, "diff", differing, []string{"account", "balance_change", "balance_change_minor", "changed", "events", "from", "to"})
	checkMembers(t, "from", differing["from"].(object), accountMembers)
	checkMembers(t, "to", differing["to"].(object), accountMembers)
	for _, event := range differing["events"].([]any) {
		checkMembers(t, "an event of diff", event.(object), eventMembers, movementMembers, []string{"change"})
	}

	stated := decode[object](t, must(t, db, "statement", "alice", "-o", "json"))
	checkMembers(t, "statement", stated, statementMembers)
	for _, event := range stated["events"].([]any) {
		checkMembers(t, "an event of statement", event.(object), eventMembers, movementMembers, []string{"balance", "balance_minor"})
	}

	plottedLine := decode[object](t, must(t, db, "plot", "alice", "-o", "json"))
	checkMembers(t, "plot", plottedLine, []string{"account", "by", "currency", "out", "points", "position", "to"})
	checkMembers(t, "a point of plot", plottedLine["points"].([]any)[0].(object), []string{"at", "balance", "balance_minor"})
}

func checkEvents(t *testing.T, db string) {
	t.Helper()
	history := decode[[]object](t, must(t, db, "history", "alice", "-o", "json"))
	var balances []any
	for _, event := range history {
		checkMembers(t, "an event of history", event, eventMembers, []string{"balance_minor"})
		balances = append(balances, event["balance_minor"])
	}
	if diff := cmp.Diff([]any{0.0, 10000.0, 6950.0}, balances); diff != "" {
		t.Errorf("balances in history (-want +got):\n%s", diff)
	}
	if got := history[1]["occurred_at"]; got != "2020-01-02T02:04:05.000000Z" {
		t.Errorf("occurred_at is %v, want it in UTC with six digits", got)
	}

	text := must(t, db, "events", "-o", "json")
	events := decode[[]object](t, text)
	for i, event := range events {
		checkMembers(t, "an event", event, eventMembers)
		if event["position"] != float64(i+1) {
			t.Errorf("event %d is at position %v", i+1, event["position"])
		}
	}
	if len(events) != 5 {
		t.Errorf("%d events, want 5", len(events))
	}
	// Following is the same events, one per line.
	followed := must(t, db, "events", "-o", "json", "--follow", "--limit", "5")
	if array := "[\n" + strings.ReplaceAll(strings.TrimSuffix(followed, "\n"), "\n", ",\n") + "\n]\n"; array != text {
		t.Errorf("--follow gives\n%s\nand without it\n%s", followed, text)
	}
}

// The same commands print the same on both engines, but for ids that are random
// and for times.
func TestBothEnginesPrintTheSame(t *testing.T) {
	t.Parallel()
	skipWithoutPostgres(t)
	scenario := func(db string) string {
		var transcript strings.Builder
		for _, line := range []string{
			"open alice --owner Zoë", "open bob --owner Bob --currency EUR", "deposit alice 100 --reference ½·€ --actor t1",
			"withdraw alice 100.01", "transfer alice bob 1.5 --key k", "transfer alice bob 1.5 --key k", "transfer alice bob 2 --key k",
			"deposit alice 1 --expect 1", "balance alice --at-sequence 9", "balance alice --at-position 9", "balance carl",
			"deposit alice 1 --occurred-at 9999-01-01T00:00:00Z", "close bob", "events", "events --reverse --limit 2",
			"events --type MoneyDeposited", "history alice", "accounts", "replay bob --at-sequence 1", "show bob --at-position 2",
			"accounts --at-position 3", "accounts --at-position 99", "accounts --as-of-occurred 2020-01-01T00:00:00Z",
			"accounts --sort owner --reverse --limit 1", "accounts --search ZOË", "accounts --sort balance --at-position 3", "accounts --after x", "report", "report --at-position 5",
			"why alice", "why bob --at-position 3", "diff alice --from 1 --to @4", "diff bob --from @1", "diff alice --from occurred:2020-01-01T00:00:00Z",
			"statement alice", "statement alice -o csv", "statement bob --by recorded --at-position 3", "statement bob --to 2020-01-01",
			"plot alice --to 2020-01-01", "plot bob --width 10",
		} {
			for _, format := range []string{"json", "table"} {
				got := cli(t, db, append(strings.Fields(line), "-o", format)...)
				fmt.Fprintf(&transcript, "$ %s\n%s%s[%d]\n", line, got.stdout, got.stderr, got.code)
			}
		}
		return stable(transcript.String())
	}
	if diff := cmp.Diff(scenario(inFile(t, t.TempDir())), scenario(onServer(t, ""))); diff != "" {
		t.Errorf("-SQLite +PostgreSQL:\n%s", diff)
	}
}

var (
	randomID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	cutID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}[0-9a-f-]*…`)
	anyTime  = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z`)
	elapsed  = regexp.MustCompile(`("elapsed_microseconds": ?)[0-9]+`)
	took     = regexp.MustCompile(`(?m)^took( +)\S+$`)
	foldCell = regexp.MustCompile(`[0-9a-f]{12}( +[0-9]+ +(sound|corrupt))`)
	anyFold  = regexp.MustCompile(`("fold": ?")[0-9a-f]{64}`)
	rateCell = regexp.MustCompile(`(?m)^(\S+ +(?:inline|behind) +[0-9]+ +[a-z]+ +[0-9]+ +[0-9]+) +[0-9]+$`)
	tookHead = regexp.MustCompile(`(?m)^(PROJECTION +GENERATION +POSITION +ROWS) +TOOK$`)
	tookCell = regexp.MustCompile(`(?m)^(\S+( +[0-9]+){3}) +[0-9.]+m?s$`)
	anyRate  = regexp.MustCompile(`("(?:rate_per_second|lag_seconds)": ?)[0-9.e+-]+`)
	goWord   = regexp.MustCompile(`go1\.[0-9.]+`)
)

// stable replaces what differs from run to run.
func stable(text string) string {
	text = randomID.ReplaceAllString(text, "01a20b64-0000-7000-8000-000000000000")
	text = cutID.ReplaceAllString(text, "01a20b64-…")
	text = anyTime.ReplaceAllString(text, "2026-11-24T10:00:00.000000Z")
	text = elapsed.ReplaceAllString(text, "${1}390")
	text = took.ReplaceAllString(text, "took${1}390µs")
	text = foldCell.ReplaceAllString(text, "f9a3b70f3008${1}")
	text = anyFold.ReplaceAllString(text, "${1}f9a3b70f30087d9c68d15a4cbcede4e53a5b31eec8278c959918534ab3b3aea2")
	text = rateCell.ReplaceAllString(text, "${1}  20000")
	text = tookHead.ReplaceAllString(text, "${1}  TOOK")
	text = tookCell.ReplaceAllString(text, "${1}  12ms")
	text = anyRate.ReplaceAllString(text, "${1}20000.5")
	return goWord.ReplaceAllString(text, "go1.26.0")
}

// checkVerified is the contract of verify, of a book that is proved and of one that is
// not.
func checkVerified(t *testing.T, db string) {
	t.Helper()
	members := []string{"book", "position", "recorded_at", "head", "events", "aggregates", "passes", "proved", "checks", "findings_total", "findings"}
	checkMembers(t, "verify", decode[object](t, must(t, db, "verify", "-o", "json")), members)
	one := decode[object](t, must(t, db, "verify", "-o", "json", "--aggregate", "bob"))
	skipped := one["checks"].([]any)[0].(object)
	checkMembers(t, "a check", skipped, []string{"check", "verdict", "looked", "what", "findings", "skipped"})
	var names []string
	for _, check := range one["checks"].([]any) {
		names = append(names, check.(object)["check"].(string))
	}
	if diff := cmp.Diff(namesOfChecks, names); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	newVandal(t, db).do(set(deposit3, `payload = '{"amount":1}'`)...)
	got := cli(t, db, "verify", "-o", "json")
	differs := decode[object](t, got.stdout)
	checkMembers(t, "verify", differs, members)
	finding := differs["findings"].([]any)[0].(object)
	checkMembers(t, "a finding", finding, []string{"check", "problem", "position", "aggregate_id", "sequence_number"})
	inRow := differs["findings"].([]any)[1].(object) // the read model still knows what the event was
	checkMembers(t, "a finding in a row", inRow, []string{"check", "table", "row", "field", "problem", "found", "expected"})
	if got.code != exitDiffers || differs["proved"] != false || differs["findings_total"] != 2.0 || finding["position"] != 4.0 || inRow["field"] != "balance" {
		t.Errorf("exit code %d, %s", got.code, got.stdout)
	}
}
