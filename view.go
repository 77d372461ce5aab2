package daybook

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// View is a read model with one row per key: the common [Projector]. What makes it is
// which rows an event touches and what becomes of each; the rest is the library's. It is
// kept in a table with the columns of K and R, which hand-written SQL may read and join,
// under the name that [View.SQLName] gives.
//
// K is text, a whole number, a bool, a [UUID], a time, or a struct of such; R is a struct
// of such, where a pointer may be null and everything else is kept as JSON. A type with a
// text form of its own (encoding.TextMarshaler) is text. A field's column is its name in
// lower case, with words apart by '_', or what a tag says: `db:"name"`, `db:"name,index"`
// for an index, `db:"-"` for none. Whole numbers are signed or small enough to be.
//
// A View is declared once, in a variable, and not copied; it is safe for concurrent use.
type View[K comparable, R any] struct {
	// Name is the view's in the book: 1 to 32 of a-z, 0-9 and '_', the first a letter.
	Name string
	// Key is the name of the key's column, where K is no struct; "key" if it is empty.
	Key string
	// Indexes are besides those of the tags: each names columns, separated by commas.
	Indexes []string
	// Version is to be raised when Keys or Evolve change what they make of events: the
	// view is then made anew, as a further generation. A change of columns says so itself.
	Version int
	// EventTypes, where set, are the only events it wants, by their names in the registry.
	EventTypes []string
	// Keys returns the keys of the rows that an event touches, each once. Rows are told apart
	// by what their columns keep: Evolve gets a time in UTC, and to the microsecond.
	Keys func(e ProjectedEvent) []K
	// Evolve returns what becomes of a row, the zero R where there is none; drop says that
	// there is no such row any more. It depends on its arguments alone. A panic, of Keys
	// too, is for what must not be: it refuses an append, and stops a view that is behind.
	//
	// The row is as Evolve has returned it, or as it came back from the table since: what
	// columns do not keep, such as the zone of a time, or what is finer than a microsecond,
	// is not to be relied on.
	Evolve func(row R, key K, e ProjectedEvent) (next R, drop bool)
	// Aggregates, where set, returns the aggregates whose events alone touch the row of a
	// key, so that [View.GetAt] need not read others.
	Aggregates func(key K) []AggregateID
	// Workers, where more than 1, is how many share the work of a page when it is behind.
	// Those events that touch one key keep their order.
	Workers int
	// CopyEvery, where set, keeps a copy of the rows at so many events' distance, from
	// which [View.At] starts. Copies are made by those who run the view behind, or rebuild it.
	CopyEvery int64
	// ByCommand leaves it to [Book.Rebuild] to make a new generation where the declaration
	// has changed. Otherwise Open and Run do it.
	ByCommand bool

	once  sync.Once
	shape *viewShape
	err   error
}

// PerAggregate is [View].Keys for views that have one row per aggregate.
func PerAggregate(e ProjectedEvent) []UUID { return []UUID{e.Aggregate.ID} }

// prepare checks the declaration, once.
func (v *View[K, R]) prepare() error {
	if v == nil {
		return invalid("view", "is nil: declare it in a variable, and pass its address")
	}
	v.once.Do(func() {
		if v.Keys == nil || v.Evolve == nil {
			v.err = invalid("view "+v.Name, "needs Keys and Evolve")
			return
		}
		if v.Workers < 0 || v.CopyEvery < 0 {
			v.err = invalid("view "+v.Name, "workers %d, copy every %d: neither may be negative", v.Workers, v.CopyEvery)
			return
		}
		if v.shape, v.err = shapeOfView[K, R](v.Key, v.Indexes); v.err != nil {
			v.err = fmt.Errorf("view %s: %w", v.Name, v.err)
		}
	})
	return v.err
}

func (v *View[K, R]) declaration() (*declaration, error) {
	if err := v.prepare(); err != nil {
		return nil, err
	}
	d := &declaration{
		name: v.Name, eventTypes: v.EventTypes, byCommand: v.ByCommand, version: v.Version, shape: v.shape.text(), copyEvery: v.CopyEvery,
		table: func(book string, generation int64) Table { return v.table(generationName(book, v.Name, generation)) },
		fold:  func(t Table) folding { return newFold(v, t) },
	}
	return d, d.check()
}

func (v *View[K, R]) table(name string) Table {
	t := Table{Name: name, Key: v.shape.key, Indexes: v.shape.indexes}
	for _, column := range v.shape.columns {
		t.Columns = append(t.Columns, column.Column)
	}
	return t
}

