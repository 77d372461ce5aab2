package daybook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// keepCounters keeps snapshots of the first n counters at every so many numbers.
func keepCounters(t *testing.T, book *daybook.Book, n, every int, decider daybook.Decider[int, add, counterEvent]) {
	t.Helper()
	repository := daybook.NewRepository(book, decider, daybook.Snapshots{Every: every, Report: func(err error) { t.Errorf("%v", err) }})
	for i := range n {
		if _, err := repository.Keep(t.Context(), counterAfter(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := repository.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// resultOf returns what became of one check.
func resultOf(t *testing.T, v *daybook.Verification, check string) daybook.CheckResult {
	t.Helper()
	for _, c := range v.Checks {
		if c.Check == check {
			return c
		}
	}
	t.Fatalf("there is no check %s", check)
	return daybook.CheckResult{}
}

// Every snapshot is held against the replay, of whatever aggregates a pass is.
func TestVerifySnapshotsInSeveralPasses(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 20, 300)
	keepCounters(t, book, 20, 3, counters)
	options := daybook.VerifyOptions{Checks: []daybook.Check{daybook.SnapshotCheck(counters)}}
	proved := verify(t, book, options)
	looked := resultOf(t, proved, "snapshots of counter").Looked
	if !proved.Proved() || looked < 80 || resultOf(t, proved, "snapshots").Looked != looked {
		t.Fatalf("%+v", proved)
	}
	tamper(`UPDATE events SET payload = '{"By":77}' WHERE position IN (50, 100)`)
	tamper(`DELETE FROM events WHERE position IN (120, 299)`)
	tamper(`UPDATE snapshots SET state = '5' WHERE position % 10 = 0`)
	tamper(`UPDATE snapshots SET position = position + 1 WHERE position % 17 = 0`)
	want := verify(t, book, options)
	if want.Proved() || want.Passes != 1 || resultOf(t, want, "snapshots").Findings < 10 || resultOf(t, want, "snapshots of counter").Findings < 5 {
		t.Fatalf("%d passes, findings:\n%s", want.Passes, strings.Join(texts(want), "\n"))
	}
	for _, held := range []int{1, 10, 50, 100} {
		options.MaxHeld = held
		got := verify(t, book, options)
		if diff := cmp.Diff(texts(want), texts(got)); diff != "" || got.Passes < 2 {
			t.Errorf("with %d held at once (-one pass +%d):\n%s", held, got.Passes, diff)
		}
		if diff := cmp.Diff(want.Checks, got.Checks); diff != "" {
			t.Errorf("with %d held at once, the checks (-one pass +%d):\n%s", held, got.Passes, diff)
		}
	}
}

// Of an aggregate with very many snapshots all are compared, some at a time.
func TestVerifyManySnapshotsOfOneAggregate(t *testing.T) {
	t.Parallel()
	const events = 2_300
	book, tamper := countersFile(t, 1, 1)
	entry := daybook.Entry{Aggregate: counter(1), Expected: daybook.Any()}
	for range events - 1 {
		entry.Events = append(entry.Events, daybook.Event{Data: added{1}})
	}
	if _, err := book.Append(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	keepCounters(t, book, 1, 1, counters)
	o := daybook.VerifyOptions{Checks: []daybook.Check{daybook.SnapshotCheck(counters)}}
	if got := verify(t, book, o); !got.Proved() || resultOf(t, got, "snapshots of counter").Looked != events {
		t.Errorf("%+v", got.Checks)
	}
	tamper(`UPDATE events SET payload = '{"By":3}' WHERE position = 1500`)
	got := verify(t, book, o)
	if n := resultOf(t, got, "snapshots of counter").Findings; n != events-1500+1 || got.Findings[0].Position != 1500 {
		t.Errorf("%d findings, the first %v", n, got.Findings[0])
	}
	// Up to a position, and of one aggregate.
	o.Until = daybook.AtPosition(1499)
	if got = verify(t, book, o); !got.Proved() || resultOf(t, got, "snapshots of counter").Ignored != events-1499 {
		t.Errorf("up to the position before: %+v", got.Checks)
	}
	o = daybook.VerifyOptions{Checks: o.Checks, Aggregate: counter(1)}
	if got = verify(t, book, o); got.Proved() || resultOf(t, got, "snapshots of counter").Looked != events {
		t.Errorf("of one aggregate: %+v", got.Checks)
	}
}

// A snapshot of another fold is counted; that it must be as it was written holds for it,
// too.
func TestVerifySnapshotsOfAnotherFold(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 2, 40)
	other := counters
	other.FoldVersion = 2
	other.Evolve = func(sum int, e counterEvent) int { return counters.Evolve(sum, e) + 1 }
	keepCounters(t, book, 2, 5, other)
	o := daybook.VerifyOptions{Checks: []daybook.Check{daybook.SnapshotCheck(counters)}}
	got := verify(t, book, o)
	if c := resultOf(t, got, "snapshots of counter"); !got.Proved() || c.Looked != 0 || c.Ignored == 0 || resultOf(t, got, "snapshots").Looked != c.Ignored {
		t.Errorf("%+v", got.Checks)
	}
	o.Checks = []daybook.Check{daybook.SnapshotCheck(other)}
	if got = verify(t, book, o); !got.Proved() || resultOf(t, got, "snapshots of counter").Looked == 0 {
		t.Errorf("%+v", got.Checks)
	}
	tamper(`UPDATE snapshots SET occurred_max = occurred_max + 1 WHERE sequence_number = 5`)
	o.Checks = []daybook.Check{daybook.SnapshotCheck(counters)}
	if got = verify(t, book, o); got.Proved() || got.Findings[0].Check != "snapshots" {
		t.Errorf("%+v", got.Checks)
	}
}
