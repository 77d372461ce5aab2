package daybook

import (
	"context"
	"fmt"
	"reflect"
)

// Repository loads aggregates of one type and runs commands on them.
type Repository[S, C, E any] struct {
	book    *Book
	decider Decider[S, C, E]
	fronts  fronts[S]
	fronted bool     // a front may have a state like S
	kept    *keeping // nil without Snapshots
}

// NewRepository joins a decider to a book. Make it once and share it: calls on one
// aggregate that are made at the same time through one repository do not race, and share
// transactions unless S has a map, a slice or a pointer in it. It panics when book is nil
// and when the decider has no Type, Initial or Evolve: that is a mistake in the program.
// With [Snapshots] it also panics when S is a type that JSON does not carry.
func NewRepository[S, C, E any](book *Book, decider Decider[S, C, E], opts ...RepositoryOption) *Repository[S, C, E] {
	if book == nil {
		panic("daybook.NewRepository: the book is nil: check the error of daybook.Open")
	}
	decider.check()
	var o repositoryOptions
	for _, opt := range opts {
		opt.setRepository(&o)
	}
	r := &Repository[S, C, E]{book: book, decider: decider, fronted: copiedWhole(reflect.TypeFor[S]())}
	if o.snapshots != nil {
		checkState(decider.Type, decider.Initial())
		r.kept = newKeeping(*o.snapshots, foldOf(decider.Type, decider.FoldVersion, reflect.TypeFor[S](), book.registry))
	}
	return r
}

// Loaded is the state of an aggregate at a point.
type Loaded[S any] struct {
	Aggregate AggregateID
	State     S
	// SequenceNumber is that of the last event in State; 0 when there is none.
	SequenceNumber int64
	// Position is that of the last event in State; 0 when there is none.
	Position int64
	// Future says that the point asked for is a time that has not passed yet by
	// the store's clock: State is the present one and may still change.
	Future bool
}

// Load returns the present state. An aggregate nobody wrote to is in its initial
// state at sequence number 0: there is no "not found".
//
// Errors: [*DecodeError] for an event that cannot be read, [*InvalidError] for an
// id of another type, [*SnapshotError] where a sampled check finds that a snapshot is
// not what its events come to.
func (r *Repository[S, C, E]) Load(ctx context.Context, id AggregateID) (Loaded[S], error) {
	return r.LoadAt(ctx, id, Point{})
}

// LoadAt returns the state at a point: the fold of the events up to it, inclusive.
// As of a recorded time, a whole append is in or out; a number or a position may lie
// within one, and events of one append may have occurred at different times. Beside
// Load's errors it returns [*NotThereError] for a sequence number or position beyond
// the last.
func (r *Repository[S, C, E]) LoadAt(ctx context.Context, id AggregateID, at Point) (Loaded[S], error) {
	loaded, err := r.loadAt(ctx, id, at)
	if err != nil {
		return Loaded[S]{}, err
	}
	return loaded, nil
}

// loadAt is LoadAt, with a state not to be used beside an error.
func (r *Repository[S, C, E]) loadAt(ctx context.Context, id AggregateID, at Point) (Loaded[S], error) {
	loaded := Loaded[S]{Aggregate: id, State: r.decider.Initial()}
	if err := r.checkID(id); err != nil {
		return loaded, err
	}
	at, err := at.check()
	if err != nil {
		return loaded, err
	}
	q := Query{Aggregate: id}
	if loaded.Future, err = r.book.bound(ctx, &q, at); err != nil {
		return loaded, err
	}
	if at.kind != present && q.UntilSequence == 0 && q.UntilPosition == 0 {
		return loaded, nil // before the first event
	}
	if at.occurred && at.kind != atSequence { // of which the last event must be seen
		q.OccurredUntil = at.occurredBy
	}
	last, err := r.fold(ctx, &loaded, q, at)
	if err == nil && at.kind == atSequence && last < at.number {
		err = &NotThereError{What: "sequence number", Asked: at.number, Last: last, Subject: id.String()}
	}
	return loaded, err
}

// fold folds what q selects and at shows into loaded, which is in its initial state.
// last is a number up to which all events were looked at or could be passed over; no
// later one was shown.
func (r *Repository[S, C, E]) fold(ctx context.Context, loaded *Loaded[S], q Query, at Point) (last int64, err error) {
	if r.kept == nil || r.kept.distrusted.Load() {
		return r.replay(ctx, loaded, q, at)
	}
	return r.foldKept(ctx, loaded, q, at)
}

// replay folds the events that q selects and at shows into loaded, and returns the
// number of the last one it has seen.
func (r *Repository[S, C, E]) replay(ctx context.Context, loaded *Loaded[S], q Query, at Point) (last int64, err error) {
	last = q.AfterSequence
	for rec, err := range r.book.Read(ctx, q) {
		if err != nil {
			return last, err
		}
		more, err := r.take(loaded, rec, at)
		if err != nil || !more {
			return last, err
		}
		last = rec.SequenceNumber
	}
	return last, nil
}

// take folds rec into loaded if at shows it, and reports whether later events can be
// shown.
func (r *Repository[S, C, E]) take(loaded *Loaded[S], rec Recorded, at Point) (more bool, err error) {
	include, more := at.includes(rec)
	if include {
		err = r.apply(loaded, rec)
	}
	return more, err
}

func (r *Repository[S, C, E]) checkID(id AggregateID) error {
	if err := id.check(); err != nil {
		return err
	}
	if id.Type != r.decider.Type {
		return invalid("aggregate.type", "%s is not of type %s, which this repository keeps", id, r.decider.Type)
	}
	return nil
}

// apply folds one record into loaded.
func (r *Repository[S, C, E]) apply(loaded *Loaded[S], rec Recorded) error {
	event, err := r.decode(rec)
	if err != nil {
		return err
	}
	loaded.State = r.decider.Evolve(loaded.State, event)
	loaded.SequenceNumber, loaded.Position = rec.SequenceNumber, rec.Position
	return nil
}

func (r *Repository[S, C, E]) decode(rec Recorded) (event E, err error) {
	value, err := r.book.Decode(rec)
	if err != nil {
		return event, err
	}
	event, ok := value.(E)
	if !ok {
		return event, &DecodeError{Book: r.book.name, Record: rec,
			Err: fmt.Errorf("%w: %T is registered, but is no event of %s", ErrUnknownEvent, value, r.decider.Type)}
	}
	return event, nil
}
