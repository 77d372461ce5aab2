package daybook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// maxUnsound bounds how many corrupt snapshots a load tries to get behind, before it
// does without.
const maxUnsound = 3

// foldKept is fold with snapshots.
func (r *Repository[S, C, E]) foldKept(ctx context.Context, loaded *Loaded[S], q Query, at Point) (last int64, err error) {
	resume := r.resume
	if at.occurred {
		resume = r.resumeOccurred
	}
	base, last, err := resume(ctx, loaded, q, at)
	if err != nil {
		return last, err
	}
	// In the past of an aggregate that is thinned out, nothing is missing.
	if last-base > r.kept.every() && !at.occurred && (at.kind == present || r.kept.Thin == 0) {
		r.want(loaded.Aggregate, last)
	}
	if base == 0 {
		return last, nil
	}
	r.kept.used.Add(1)
	if r.kept.chosen() {
		err = r.audit(ctx, *loaded, q, at, base, last)
	}
	return last, err
}

// resumeQuery is q, with what at adds to it. The limit is the distance to the next
// snapshot where there is one; the present may have run ahead of the writer.
func (r *Repository[S, C, E]) resumeQuery(q Query, at Point) ResumeQuery {
	rq := ResumeQuery{Aggregate: q.Aggregate, Fold: r.kept.fold, UntilSequence: q.UntilSequence, UntilPosition: q.UntilPosition, Limit: min(r.kept.Every+1, maxPageEvents)}
	switch at.kind {
	case asOf:
		rq.UntilRecorded = at.time
	case present:
		rq.Limit = max(firstPageEvents, min(2*r.kept.Every, maxPageEvents))
	case atSequence, atPosition:
	}
	return rq
}

// resume folds from the newest snapshot that q and at allow, which was at base.
func (r *Repository[S, C, E]) resume(ctx context.Context, loaded *Loaded[S], q Query, at Point) (base, last int64, err error) {
	rq := r.resumeQuery(q, at)
	kept, page, err := r.open(ctx, loaded, rq)
	if err != nil {
		return 0, 0, err
	}
	base, last = kept.SequenceNumber, kept.SequenceNumber
	for _, rec := range page.records {
		more, err := r.take(loaded, rec, at)
		if err != nil || !more {
			return base, last, err
		}
		last = rec.SequenceNumber
	}
	if page.ends || last > 0 && last == q.UntilSequence {
		return base, last, nil
	}
	q.AfterSequence = last
	last, err = r.replay(ctx, loaded, q, at)
	return base, last, err
}

// opened are the events behind a snapshot.
type opened struct {
	records []Recorded
	ends    bool // there are no more
}

// open puts the newest sound snapshot that rq allows into loaded, and returns it and
// the first events behind it. Corrupt ones are passed over.
func (r *Repository[S, C, E]) open(ctx context.Context, loaded *Loaded[S], rq ResumeQuery) (kept Snapshot, page opened, err error) {
	for unsound := 0; ; {
		var records []Recorded
		if kept, records, err = r.book.driver.Resume(ctx, r.book.id, rq); err != nil {
			return Snapshot{}, page, r.book.failed("resume", err)
		}
		page = opened{records, len(records) < rq.Limit && !FullPage(records)}
		if kept.SequenceNumber == 0 {
			return Snapshot{}, page, nil
		}
		state, fault := r.unpack(kept, rq, records)
		if fault == nil {
			page.records = records[1:]
			loaded.State, loaded.SequenceNumber, loaded.Position = state, kept.SequenceNumber, kept.Position
			return kept, page, nil
		}
		r.unsound(kept, fault)
		if unsound++; unsound == maxUnsound || kept.SequenceNumber == 1 {
			rq.Fold = Fold{} // of which there is none
			continue
		}
		rq.SnapshotUntil = kept.SequenceNumber - 1
	}
}

// unpack returns the state in a snapshot that was found with rq and is followed by
// records, or what speaks against it.
func (r *Repository[S, C, E]) unpack(kept Snapshot, rq ResumeQuery, records []Recorded) (state S, err error) {
	if err := kept.sound(r.book.id, rq.Aggregate, rq.Fold); err != nil {
		return state, err
	}
	if len(records) == 0 || !kept.names(records[0]) {
		return state, corrupt(&kept, "no event is recorded there at position %d", kept.Position)
	}
	if err := kept.stateSound(); err != nil {
		return state, err
	}
	if state, err = decodeState[S](kept.State); err != nil {
		return state, corrupt(&kept, "its state: %v", err)
	}
	return state, nil
}

