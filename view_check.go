package daybook

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/go-json-experiment/json"
)

// Check returns a [Check] for [Verify] that makes the view anew from the events, by this
// declaration, and compares it with the live generation, row by row. With changed code, it is
// the answer to what a rebuild would change.
func (v *View[K, R]) Check(book *Book) (Check, error) {
	d, err := v.declaration()
	if err != nil {
		return nil, err
	}
	c := &viewCheck[K, R]{view: v, book: book, d: d}
	return &RowCheck[R]{
		Table: v.Name, pinIn: c.pinIn,
		Keys: c.keys, Evolve: c.evolve,
		Fields: func(row R) []Field {
			fields, err := c.fields(row)
			if err != nil {
				return []Field{{Name: "row", Value: err.Error()}}
			}
			return fields
		},
	}, nil
}

// viewCheck is what a RowCheck needs of a view.
type viewCheck[K comparable, R any] struct {
	view  *View[K, R]
	book  *Book
	d     *declaration
	skips map[int64]bool

	// Of the event at hand: its keys, and the same as text.
	touched []K
	texts   []string
	event   ProjectedEvent
}

// pinIn finds the live generation in a snapshot that somebody else closes.
func (c *viewCheck[K, R]) pinIn(ctx context.Context, tables TablesReader) (PinnedRows, error) {
	rows := &pinnedView[K, R]{check: c, TablesReader: tables}
	if err := rows.find(ctx); err != nil {
		return nil, err
	}
	return rows, nil
}

func (c *viewCheck[K, R]) keys(e *CheckedEvent) ([]string, error) {
	c.touched, c.texts = nil, c.texts[:0]
	if !c.d.wants(e.EventType) || c.skips[e.Position] {
		return nil, nil
	}
	data, err := e.Data()
	if err != nil {
		return nil, err
	}
	c.event = ProjectedEvent{Recorded: e.Recorded, Data: data}
	err = guarded(c.view.Name, e.Recorded, func() error {
		if c.touched, err = c.view.keys(c.event); err != nil {
			return err
		}
		for _, key := range c.touched {
			values, err := c.view.shape.keyOut(key)
			if err != nil {
				return err
			}
			c.texts = append(c.texts, keyText(values))
		}
		return nil
	})
	return c.texts, err
}

// evolve is called for the event that keys was called for last.
func (c *viewCheck[K, R]) evolve(row R, text string, _ *CheckedEvent) (next R, drop bool) {
	for i, key := range c.touched {
		if c.texts[i] == text {
			return c.view.Evolve(row, key, c.event)
		}
	}
	return row, false
}

// fields are those of a row, as text.
func (c *viewCheck[K, R]) fields(row R) ([]Field, error) {
	var none K
	values, err := c.view.out(none, row)
	if err != nil {
		return nil, err
	}
	var fields []Field
	for i, column := range c.view.shape.columns[c.view.shape.key:] {
		fields = append(fields, Field{Name: column.Name, Value: valueText(values[c.view.shape.key+i])})
	}
	return fields, nil
}

// pinnedView is the live generation of a view at one moment.
type pinnedView[K comparable, R any] struct {
	TablesReader
	check *viewCheck[K, R]
	live  Checkpoint
}

func (p *pinnedView[K, R]) find(ctx context.Context) error {
	name := p.check.view.Name
	state, err := p.State(ctx)
	if err != nil {
		return p.check.book.failed("view "+name, err)
	}
	list, err := p.Checkpoints(ctx, name)
	if err != nil {
		return p.check.book.failed("view "+name, err)
	}
	live, found := generations(list).in(GenerationLive)
	if !found {
		return unknownProjection(name)
	}
	p.live = statusOf(live, state).Checkpoint
	skips, err := p.Skips(ctx, name)
	if err != nil {
		return p.check.book.failed("view "+name, err)
	}
	p.check.skips = positionsOf(skips)
	return nil
}

// Position is up to where events are in the rows.
func (p *pinnedView[K, R]) Position() int64 { return p.live.Position }

// Close is for whoever has taken the snapshot.
func (p *pinnedView[K, R]) Close() error { return nil }

// Rows returns all rows.
func (p *pinnedView[K, R]) Rows(ctx context.Context) iter.Seq2[Row, error] {
	v := p.check.view
	if p.live.Shape != "" && p.live.Declared != p.check.d.fingerprint() {
		return p.others(ctx)
	}
	return func(yield func(Row, error) bool) {
		more := true
		err := eachRow(ctx, p, v.table(p.live.Table), func(rows [][]any) error {
			for _, values := range rows {
				var e ViewRow[K, R]
				if err := v.in(values, &e); err != nil { // there and back, for JSON
					return fmt.Errorf("view %s, row %s: %w", v.Name, keyText(values[:v.shape.key]), err)
				}
				fields, err := p.check.fields(e.Row)
				if err != nil {
					return err
				}
				if more = more && yield(Row{Key: keyText(values[:v.shape.key]), Fields: fields}, nil); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(Row{}, err)
		}
	}
}

// others returns all rows of a generation that was made by another declaration, and may
// have other columns.
func (p *pinnedView[K, R]) others(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var shape storedShape
		if err := json.Unmarshal([]byte(p.live.Shape), &shape); err != nil {
			yield(Row{}, fmt.Errorf("view %s, generation %d: its shape: %w", p.check.view.Name, p.live.Generation, err))
			return
		}
		more := true
		err := eachRow(ctx, p, Table{Name: p.live.Table, Columns: shape.Columns, Key: shape.Key}, func(rows [][]any) error {
			for _, values := range rows {
				row := Row{Key: keyText(values[:shape.Key])}
				for i, column := range shape.Columns[shape.Key:] {
					row.Fields = append(row.Fields, Field{Name: column.Name, Value: p.check.sameText(column, values[shape.Key+i])})
				}
				if more = more && yield(row, nil); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(Row{}, err)
		}
	}
}

// sameText is the text of a value; of JSON, as this declaration would write it.
func (c *viewCheck[K, R]) sameText(column Column, value any) string {
	i := c.view.shape.index(column.Name)
	if text, ok := value.([]byte); ok && i >= c.view.shape.key && c.view.shape.columns[i].Type == JSONColumn {
		var row R
		own := c.view.shape.columns[i]
		field := own.of(reflect.ValueOf(&row).Elem())
		if own.in(text, field) == nil {
			if again, err := own.out(field); err == nil {
				value = again
			}
		}
	}
	return valueText(value)
}
