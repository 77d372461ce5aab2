package daybooktest

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

func numbersAreDense(s *scene) {
	a, b := newAggregate(), newAggregate()
	if head := s.head(); head != (daybook.Head{}) {
		s.Errorf("the head of an empty book is %+v, want the zero Head", head)
	}
	first := s.append(entry(a, daybook.NoEvents(), "a1"))
	second := s.append(entry(b, daybook.NoEvents(), "b1", "b2"), entry(a, daybook.Exactly(1), "a2"))
	third := s.append(entry(a, daybook.Exists(), "a3"))
	got := append(append(first, second...), third...)
	for i, want := range []struct {
		id     daybook.AggregateID
		number int64
		text   string
	}{{a, 1, "a1"}, {b, 1, "b1"}, {b, 2, "b2"}, {a, 2, "a2"}, {a, 3, "a3"}} {
		rec := got[i]
		value, err := s.book.Decode(rec)
		if err != nil || rec.Position != int64(i+1) || rec.Aggregate != want.id || rec.SequenceNumber != want.number || value != (noted{Text: want.text}) {
			s.Errorf("append returned %v with %+v (%v), want position %d: number %d of %s, %q", rec, value, err, i+1, want.number, want.id, want.text)
		}
	}
	s.same("the book is not what the appends returned", s.all(), got)
	if head := s.head(); head.Position != 5 || head.RecordedAt.Before(got[4].RecordedAt) {
		s.Errorf("the head is %+v, want position 5, at or after %v", head, got[4].RecordedAt)
	}
}

func expectationsHold(s *scene) {
	for _, actual := range []int64{0, 1, 3} {
		for _, c := range []struct {
			expected daybook.Expected
			holds    bool
		}{
			{daybook.NoEvents(), actual == 0},
			{daybook.Expected{}, actual == 0},
			{daybook.Exactly(0), actual == 0},
			{daybook.Exactly(1), actual == 1},
			{daybook.Exactly(2), actual == 2},
			{daybook.Exactly(3), actual == 3},
			{daybook.Exactly(1 << 62), false},
			{daybook.Exists(), actual > 0},
			{daybook.Any(), true},
		} {
			id := newAggregate()
			for n := range actual {
				s.append(entry(id, daybook.Exactly(n), fmt.Sprint(n+1)))
			}
			doing := fmt.Sprintf("expecting %s of an aggregate at %d", c.expected, actual)
			unchanged := s.unchanged()
			records, err := s.book.Append(s.Context(), entry(id, c.expected, "next"))
			if c.holds {
				if err != nil || len(records) != 1 || records[0].SequenceNumber != actual+1 {
					s.Errorf("%s: got %v, %v, want it appended as number %d", doing, records, err, actual+1)
				}
				continue
			}
			if conflict, ok := refusedAs[*daybook.ConflictError](s, doing, err, daybook.ErrConflict); ok &&
				(conflict.Aggregate != id || conflict.Expected != c.expected || conflict.Actual != actual) {
				s.Errorf("%s: the conflict is %+v", doing, conflict)
			}
			unchanged(doing)
		}
	}
}

func oneTypePerID(s *scene) {
	id := newAggregate()
	s.append(entry(id, daybook.NoEvents(), "first"))
	other := daybook.AggregateID{Type: "ledger", ID: id.ID}
	unchanged := s.unchanged()
	for _, expected := range []daybook.Expected{daybook.NoEvents(), daybook.Exactly(1), daybook.Any()} {
		_, err := s.book.Append(s.Context(), entry(other, expected, "x"))
		s.refused("appending to a notebook's id as to a ledger", err, daybook.ErrInvalid)
	}
	unchanged("appending to a notebook's id as to a ledger")
	if records := s.read(daybook.Query{Aggregate: other, Limit: 10}); len(records) != 0 {
		s.Errorf("read as a ledger, the notebook has %v", records)
	}
}

func retryReturnsOriginals(s *scene) {
	a, b := newAggregate(), newAggregate()
	entries := []daybook.Entry{entry(a, daybook.NoEvents(), "a1", "a2"), entry(b, daybook.NoEvents(), "b1")}
	original := s.append(entries...)
	s.append(entry(a, daybook.Exactly(2), "a3"))
	unchanged := s.unchanged()
	for i, book := range s.books {
		again, err := book.Append(s.Context(), entries...)
		if err != nil {
			s.Fatalf("the retry through handle %d: %v", i, err)
		}
		s.same("a retry returns something else", again, original)
	}
	for i := range entries {
		for j := range entries[i].Events {
			// A retry has its own correlation, and may say the recorded time or none.
			entries[i].Events[j].Metadata = daybook.Metadata{CorrelationID: "the second attempt"}
			entries[i].Events[j].OccurredAt = time.Time{}
		}
	}
	s.same("a retry with other metadata returns something else", s.append(entries...), original)
	unchanged("retries")

	event := rawEvent("x")
	event.Payload = []byte(`{"b": {"d": 1.50, "c": "\u00e9"}, "a": [1, 2e2]}`)
	event.EventType = "Foreign"
	first := s.place(raw(newAggregate(), daybook.NoEvents(), event))
	event.Payload = []byte(`{"a":[1,200],"b":{"c":"é","d":1.5}}`)
	outcome := s.batch(raw(first[0].Aggregate, daybook.NoEvents(), event))[0]
	if outcome.Err != nil || !outcome.Duplicate {
		s.Fatalf("a retry with its payload spelt otherwise: %+v, want a duplicate", outcome)
	}
	s.same("a retry with its payload spelt otherwise", outcome.Records, first)
}

