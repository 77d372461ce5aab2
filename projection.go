package daybook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// ProjectedEvent is an event as projections get it.
type ProjectedEvent struct {
	Recorded
	// Data is the event as a value of its registered Go type.
	Data any
}

// Generation says which tables a [Projection] is to work on. Tables are the database's, so
// that their names are to be made of both.
type Generation struct {
	// Book is the name of the book.
	Book string
	// Number is 1, 2, 3 …
	Number int64
	// Live says that it is what readers see. Where such a one is dropped, there is none to take
	// its place: what readers see is to go as well.
	Live bool
}

// generation is what c is of, for hand-written SQL.
func (c Checkpoint) generation(book string) Generation {
	return Generation{book, c.Generation, c.State == GenerationLive}
}

// Page is some events one after the other, for a [Projection].
type Page struct {
	// Generation is what they are to be brought into.
	Generation Generation
	Events     []ProjectedEvent
}

// Projector is what can be run by a book: a [*View], a [*Projection] or, behind only, a
// [*Subscription].
type Projector interface {
	// declaration checks what was declared.
	declaration() (*declaration, error)
}

// Projection is a read model in hand-written SQL. The same value runs inline or behind,
// on both engines. What it writes and its checkpoint are one transaction, so that each
// event is in it exactly once. A [*View] is less work.
type Projection struct {
	// Name is the projection's in the book: 1 to 32 of a-z, 0-9 and '_', the first a letter.
	Name string
	// Version is to be raised when what Apply makes of events changes: the read model is
	// then made anew, as a further generation.
	Version int
	// EventTypes, where set, are the only events it wants, by their names in the registry.
	EventTypes []string
	// Setup makes the tables of a generation, where there are none. Switch makes it what
	// readers see, such as by a view with a fixed name; Drop removes it, and that view too
	// where g is live. Each may be nil, and runs in a transaction with what else is to happen
	// then. Where a generation has no tables of its own, Setup is to empty them.
	Setup, Switch, Drop func(ctx context.Context, tx Tx, g Generation) error
	// Apply brings a page of events into the tables. When it returns an error, nothing
	// of the page has happened.
	Apply func(ctx context.Context, tx Tx, page Page) error
	// ByCommand leaves it to [Book.Rebuild] to make a new generation where the declaration
	// has changed. Otherwise Open and Run do it.
	ByCommand bool
}

func (p *Projection) declaration() (*declaration, error) {
	if p == nil || p.Apply == nil {
		return nil, invalid("projection.apply", "is nil: it is what makes the read model")
	}
	d := &declaration{
		name: p.Name, eventTypes: p.EventTypes, byCommand: p.ByCommand, version: p.Version, shape: "hand-written",
		setup: p.Setup, switchOver: p.Switch, drop: p.Drop, apply: p.Apply,
	}
	return d, d.check()
}

// declaration is a projector as the machinery sees it.
type declaration struct {
	name       string
	eventTypes []string
	byCommand  bool
	version    int
	shape      string // what else makes a generation another one
	copyEvery  int64

	// A view has a table, and these.
	table func(book string, generation int64) Table
	fold  func(Table) folding

	// A hand-written projection has these.
	setup, switchOver, drop func(ctx context.Context, tx Tx, g Generation) error
	apply                   func(ctx context.Context, tx Tx, page Page) error

	subscription *Subscription // or it is one
}

// declarationOf is what p declares, for this book: an event type that the registry does not
// have could never be taken, and is a misspelt one.
func (b *Book) declarationOf(p Projector) (*declaration, error) {
	if p == nil {
		return nil, invalid("projection", "is nil: declare a View, a Projection or a Subscription in a variable, and pass its address")
	}
	d, err := p.declaration()
	if err != nil {
		return nil, err
	}
	for _, name := range d.eventTypes {
		if b.registry.byName[name] == nil {
			return nil, invalid("projection "+d.name, "wants the event type %s, and the registry of the book has none of that name", quote(name))
		}
	}
	return d, nil
}

const (
	maxProjectionName = 32
	projectionRule    = "use 1 to 32 of a-z, 0-9 and '_', the first a letter"
)

