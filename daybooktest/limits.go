package daybooktest

import (
	"errors"
	"strings"
	"time"

	"github.com/daybook-go/daybook"
)

// badEntries are appends that are refused whatever is in the book, each with one
// fault, and the field that the error names.
var badEntries = []struct {
	name, field string
	make        func() []daybook.Entry
}{
	{"no entries", "entries", func() []daybook.Entry { return nil }},
	{"no events", "entry.events", func() []daybook.Entry { return []daybook.Entry{entry(newAggregate(), daybook.Any())} }},
	{"no events in the second entry", "entry.events", func() []daybook.Entry {
		return []daybook.Entry{entry(newAggregate(), daybook.Any(), "x"), entry(newAggregate(), daybook.Any())}
	}},
	{"one aggregate twice", "entries", func() []daybook.Entry {
		id := newAggregate()
		return []daybook.Entry{entry(id, daybook.Any(), "x"), entry(id, daybook.Any(), "y")}
	}},
	{"one id under two types", "entries", func() []daybook.Entry {
		id := newAggregate()
		return []daybook.Entry{entry(id, daybook.Any(), "x"), entry(daybook.AggregateID{Type: "ledger", ID: id.ID}, daybook.Any(), "y")}
	}},
	{"the nil UUID", "aggregate.id", func() []daybook.Entry {
		return []daybook.Entry{entry(daybook.AggregateID{Type: "notebook"}, daybook.Any(), "x")}
	}},
	{"no aggregate type", "aggregate.type", func() []daybook.Entry {
		return []daybook.Entry{entry(daybook.AggregateID{ID: daybook.NewUUID()}, daybook.Any(), "x")}
	}},
	{"a hostile aggregate type", "aggregate.type", func() []daybook.Entry {
		return []daybook.Entry{entry(daybook.AggregateID{Type: "x'; DROP TABLE events; --", ID: daybook.NewUUID()}, daybook.Any(), "x")}
	}},
	{"a negative expectation", "expected", func() []daybook.Entry { return []daybook.Entry{entry(newAggregate(), daybook.Exactly(-2), "x")} }},
	{"one event id twice", "event.id", func() []daybook.Entry {
		e := entry(newAggregate(), daybook.Any(), "x", "y")
		e.Events[1].ID = e.Events[0].ID
		return []daybook.Entry{e}
	}},
	{"data nobody registered", "event.data", func() []daybook.Entry { return with(func(e *daybook.Event) { e.Data = stranger{} }) }},
	{"data by pointer", "event.data", func() []daybook.Entry { return with(func(e *daybook.Event) { e.Data = &noted{} }) }},
	{"no data", "event.data", func() []daybook.Entry { return with(func(e *daybook.Event) { e.Data = nil }) }},
	{"an occurred time in the year 1", "event.occurred_at", func() []daybook.Entry {
		return with(func(e *daybook.Event) { e.OccurredAt = time.Time{}.Add(1) })
	}},
	{"a reserved name in the metadata", "metadata.extra", func() []daybook.Entry {
		return with(func(e *daybook.Event) { e.Metadata.Extra = map[string]string{"actor": "x"} })
	}},
	{"U+0000 in the metadata", "metadata.actor", func() []daybook.Entry {
		return with(func(e *daybook.Event) { e.Metadata.Actor = "a\x00b" })
	}},
}

// with is one entry whose event was altered.
func with(alter func(*daybook.Event)) []daybook.Entry {
	e := entry(newAggregate(), daybook.Any(), "x")
	alter(&e.Events[0])
	return []daybook.Entry{e}
}

func badAppends(s *scene) {
	unchanged := s.unchanged()
	for _, bad := range badEntries {
		_, err := s.book.Append(s.Context(), bad.make()...)
		if invalid, ok := refusedAs[*daybook.InvalidError](s, bad.name, err, daybook.ErrInvalid); ok && (invalid.Field != bad.field || invalid.Reason == "") {
			s.Errorf("%s: the error is %+v, want it to name %s", bad.name, invalid, bad.field)
		}
	}
	unchanged("bad appends")
}

// tooLarge fails the test unless err says that limit was exceeded by one.
func (s *scene) tooLarge(doing string, err error, limit int64) {
	s.Helper()
	if large, ok := refusedAs[*daybook.TooLargeError](s, doing, err, daybook.ErrTooLarge); ok && (large.Limit != limit || large.Got != limit+1 || large.What == "") {
		s.Errorf("%s: the error is %+v, want %d over a limit of %d", doing, large, limit+1, limit)
	}
}

func eventsPerAppend(s *scene) {
	e := daybook.Entry{Aggregate: newAggregate()}
	for range daybook.MaxEventsPerAppend + 1 {
		e.Events = append(e.Events, daybook.Event{Data: marked{}})
	}
	unchanged := s.unchanged()
	_, err := s.book.Append(s.Context(), e)
	s.tooLarge("one event too many", err, daybook.MaxEventsPerAppend)
	other := daybook.Entry{Aggregate: newAggregate(), Events: e.Events[:1]}
	e.Events = e.Events[:daybook.MaxEventsPerAppend]
	_, err = s.book.Append(s.Context(), other, e)
	s.tooLarge("one event too many, over two entries", err, daybook.MaxEventsPerAppend)
	unchanged("appends of one event too many")
	records := s.append(e)
	if len(records) != daybook.MaxEventsPerAppend || records[len(records)-1].Position != daybook.MaxEventsPerAppend {
		s.Errorf("%d events were recorded, want %d", len(records), daybook.MaxEventsPerAppend)
	}
	n := int64(0)
	for rec, err := range s.book.Read(s.Context(), daybook.Query{}) {
		if n++; err != nil || rec.Position != n {
			s.Fatalf("reading it back: %v, %v, want position %d", rec, err, n)
		}
	}
	if n != daybook.MaxEventsPerAppend {
		s.Errorf("%d events were read back", n)
	}
	var ids []daybook.UUID
	for _, rec := range records {
		ids = append(ids, rec.EventID)
	}
	if found, err := s.book.Lookup(s.Context(), ids...); err != nil || len(found) != len(ids) {
		s.Errorf("Lookup of as many ids as an append may have: %d, %v", len(found), err)
	}
	_, err = s.book.Lookup(s.Context(), append(ids, daybook.NewUUID())...)
	s.tooLarge("Lookup of one id too many", err, daybook.MaxEventsPerAppend)
}

