package daybook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// PastView is all rows of a view as they were at one position of the book.
type PastView[K comparable, R any] struct {
	// Position is up to where events are in the rows, RecordedAt when that one was
	// recorded; zero where there is none.
	Position   int64
	RecordedAt time.Time
	// From is the position of the copy, or of the live rows, that it was worked out from; 0
	// where all events had to be folded.
	From int64
	// Future says that the time asked for has not passed yet, so that the answer may change.
	Future bool
	// Rows are in the order of their keys, as SQL sorts them.
	Rows []ViewRow[K, R]
}

// At returns the view as it was at a point of the book, all rows at one position: worked
// out by this declaration from the nearest copy before the point (see [View].CopyEvery and
// [Book.CopyView]) or from the live rows, and the events behind it; from all events where
// there is none. For [AsOfOccurred] it is all events. Rows are held in memory.
func (v *View[K, R]) At(ctx context.Context, book *Book, point Point) (*PastView[K, R], error) {
	past, f, err := v.at(ctx, book, point)
	if err != nil {
		return nil, err
	}
	past.Rows, err = f.entries()
	return past, err
}

// GetAt returns one row of the view as it was at a point of the book, and whether there was
// one. Where Aggregates is set, only their events are read.
func (v *View[K, R]) GetAt(ctx context.Context, book *Book, key K, point Point) (row R, found bool, err error) {
	if err := v.prepare(); err != nil {
		return row, false, err
	}
	if v.Aggregates == nil {
		_, f, err := v.at(ctx, book, point)
		if err != nil {
			return row, false, err
		}
		return f.get(key)
	}
	q, _, err := v.pastQuery(ctx, book, point)
	if err != nil || q.UntilPosition == 0 {
		return row, false, err
	}
	var events []Recorded
	for _, id := range v.Aggregates(key) {
		q.Aggregate = id
		for rec, err := range book.Read(ctx, q) {
			if err != nil {
				return row, false, err
			}
			events = append(events, rec)
		}
	}
	slices.SortFunc(events, func(a, b Recorded) int { return cmp.Compare(a.Position, b.Position) })
	// A key may name an aggregate twice, such as whoever pays himself.
	events = slices.CompactFunc(events, func(a, b Recorded) bool { return a.Position == b.Position })
	past, err := v.past(ctx, book, q)
	if err != nil {
		return row, false, err
	}
	f := newFold(v, v.table("past"))
	f.begin(rowSum{}, true)
	if err := foldPast(f, past.decode(events)); err != nil {
		return row, false, err
	}
	return f.get(key)
}

// pastQuery selects the events up to a point; UntilPosition 0 is for none.
func (v *View[K, R]) pastQuery(ctx context.Context, book *Book, point Point) (q Query, future bool, err error) {
	if point, err = point.check(); err != nil {
		return q, false, err
	}
	switch {
	case point.kind == atSequence:
		return q, false, invalid("point", "%s is a moment of an aggregate: give a position or a time", point)
	case point.kind == asOf:
		q.UntilPosition, future, err = book.PositionAt(ctx, point.time)
	case point.kind == atPosition && point.number == 0:
	default:
		if future, err = book.bound(ctx, &q, point); err == nil && point.kind == present {
			var head Head
			head, err = book.Head(ctx)
			q.UntilPosition = head.Position
		}
	}
	if point.occurred {
		q.OccurredUntil = point.occurredBy
	}
	q.EventTypes = v.EventTypes
	return q, future, err
}

// at folds the whole view up to a point.
func (v *View[K, R]) at(ctx context.Context, book *Book, point Point) (*PastView[K, R], *fold[K, R], error) {
	if err := v.prepare(); err != nil {
		return nil, nil, err
	}
	q, future, err := v.pastQuery(ctx, book, point)
	if err != nil {
		return nil, nil, err
	}
	past := &PastView[K, R]{Position: q.UntilPosition, Future: future}
	f := newFold(v, v.table("past"))
	f.begin(rowSum{}, true)
	if q.UntilPosition == 0 {
		return past, f, nil
	}
	if q.OccurredUntil.IsZero() {
		if past.From, err = v.base(ctx, book, f, q.UntilPosition); err != nil {
			return nil, nil, err
		}
	}
	for rec, err := range book.Read(ctx, Query{AfterPosition: q.UntilPosition - 1, UntilPosition: q.UntilPosition}) {
		if err != nil {
			return nil, nil, err
		}
		past.RecordedAt = rec.RecordedAt
	}
	if past.From == q.UntilPosition {
		return past, f, nil
	}
	q.AfterPosition = past.From
	events, err := v.past(ctx, book, q)
	if err != nil {
		return nil, nil, err
	}
	for c := range events.chunks(ctx) {
		if err := foldPast(f, c); err != nil {
			return nil, nil, err
		}
	}
	return past, f, nil
}

