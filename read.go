package daybook

import (
	"context"
	"iter"
	"sync"
	"time"
)

// Query says which events to read, and in which order. The zero Query is the
// whole book, forward. All its conditions must hold.
type Query struct {
	// Aggregate, where set, restricts to the events of one aggregate.
	Aggregate AggregateID
	// AfterSequence and UntilSequence bound the sequence number, excluding and
	// including. They need Aggregate. UntilSequence 0 means no bound.
	AfterSequence, UntilSequence int64
	// AfterPosition and UntilPosition bound the position, excluding and
	// including. UntilPosition 0 means no bound.
	AfterPosition, UntilPosition int64
	// AggregateType, where set, restricts to aggregates of that type.
	AggregateType string
	// EventTypes, where not empty, restricts to these stored names.
	EventTypes []string
	// OccurredUntil, where set, restricts to events that occurred at or before it.
	OccurredUntil time.Time
	// Reverse gives the last event first.
	Reverse bool
	// Limit is the most events to yield; 0 means no limit.
	Limit int
}

// check refuses what makes no sense, and brings the time to the form it is kept in.
func (q *Query) check() (err error) {
	if q.OccurredUntil, err = normalTime("query.occurred_until", q.OccurredUntil); err != nil {
		return err
	}
	for _, bound := range []struct {
		field string
		value int64
	}{
		{"query.after_sequence", q.AfterSequence}, {"query.until_sequence", q.UntilSequence},
		{"query.after_position", q.AfterPosition}, {"query.until_position", q.UntilPosition},
		{"query.limit", int64(q.Limit)},
	} {
		if bound.value < 0 {
			return invalid(bound.field, "%d is negative: use 0 for no bound, or more", bound.value)
		}
	}
	if q.Aggregate.IsZero() {
		if q.AfterSequence != 0 || q.UntilSequence != 0 {
			return invalid("query.aggregate", "a sequence number counts within one aggregate: name it, or bound the position")
		}
		return nil
	}
	if q.AggregateType != "" && q.AggregateType != q.Aggregate.Type {
		return invalid("query.aggregate_type", "%s contradicts %s: leave it out", quote(q.AggregateType), q.Aggregate)
	}
	return q.Aggregate.check()
}

// Read yields the events that q selects and ends when there are no more: those
// that were there when it began and perhaps some appended since.
//
// Events come as they are stored; [Book.Decode] gives the Go value. Pages are read
// one by one, so memory stays constant, no connection is held while the caller
// works, appending inside the loop is safe and break leaves nothing behind. The
// first error is yielded with a zero Recorded and ends the loop.
func (b *Book) Read(ctx context.Context, q Query) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		if err := q.check(); err != nil {
			yield(Recorded{}, err)
			return
		}
		b.readPages(ctx, q, yield)
	}
}

// page is one answer of the engine.
type page struct {
	limit   int
	records []Recorded
	err     error
}

func (b *Book) readPage(ctx context.Context, q Query, limit int, into []Recorded) page {
	q.Limit = limit
	records, err := b.driver.Read(ctx, b.id, q, into)
	return page{limit, records, err}
}

// room is for one page after the other: to make each anew took a sixth of what the program
// spends on a replay.
type room [maxPageEvents]Recorded

var rooms = sync.Pool{New: func() any { return new(room) }}

func takeRoom() *room { return rooms.Get().(*room) } //nolint:forcetypeassert // what the pool makes

// pair is room for two pages: one is read into while the caller works on the other.
type pair [2]*room

func (p *pair) of(number int) []Recorded {
	own := &p[number%2]
	if *own == nil {
		*own = takeRoom()
	}
	return (*own)[:0]
}

func (p *pair) free() {
	for _, r := range p {
		if r != nil {
			r.free()
		}
	}
}

// free gives the room to others, empty: it would keep payloads from being collected. Who has
// records of it keeps copies.
func (r *room) free() {
	for i := 0; i < len(r) && r[i].Position != 0; i++ { // most pages are far from full
		r[i] = Recorded{}
	}
	rooms.Put(r)
}

// readPages is Read after checking. It reports whether to go on: false when the
// caller broke off or an error was yielded.
func (b *Book) readPages(ctx context.Context, q Query, yield func(Recorded, error) bool) bool {
	var space pair
	more := b.readPagesInto(ctx, &space, q, yield)
	space.free() // not where yield panics: the engine may be reading into it
	return more
}

func (b *Book) readPagesInto(ctx context.Context, space *pair, q Query, yield func(Recorded, error) bool) bool {
	left := q.Limit
	limit := func(size int) int {
		if q.Limit > 0 {
			return min(size, left)
		}
		return size
	}
	// Read the whole page and yield afterwards: a row cursor left open while the
	// caller works would keep a connection busy, and a caller that appends inside
	// the loop would wait for itself.
	size := firstPageEvents
	now := b.readPage(ctx, q, limit(size), nil)
	for number := 1; ; number++ {
		if now.err != nil {
			yield(Recorded{}, b.failed("read", now.err))
			return false
		}
		left -= len(now.records)
		last := len(now.records) < now.limit && !FullPage(now.records) || (q.Limit > 0 && left == 0)
		if !last && q.UntilPosition == 0 && !q.Reverse {
			// Pin the end, or a caller that appends inside the loop never reaches it.
			head, err := b.Head(ctx)
			if err != nil {
				yield(Recorded{}, err)
				return false
			}
			q.UntilPosition = head.Position
		}
		if last || !q.pass(now.records[len(now.records)-1]) {
			return yieldAll(now.records, yield)
		}
		records := now.records
		if number == 1 { // most readers that break off do so here
			half := len(records) / 2
			if !yieldAll(records[:half], yield) {
				return false
			}
			records = records[half:]
		}
		// Who has come so far reads on: the engine fetches the next page while the
		// caller works on this one.
		size = min(pageGrowth*size, maxPageEvents)
		ahead := make(chan page, 1)
		go func(most int, into []Recorded) { ahead <- b.readPage(ctx, q, most, into) }(limit(size), space.of(number))
		more := yieldAll(records, yield)
		now = <-ahead // also where the caller breaks off: nothing is left behind
		if !more {
			return false
		}
	}
}

func yieldAll(records []Recorded, yield func(Recorded, error) bool) bool {
	for _, rec := range records {
		if !yield(rec, nil) {
			return false
		}
	}
	return true
}

// pass moves the bound that q's order approaches beyond rec. It reports whether
// anything can be left there: nothing comes before number 1.
func (q *Query) pass(rec Recorded) bool {
	byAggregate := !q.Aggregate.IsZero()
	switch {
	case byAggregate && q.Reverse:
		q.UntilSequence = rec.SequenceNumber - 1
		return q.UntilSequence > 0
	case byAggregate:
		q.AfterSequence = rec.SequenceNumber
	case q.Reverse:
		q.UntilPosition = rec.Position - 1
		return q.UntilPosition > 0
	default:
		q.AfterPosition = rec.Position
	}
	return true
}

// FullPage reports whether records hold as many bytes as a page may: an engine's Read
// ends there, and it does not mean that nothing is left.
func FullPage(records []Recorded) bool {
	bytes := 0
	for _, rec := range records {
		bytes += len(rec.Payload)
	}
	return bytes >= MaxPageBytes
}
