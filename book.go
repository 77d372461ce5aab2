package daybook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// Book is one append-only log with one total order. It is safe for concurrent
// use, by any number of goroutines and processes.
type Book struct {
	driver    Driver
	id        BookID
	name      string
	registry  *Registry
	committer *committer
	bell      bell
	declared  []*declaration // inline projections
	inline    atomic.Pointer[inlineSet]
	progress  InlineProgress // nil where nobody asks
	running   running
}

// Open opens the book of that name, and makes it when it is new. A name has 1 to
// 100 ASCII letters, digits, '_', '-' or '.', and begins with a letter. The driver
// stays the caller's to close.
func Open(ctx context.Context, driver Driver, name string, registry *Registry, options ...OpenOption) (*Book, error) {
	if driver == nil {
		return nil, invalid("driver", "a book is kept by an engine: pass one opened by postgres.Open or sqlite.Open")
	}
	if registry == nil {
		return nil, invalid("registry", "a book needs the events it holds: pass one made by NewRegistry")
	}
	if !isName(name) {
		return nil, invalid("book", "%s is not a name: %s", quote(name), nameRule)
	}
	id, err := driver.OpenBook(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("daybook: open book %s: %w", name, err)
	}
	b := &Book{driver: driver, id: id, name: name, registry: registry}
	b.committer = newCommitter(b.hand)
	for _, option := range options {
		if err := option.setBook(b); err != nil {
			return nil, err
		}
	}
	if err := b.openInline(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Name returns the book's name.
func (b *Book) Name() string { return b.name }

// Entry is what one append writes to one aggregate.
type Entry struct {
	Aggregate AggregateID
	// Expected is what the writer believes of the aggregate; zero is [NoEvents].
	Expected Expected
	Events   []Event
}

// Append writes the events of all entries, each entry to another aggregate, or
// nothing. The events get adjacent positions in the order given, the next sequence
// numbers of their aggregates, and one time of recording from the store's clock.
//
// When every event's id is already recorded with the same content, nothing is
// written and the original records are returned; [ErrKeyReused] when the content
// differs or only some are there. Ids are looked at before Expected.
//
// Errors: [*ConflictError] when an aggregate is not as expected, [*TooLargeError],
// [*InvalidError]; nothing is written then. Where the reply to the commit is lost,
// Append finds out what became of it before it answers; [*OutcomeUnknownError] is
// for a database that stays out of reach until ctx ends or ten minutes have passed,
// and for a ctx that ends while the commit is under way.
//
// Appends that are made at the same time share a transaction, each with an outcome
// of its own, so that many callers are faster than one.
func (b *Book) Append(ctx context.Context, entries ...Entry) ([]Recorded, error) {
	for _, entry := range entries {
		if len(entry.Events) == 0 {
			return nil, invalid("entry.events", "no events for %s: leave the entry out", entry.Aggregate)
		}
	}
	encoded, err := b.encode(entries)
	if err != nil {
		return nil, err
	}
	outcome, err := b.commit(ctx, encoded)
	if err != nil {
		return nil, err
	}
	return outcome.Records, outcome.Err
}

// commit hands one append to the line of those that wait for the engine, and waits
// for its outcome.
func (b *Book) commit(ctx context.Context, a sizedAppend) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return Outcome{}, b.failed("append", err)
	}
	return b.outcome(ctx, b.committer.join(ctx, a))
}

func (b *Book) outcome(ctx context.Context, own *call) (Outcome, error) {
	outcome, err := b.committer.wait(ctx, own)
	if err != nil && !errors.Is(err, ErrOutcomeUnknown) {
		err = b.failed("append", err)
	}
	return outcome, err
}

// hand gives a batch to the engine, and wakes those who wait for what it holds. Where an
// inline projection refuses a batch, its halves are tried, down to the append that is to
// blame: that one is refused, and the others are not.
func (b *Book) hand(ctx context.Context, batch []Append, next func()) ([]Outcome, error) {
	outcomes, err := b.handInline(ctx, batch, next)
	if errors.Is(err, ErrProjection) {
		if len(batch) == 1 {
			return []Outcome{{Err: err}}, nil
		}
		return b.handHalves(ctx, batch)
	}
	if slices.ContainsFunc(outcomes, func(o Outcome) bool { return len(o.Records) > 0 && !o.Duplicate }) {
		b.bell.ring()
	}
	return outcomes, err
}

// appendBatch hands a batch to the engine, ahead of the next one where both sides can.
func (b *Book) appendBatch(ctx context.Context, batch []Append, inline InlineWork, next func()) ([]Outcome, error) {
	if ahead, ok := b.driver.(Pipeliner); ok && next != nil {
		return ahead.AppendAhead(ctx, b.id, batch, inline.Revision, next)
	}
	return b.driver.Append(ctx, b.id, batch, inline)
}

func (b *Book) handHalves(ctx context.Context, batch []Append) ([]Outcome, error) {
	half := len(batch) / 2
	outcomes, err := b.hand(ctx, batch[:half], nil)
	if err != nil {
		return nil, err
	}
	others, err := b.hand(ctx, batch[half:], nil)
	if errors.Is(err, ErrUnclear) {
		return nil, err // to settle it is to hand in all of it again, and these are answered with their originals
	}
	for range batch[len(outcomes)+len(others):] {
		others = append(others, Outcome{Err: b.failed("append", err)}) // none of these, and all of those
	}
	return append(outcomes, others...), nil
}

