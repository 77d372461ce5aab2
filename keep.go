package daybook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
)

const (
	// keepAtOnce is how many aggregates the writer takes at a time.
	keepAtOnce = 64
	// keepRows and keepBytes bound what is written at a time.
	keepRows  = 100
	keepBytes = 4 << 20
	// keepTimeout bounds the work on what is taken at a time.
	keepTimeout = time.Minute
)

// appended asks for snapshots of those aggregates whose events have just come to, or
// gone beyond, a multiple of Every.
func (r *Repository[S, C, E]) appended(results ...Result[S]) {
	if r.kept == nil {
		return
	}
	for _, result := range results {
		last := result.SequenceNumber
		if r.kept.multiple(last) > last-int64(len(result.Events)) {
			r.want(result.Aggregate, last)
		}
	}
}

// want has snapshots of id made up to number, in the background.
func (r *Repository[S, C, E]) want(id AggregateID, number int64) {
	if r.kept.ask(id, number) {
		go r.keepWaiting()
	}
}

// unsound tells of a corrupt snapshot, and has it removed in the background.
func (r *Repository[S, C, E]) unsound(s Snapshot, fault error) {
	if r.kept.found(s, fault) {
		go r.keepWaiting()
	}
}

// keepWaiting makes and writes what is asked for until nothing is.
//
// It begins with what is recorded and not with what a command has in its hands: that
// may still be under way, and its state is the caller's, who may change it.
func (r *Repository[S, C, E]) keepWaiting() {
	for {
		r.kept.gather()
		wanted, unsound, more := r.kept.next()
		if !more {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
		if err := r.remove(ctx, unsound); err != nil {
			r.failed(err)
		}
		w := keepWriter{write: r.write}
		for id, number := range wanted {
			if r.kept.distrusted.Load() {
				break
			}
			_, err := r.build(ctx, id, number, func(s Snapshot) error { return w.add(ctx, s) })
			if err != nil {
				r.failed(fmt.Errorf("daybook: making snapshots of %s: %w", id, err))
			}
		}
		if err := w.flush(ctx); err != nil {
			r.failed(err)
		}
		for id := range wanted {
			if err := r.thin(ctx, id); err != nil {
				r.failed(fmt.Errorf("daybook: thinning out snapshots of %s: %w", id, err))
			}
		}
		cancel()
	}
}

// remove drops corrupt snapshots, unless they have been replaced since they were found.
func (r *Repository[S, C, E]) remove(ctx context.Context, unsound []Snapshot) error {
	var drop []Snapshot
	for _, s := range unsound {
		now, there, err := r.stored(ctx, s)
		if err != nil {
			return err
		}
		sameState := s.State == nil || bytes.Equal(s.State, now.State)
		s.State, now.State = nil, nil
		if there && sameState && reflect.DeepEqual(s, now) {
			drop = append(drop, s)
		}
	}
	return r.book.DropSnapshots(ctx, drop...)
}

// stored returns the snapshot that has the key of s now.
func (r *Repository[S, C, E]) stored(ctx context.Context, s Snapshot) (now Snapshot, there bool, err error) {
	before := s
	before.SequenceNumber--
	q := SnapshotQuery{Aggregate: s.Aggregate, Fold: s.Fold, After: before, States: true, Limit: 1}
	for now, err = range r.book.Snapshots(ctx, q) {
		return now, err == nil && now.Compare(s) == 0, err
	}
	return now, false, nil
}

func (r *Repository[S, C, E]) failed(err error) {
	r.kept.failed.Add(1)
	r.kept.report(err)
}

// keepWriter gathers snapshots and writes many at a time.
type keepWriter struct {
	write func(context.Context, []Snapshot) error
	rows  []Snapshot
	bytes int
}

func (w *keepWriter) add(ctx context.Context, s Snapshot) error {
	w.rows, w.bytes = append(w.rows, s), w.bytes+len(s.State)
	if len(w.rows) < keepRows && w.bytes < keepBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *keepWriter) flush(ctx context.Context) error {
	rows := w.rows
	w.rows, w.bytes = nil, 0
	if len(rows) == 0 {
		return nil
	}
	return w.write(ctx, rows)
}

func (r *Repository[S, C, E]) write(ctx context.Context, rows []Snapshot) error {
	if err := r.book.driver.KeepSnapshots(ctx, r.book.id, rows); err != nil {
		return r.book.failed("keep snapshots", err)
	}
	r.kept.written.Add(int64(len(rows)))
	return nil
}

// build gives add the snapshots of an aggregate that are missing up to number, which
// may be 0 for "to the end": then there is one at the end, multiple or not. It returns
// the newest there is. A state that JSON does not carry is reported and left out; at
// the end it is the error.
func (r *Repository[S, C, E]) build(ctx context.Context, id AggregateID, number int64, add func(Snapshot) error) (newest Snapshot, err error) {
	defer func() {
		if p := recover(); p != nil { // in Evolve: the program's callers see it where they load
			err = fmt.Errorf("a panic: %v", p)
		}
	}()
	loaded := Loaded[S]{Aggregate: id, State: r.decider.Initial()}
	q := Query{Aggregate: id, UntilSequence: number}
	newest, page, err := r.open(ctx, &loaded, r.resumeQuery(q, Point{}))
	if err != nil {
		return newest, err
	}
	if newest.SequenceNumber == 0 {
		if err := r.countOtherFold(ctx, id); err != nil {
			return newest, err
		}
	}
	m := maker[S]{next: Snapshot{Aggregate: id, Fold: r.kept.fold, SinceSequence: newest.SequenceNumber, OccurredMax: newest.OccurredMax}}
	step := func(rec Recorded) error {
		if err := r.apply(&loaded, rec); err != nil {
			return err
		}
		m.pass(rec)
		if !r.kept.due(m.next.SequenceNumber, number) {
			return nil
		}
		done, err := m.finish(r.book.id, loaded.State)
		if err != nil {
			r.failed(err)
			return nil
		}
		newest = done
		return add(done)
	}
	for _, rec := range page.records {
		if err := step(rec); err != nil {
			return newest, err
		}
	}
	if last := loaded.SequenceNumber; !page.ends && (number == 0 || last < number) {
		q.AfterSequence = last
		for rec, err := range r.book.Read(ctx, q) {
			if err == nil {
				err = step(rec)
			}
			if err != nil {
				return newest, err
			}
		}
	}
	if number > 0 || newest.SequenceNumber == loaded.SequenceNumber {
		return newest, nil
	}
	if newest, err = m.finish(r.book.id, loaded.State); err != nil {
		return newest, err
	}
	return newest, add(newest)
}

// countOtherFold counts an aggregate that has snapshots, and none of this fold.
func (r *Repository[S, C, E]) countOtherFold(ctx context.Context, id AggregateID) error {
	for s, err := range r.book.Snapshots(ctx, SnapshotQuery{Aggregate: id}) {
		if err != nil {
			return err
		}
		if s.Fold != r.kept.fold {
			r.kept.otherFold.Add(1)
			break
		}
	}
	return nil
}

// maker makes the snapshots of one aggregate, one after the other.
type maker[S any] struct {
	next Snapshot // but for its state
}

// pass takes rec into the next snapshot.
func (m *maker[S]) pass(rec Recorded) {
	m.next.SequenceNumber, m.next.Position, m.next.RecordedAt = rec.SequenceNumber, rec.Position, rec.RecordedAt
	if rec.OccurredAt.After(m.next.OccurredMax) {
		m.next.OccurredMax = rec.OccurredAt
	}
	if m.next.OccurredMin.IsZero() || rec.OccurredAt.Before(m.next.OccurredMin) {
		m.next.OccurredMin = rec.OccurredAt
	}
}

// finish returns the next snapshot with its state, and begins the one after it. Where
// the state cannot be kept, the next one covers what this one would have.
func (m *maker[S]) finish(book BookID, state S) (done Snapshot, err error) {
	done = m.next
	if done.State, done.StateHash, err = keepable(state); err != nil {
		return Snapshot{}, fmt.Errorf("daybook: the state of %s at sequence number %d cannot be kept as a snapshot: %w", done.Aggregate, done.SequenceNumber, err)
	}
	done.seal(book)
	m.next.SinceSequence, m.next.OccurredMin = done.SequenceNumber, time.Time{}
	return done, nil
}

var (
	errNoneKept   = errors.New("daybook: this repository keeps no snapshots: give NewRepository the option Snapshots")
	errDistrusted = errors.New("daybook: this repository keeps snapshots no more, because a check has found one that lies: drop the fold's snapshots and make another repository")
)

// Keep makes the snapshots of an aggregate that are missing, now, and one at its
// present end, which it returns: the zero Snapshot where nothing has happened to it.
//
// It is an error where the repository was made without [Snapshots], and where a check
// has found a snapshot that lies: drop the fold's snapshots and make another one then.
func (r *Repository[S, C, E]) Keep(ctx context.Context, id AggregateID) (Snapshot, error) {
	if err := r.checkID(id); err != nil {
		return Snapshot{}, err
	}
	if r.kept == nil {
		return Snapshot{}, errNoneKept
	}
	if r.kept.distrusted.Load() {
		return Snapshot{}, errDistrusted
	}
	w := keepWriter{write: r.write}
	newest, err := r.build(ctx, id, 0, func(s Snapshot) error { return w.add(ctx, s) })
	if err == nil {
		err = w.flush(ctx)
	}
	if err == nil {
		err = r.thin(ctx, id)
	}
	if err != nil {
		return Snapshot{}, err
	}
	return newest, nil
}

// Flush waits until no snapshot of this repository waits or is under way, or ctx ends.
// What programs do before they close their engine, so as not to lose what is nearly
// done, and tests before they look.
func (r *Repository[S, C, E]) Flush(ctx context.Context) error {
	if r.kept == nil {
		return nil
	}
	return r.kept.wait(ctx)
}

// SnapshotStats returns what has been counted since the repository was made.
func (r *Repository[S, C, E]) SnapshotStats() SnapshotStats {
	if r.kept == nil {
		return SnapshotStats{}
	}
	return r.kept.stats()
}

// Fold returns the fingerprint of what this repository makes of events; snapshots of
// another one are not used.
func (r *Repository[S, C, E]) Fold() Fold {
	if r.kept != nil {
		return r.kept.fold
	}
	return foldOf(r.decider.Type, r.decider.FoldVersion, reflect.TypeFor[S](), r.book.registry)
}
