package daybook

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// fronts are the aggregates that callers of this process are deciding on at this
// moment. An aggregate that is in demand would otherwise be a race: all load the
// same state, one wins, the rest begin again.
type fronts[S any] struct {
	mu   sync.Mutex
	open map[AggregateID]*front[S]
}

// front is the newest state of an aggregate, with decisions in it that are under way:
// the next caller decides on what will be when they are recorded. Its append names the
// event it rests on, so where that one is not recorded in the end it is a conflict and
// nothing worse; and callers on one aggregate share transactions like any others.
type front[S any] struct {
	callers int           // guarded by the mutex of fronts
	turn    chan struct{} // holds a token while nobody decides
	state   Loaded[S]     // for whoever has the token, as is:
	rests   UUID          // the last event in state, where it is under way
	good    atomic.Bool   // nothing is known to speak against state
}

// copiedWhole reports whether to assign a value of type t is to copy all of it. The
// state at a front goes to every caller there: one with a map, a slice or a pointer in it
// would let a caller change what the next one decides on.
func copiedWhole(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true // nothing that it points to can be changed
	}
	switch kind := t.Kind(); kind {
	case reflect.Struct:
		for i := range t.NumField() {
			if !copiedWhole(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return copiedWhole(t.Elem())
	default:
		return reflect.Bool <= kind && kind <= reflect.Complex128 || kind == reflect.String
	}
}

func (f *fronts[S]) enter(id AggregateID) *front[S] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[AggregateID]*front[S]{}
	}
	own := f.open[id]
	if own == nil {
		own = &front[S]{turn: make(chan struct{}, 1)}
		own.turn <- struct{}{}
		f.open[id] = own
	}
	own.callers++
	return own
}

func (f *fronts[S]) leave(id AggregateID, own *front[S]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if own.callers--; own.callers == 0 {
		delete(f.open, id)
	}
}

// advance runs a task at the front of its aggregate. decided is false where the
// front is not to say what becomes of it: where the task is refused or does nothing,
// which may rest on what is not recorded yet or is out of date. known is then the
// state, if it has been loaded for this call.
func (r *Repository[S, C, E]) advance(ctx context.Context, t task[S, E], o options) (result Result[S], decided bool, known []Result[S], err error) {
	f := r.fronts.enter(t.id)
	defer r.fronts.leave(t.id, f)
	select {
	case <-f.turn:
	case <-ctx.Done():
		return result, true, nil, ctx.Err()
	}
	own, result, known, err := r.decideAt(ctx, f, t, o)
	if own == nil || err != nil {
		return result, err != nil, known, err
	}
	outcome, err := r.book.outcome(ctx, own)
	if err == nil {
		err = outcome.Err
	}
	if err != nil || outcome.Duplicate {
		f.good.Store(false)
	}
	if o.keyed && (outcome.Duplicate || errors.Is(err, ErrKeyReused)) {
		results, err := r.repeated(ctx, []task[S, E]{t}, o, own.append, outcome)
		result, err = first(results, err)
		return result, true, nil, err
	}
	if err != nil {
		return result, true, nil, err
	}
	result.Events = outcome.Records
	result.Position = outcome.Records[len(outcome.Records)-1].Position
	r.appended(result)
	return result, true, nil, nil
}

// inTurn is attempt for a state that cannot be shared: callers of this process still do
// not race, but each waits for the one before to be answered, and loads its own state.
func (r *Repository[S, C, E]) inTurn(ctx context.Context, tasks []task[S, E], o options) (results []Result[S], lost bool, err error) {
	f := r.fronts.enter(tasks[0].id)
	defer r.fronts.leave(tasks[0].id, f)
	select {
	case <-f.turn:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	defer func() { f.turn <- struct{}{} }()
	return r.compete(ctx, tasks, nil, o)
}

// decideAt decides at the front, gives back its token, and lets what comes of it
// join the line. own is nil where nothing does.
func (r *Repository[S, C, E]) decideAt(ctx context.Context, f *front[S], t task[S, E], o options) (own *call, result Result[S], known []Result[S], err error) {
	loaded := false
	defer func() {
		if !loaded { // or there was a panic
			f.good.Store(false)
		}
		f.turn <- struct{}{}
	}()
	if !f.good.Swap(true) {
		if f.state, err = r.Load(ctx, t.id); err != nil {
			return nil, result, nil, err
		}
		f.rests = UUID{}
		known = []Result[S]{{Loaded: f.state}}
	}
	loaded = true
	if o.ifAt != nil && *o.ifAt != f.state.SequenceNumber {
		return nil, result, known, nil
	}
	result.Loaded = f.state
	entries, refusal := decideAll([]task[S, E]{t}, []Result[S]{result}, o)
	if refusal != nil || len(entries) == 0 {
		return nil, result, known, nil // a refusal is not the front's to tell
	}
	encoded, err := r.book.encode(entries)
	if err != nil {
		return nil, result, nil, err
	}
	entry := &encoded.Entries[0]
	entry.After = f.rests
	for _, rec := range entry.Events {
		rec.Aggregate, rec.SequenceNumber = t.id, result.SequenceNumber+1
		if err := r.apply(&result.Loaded, rec); err != nil {
			return nil, result, nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, result, nil, err
	}
	f.state, f.rests = result.Loaded, entry.Events[len(entry.Events)-1].EventID
	return r.book.committer.join(ctx, encoded), result, nil, nil
}
