package daybook

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// Point is a moment in a book's history, as a place or a time. The zero Point is
// the present. Its fields are closed: make one with [AtSequence], [AtPosition],
// [AsOf] or [AsOfOccurred], and narrow it with [Point.OccurredBy].
type Point struct {
	kind   pointKind
	number int64
	time   time.Time
	// Besides, only what had occurred by then, where occurred is set.
	occurred   bool
	occurredBy time.Time
}

type pointKind int8

const (
	present pointKind = iota
	atSequence
	atPosition
	asOf
)

// AtSequence is the moment after event n of the aggregate; 0 is before the first.
// Beyond the last event is a [*NotThereError], never clamped.
func AtSequence(n int64) Point { return Point{kind: atSequence, number: n} }

// AtPosition is the moment after position p of the book; 0 is before the first.
// Beyond the head is a [*NotThereError], never clamped.
func AtPosition(p int64) Point { return Point{kind: atPosition, number: p} }

// AsOf is what the book knew at time t: the events recorded at or before t. The
// same question has the same answer for ever, once t has passed by the store's
// clock; a t in the future is answered as of now, and the answer says so.
//
// Where t lies after the last event, answering needs the right to write: the book
// notes that nothing will be recorded at or before t any more.
func AsOf(t time.Time) Point { return Point{kind: asOf, time: t} }

// AsOfOccurred is what had happened in the world by time t, as known now: the
// events that occurred at or before t, in the order they were recorded.
func AsOfOccurred(t time.Time) Point { return Point{}.OccurredBy(t) }

// OccurredBy is p without what had not happened in the world by time t:
// AsOf(k).OccurredBy(o) is what the book knew at k of what had happened by o.
func (p Point) OccurredBy(t time.Time) Point {
	p.occurred, p.occurredBy = true, t
	return p
}

// String says it in words, like "as of 2026-11-24T10:00:00Z".
func (p Point) String() string {
	text := "now"
	switch p.kind {
	case atSequence:
		text = fmt.Sprintf("at sequence number %d", p.number)
	case atPosition:
		text = fmt.Sprintf("at position %d", p.number)
	case asOf:
		text = "as of " + p.time.Format(time.RFC3339Nano)
	case present:
		if p.occurred {
			return "as of what had occurred by " + p.occurredBy.Format(time.RFC3339Nano)
		}
	}
	if p.occurred {
		text += ", of what had occurred by " + p.occurredBy.Format(time.RFC3339Nano)
	}
	return text
}

func (p Point) check() (Point, error) {
	switch p.kind {
	case atSequence, atPosition:
		if p.number < 0 {
			return p, invalid("point", "%s: numbers start at 1, and 0 is before the first event", p)
		}
	case asOf:
		if err := normalPoint(&p.time); err != nil {
			return p, err
		}
	case present:
	}
	if p.occurred {
		return p, normalPoint(&p.occurredBy)
	}
	return p, nil
}

func normalPoint(t *time.Time) (err error) {
	if t.IsZero() {
		return invalid("point", "a time is needed, the zero time is none")
	}
	*t, err = normalTime("point", *t)
	return err
}

// includes reports whether rec belongs to what the point shows, and whether later
// events of the same aggregate can.
func (p Point) includes(rec Recorded) (include, more bool) {
	if p.kind == asOf && rec.RecordedAt.After(p.time) {
		return false, false // recorded times never decrease
	}
	return !p.occurred || !rec.OccurredAt.After(p.occurredBy), true // the query's bounds say the rest
}

// bound narrows q to p as far as a query can, and reports whether p lies in the future.
func (b *Book) bound(ctx context.Context, q *Query, p Point) (future bool, err error) {
	switch p.kind {
	case atSequence:
		q.UntilSequence = p.number
	case atPosition:
		head, err := b.Head(ctx)
		if err != nil {
			return false, err
		}
		if p.number > head.Position {
			return false, &NotThereError{What: "position", Asked: p.number, Last: head.Position, Subject: "book " + b.name}
		}
		q.UntilPosition = p.number
	case asOf:
		var head Head
		head, future, err = b.headAt(ctx, p.time)
		q.UntilPosition = head.Position
		return future, err
	case present:
	}
	return false, nil
}

// headAt returns a head at or beyond everything recorded by time t, such that
// nothing more will ever be: future when that cannot be said because t has not
// passed yet.
func (b *Book) headAt(ctx context.Context, t time.Time) (head Head, future bool, err error) {
	if head, err = b.Head(ctx); err != nil || !head.RecordedAt.Before(t) {
		return head, false, err
	}
	// t lies after the last event: an append under way may still be given a time
	// before t, and so may a later one when the clock is set back. The fence
	// rules both out.
	if head, err = b.driver.Fence(ctx, b.id, t); err != nil {
		return Head{}, false, b.failed("fence", err)
	}
	return head, head.RecordedAt.Before(t), nil
}

// PositionAt returns the position of the last event recorded at or before t, or 0.
// Positions are dense and recorded times never decrease, so it is a binary search
// that needs no index. The answer never changes, unless future is true: then t has
// not passed yet by the store's clock, and the position is the present head's.
func (b *Book) PositionAt(ctx context.Context, t time.Time) (position int64, future bool, err error) {
	p, err := AsOf(t).check()
	if err != nil {
		return 0, false, err
	}
	head, future, err := b.headAt(ctx, p.time)
	if err != nil || head.Position == 0 {
		return 0, future, err
	}
	after := sort.Search(int(head.Position), func(i int) bool {
		if err != nil {
			return true
		}
		var records []Recorded
		records, err = b.driver.Read(ctx, b.id, Query{AfterPosition: int64(i), Limit: 1}, nil)
		return err != nil || len(records) == 0 || records[0].RecordedAt.After(p.time)
	})
	if err != nil {
		return 0, false, b.failed("position at", err)
	}
	return int64(after), future, nil
}