// resumeOccurred is resume for what had occurred by a time. What occurred is in no
// order, so a snapshot will do if nothing in it occurred later, and what lies behind
// it is read but for the segments of which snapshots say that all of it did.
func (r *Repository[S, C, E]) resumeOccurred(ctx context.Context, loaded *Loaded[S], q Query, at Point) (base, last int64, err error) {
	rq := r.resumeQuery(q, at)
	rq.OccurredUntil = at.occurredBy
	kept, page, err := r.open(ctx, loaded, rq)
	if err != nil {
		return 0, 0, err
	}
	var headers []Snapshot
	if base = kept.SequenceNumber; !page.ends {
		if headers, err = r.headers(ctx, q, at, base); err != nil {
			return base, base, err
		}
	}
	for _, s := range unskipped(base, headers, at.occurredBy) {
		part := s.of(q)
		for _, rec := range page.records {
			if !part.selects(rec.SequenceNumber) {
				continue
			}
			more, err := r.take(loaded, rec, at)
			if err != nil || !more {
				return base, max(base, part.AfterSequence), err
			}
			part.AfterSequence = rec.SequenceNumber
		}
		last = part.AfterSequence
		if page.ends || last > 0 && last == part.UntilSequence {
			continue
		}
		if last, err = r.replay(ctx, loaded, part, at); err != nil {
			return base, last, err
		}
	}
	return base, last, nil
}

// headers returns the sound snapshots behind base and within q and at, without states.
func (r *Repository[S, C, E]) headers(ctx context.Context, q Query, at Point, base int64) (headers []Snapshot, err error) {
	behind := Snapshot{Aggregate: q.Aggregate, Fold: r.kept.fold, SequenceNumber: base}
	for s, err := range r.book.Snapshots(ctx, SnapshotQuery{Aggregate: q.Aggregate, Fold: r.kept.fold, After: behind}) {
		if err != nil {
			return nil, err
		}
		if fault := s.sound(r.book.id, q.Aggregate, r.kept.fold); fault != nil {
			r.unsound(s, fault)
			continue
		}
		if q.UntilSequence > 0 && s.SequenceNumber > q.UntilSequence || q.UntilPosition > 0 && s.Position > q.UntilPosition ||
			at.kind == asOf && s.RecordedAt.After(at.time) {
			break // and so are all behind it
		}
		headers = append(headers, s)
	}
	return headers, nil
}

// segment is a run of sequence numbers, excluding after and including until. until 0
// means to the end.
type segment struct{ after, until int64 }

// of is q within the segment.
func (s segment) of(q Query) Query {
	q.AfterSequence = s.after
	if s.until > 0 {
		q.UntilSequence = s.until
	}
	return q
}

func (q Query) selects(number int64) bool {
	return number > q.AfterSequence && (q.UntilSequence == 0 || number <= q.UntilSequence)
}

// unskipped returns what is to be read behind base of what had occurred by t: all that
// no snapshot says of that it occurred later. Segments may overlap or leave gaps.
func unskipped(base int64, headers []Snapshot, t time.Time) (read []segment) {
	headers = slices.DeleteFunc(slices.Clone(headers), func(s Snapshot) bool { return !s.OccurredMin.After(t) })
	slices.SortFunc(headers, func(a, b Snapshot) int { return cmp.Compare(a.SinceSequence, b.SinceSequence) })
	at := base
	for _, s := range headers {
		if s.SequenceNumber <= at {
			continue
		}
		if s.SinceSequence > at {
			read = append(read, segment{at, s.SinceSequence})
		}
		at = s.SequenceNumber
	}
	return append(read, segment{after: at})
}

// audit compares a state that was made with a snapshot at base with a full replay of
// the events up to last.
func (r *Repository[S, C, E]) audit(ctx context.Context, loaded Loaded[S], q Query, at Point, base, last int64) error {
	full := Loaded[S]{Aggregate: loaded.Aggregate, State: r.decider.Initial()}
	q.UntilSequence = last // others may have appended since
	if _, err := r.replay(ctx, &full, q, at); err != nil {
		return err
	}
	r.kept.checked.Add(1)
	if loaded.SequenceNumber == full.SequenceNumber && loaded.Position == full.Position && reflect.DeepEqual(loaded.State, full.State) {
		return nil
	}
	kept, errKept := marshalState(loaded.State)
	replayed, errReplayed := marshalState(full.State)
	if err := errors.Join(errKept, errReplayed); err != nil {
		// A NaN, perhaps, which is not equal to itself.
		r.failed(fmt.Errorf("daybook: the states of %s at sequence number %d cannot be compared: %w", loaded.Aggregate, last, err))
		return nil
	}
	if loaded.SequenceNumber == full.SequenceNumber && loaded.Position == full.Position && bytes.Equal(kept, replayed) {
		return nil
	}
	r.kept.differed.Add(1)
	r.kept.distrusted.Store(true)
	err := &SnapshotError{Book: r.book.name, Aggregate: loaded.Aggregate, SequenceNumber: last, Snapshot: base, Kept: kept, Replayed: replayed}
	r.kept.report(err)
	return err
}