// SQLName is what the live generation of the view is called in SQL: the names of book and
// view, in lower case, with '_' for what is neither letter nor digit. On PostgreSQL it is in the
// schema daybook_views; and a transaction there that holds a snapshot (REPEATABLE READ) looks
// the name up as it is now: one that has begun before a switch finds the new generation, and
// in it only what its snapshot shows, which may be nothing.
func (v *View[K, R]) SQLName(book *Book) string { return tableName(book.name, v.Name) }

// maxBookPart is how much of a book's name goes into names of tables, which have at most
// 63 bytes.
const maxBookPart = 20

// tableName is what SQL calls a view. A long name of a book is shortened, and its hash
// keeps it apart.
func tableName(book, view string) string {
	clean := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(book))
	if len(clean) > maxBookPart {
		clean = fmt.Sprintf("%s%06x", clean[:maxBookPart-6], hashText(book)&0xffffff)
	}
	return clean + "_" + view
}

// generationName is what the table of a generation is called.
func generationName(book, view string, generation int64) string {
	return fmt.Sprintf("%s_g%d", tableName(book, view), generation)
}

// ViewRow is a row of a view, with its key.
type ViewRow[K comparable, R any] struct {
	Key K
	Row R
}

// Get returns the row of key, as it is now, and whether there is one. A view that was never
// made is an error.
func (v *View[K, R]) Get(ctx context.Context, book *Book, key K) (row R, found bool, err error) {
	if err := v.prepare(); err != nil {
		return row, false, err
	}
	values, err := v.shape.keyOut(key)
	if err != nil {
		return row, false, err
	}
	q := ViewQuery{Limit: 1}
	for i, value := range values {
		q.Where = append(q.Where, Condition{Column: v.shape.columns[i].Name, Op: Equal, Value: value})
	}
	entries, err := v.Find(ctx, book, q)
	if err != nil || len(entries) == 0 {
		return row, false, err
	}
	return entries[0].Row, true, nil
}

// ViewQuery selects rows of a view.
type ViewQuery struct {
	// Where are conditions that must all hold. Values are of the Go type of the column's
	// field, or of what the column holds.
	Where []Condition
	// Order are the columns to sort by; those of the key follow, so that the order is
	// always whole. Reverse turns it round.
	Order   []string
	Reverse bool
	// Limit is the most rows; 0 is all.
	Limit int
}

// Find returns the rows that q selects, as they are now. See [View.After] for the next page.
func (v *View[K, R]) Find(ctx context.Context, book *Book, q ViewQuery) ([]ViewRow[K, R], error) {
	return v.find(ctx, book, q, nil)
}

// After is Find for the rows that come behind an entry, in q's order: the next page. The
// entry need not be there any more.
func (v *View[K, R]) After(ctx context.Context, book *Book, q ViewQuery, last ViewRow[K, R]) ([]ViewRow[K, R], error) {
	return v.find(ctx, book, q, &last)
}

func (v *View[K, R]) find(ctx context.Context, book *Book, q ViewQuery, last *ViewRow[K, R]) ([]ViewRow[K, R], error) {
	if err := v.prepare(); err != nil {
		return nil, err
	}
	rows, err := v.shape.rowQuery(tableName(book.name, v.Name), q)
	if err == nil && last != nil {
		rows.After, err = v.after(rows.Order, *last)
	}
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", v.Name, err)
	}
	values, err := book.driver.SelectRows(ctx, rows)
	if err != nil {
		return nil, v.unreadable(ctx, book, err)
	}
	return v.entries(values)
}

// unreadable says why rows could not be selected.
func (v *View[K, R]) unreadable(ctx context.Context, book *Book, err error) error {
	d, declErr := v.declaration()
	list, listErr := book.generations(ctx, v.Name)
	if declErr == nil && listErr == nil {
		switch live, found := list.in(GenerationLive); {
		case !found:
			return fmt.Errorf("daybook: view %s has never been made in book %s: open the book with it inline, or run it: %w", v.Name, book.name, err)
		case live.Declared != d.fingerprint():
			return fmt.Errorf("%w: view %s, generation %d, was made by another declaration: rebuild it, or use the program that declares it: %w", ErrProjectionChanged, v.Name, live.Generation, err)
		}
	}
	return book.failed("view "+v.Name, err)
}

// after is where in an order an entry is.
func (v *View[K, R]) after(order []string, e ViewRow[K, R]) ([]any, error) {
	all, err := v.out(e.Key, e.Row)
	if err != nil {
		return nil, err
	}
	var values []any
	for _, name := range order {
		values = append(values, all[v.shape.index(name)])
	}
	return values, nil
}

func (v *View[K, R]) entries(rows [][]any) ([]ViewRow[K, R], error) {
	entries := make([]ViewRow[K, R], len(rows))
	for i, row := range rows {
		if err := v.in(row, &entries[i]); err != nil {
			return nil, fmt.Errorf("view %s: %w", v.Name, err)
		}
	}
	return entries, nil
}
