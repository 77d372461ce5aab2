package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// keepEvery has a snapshot made of every state of both accounts of a small book.
func keepEvery(t *testing.T, db string) {
	t.Helper()
	accounts := daybook.NewRepository(openedBook(t, db), bank.Accounts, daybook.Snapshots{Every: 1})
	for _, handle := range []string{"alice", "bob"} {
		if _, err := accounts.Keep(t.Context(), bank.AccountID(handle)); err != nil {
			t.Fatal(err)
		}
	}
	if err := accounts.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What was done to snapshots is found, and so is what was done to events after they had
// been made, of which the events themselves show nothing.
func TestVerifyFindsWhatSnapshotsKnow(t *testing.T) {
	t.Parallel()
	ofAlice := func(number int) string {
		return fmt.Sprintf("book_id = 1 AND aggregate_id = '%s' AND sequence_number = %d", bank.AccountID("alice").ID, number)
	}
	older := func(column string) string {
		return fmt.Sprintf("%s = (SELECT %[1]s FROM {snapshots} WHERE %s)", column, ofAlice(2))
	}
	const last = 5 // alice's last number, at position 8
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			for what, one := range map[string]struct {
				statements []string
				want       []string // all findings, in part
			}{
				"nothing": {},
				"a state": {
					[]string{"UPDATE {snapshots} SET state = {json}(replace(CAST(state AS text), '5500', '5501')) WHERE " + ofAlice(last)},
					[]string{"snapshots: position 8", "its state is not the one that was written"},
				},
				"a snapshot set back": {
					[]string{"UPDATE {snapshots} SET " + older("state") + ", " + older("state_hash") + " WHERE " + ofAlice(last)},
					[]string{"snapshots: position 8", "its checksum is another"},
				},
				"a snapshot's position": {
					[]string{"UPDATE {snapshots} SET position = 7 WHERE " + ofAlice(last)},
					[]string{"snapshots: position 7", "its checksum is another"},
				},
				"a digit of the last deposit": {
					set(deposit8, `payload = '{"amount":900}'`),
					[]string{`snapshots of account: position 8, ` + bank.AccountID("alice").String() + ` number 5, field Balance: the state in the snapshot is not the replayed one: found "5500", expected "5900"`},
				},
				"a recorded time, by a microsecond": {
					set(deposit8, "recorded_at = recorded_at + {micro}"), []string{"snapshots of account: position 8", "another recorded time"},
				},
				"an occurred time": {
					set(deposit8, "occurred_at = occurred_at + {hour}"), []string{"snapshots of account: position 8", "another latest time of occurring"},
				},
				"the last event dropped, and the head set back": {
					append(drop(lastEvent), "UPDATE {heads} SET position = 8 WHERE book_id = 1"),
					[]string{"snapshots: position 9", "the snapshot is ahead of the book: was the book restored from a backup?: found 9, expected at most 8"},
				},
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					smallBook(t, db)
					keepEvery(t, db)
					newVandal(t, db).do(one.statements...)
					v, err := daybook.Verify(t.Context(), openedBook(t, db), daybook.VerifyOptions{Checks: bank.Checks()})
					if err != nil {
						t.Fatal(err)
					}
					text := fmt.Sprintln(v.Findings)
					if v.Proved() != (len(one.want) == 0) || len(v.Findings) > 1 {
						t.Errorf("found: %s", text)
					}
					for _, want := range one.want {
						if !strings.Contains(text, want) {
							t.Errorf("found: %swant: %s", text, want)
						}
					}
				})
			}
		})
	}
}

// Where an event was dropped, the snapshots of what came of it say so, too.
func TestVerifyFindsASnapshotOfAnEventThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			db := empty(t, t.TempDir())
			smallBook(t, db)
			keepEvery(t, db)
			newVandal(t, db).do(drop(deposit8)...)
			got := cli(t, db, "verify")
			if got.code != exitDiffers || !strings.Contains(got.stdout, "the snapshot is of an event that is not there") {
				t.Errorf("exit code %d\n%s", got.code, got.stdout)
			}
		})
	}
}