func idsBeforeExpected(s *scene) {
	id := newAggregate()
	first := entry(id, daybook.NoEvents(), "first")
	original := s.append(first)
	s.append(entry(id, daybook.Exactly(1), "second"))
	unchanged := s.unchanged()
	for _, expected := range []daybook.Expected{daybook.NoEvents(), daybook.Exactly(1), daybook.Exactly(7), daybook.Exists(), daybook.Any()} {
		first.Expected = expected
		again, err := s.book.Append(s.Context(), first)
		if err != nil {
			s.Fatalf("the retry, now expecting %s: %v", expected, err)
		}
		s.same("the retry, now expecting "+expected.String(), again, original)
		outcome := s.batch(daybook.Append{Entries: []daybook.EncodedEntry{{Aggregate: id, Expected: expected, Events: []daybook.Recorded{stripped(original[0])}}}})[0]
		if !outcome.Duplicate || outcome.Err != nil {
			s.Errorf("the engine's outcome of a retry is %+v, want a duplicate", outcome)
		}
	}
	first.Expected, first.Events[0].Data = daybook.Exactly(7), noted{Text: "other"}
	_, err := s.book.Append(s.Context(), first)
	s.refused("other content and a wrong expectation", err, daybook.ErrKeyReused)
	unchanged("retries with other expectations")
}

// stripped is a record as an engine would get it again.
func stripped(rec daybook.Recorded) daybook.Recorded {
	rec.Position, rec.SequenceNumber, rec.RecordedAt = 0, 0, time.Time{}
	rec.Aggregate, rec.Metadata = daybook.AggregateID{}, daybook.Metadata{}
	return rec
}

func otherContentIsRefused(s *scene) {
	id := newAggregate()
	original := rawEvent("original")
	original.OccurredAt = now().Add(-time.Hour)
	place := s.place(raw(id, daybook.NoEvents(), rawEvent("before"), original))[1].Position
	unchanged := s.unchanged()
	for _, c := range []struct {
		name  string
		of    daybook.AggregateID
		alter func(*daybook.Recorded)
	}{
		{"another payload", id, func(e *daybook.Recorded) { e.Payload = []byte(`{"text":"forged"}`) }},
		{"a payload with a member more", id, func(e *daybook.Recorded) { e.Payload = []byte(`{"text":"original","more":1}`) }},
		{"another event type", id, func(e *daybook.Recorded) { e.EventType = "Marked" }},
		{"another schema version", id, func(e *daybook.Recorded) { e.SchemaVersion = 2 }},
		{"another occurred time", id, func(e *daybook.Recorded) { e.OccurredAt = e.OccurredAt.Add(time.Microsecond) }},
		{"another aggregate", newAggregate(), func(*daybook.Recorded) {}},
		{"another aggregate type", daybook.AggregateID{Type: "ledger", ID: id.ID}, func(*daybook.Recorded) {}},
	} {
		event := original
		c.alter(&event)
		for _, expected := range []daybook.Expected{daybook.Any(), daybook.Exactly(9)} {
			outcome := s.batch(raw(c.of, expected, event))[0]
			reused, ok := refusedAs[*daybook.KeyReusedError](s, c.name, outcome.Err, daybook.ErrKeyReused)
			if ok && (reused.EventID != event.EventID || reused.Position != place || reused.Reason == "") {
				s.Errorf("%s: the error is %+v, want it to name id %s, position %d and the difference", c.name, reused, event.EventID, place)
			}
			if len(outcome.Records) != 0 || outcome.Duplicate {
				s.Errorf("%s: refused, and yet the outcome is %+v", c.name, outcome)
			}
		}
	}
	unchanged("other content under a known id")
}

func partlyKnownIsRefused(s *scene) {
	id, other := newAggregate(), newAggregate()
	known := entry(id, daybook.NoEvents(), "1", "2", "3")
	first := s.append(known)[0].Position
	fresh := entry(id, daybook.Any(), "new", "newer").Events
	unchanged := s.unchanged()
	to := func(id daybook.AggregateID, events ...daybook.Event) daybook.Entry {
		return daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: events}
	}
	for name, entries := range map[string][]daybook.Entry{
		"one more at the end":             {to(id, known.Events[0], known.Events[1], known.Events[2], fresh[0])},
		"one more at the beginning":       {to(id, fresh[0], known.Events[0], known.Events[1], known.Events[2])},
		"one old between two new":         {to(id, fresh[0], known.Events[0], fresh[1])},
		"a known and a new aggregate":     {to(id, known.Events...), to(other, fresh...)},
		"a new aggregate, then a known":   {to(other, fresh...), to(id, known.Events...)},
		"one known id, expecting wrongly": {{Aggregate: id, Expected: daybook.Exactly(9), Events: []daybook.Event{known.Events[0], fresh[0]}}},
	} {
		_, err := s.book.Append(s.Context(), entries...)
		reused, ok := refusedAs[*daybook.KeyReusedError](s, name, err, daybook.ErrKeyReused)
		if ok && (reused.Position != first || reused.EventID != known.Events[0].ID) {
			s.Errorf("%s: the error is %+v, want it to name the known id %s at position %d", name, reused, known.Events[0].ID, first)
		}
	}
	unchanged("appends of which a part is known")
}

