package daybook

import (
	"fmt"
	"hash/maphash"
	"sync"
)

// folding brings events into the rows of a view, in memory, between what is loaded from
// its table and what is written there. After an error it is to forget all rows.
type folding interface {
	// take returns the rows that events touch and that are to be loaded first. Errors of
	// take and fold that are about one event are [*ProjectionError]s.
	take(events []ProjectedEvent) (missing TableKeys, err error)
	// put adds rows that were missing; the others are not there.
	put(rows [][]any) error
	// fold brings what was taken into the rows.
	fold() error
	// writes returns what has changed, and written says that it is in the table.
	writes() (TableRows, error)
	written()
	// forget lets go of all rows.
	forget()
	// held is how many rows are in memory.
	held() int
	// begin is forget for a table of which all is known: its rows, or, where there are none,
	// that it is empty. It begins to add up what is written.
	begin(sum rowSum, empty bool)
	// sum is that of the rows in the table, since begin.
	sum() rowSum
}

// fold is a folding. Its rows are in as many parts as there are workers, by the hashes of
// their keys.
type fold[K comparable, R any] struct {
	view   *View[K, R]
	table  Table
	seed   maphash.Seed
	parts  []foldedPart[K, R]
	empty  bool                   // the table has no rows that are not in parts
	events []ProjectedEvent       // taken
	wanted map[K]*foldedRow[K, R] // to be loaded

	adding bool
	total  rowSum
}

type foldedPart[K comparable, R any] struct {
	rows    map[K]*foldedRow[K, R]
	touches []touch[K, R]      // of the events that were taken
	dirty   []*foldedRow[K, R] // rows that are not as in the table
}

// touch is that an event touches a row.
type touch[K comparable, R any] struct {
	event int // its place among those taken
	row   *foldedRow[K, R]
}

// foldedRow is a row in memory.
type foldedRow[K comparable, R any] struct {
	key         K
	row         R
	there       bool // false where there is no such row
	dirty       bool
	saved       bool   // the table has it
	sum, newSum rowSum // of the row in the table, and of the one to be written
}

func newFold[K comparable, R any](v *View[K, R], t Table) *fold[K, R] {
	f := &fold[K, R]{view: v, table: t, seed: maphash.MakeSeed(), parts: make([]foldedPart[K, R], max(v.Workers, 1))}
	f.forget()
	return f
}

func (f *fold[K, R]) forget() {
	for i := range f.parts {
		f.parts[i] = foldedPart[K, R]{rows: map[K]*foldedRow[K, R]{}}
	}
	f.empty, f.events, f.wanted = false, nil, nil
}

func (f *fold[K, R]) begin(sum rowSum, empty bool) {
	f.forget()
	f.total, f.adding, f.empty = sum, true, empty
}

func (f *fold[K, R]) sum() rowSum { return f.total }

func (f *fold[K, R]) held() (n int) {
	for _, part := range f.parts {
		n += len(part.rows)
	}
	return n
}

// part is the one that has the row of a key.
func (f *fold[K, R]) part(key K) *foldedPart[K, R] {
	if len(f.parts) == 1 {
		return &f.parts[0]
	}
	return &f.parts[maphash.Comparable(f.seed, key)%uint64(len(f.parts))]
}

func (f *fold[K, R]) take(events []ProjectedEvent) (TableKeys, error) {
	missing := TableKeys{Table: f.table}
	f.events, f.wanted = events, map[K]*foldedRow[K, R]{}
	for i := range f.parts {
		f.parts[i].touches = f.parts[i].touches[:0]
	}
	err := guardedAll(f.view.Name, events, len(events), func(i int) int { return i }, func(i int) error { return f.takeOne(i, &missing) })
	return missing, err
}

// takeOne notes the rows that an event touches, and which are to be loaded.
func (f *fold[K, R]) takeOne(event int, missing *TableKeys) error {
	keys, err := f.view.keys(f.events[event])
	if err != nil {
		return err
	}
	for i, key := range keys {
		for _, other := range keys[:i] {
			if other == key {
				return fmt.Errorf("its Keys returned %s twice for one event", shownKey(key))
			}
		}
		part := f.part(key)
		row := part.rows[key]
		if row == nil {
			row = &foldedRow[K, R]{key: key}
			part.rows[key] = row
			if !f.empty {
				values, err := f.view.shape.keyOut(key)
				if err != nil {
					return err
				}
				f.wanted[key] = row
				missing.Keys = append(missing.Keys, values)
			}
		}
		part.touches = append(part.touches, touch[K, R]{event, row})
	}
	return nil
}

// shownKey is a key in messages. It may be empty.
func shownKey(key any) string { return quote(fmt.Sprint(key)) }

func (f *fold[K, R]) put(rows [][]any) error {
	for _, values := range rows {
		var e ViewRow[K, R]
		if err := f.view.in(values, &e); err != nil {
			return fmt.Errorf("a row of table %s: %w", f.table.Name, err)
		}
		row := f.wanted[e.Key]
		if row == nil { // it was not asked for
			row = &foldedRow[K, R]{key: e.Key}
			f.part(e.Key).rows[e.Key] = row
		}
		row.row, row.there, row.saved = e.Row, true, true
		if f.adding {
			row.sum = sumOf(values)
		}
	}
	f.wanted = nil
	return nil
}

// fold folds all parts at once, where there are several.
func (f *fold[K, R]) fold() error {
	if len(f.parts) == 1 {
		return f.foldPart(0)
	}
	var all sync.WaitGroup
	errs := make([]error, len(f.parts))
	for i := range f.parts {
		all.Go(func() { errs[i] = f.foldPart(i) })
	}
	all.Wait()
	return firstOf(errs)
}

// foldPart brings the events into the rows of one part.
func (f *fold[K, R]) foldPart(number int) error {
	part := &f.parts[number]
	event := func(i int) int { return part.touches[i].event }
	return guardedAll(f.view.Name, f.events, len(part.touches), event, func(i int) error {
		now := part.touches[i].row
		next, drop := f.view.Evolve(now.row, now.key, f.events[part.touches[i].event])
		if drop {
			next = *new(R)
		}
		now.row, now.there = next, !drop
		if !now.dirty {
			now.dirty = true
			part.dirty = append(part.dirty, now)
		}
		return nil
	})
}

func (f *fold[K, R]) writes() (TableRows, error) {
	out := TableRows{Table: f.table}
	for _, part := range f.parts {
		for _, row := range part.dirty {
			row.newSum = rowSum{}
			if !row.there {
				if !row.saved {
					continue
				}
				values, err := f.view.shape.keyOut(row.key)
				if err != nil {
					return out, err
				}
				out.Dropped = append(out.Dropped, values)
				continue
			}
			values, err := f.view.out(row.key, row.row)
			if err != nil {
				return out, &pageError{fmt.Errorf("the row of %s: %w", shownKey(row.key), err)}
			}
			if f.adding {
				row.newSum = sumOf(values)
			}
			out.Rows = append(out.Rows, values)
		}
	}
	return out, nil
}

func (f *fold[K, R]) written() {
	for i := range f.parts {
		part := &f.parts[i]
		for _, row := range part.dirty {
			f.total.subtract(row.sum)
			f.total.add(row.newSum)
			row.dirty, row.saved, row.sum = false, row.there, row.newSum
		}
		part.dirty = part.dirty[:0]
	}
}

// firstOf returns the error of the event that comes first.
func firstOf(errs []error) (first error) {
	position := int64(0)
	for _, err := range errs {
		if at := failedAt(err); err != nil && (first == nil || at < position) {
			first, position = err, at
		}
	}
	return first
}
