package daybook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"time"
)

// Snapshot is the state of an aggregate after one of its events, kept so that the
// events up to there need not be folded again. It is a cache: it never changes an
// answer, and any of them may be dropped at any time.
type Snapshot struct {
	// Aggregate, Fold and SequenceNumber are its key: what the state is of, what
	// folded it, and the last event in it.
	Aggregate      AggregateID
	Fold           Fold
	SequenceNumber int64
	// Position and RecordedAt are those of the last event in it.
	Position   int64
	RecordedAt time.Time
	// OccurredMax is the latest time at which any of the events in it occurred.
	OccurredMax time.Time
	// SinceSequence and OccurredMin are about its segment, the events after
	// SinceSequence up to SequenceNumber: none of them occurred before OccurredMin.
	SinceSequence int64
	OccurredMin   time.Time
	// State is JSON. In a listing it is nil unless it was asked for.
	State []byte
	// StateHash is the SHA-256 of State in its canonical form, and Checksum that of
	// everything else, StateHash included, with the book's number.
	StateHash, Checksum [sha256.Size]byte
}

// Fold is the fingerprint of what turned events into a state; see [Decider]. A
// snapshot of another fold is none.
type Fold [sha256.Size]byte

// String returns the first 12 hexadecimal digits, enough to tell folds apart.
func (f Fold) String() string { return hex.EncodeToString(f[:6]) }

// IsZero reports whether f is no fold.
func (f Fold) IsZero() bool { return f == Fold{} }

// Compare orders snapshots by their keys: aggregate id, fold and sequence number.
func (s Snapshot) Compare(other Snapshot) int {
	return cmp.Or(bytes.Compare(s.Aggregate.ID[:], other.Aggregate.ID[:]), bytes.Compare(s.Fold[:], other.Fold[:]),
		cmp.Compare(s.SequenceNumber, other.SequenceNumber))
}

// snapshotFormat is the version of what a checksum covers, and of how states are
// written. Raising it makes all snapshots those of another fold.
const snapshotFormat = 1

// seal sets the checksum. State and StateHash must be set.
func (s *Snapshot) seal(book BookID) { s.Checksum = s.sum(book) }

