package daybook

import (
	"fmt"
	"time"
)

// AggregateID names what events happen to: a type such as "account", and a UUID.
// One UUID belongs to one type for ever; appending to it under another type is
// refused. Natural keys become UUIDs by [UUID.Derive].
type AggregateID struct {
	Type string
	ID   UUID
}

// IsZero reports whether a names no aggregate.
func (a AggregateID) IsZero() bool { return a == AggregateID{} }

// String returns type and id, like "account/017f22e2-79b0-7cc3-98c4-dc0c0c07398f".
func (a AggregateID) String() string { return a.Type + "/" + a.ID.String() }

func (a AggregateID) check() error {
	if !isName(a.Type) {
		return invalid("aggregate.type", "%s is not a name: %s", quote(a.Type), nameRule)
	}
	if a.ID.IsZero() {
		return invalid("aggregate.id", "the nil UUID names no %s: give a real one", a.Type)
	}
	return nil
}

// Event is something that happened, ready to be appended.
type Event struct {
	// ID is the event's identity within its book. Zero: the book makes a UUIDv7.
	// Give one, derived from what caused the event, to make a retry safe.
	ID UUID
	// Data is a value (not a pointer) of a type in the book's [Registry].
	Data any
	// OccurredAt is when it happened in the world. Zero: when it is recorded. It
	// is kept in UTC, truncated to the microsecond, and never affects order.
	OccurredAt time.Time
	// Metadata is what is to be known about the event besides its data.
	Metadata Metadata
}

// Recorded is an event as the book holds it.
type Recorded struct {
	// Position is 1, 2, 3 … within the book, in commit order, without holes.
	Position int64
	// Aggregate is what the event happened to.
	Aggregate AggregateID
	// SequenceNumber is 1, 2, 3 … within the aggregate, without holes.
	SequenceNumber int64
	// EventID is unique within the book.
	EventID UUID
	// EventType is the stored name, as the [Registry] gives it.
	EventType string
	// SchemaVersion is the number of the payload's shape, from 1.
	SchemaVersion int
	// Payload is the event's data: one JSON object. White space and the order of
	// members are the engine's; [CanonicalJSON] gives bytes to compare.
	Payload []byte
	// Metadata is what else is known about the event.
	Metadata Metadata
	// OccurredAt is when it happened in the world. UTC, whole microseconds.
	OccurredAt time.Time
	// RecordedAt is when the book wrote it down, by the store's clock. UTC, whole
	// microseconds. The events of one append share it, as may appends that were
	// committed together; what is committed later has a later one.
	RecordedAt time.Time
}

// String names the event and its place, for messages and logs.
func (r Recorded) String() string {
	if r.Position == 0 {
		return "no recorded event"
	}
	return fmt.Sprintf("position %d: %s %d of %s (schema version %d)",
		r.Position, r.EventType, r.SequenceNumber, r.Aggregate, r.SchemaVersion)
}

// minTime and maxTime bound every time a caller gives: minTime inclusive, maxTime
// exclusive. The years 1 and 9999 are what programs write when they mean "none"
// and "never", and what other systems cannot read back.
var (
	minTime = time.Date(1000, time.January, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// normalTime brings a caller's time to the form it is kept in, and is the only
// place that truncates.
func normalTime(field string, t time.Time) (time.Time, error) {
	if t.IsZero() {
		return time.Time{}, nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Before(minTime) || !t.Before(maxTime) {
		return time.Time{}, invalid(field, "the year %d is out of range: use a time from year 1000 up to, not including, year 9000", t.Year())
	}
	return t, nil
}

const (
	maxNameLength = 100
	nameRule      = "use 1 to 100 ASCII letters, digits, '_', '-' or '.', the first a letter"
)

// isName says whether text can be stored as a name: of a type of aggregate or event.
func isName(text string) bool {
	if text == "" || len(text) > maxNameLength {
		return false
	}
	for i, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		other := '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return true
}
