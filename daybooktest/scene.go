package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// scene is what a check works with: a new book, through two handles on one database.
// A scene with the TB of a random case is made by [scene.again].
type scene struct {
	TB
	drivers [2]daybook.Driver
	id      daybook.BookID
	books   [2]*daybook.Book
	book    *daybook.Book // books[0]
	driver  daybook.Driver
}

func newScene(t TB, one, two daybook.Driver) *scene {
	t.Helper()
	s := &scene{TB: t, drivers: [2]daybook.Driver{one, two}, driver: one}
	name := "b-" + daybook.NewUUID().String()
	for i, driver := range s.drivers {
		book, err := daybook.Open(t.Context(), driver, name, registry)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		s.books[i] = book
	}
	s.book = s.books[0]
	id, err := one.OpenBook(t.Context(), name)
	if err != nil {
		t.Fatalf("OpenBook: %v", err)
	}
	s.id = id
	return s
}

// again is the same scene with another new book, for one random case.
func (s *scene) again(t TB) *scene {
	t.Helper()
	return newScene(t, s.drivers[0], s.drivers[1])
}

// times is how often something random or racy is repeated: fewer under -short.
func times(n int) int {
	if testing.Short() {
		return max(2, n/4)
	}
	return n
}

// at once runs f n times at the same time and waits for all.
func atOnce(n int, f func(i int)) {
	var group sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	group.Wait()
}

// pause waits for a moment, or less where ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// now is the test's clock, which may differ from the store's.
func now() time.Time {
	return time.Now().UTC().Truncate(time.Microsecond) //nolint:forbidigo // tests live in real time
}

// newAggregate names a notebook nobody has written to.
func newAggregate() daybook.AggregateID {
	return daybook.AggregateID{Type: notebooks.Type, ID: daybook.NewUUID()}
}

// entry is an entry with one Noted for each text, and ids known beforehand.
func entry(id daybook.AggregateID, expected daybook.Expected, texts ...string) daybook.Entry {
	e := daybook.Entry{Aggregate: id, Expected: expected}
	for _, text := range texts {
		e.Events = append(e.Events, daybook.Event{ID: daybook.NewUUID(), Data: noted{Text: text}})
	}
	return e
}

// rawEvent is a Noted as an engine gets it.
func rawEvent(text string) daybook.Recorded {
	return daybook.Recorded{EventID: daybook.NewUUID(), EventType: "Noted", SchemaVersion: 1, Payload: fmt.Appendf(nil, `{"text":%q}`, text)}
}

// raw is an append to one aggregate as an engine gets it.
func raw(id daybook.AggregateID, expected daybook.Expected, events ...daybook.Recorded) daybook.Append {
	return daybook.Append{Entries: []daybook.EncodedEntry{{Aggregate: id, Expected: expected, Events: events}}}
}

// append appends through the book, and ends the test where that fails.
func (s *scene) append(entries ...daybook.Entry) []daybook.Recorded {
	s.Helper()
	records, err := s.book.Append(s.Context(), entries...)
	if err != nil {
		s.Fatalf("Append: %v", err)
	}
	return records
}

// batch hands a batch to the engine, and ends the test where that fails.
func (s *scene) batch(batch ...daybook.Append) []daybook.Outcome {
	s.Helper()
	outcomes, err := s.driver.Append(s.Context(), s.id, batch, daybook.InlineWork{})
	if err != nil {
		s.Fatalf("Driver.Append: %v", err)
	}
	if len(outcomes) != len(batch) {
		s.Fatalf("Driver.Append: %d outcomes for %d appends", len(outcomes), len(batch))
	}
	return outcomes
}

// place hands one append to the engine, and ends the test unless it is written.
func (s *scene) place(a daybook.Append) []daybook.Recorded {
	s.Helper()
	outcome := s.batch(a)[0]
	if outcome.Err != nil || outcome.Duplicate {
		s.Fatalf("Driver.Append: outcome %+v, want it written", outcome)
	}
	return outcome.Records
}

// all returns the whole book, in as few pages as may be.
func (s *scene) all() []daybook.Recorded {
	s.Helper()
	return s.pages(daybook.Query{}, 1<<20)
}

// read returns one page from the engine, and ends the test where that fails.
func (s *scene) read(q daybook.Query) []daybook.Recorded {
	s.Helper()
	records, err := s.driver.Read(s.Context(), s.id, q, leftBehind())
	if err != nil {
		s.Fatalf("Driver.Read(%+v): %v", q, err)
	}
	return records
}

// leftBehind is what may be in the room that an engine gets for a page: nothing of it is to be
// seen again.
func leftBehind() []daybook.Recorded {
	return slices.Repeat([]daybook.Recorded{{
		Position: 1, Aggregate: newAggregate(), SequenceNumber: 1, EventID: daybook.NewUUID(), EventType: "LeftBehind", SchemaVersion: 1,
		Payload: []byte(`{"left":"behind"}`), Metadata: daybook.Metadata{Actor: "left behind", Extra: map[string]string{"left": "behind"}},
		OccurredAt: time.UnixMicro(1), RecordedAt: time.UnixMicro(1),
	}}, 3)
}