// base puts the nearest rows there are at or before a position into f, and returns the
// position they are of.
func (v *View[K, R]) base(ctx context.Context, book *Book, f *fold[K, R], until int64) (from int64, err error) {
	d, err := v.declaration()
	if err != nil {
		return 0, err
	}
	pinned, err := book.driver.Pin(ctx, book.id)
	if err != nil {
		return 0, book.failed("view "+v.Name, err)
	}
	defer func() { _ = pinned.Close() }() // it was only read
	state, err := pinned.State(ctx)
	if err != nil {
		return 0, book.failed("view "+v.Name, err)
	}
	list, err := pinned.Checkpoints(ctx, v.Name)
	if err != nil {
		return 0, book.failed("view "+v.Name, err)
	}
	var nearest Checkpoint
	for _, stored := range list {
		c := statusOf(stored, state).Checkpoint
		whole := c.State == GenerationLive || c.State == GenerationCopied
		if whole && c.Declared == d.fingerprint() && c.Incarnation == state.Incarnation && c.Position <= until && c.Position > nearest.Position {
			nearest = c
		}
	}
	if nearest.Position == 0 {
		return 0, nil
	}
	return nearest.Position, eachRow(ctx, pinned, v.table(nearest.Table), f.put)
}

// rowsReader is who selects rows: an engine, or a pinned snapshot.
type rowsReader interface {
	SelectRows(ctx context.Context, q RowQuery) ([][]any, error)
}

// eachRow reads all rows of a table, some at a time, in the order of their keys.
func eachRow(ctx context.Context, from rowsReader, t Table, do func(rows [][]any) error) error {
	q := RowQuery{Table: t.Name, Columns: t.Columns, Limit: readBackRows}
	for _, column := range t.Columns[:t.Key] {
		q.Order = append(q.Order, column.Name)
	}
	for {
		rows, err := from.SelectRows(ctx, q)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := do(rows); err != nil || len(rows) < q.Limit {
			return err
		}
		q.After = rows[len(rows)-1][:t.Key]
	}
}

// past are the events that q selects, as the view gets them.
func (v *View[K, R]) past(ctx context.Context, book *Book, q Query) (selection, error) {
	skips, err := book.skips(ctx, v.Name)
	return selection{book: book, projection: v.Name, skips: positionsOf(skips), query: q}, err
}

// foldPast brings events into rows that are all in memory.
func foldPast(f folding, c chunk) error {
	if c.err != nil {
		return c.err
	}
	if _, err := f.take(c.events); err != nil {
		return err
	}
	return f.fold()
}

// get returns a row that is in memory.
func (f *fold[K, R]) get(key K) (row R, found bool, err error) {
	if key, err = f.view.keptKey(key); err != nil {
		return row, false, err
	}
	if folded := f.part(key).rows[key]; folded != nil && folded.there {
		return folded.row, true, nil
	}
	return row, false, nil
}

// entries are all rows in memory, in the order of their keys.
func (f *fold[K, R]) entries() ([]ViewRow[K, R], error) {
	type sortable struct {
		key []any
		row ViewRow[K, R]
	}
	var all []sortable
	for _, part := range f.parts {
		for key, row := range part.rows {
			if !row.there {
				continue
			}
			values, err := f.view.shape.keyOut(key)
			if err != nil {
				return nil, err
			}
			all = append(all, sortable{values, ViewRow[K, R]{key, row.row}})
		}
	}
	slices.SortFunc(all, func(a, b sortable) int { return compareKeys(a.key, b.key) })
	rows := make([]ViewRow[K, R], len(all))
	for i, one := range all {
		rows[i] = one.row
	}
	return rows, nil
}
