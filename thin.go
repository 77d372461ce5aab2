package daybook

import (
	"context"
	"errors"
	"time"
)

// due says whether there is to be a snapshot at number when there are snapshots up to
// newest, which is 0 where that is not known: at the multiples of Every, but for those
// that would be thinned out at once.
func (k *keeping) due(number, newest int64) bool {
	if number%k.every() != 0 {
		return false
	}
	return k.Thin == 0 || number > newest-k.every()*int64(k.Thin) || k.lasting(number)
}

// lasting says whether a snapshot at number stays when it is old.
func (k *keeping) lasting(number int64) bool { return number%(thinStep*k.every()) == 0 }

// thin removes the old snapshots of an aggregate but those that last. What they said
// of their segments, the next one says from then on.
func (r *Repository[S, C, E]) thin(ctx context.Context, id AggregateID) error {
	if r.kept.Thin == 0 {
		return nil
	}
	var headers []Snapshot
	for s, err := range r.book.Snapshots(ctx, SnapshotQuery{Aggregate: id, Fold: r.kept.fold}) {
		if err != nil {
			return err
		}
		headers = append(headers, s)
	}
	drop, widen := r.kept.thinned(r.book.id, headers)
	var rows []Snapshot
	for _, wider := range widen {
		row, err := r.widened(ctx, wider)
		if err != nil {
			return err
		}
		rows = append(rows, row...)
	}
	// In this order: in between, and where it ends there, two speak of one segment, and
	// both are right.
	if len(rows) > 0 {
		if err := r.book.driver.KeepSnapshots(ctx, r.book.id, rows); err != nil {
			return r.book.failed("keep snapshots", err)
		}
	}
	return r.book.DropSnapshots(ctx, drop...)
}

// thinned returns which of the snapshots of an aggregate are to go, and those that stay
// whose segments are to cover that of one that goes. It does not ask for their states.
func (k *keeping) thinned(book BookID, headers []Snapshot) (drop, widen []Snapshot) {
	var gone Snapshot // the last one that goes, with the segments of those that go before it
	for i, s := range headers {
		if s.sound(book, s.Aggregate, k.fold) != nil {
			continue // whoever comes upon it removes it
		}
		joined := gone.SequenceNumber > 0 && gone.SequenceNumber == s.SinceSequence
		if joined {
			s.SinceSequence, s.OccurredMin = gone.SinceSequence, earlier(s.OccurredMin, gone.OccurredMin)
		}
		switch old := i < len(headers)-k.Thin; {
		case old && !k.lasting(s.SequenceNumber):
			drop, gone = append(drop, s), s
		case joined:
			widen, gone = append(widen, s), Snapshot{}
		default:
			gone = Snapshot{}
		}
	}
	return drop, widen
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// widened returns the snapshot with the key of wider, with its state and with the
// segment of wider: nothing where it is gone or not as it was written.
func (r *Repository[S, C, E]) widened(ctx context.Context, wider Snapshot) ([]Snapshot, error) {
	row, there, err := r.stored(ctx, wider)
	if err != nil || !there {
		return nil, err
	}
	if fault := errors.Join(row.sound(r.book.id, wider.Aggregate, wider.Fold), row.stateSound()); fault != nil {
		r.unsound(row, fault)
		return nil, nil
	}
	row.SinceSequence, row.OccurredMin = wider.SinceSequence, wider.OccurredMin
	row.seal(r.book.id)
	return []Snapshot{row}, nil
}
