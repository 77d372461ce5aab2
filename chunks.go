package daybook

import (
	"context"
	"iter"
	"sync"
)

const (
	// chunkEvents is how many events a projection that is behind takes at a time.
	chunkEvents = 2_000
	// chunksAhead is how many chunks are read and decoded while one is worked on. An engine
	// takes longer to give events than a view to fold them.
	chunksAhead = 2
)

// chunk is some events one after the other, as a projection gets them.
type chunk struct {
	events []ProjectedEvent
	// to is where a book would end that ends with the last event that was read, also where
	// the projection passes over that one; the zero Head where there was none.
	to    Head
	bytes int // of payload
	err   error
}

// join makes c hold the events of next too, which come behind.
func (c *chunk) join(next chunk) {
	c.bytes += next.bytes
	if len(c.events) == 0 {
		c.events = next.events
	} else {
		c.events = append(c.events, next.events...)
	}
	if next.to.Position > 0 {
		c.to = next.to
	}
}

// full reports whether c is worth a transaction.
func (c *chunk) full() bool { return len(c.events) >= chunkEvents || c.bytes >= MaxPageBytes }

// selection is the events that one projection gets.
type selection struct {
	book       *Book
	projection string
	skips      map[int64]bool // to be passed over
	// query selects the events, by position, forward, with an end.
	query Query
}

// chunks yields the events in their order, each chunk as it was read; it may be empty. Spans
// of positions are read by several at a time, which is safe as nothing changes in a book
// up to where it has once been. The first error comes in its place and ends the loop, and
// where the caller breaks off nothing is left behind.
func (s selection) chunks(ctx context.Context) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		if s.query.UntilPosition-s.query.AfterPosition <= chunkEvents {
			s.read(ctx, yield)
			return
		}
		var all sync.WaitGroup
		quit := make(chan struct{})
		defer all.Wait()
		defer close(quit)
		for span := range s.spans(ctx, &all, quit) {
			for c := range span {
				if !yield(c) || c.err != nil {
					return
				}
			}
		}
	}
}

// spans has spans read, those that come next ahead of the caller, until quit is closed.
func (s selection) spans(ctx context.Context, all *sync.WaitGroup, quit <-chan struct{}) <-chan (<-chan chunk) {
	spans := make(chan (<-chan chunk), chunksAhead)
	all.Go(func() {
		defer close(spans)
		for from := s.query.AfterPosition; from < s.query.UntilPosition; from += chunkEvents {
			span := make(chan chunk)
			select {
			case spans <- span:
			case <-quit:
				return
			}
			own := s
			own.query.AfterPosition, own.query.UntilPosition = from, min(from+chunkEvents, s.query.UntilPosition)
			all.Go(func() {
				defer close(span)
				own.read(ctx, func(c chunk) bool {
					select {
					case span <- c:
						return true
					case <-quit:
						return false
					}
				})
			})
		}
	})
	return spans
}

// read reads at most chunkEvents positions: in one page, or in more where events are large.
func (s selection) read(ctx context.Context, yield func(chunk) bool) {
	q := s.query
	room := takeRoom()
	defer room.free()
	for q.AfterPosition < q.UntilPosition {
		q.Limit = int(q.UntilPosition - q.AfterPosition)
		records, err := s.book.driver.Read(ctx, s.book.id, q, room[:0])
		if err != nil {
			yield(chunk{err: s.book.failed("read", err)})
			return
		}
		c := s.decode(records)
		if !yield(c) || c.err != nil || len(records) < q.Limit && c.bytes < MaxPageBytes {
			return
		}
		q.AfterPosition = c.to.Position
	}
}

// decode turns records into a chunk.
func (s selection) decode(records []Recorded) (c chunk) {
	c.events = make([]ProjectedEvent, 0, len(records))
	for i := range records {
		rec := &records[i]
		c.bytes += len(rec.Payload)
		c.to = Head{Position: rec.Position, RecordedAt: rec.RecordedAt}
		if s.skips[rec.Position] {
			continue
		}
		data, err := s.book.Decode(*rec)
		if err != nil {
			return chunk{err: &ProjectionError{Projection: s.projection, Record: *rec, Err: err}}
		}
		c.events = append(c.events, ProjectedEvent{Recorded: *rec, Data: data})
	}
	return c
}