// head returns the book's head, and ends the test where it cannot.
func (s *scene) head() daybook.Head {
	s.Helper()
	head, err := s.driver.Head(s.Context(), s.id)
	if err != nil {
		s.Fatalf("Driver.Head: %v", err)
	}
	return head
}

// unchanged returns a function that fails the test when anything has been written
// since unchanged was called.
func (s *scene) unchanged() func(after string) {
	s.Helper()
	head, before := s.head(), s.all()
	return func(after string) {
		s.Helper()
		if got := s.head().Position; got != head.Position {
			s.Errorf("%s: the head is at position %d, want it still at %d", after, got, head.Position)
		}
		s.same("the book after "+after, s.all(), before)
	}
}

// same fails the test unless records are equal, payloads by value.
func (s *scene) same(what string, got, want []daybook.Recorded) {
	s.Helper()
	if diff := cmp.Diff(canonical(want), canonical(got)); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// canonical returns records with payloads that can be compared byte by byte.
func canonical(records []daybook.Recorded) []daybook.Recorded {
	out := make([]daybook.Recorded, 0, len(records)) // no records and nil are the same
	for _, rec := range records {
		if payload, err := daybook.CanonicalJSON(rec.Payload); err == nil {
			rec.Payload = payload
		}
		out = append(out, rec)
	}
	return out
}

// refused fails the test unless err is of the kind that target says.
func (s *scene) refused(doing string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Errorf("%s: got %v, want an error of kind %q", doing, err, target)
	}
}

// refusedAs is refused, and returns err as a T where it is one.
func refusedAs[T error](s *scene, doing string, err, target error) (as T, ok bool) {
	s.Helper()
	if !errors.Is(err, target) || !errors.As(err, &as) {
		s.Errorf("%s: got %v (%T), want a %T of kind %q", doing, err, err, as, target)
		return as, false
	}
	return as, true
}

// audit fails the test unless the book, whatever was done to it, is sound: the
// promises that hold of every book at every moment.
func (s *scene) audit() {
	s.Helper()
	if s.Failed() {
		return // one failure is told once
	}
	records, head := s.all(), s.head()
	if int64(len(records)) != head.Position {
		s.Errorf("I5: the head is at position %d of a book of %d events", head.Position, len(records))
	}
	numbers := map[daybook.UUID]int64{}
	types := map[daybook.UUID]string{}
	ids := map[daybook.UUID]bool{}
	last := daybook.Recorded{}
	for i, rec := range records {
		id := rec.Aggregate.ID
		numbers[id]++
		switch {
		case rec.Position != int64(i+1):
			s.Errorf("I5: the event after position %d is %v", i, rec)
		case rec.SequenceNumber != numbers[id]:
			s.Errorf("I4: event %d of %s is %v", numbers[id], rec.Aggregate, rec)
		case types[id] != "" && types[id] != rec.Aggregate.Type:
			s.Errorf("%v: the aggregate was a %s before", rec, types[id])
		case ids[rec.EventID]:
			s.Errorf("I2: %v: the event id %s is there twice", rec, rec.EventID)
		case rec.RecordedAt.Before(last.RecordedAt):
			s.Errorf("I15: %v is recorded at %v, before %v is at %v", rec, rec.RecordedAt, last, last.RecordedAt)
		case rec.RecordedAt.IsZero() || rec.OccurredAt.IsZero():
			s.Errorf("%v has no time", rec)
		}
		for _, at := range []time.Time{rec.RecordedAt, rec.OccurredAt} {
			if at.Location() != time.UTC || !at.Equal(at.Truncate(time.Microsecond)) {
				s.Errorf("I16: %v has the time %v, want whole microseconds in UTC", rec, at)
			}
		}
		types[id], ids[rec.EventID], last = rec.Aggregate.Type, true, rec
	}
	if head.RecordedAt.Before(last.RecordedAt) {
		s.Errorf("I15: the head is of %v, before the last event's %v", head.RecordedAt, last.RecordedAt)
	}
	s.auditVerified()
	aggregates := 0
	for id, number := range numbers {
		if aggregates++; aggregates > 20 {
			break // the rest are read the same way
		}
		one := s.pages(daybook.Query{Aggregate: daybook.AggregateID{Type: types[id], ID: id}}, 1<<20)
		want := slices.DeleteFunc(slices.Clone(records), func(rec daybook.Recorded) bool { return rec.Aggregate.ID != id })
		if int64(len(one)) != number || len(one) > 0 && one[len(one)-1].Position != want[len(want)-1].Position {
			s.same("an aggregate read by itself", one, want)
		}
	}
}

// auditVerified fails the test unless Verify finds the book sound, too, but for events
// that cannot be read and snapshots that no repository has made, which some checks have
// written on purpose.
func (s *scene) auditVerified() {
	s.Helper()
	v, err := daybook.Verify(s.Context(), s.book, daybook.VerifyOptions{})
	if err != nil {
		s.Fatalf("Verify: %v", err)
	}
	for _, f := range v.Findings {
		if f.Check != "events" && f.Check != "snapshots" {
			s.Errorf("Verify: %v", f)
		}
	}
}