// sized is a Noted whose payload has exactly n bytes.
func sized(n int) daybook.Event {
	return daybook.Event{Data: noted{Text: strings.Repeat("x", n-len(`{"text":""}`))}}
}

func bytesPerEvent(s *scene) {
	unchanged := s.unchanged()
	id := newAggregate()
	one := func(event daybook.Event) error {
		_, err := s.book.Append(s.Context(), daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{event}})
		return err
	}
	described := func(n int) daybook.Event {
		return daybook.Event{Data: marked{}, Metadata: daybook.Metadata{Actor: strings.Repeat("x", n-len(`{"actor":""}`))}}
	}
	s.tooLarge("a payload of one byte too many", one(sized(daybook.MaxEventBytes+1)), daybook.MaxEventBytes)
	s.tooLarge("metadata of one byte too many", one(described(daybook.MaxMetadataBytes+1)), daybook.MaxMetadataBytes)
	_, err := s.notebooks().Execute(s.Context(), id, note{text: "x"}, daybook.Key(strings.Repeat("k", daybook.MaxKeyBytes+1)))
	s.tooLarge("a key of one byte too many", err, daybook.MaxKeyBytes)
	unchanged("events too large")
	if err := errors.Join(one(sized(daybook.MaxEventBytes)), one(described(daybook.MaxMetadataBytes))); err != nil {
		s.Fatalf("events as large as they may be: %v", err)
	}
	if _, err := s.notebooks().Execute(s.Context(), newAggregate(), note{text: "x"}, daybook.Key(strings.Repeat("k", daybook.MaxKeyBytes))); err != nil {
		s.Errorf("a key as long as it may be: %v", err)
	}
	records := s.all()
	if value, err := s.book.Decode(records[0]); err != nil || len(value.(noted).Text) != daybook.MaxEventBytes-len(`{"text":""}`) {
		s.Errorf("the largest payload was not read back: %v", err)
	}
	if got := len(records[1].Metadata.Actor); got != daybook.MaxMetadataBytes-len(`{"actor":""}`) {
		s.Errorf("the largest metadata was read back with %d bytes", got)
	}
}

func bytesPerAppend(s *scene) {
	const empty = len("{}") // metadata counts as well
	e := daybook.Entry{Aggregate: newAggregate()}
	for range daybook.MaxAppendBytes / daybook.MaxEventBytes {
		e.Events = append(e.Events, sized(daybook.MaxEventBytes-empty))
	}
	if len(e.Events)*daybook.MaxEventBytes != daybook.MaxAppendBytes {
		s.Fatalf("this check takes it that the limit is a whole number of the largest events")
	}
	last := e.Events[len(e.Events)-1]
	unchanged := s.unchanged()
	e.Events[len(e.Events)-1] = sized(daybook.MaxEventBytes - empty + 1)
	_, err := s.book.Append(s.Context(), e)
	s.tooLarge("an append of one byte too many", err, daybook.MaxAppendBytes)
	unchanged("an append too large")
	e.Events[len(e.Events)-1] = last
	records := s.append(e)
	if page := s.read(daybook.Query{Limit: 1 << 20}); !daybook.FullPage(page) || daybook.FullPage(page[:len(page)-1]) {
		s.Errorf("a page of large events holds %d of them, want it to end with the one by which it is full", len(page))
	}
	read := 0
	for rec, err := range s.book.Read(s.Context(), daybook.Query{}) {
		if err != nil {
			s.Fatalf("reading it back: %v", err)
		}
		if canonical([]daybook.Recorded{rec})[0].EventID != records[read].EventID || len(rec.Payload) < daybook.MaxEventBytes-empty {
			s.Errorf("event %d was read back as %v with %d bytes", read, rec, len(rec.Payload))
		}
		read++
	}
	if read != len(records) {
		s.Errorf("%d events were read back, want %d", read, len(records))
	}
}

func payloadsRefused(s *scene) {
	unchanged := s.unchanged()
	for name, data := range map[string]any{
		"an integer beyond 2^53-1":   weighed{Whole: 1 << 53},
		"an integer below -(2^53-1)": weighed{Whole: -1 << 53},
		"a fraction beyond 2^53-1":   weighed{Fraction: 1e300},
		"U+0000":                     noted{Text: "a\x00b"},
		"invalid UTF-8":              noted{Text: "a\xffb"},
	} {
		_, err := s.book.Append(s.Context(), daybook.Entry{Aggregate: newAggregate(), Events: []daybook.Event{{Data: data}}})
		if invalid, ok := refusedAs[*daybook.InvalidError](s, name, err, daybook.ErrInvalid); ok && !strings.HasPrefix(invalid.Field, "payload") {
			s.Errorf("%s: the error names %s, want the payload", name, invalid.Field)
		}
	}
	unchanged("payloads not to be kept")
}