// encode checks entries and brings them to the form the engine stores.
func (b *Book) encode(entries []Entry) (out sizedAppend, err error) {
	var seen, ids idSet
	for _, entry := range entries {
		if err := errors.Join(entry.Aggregate.check(), entry.Expected.check()); err != nil {
			return out, err
		}
		if !seen.add(entry.Aggregate.ID) {
			return out, invalid("entries", "%s is there twice: put its events into one entry", entry.Aggregate)
		}
		encoded := EncodedEntry{Aggregate: entry.Aggregate, Expected: entry.Expected, Events: make([]Recorded, 0, len(entry.Events))}
		for _, event := range entry.Events {
			rec, err := b.encodeEvent(event, &out.sizes)
			if err != nil {
				return out, fmt.Errorf("%s: %w", entry.Aggregate, err)
			}
			if !ids.add(rec.EventID) {
				return out, invalid("event.id", "%s is there twice in one append: every event needs its own", rec.EventID)
			}
			encoded.Events = append(encoded.Events, rec)
		}
		out.Entries = append(out.Entries, encoded)
	}
	if len(out.Entries) == 0 {
		return out, invalid("entries", "nothing to append: give at least one entry with one event")
	}
	return out, nil
}

// idSet is the ids that have been met. Most appends have a single one, which needs no map.
type idSet struct {
	first  UUID
	others map[UUID]bool
}

// add reports whether id, which is not zero, is new, and adds it.
func (s *idSet) add(id UUID) bool {
	switch {
	case s.first.IsZero():
		s.first = id
		return true
	case s.others == nil:
		s.others = map[UUID]bool{s.first: true}
	}
	known := s.others[id]
	s.others[id] = true
	return !known
}

func (b *Book) encodeEvent(event Event, size *sizes) (Recorded, error) {
	entry, payload, err := b.registry.encode(event.Data)
	if err != nil {
		return Recorded{}, err
	}
	if err = event.Metadata.check(); err != nil {
		return Recorded{}, err
	}
	event.Metadata.Extra = maps.Clone(event.Metadata.Extra) // the record is not to change with the caller's map
	if len(event.Metadata.Extra) == 0 {
		event.Metadata.Extra = nil // as it is when read back
	}
	metadata, err := event.Metadata.MarshalJSON()
	if err != nil {
		return Recorded{}, invalid("metadata", "%v", err)
	}
	if err = size.add(len(payload), len(metadata)); err != nil {
		return Recorded{}, err
	}
	occurredAt, err := normalTime("event.occurred_at", event.OccurredAt)
	if err != nil {
		return Recorded{}, err
	}
	id := event.ID
	if id.IsZero() {
		id = NewUUID()
	}
	return Recorded{
		EventID: id, EventType: entry.name, SchemaVersion: entry.schemaVersion(),
		Payload: payload, Metadata: event.Metadata, OccurredAt: occurredAt,
	}, nil
}

// sizedAppend is an append that is within its limits.
type sizedAppend struct {
	Append
	sizes
}

// sizes counts an append, or a batch, towards its limits.
type sizes struct{ events, bytes int64 }

func (s *sizes) add(payload, metadata int) error {
	s.events++
	s.bytes += int64(payload) + int64(metadata)
	switch {
	case s.events > MaxEventsPerAppend:
		return &TooLargeError{"events in one append", MaxEventsPerAppend, s.events}
	case payload > MaxEventBytes:
		return &TooLargeError{"bytes of payload in one event", MaxEventBytes, int64(payload)}
	case metadata > MaxMetadataBytes:
		return &TooLargeError{"bytes of metadata in one event", MaxMetadataBytes, int64(metadata)}
	case s.bytes > MaxAppendBytes:
		return &TooLargeError{"bytes of payload and metadata in one append", MaxAppendBytes, s.bytes}
	}
	return nil
}

// Decode turns a record of this book into a value of its registered Go type. The
// error is a [*DecodeError] that names the place; see [Registry.Decode].
func (b *Book) Decode(rec Recorded) (any, error) {
	value, err := b.registry.Decode(rec)
	if err != nil {
		return nil, &DecodeError{Book: b.name, Record: rec, Err: err}
	}
	return value, nil
}

// Head returns the last place given out in the book.
func (b *Book) Head(ctx context.Context) (Head, error) {
	head, err := b.driver.Head(ctx, b.id)
	if err != nil {
		return Head{}, b.failed("head", err)
	}
	return head, nil
}

// Lookup returns those of the events ids that are recorded, in no particular order.
func (b *Book) Lookup(ctx context.Context, ids ...UUID) ([]Recorded, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if len(ids) > MaxEventsPerAppend {
		return nil, &TooLargeError{"ids in one lookup", MaxEventsPerAppend, int64(len(ids))}
	}
	records, err := b.driver.Lookup(ctx, b.id, ids)
	if err != nil {
		return nil, b.failed("lookup", err)
	}
	return records, nil
}

func (b *Book) failed(doing string, err error) error {
	return fmt.Errorf("daybook: %s, book %s: %w", doing, b.name, err)
}