func (d *declaration) check() error {
	if !isProjectionName(d.name) {
		return invalid("projection.name", "%s is not a name: %s", quote(d.name), projectionRule)
	}
	if d.version < 0 {
		return invalid("projection.version", "%d is negative: start with 0 and raise it", d.version)
	}
	return nil
}

func isProjectionName(name string) bool {
	if name == "" || len(name) > maxProjectionName || name[0] < 'a' || 'z' < name[0] {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// fingerprint is what a generation is made by. A subscription that wants other events is
// the same one: what it has delivered, it does not deliver again.
func (d *declaration) fingerprint() Fold {
	if d.subscription != nil {
		return sha256.Sum256(fmt.Appendf(nil, "projection 1\n%s\n%s", d.name, d.shape))
	}
	return sha256.Sum256(fmt.Appendf(nil, "projection 1\n%s\nversion %d\nevents %q\n%s", d.name, d.version, d.eventTypes, d.shape))
}

// wants reports whether events of a type are for it.
func (d *declaration) wants(eventType string) bool {
	return len(d.eventTypes) == 0 || slices.Contains(d.eventTypes, eventType)
}

// behind is the kind that it is of when it is run by Run.
func (d *declaration) behind() ProjectionKind {
	if d.subscription != nil {
		return KindSubscription
	}
	return KindBehind
}

// create makes what a generation is kept in.
func (d *declaration) create(ctx context.Context, tx DriverTx, book string, c Checkpoint) error {
	if d.table == nil {
		return run(ctx, d.setup, tx, c.generation(book))
	}
	return tx.CreateTable(ctx, d.table(book, c.Generation))
}

// kept is the name of the table that a generation is kept in, and what that is like; "" where
// it has none.
func (d *declaration) kept(book string, generation int64) (table, shape string, err error) {
	if d.table == nil {
		return "", "", nil
	}
	t := d.table(book, generation)
	text, err := json.Marshal(storedShape{t.Columns, t.Key})
	return t.Name, string(text), err
}

// storedShape is what is remembered of a table, to read it when it is declared otherwise.
type storedShape struct {
	Columns []Column
	Key     int
}

// show makes a generation the one that readers see.
func (d *declaration) show(ctx context.Context, tx DriverTx, book string, generation int64) error {
	if d.table != nil {
		return tx.Point(ctx, tableName(book, d.name), d.table(book, generation))
	}
	return run(ctx, d.switchOver, tx, Generation{book, generation, true})
}

// remove drops what a generation was kept in.
func (d *declaration) remove(ctx context.Context, tx DriverTx, book string, at Checkpoint) error {
	switch {
	case at.Table != "":
		return tx.DropTable(ctx, at.Table)
	case at.Kind == KindSubscription:
		return nil
	}
	return run(ctx, d.drop, tx, at.generation(book))
}

func run(ctx context.Context, f func(context.Context, Tx, Generation) error, tx DriverTx, g Generation) error {
	if f == nil {
		return nil
	}
	return f(ctx, tx.SQL(), g)
}

// pageError is what a projection has failed with at several events, by which of them it does
// not say.
type pageError struct{ error }

func (e *pageError) Unwrap() error { return e.error }

// guarded calls f for an event, and returns its panic as an error.
func guarded(projection string, rec Recorded, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
		if err != nil {
			err = &ProjectionError{Projection: projection, Record: rec, Err: err}
		}
	}()
	return f()
}

// guardedAll is guarded for n steps one after the other, up to the first error. Step i is
// about the event at the place that event tells.
func guardedAll(projection string, events []ProjectedEvent, n int, event func(i int) int, step func(i int) error) (err error) {
	i := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
		if err != nil {
			err = &ProjectionError{Projection: projection, Record: events[event(i)].Recorded, Err: err}
		}
	}()
	for ; i < n; i++ {
		if err := step(i); err != nil {
			return err
		}
	}
	return nil
}

// failedAt is the position of the event that err is about; 0 where it is about none.
func failedAt(err error) int64 {
	var failed *ProjectionError
	if errors.As(err, &failed) {
		return failed.Record.Position
	}
	return 0
}

// storable is text that every engine keeps, of at most so many bytes.
func storable(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