func failureLeavesIDsFree(s *scene) {
	a, b := newAggregate(), newAggregate()
	s.append(entry(a, daybook.NoEvents(), "a1"))
	first, second := entry(b, daybook.NoEvents(), "b1"), entry(a, daybook.NoEvents(), "a2")
	unchanged := s.unchanged()
	for range 2 {
		_, err := s.book.Append(s.Context(), first, second)
		s.refused("an append with a wrong expectation", err, daybook.ErrConflict)
	}
	unchanged("a refused append")
	second.Expected = daybook.Exactly(1)
	second.Events[0].Data = noted{Text: "something else"} // judged again, not compared
	records, err := s.book.Append(s.Context(), first, second)
	if err != nil || len(records) != 2 {
		s.Errorf("the same ids after a refusal: %v, %v, want them written", records, err)
	}
}

func allOrNothing(s *scene) {
	ids := []daybook.AggregateID{newAggregate(), newAggregate(), newAggregate()}
	s.append(entry(ids[1], daybook.NoEvents(), "there already"))
	unchanged := s.unchanged()
	for wrong := range ids {
		entries := make([]daybook.Entry, len(ids))
		for i, id := range ids {
			entries[i] = entry(id, daybook.Any(), "x", "y")
		}
		entries[wrong].Expected = daybook.Exactly(5)
		_, err := s.book.Append(s.Context(), entries...)
		conflict, ok := refusedAs[*daybook.ConflictError](s, fmt.Sprintf("entry %d is wrong", wrong), err, daybook.ErrConflict)
		if ok && conflict.Aggregate != ids[wrong] {
			s.Errorf("entry %d is wrong, the conflict names %s, want %s", wrong, conflict.Aggregate, ids[wrong])
		}
		unchanged(fmt.Sprintf("an append of which entry %d is wrong", wrong))
	}
	records := s.append(entry(ids[2], daybook.NoEvents(), "1", "2"), entry(ids[0], daybook.NoEvents(), "3"), entry(ids[1], daybook.Exactly(1), "4"))
	for i, rec := range records {
		if rec.Position != int64(i+2) || !rec.RecordedAt.Equal(records[0].RecordedAt) {
			s.Errorf("event %d of an append on three aggregates is %v at %v, want adjacent positions and one time", i, rec, rec.RecordedAt)
		}
	}
}

func booksAreApart(s *scene) {
	other := s.again(s.TB)
	id := newAggregate()
	e := entry(id, daybook.NoEvents(), "the same event, in two books")
	one, two := s.append(e), other.append(e)
	if one[0].Position != 1 || two[0].Position != 1 || two[0].SequenceNumber != 1 {
		s.Errorf("two books begin at %v and %v, want position and number 1 in both", one[0], two[0])
	}
	s.append(entry(id, daybook.Exactly(1), "only here"))
	if head := other.head(); head.Position != 1 {
		s.Errorf("appending to one book moved the head of another to %d", head.Position)
	}
	if got := other.all(); len(got) != 1 {
		s.Errorf("the other book has %v", got)
	}
	missing, err := s.driver.Lookup(s.Context(), other.id, []daybook.UUID{s.all()[1].EventID})
	if err != nil || len(missing) != 0 {
		s.Errorf("Lookup finds another book's event: %v, %v", missing, err)
	}
	other.audit()
}

func oneBookPerName(s *scene) {
	name := "b-" + daybook.NewUUID().String()
	ids := make([]daybook.BookID, 16)
	atOnce(len(ids), func(i int) {
		id, err := s.drivers[i%2].OpenBook(s.Context(), name)
		if err != nil {
			s.Errorf("OpenBook: %v", err)
		}
		ids[i] = id
	})
	for _, id := range ids {
		if id != ids[0] || id == s.id || id == 0 {
			s.Errorf("OpenBook gave the ids %v, want one, and not that of another book (%d)", ids, s.id)
			return
		}
	}
	if _, err := s.driver.Head(s.Context(), 1<<40); err == nil {
		s.Errorf("the head of a book that does not exist was returned")
	}
	if _, err := s.driver.Append(s.Context(), 1<<40, []daybook.Append{raw(newAggregate(), daybook.Any(), rawEvent("x"))}, daybook.InlineWork{}); err == nil {
		s.Errorf("an append to a book that does not exist was accepted")
	}
}

var _ TB = (*testing.T)(nil)
