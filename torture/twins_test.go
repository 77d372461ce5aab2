package torture_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

// I27: the same appends, one after the other, give the same answers and the same log
// on both engines, although one of them is killed again and again meanwhile.
func TestBothEnginesAgreeUnderFire(t *testing.T) {
	t.Parallel()
	needsServers(t)
	const appends, killEach = 300, 60
	s := startServer(t)
	var books [2]*daybook.Book
	for i, address := range []string{s.DSN(), inFile(t).address} {
		driver, err := open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = driver.Close() })
		if books[i], err = daybook.Open(t.Context(), driver, "main", torture.Registry()); err != nil {
			t.Fatal(err)
		}
	}
	chance := newChance(*flagSeed, 27)
	for n := range appends {
		entries := draw(chance, n)
		answers := make(chan string, 1)
		go func() { answers <- insist(t.Context(), books[0], entries) }()
		if n%killEach == killEach-1 {
			s.Kill() // before, in or after the commit
			s.Restart()
		}
		onServer, inFile := <-answers, insist(t.Context(), books[1], entries)
		if diff := cmp.Diff(onServer, inFile); diff != "" {
			t.Fatalf("seed %d, append %d: answers differ (-PostgreSQL +SQLite):\n%s", *flagSeed, n, diff)
		}
	}
	var logs [2][]string
	for i, book := range books {
		for rec, err := range book.Read(t.Context(), daybook.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			value, err := book.Decode(rec)
			if err != nil {
				t.Fatal(err)
			}
			logs[i] = append(logs[i], fmt.Sprintf("%v %v %+v", rec, rec.EventID, value))
		}
	}
	if diff := cmp.Diff(logs[0], logs[1]); diff != "" {
		t.Errorf("seed %d: logs differ (-PostgreSQL +SQLite):\n%s", *flagSeed, diff)
	}
	t.Logf("seed %d: %d appends, %d events", *flagSeed, appends, len(logs[0]))
}

// draw makes an append to one to three of five aggregates; what it expects is often
// wrong, and its ids are sometimes those of an earlier append.
func draw(chance *rand.Rand, n int) (entries []daybook.Entry) {
	namespace := daybook.UUID{6: 0x40, 8: 0x80}
	if n > 0 && chance.IntN(10) == 0 {
		n = chance.IntN(n)
	}
	for i, aggregate := range chance.Perm(5)[:1+chance.IntN(3)] {
		entry := daybook.Entry{
			Aggregate: daybook.AggregateID{Type: "torture", ID: namespace.Derive(fmt.Sprint("aggregate ", aggregate))},
			Expected:  []daybook.Expected{daybook.Any(), daybook.Any(), daybook.Exists(), daybook.NoEvents(), daybook.Exactly(int64(chance.IntN(60)))}[chance.IntN(5)],
		}
		for j := range 1 + chance.IntN(4) {
			id := namespace.Derive(fmt.Sprint(n, i, j))
			entry.Events = append(entry.Events, daybook.Event{ID: id, Data: torture.Written{Order: id, Of: 1}})
		}
		entries = append(entries, entry)
	}
	return entries
}

// insist appends until there is an answer, and returns it in words.
func insist(ctx context.Context, book *daybook.Book, entries []daybook.Entry) string {
	for {
		records, err := book.Append(ctx, entries...)
		judged := errors.Is(err, daybook.ErrConflict) || errors.Is(err, daybook.ErrKeyReused) || errors.Is(err, daybook.ErrInvalid)
		if err == nil || judged || ctx.Err() != nil {
			return fmt.Sprint(err, places(records))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// places leaves the times out, which are each engine's own.
func places(records []daybook.Recorded) (all []string) {
	for _, rec := range records {
		all = append(all, fmt.Sprint(rec, rec.EventID))
	}
	return all
}