func (s *Snapshot) sum(book BookID) [sha256.Size]byte {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) } //nolint:gosec // its bits are meant
	number(snapshotFormat)
	number(int64(book))
	number(int64(len(s.Aggregate.Type)))
	h.Write([]byte(s.Aggregate.Type))
	h.Write(s.Aggregate.ID[:])
	h.Write(s.Fold[:])
	number(s.SequenceNumber)
	number(s.Position)
	number(s.RecordedAt.UnixMicro())
	number(s.OccurredMax.UnixMicro())
	number(s.SinceSequence)
	number(s.OccurredMin.UnixMicro())
	h.Write(s.StateHash[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// sound says that s, apart from its state, is as it was written, and of aggregate
// and fold.
func (s *Snapshot) sound(book BookID, id AggregateID, fold Fold) error {
	switch {
	case s.Aggregate != id || s.Fold != fold:
		return corrupt(s, "it was found in the place of %s", id)
	case s.sum(book) != s.Checksum:
		return corrupt(s, "its checksum is another")
	}
	return nil
}

// stateSound says that the state is as it was written.
func (s *Snapshot) stateSound() error {
	state, err := CanonicalJSON(s.State)
	if err != nil {
		return corrupt(s, "its state is no JSON: %v", err)
	}
	if sha256.Sum256(state) != s.StateHash {
		return corrupt(s, "its state is not the one that was written")
	}
	return nil
}

func corrupt(s *Snapshot, format string, args ...any) error {
	return fmt.Errorf("%w: %s at sequence number %d, fold %s: %s", ErrSnapshotCorrupt, s.Aggregate, s.SequenceNumber, s.Fold, fmt.Sprintf(format, args...))
}

// SnapshotQuery says which snapshots to list. They come in the order of aggregate id,
// fold and sequence number. The zero SnapshotQuery is all of the book.
type SnapshotQuery struct {
	// Aggregate, where set, restricts to one aggregate.
	Aggregate AggregateID
	// Fold, where set, restricts to one fold. It needs Aggregate.
	Fold Fold
	// After, where set, is a snapshot (its key will do) to go on behind.
	After Snapshot
	// States says that the states are wanted as well.
	States bool
	// Limit is the most to list; 0 means no limit.
	Limit int
}

// Bounds returns the range of keys that q selects: those behind after, up to the last
// of until's aggregate and fold. For engines.
func (q SnapshotQuery) Bounds() (after, until Snapshot) {
	until.Aggregate, until.Fold = q.Aggregate, q.Fold
	if q.Aggregate.IsZero() {
		until.Aggregate.ID = UUID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	after = Snapshot{Aggregate: q.Aggregate, Fold: q.Fold}
	if q.Fold.IsZero() {
		for i := range until.Fold {
			until.Fold[i] = 0xff
		}
	}
	if q.After.SequenceNumber > 0 {
		after = q.After
	}
	return after, until
}

// ResumeQuery says where an aggregate is to be resumed.
type ResumeQuery struct {
	Aggregate AggregateID
	Fold      Fold
	// UntilSequence, UntilPosition and UntilRecorded bound snapshot and events,
	// including. Zero means no bound.
	UntilSequence, UntilPosition int64
	UntilRecorded                time.Time
	// SnapshotUntil and OccurredUntil bound the snapshot's sequence number and its
	// OccurredMax besides, including, and not the events. Zero means no bound.
	SnapshotUntil int64
	OccurredUntil time.Time
	// Limit is the most events to return, at least 1.
	Limit int
}

// snapshotPage is how many snapshots are listed at a time.
const snapshotPage = 1_000

// Snapshots lists what snapshots there are, without their states unless q asks for
// them. It says nothing about whether they are sound, or of a fold that any program
// still has. The first error is yielded with a zero Snapshot and ends the loop.
func (b *Book) Snapshots(ctx context.Context, q SnapshotQuery) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		if q.Limit < 0 || q.Aggregate.IsZero() && !q.Fold.IsZero() {
			yield(Snapshot{}, invalid("snapshot query", "a fold is looked for within one aggregate, and a limit is 0 or more"))
			return
		}
		for left := q.Limit; ; {
			page := q
			page.Limit = snapshotPage
			if q.States {
				page.Limit = snapshotPage / 50 // a state is of any size
			}
			if q.Limit > 0 {
				page.Limit = min(page.Limit, left)
			}
			list, err := b.driver.Snapshots(ctx, b.id, page)
			if err != nil {
				yield(Snapshot{}, b.failed("snapshots", err))
				return
			}
			for _, s := range list {
				if !yield(s, nil) {
					return
				}
			}
			left -= len(list)
			if len(list) < page.Limit || q.Limit > 0 && left == 0 {
				return
			}
			q.After = list[len(list)-1]
		}
	}
}

// CheckSnapshot says what speaks against using s, which was listed: an error that is
// [ErrSnapshotCorrupt] where it is not as it was written, or names an event that is not
// recorded where it says. Its state is looked at where it was asked for. What no look
// at a snapshot tells is whether its state is what the events come to.
func (b *Book) CheckSnapshot(ctx context.Context, s Snapshot) error {
	if err := s.sound(b.id, s.Aggregate, s.Fold); err != nil {
		return err
	}
	there := false
	for rec, err := range b.Read(ctx, Query{Aggregate: s.Aggregate, AfterSequence: s.SequenceNumber - 1, UntilSequence: s.SequenceNumber}) {
		if err != nil {
			return err
		}
		there = s.names(rec)
	}
	switch {
	case !there:
		return corrupt(&s, "no event is recorded there at position %d", s.Position)
	case s.State == nil:
		return nil
	}
	return s.stateSound()
}

// names reports whether rec is the last event in s.
func (s *Snapshot) names(rec Recorded) bool {
	return rec.SequenceNumber == s.SequenceNumber && rec.Position == s.Position && rec.RecordedAt.Equal(s.RecordedAt)
}

// DropSnapshots removes snapshots, which need no more than their keys. It never
// changes an answer. One that is not there is passed over.
func (b *Book) DropSnapshots(ctx context.Context, snapshots ...Snapshot) error {
	if len(snapshots) == 0 {
		return nil
	}
	if err := b.driver.DropSnapshots(ctx, b.id, snapshots); err != nil {
		return b.failed("drop snapshots", err)
	}
	return nil
}
