package daybook

import (
	"context"
	"fmt"
	"iter"
	"strconv"
)

// ReadModel is a table, or anything else with rows, that was made of events.
type ReadModel interface {
	// Pin holds the read model as it is now, until the view of it is closed.
	Pin(ctx context.Context) (PinnedRows, error)
}

// PinnedRows is a read model as it was at one moment, whatever is written meanwhile:
// in SQL, a transaction that reads from one snapshot. Of a read model that is written
// together with the events, the position is the book's head in that snapshot; of one
// that comes behind, its checkpoint there.
type PinnedRows interface {
	// Position is up to where events are in the rows.
	Position() int64
	// Rows returns all rows, in any order. It may be called several times, one after
	// the other.
	Rows(ctx context.Context) iter.Seq2[Row, error]
	// Close lets go of it.
	Close() error
}

// Row is a row of a read model: what it is found by, and the rest.
type Row struct {
	Key    string
	Fields []Field
}

// Field is a named value of a row, as text: two values are the same if and only if
// their texts are.
type Field struct{ Name, Value string }

// RowCheck is a [Check] that makes a read model anew from the events, and compares it
// with the one there is, row by row and field by field. R is what a row is made in.
type RowCheck[R any] struct {
	// Table is the read model's name, and the check's.
	Table string
	Model ReadModel
	// Keys returns which rows an event touches, Evolve what becomes of each, from the
	// zero R; drop says that there is no such row any more. What becomes of a row must
	// depend on that row and the event alone.
	Keys   func(e *CheckedEvent) ([]string, error)
	Evolve func(row R, key string, e *CheckedEvent) (next R, drop bool)
	// Fields are the row's, in the order of the table's; no name is there twice.
	Fields func(row R) []Field

	// pinIn stands for Model where that is a view: it finds the rows in a snapshot that
	// somebody else closes.
	pinIn func(ctx context.Context, tables TablesReader) (PinnedRows, error)
}

// Name is the table's name.
func (c *RowCheck[R]) Name() string { return c.Table }

// pin holds the read model for as long as it takes to verify the book.
func (c *RowCheck[R]) pin(ctx context.Context, tables func(context.Context) (PinnedTables, error)) (PinnedRows, error) {
	if c.pinIn == nil {
		return c.Model.Pin(ctx)
	}
	pinned, err := tables(ctx)
	if err != nil {
		return nil, err
	}
	return c.pinIn(ctx, pinned)
}

// Begin is for [Verify].
func (c *RowCheck[R]) Begin(_ context.Context, p *Pass) (Look, error) {
	pinned := p.pinned
	p.Looked(0, "row")
	switch at := pinned.Position(); {
	case !p.Whole():
		p.Skip(oneAggregateOnly)
		return nil, nil
	case at > p.run.out.Head:
		if p.Number() == 1 {
			p.Report(Finding{
				Table: c.Table, Problem: "it is ahead of the book: was the book restored from a backup?",
				Found: strconv.FormatInt(at, 10), Expected: fmt.Sprintf("at most %d", p.run.out.Head),
			})
		}
		return nil, nil
	case at > p.Until():
		p.Skip("it is at position %d, beyond what is verified", at)
		return nil, nil
	}
	return &rowLook[R]{RowCheck: c, pass: p, pinned: pinned, rows: map[string]R{}}, nil
}

// pinnable is a check that must be pinned before the book is.
type pinnable interface {
	// tables is the snapshot that all views of the book share: one for each would take up
	// the connections of a small pool.
	pin(ctx context.Context, tables func(context.Context) (PinnedTables, error)) (PinnedRows, error)
}

type rowLook[R any] struct {
	*RowCheck[R]
	pass   *Pass
	pinned PinnedRows
	rows   map[string]R // those of this share
}

func (l *rowLook[R]) Event(e *CheckedEvent) {
	if e.Position > l.pinned.Position() {
		return
	}
	keys, err := l.Keys(e)
	if err != nil {
		if e.Own { // in one pass only
			l.pass.Report(FindingAt(e.Recorded, "what becomes of the table cannot be said: %v", err))
		}
		return
	}
	for _, key := range keys {
		if !l.pass.Owns(key) {
			continue
		}
		row, known := l.rows[key]
		next, drop := l.Evolve(row, key, e)
		if drop {
			delete(l.rows, key) // it stays counted: Hold is a bound, and no account
			continue
		}
		if !known {
			l.pass.Hold()
		}
		l.rows[key] = next
	}
}

// End compares all rows there are with those made anew; what is left of these then is
// missing.
func (l *rowLook[R]) End(ctx context.Context) error {
	for stored, err := range l.pinned.Rows(ctx) {
		if err != nil {
			return err
		}
		if !l.pass.Owns(stored.Key) {
			continue
		}
		l.pass.Looked(1, "row")
		replayed, expected := l.rows[stored.Key]
		if !expected {
			l.pass.Report(Finding{Table: l.Table, Row: stored.Key, Problem: "the row is there, and no event, or another row of that key, says so", Found: fieldsText(stored.Fields), Expected: "no row"})
			continue
		}
		delete(l.rows, stored.Key)
		l.compare(stored, l.Fields(replayed))
	}
	for key, row := range l.rows {
		l.pass.Looked(1, "row")
		l.pass.Report(Finding{Table: l.Table, Row: key, Problem: "the row is missing", Found: "no row", Expected: fieldsText(l.Fields(row))})
	}
	return nil
}

// compare reports each field that differs.
func (l *rowLook[R]) compare(stored Row, replayed []Field) {
	values := make(map[string]string, len(replayed))
	for _, field := range replayed {
		values[field.Name] = field.Value
	}
	differs := func(field, found, expected string) {
		l.pass.Report(Finding{Table: l.Table, Row: stored.Key, Field: field, Problem: "the field differs", Found: found, Expected: expected})
	}
	for _, field := range stored.Fields {
		want, expected := values[field.Name]
		delete(values, field.Name)
		switch {
		case !expected:
			differs(field.Name, strconv.Quote(field.Value), "no such field")
		case field.Value != want:
			differs(field.Name, strconv.Quote(field.Value), strconv.Quote(want))
		}
	}
	for _, field := range replayed {
		if want, missing := values[field.Name]; missing {
			differs(field.Name, "no such field", strconv.Quote(want))
		}
	}
}

func fieldsText(fields []Field) string {
	text := ""
	for i, field := range fields {
		if i > 0 {
			text += ", "
		}
		text += field.Name + " " + strconv.Quote(field.Value)
	}
	return text
}
