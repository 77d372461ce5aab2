package daybook

import (
	"context"
	"errors"
	"time"
)

// Driver is what a storage engine implements: this page is for authors of
// engines, programs use [Book]. daybooktest.Driver holds its promises as tests.
//
// An engine keeps, per book, a head (the last position and recorded-at given out),
// the events, snapshots, which are a cache, and the checkpoints and tables of projections. It decides nothing itself: under its
// lock it looks up what [Plan] needs, and writes down what Plan answers.
type Driver interface {
	// OpenBook returns the id of the book of that name, making the book when it
	// is new. Two callers at once get the same id.
	OpenBook(ctx context.Context, name string) (BookID, error)

	// Append settles a batch of appends in one transaction and returns one
	// outcome per append, in order; a refused one does not touch the others.
	//
	// When it returns an error, nothing was written, unless the error is
	// [ErrUnclear]: then the reply to the commit was lost. A cancelled ctx
	// aborts it only as long as nothing has been committed; it returns soon after,
	// with ErrUnclear where it cannot tell.
	//
	// In the same transaction it does what inline says, where anything is written. Where
	// that is an error, it is returned and nothing is written. A row that the database refuses
	// is a [*RefusedRowError].
	Append(ctx context.Context, book BookID, batch []Append, inline InlineWork) ([]Outcome, error)

	// Read returns the first q.Limit events that q selects, in q's order, all of
	// one snapshot, and fewer where it has reached MaxPageBytes before: it ends
	// with the event by which they are a [FullPage]. q.Limit is at least 1. They may
	// be appended to into[:0]: a caller that is done with a page has room for another
	// one. It may be nil, and what is in it must not be seen again.
	Read(ctx context.Context, book BookID, q Query, into []Recorded) ([]Recorded, error)

	// Lookup returns those of the events ids that are recorded, in any order.
	Lookup(ctx context.Context, book BookID, ids []UUID) ([]Recorded, error)

	// Head returns the last place given out in the book: its last event's position,
	// and that event's recorded-at or the last Fence, whichever is later. A new book
	// has the zero Head.
	Head(ctx context.Context, book BookID) (Head, error)

	// Fence returns the head after making sure that nothing will ever be
	// recorded at or before t beyond it: it waits for appends under way and
	// moves the head's RecordedAt up to t, or to the store's clock when that is
	// earlier. So the Head returned has RecordedAt ≥ t unless t is in the future.
	Fence(ctx context.Context, book BookID, t time.Time) (Head, error)

	// Resume returns the newest snapshot of q's aggregate and fold within q's bounds,
	// or a zero one, and the first q.Limit events within them from that snapshot's own
	// last event on, or from the first: in one round trip, and without a hole. Pages end
	// as in Read. The snapshot is as it is stored, sound or not. Where no such event is
	// recorded at the place it names, the events begin with the first, and where there
	// are none it may be left out.
	Resume(ctx context.Context, book BookID, q ResumeQuery) (Snapshot, []Recorded, error)

	// KeepSnapshots writes snapshots, all or none, in place of those that have the
	// same keys: aggregate id, fold and sequence number. Each key is there once. They
	// are a cache: what a crash takes away again is no loss.
	KeepSnapshots(ctx context.Context, book BookID, snapshots []Snapshot) error

	// Snapshots returns the first q.Limit snapshots that q selects, as they are
	// stored. q.Limit is at least 1.
	Snapshots(ctx context.Context, book BookID, q SnapshotQuery) ([]Snapshot, error)

	// DropSnapshots removes the snapshots that have the keys of these.
	DropSnapshots(ctx context.Context, book BookID, snapshots []Snapshot) error

	// Transact runs work in one transaction: all it does is kept, or nothing where it, or
	// the commit, returns an error; except for [ErrUnclear], with which all may be. Where
	// lockHead is set, the head of the book is locked before: nothing is appended until it
	// has ended. The context that work gets is for its calls of tx. Work is called again
	// where the transaction has lost to another one. A panic of work keeps nothing, and
	// reaches the caller.
	Transact(ctx context.Context, book BookID, lockHead bool, work func(ctx context.Context, tx DriverTx) error) error

	// Pin takes a snapshot of what projections keep, and of the events, to read from.
	Pin(ctx context.Context, book BookID) (PinnedTables, error)

	// Checkpoints is that of [TablesReader], as it is now.
	Checkpoints(ctx context.Context, book BookID, projection string) ([]Checkpoint, error)

	// SelectRows is that of [TablesReader], as it is now.
	SelectRows(ctx context.Context, q RowQuery) ([][]any, error)

	// Watch calls wake after another process has appended to the book, until ctx
	// ends; then it returns. It may call it too often, and, where it has lost touch
	// with the store, too seldom: followers look by themselves as well.
	Watch(ctx context.Context, book BookID, wake func())

	// Close frees what the engine holds. Calls under way may fail.
	Close() error
}

// Pipeliner is a [Driver] that takes a batch of appends before it has answered the one
// before, because it is a round trip away. To be one is worth speed and nothing else.
type Pipeliner interface {
	Driver

	// AppendAhead is Append for a book without inline projections, whose revision is given.
	// It calls next, at most once and before it returns, where the next batch may be handed
	// in from then on: that one is settled behind this one, unless this one does not succeed
	// at first. A cancelled ctx does not make it return before those ahead have been answered.
	AppendAhead(ctx context.Context, book BookID, batch []Append, revision int64, next func()) ([]Outcome, error)
}

// BookID is an engine's number for a book. Every key and predicate starts with it.
type BookID int64

// Head is the last place given out in a book.
type Head struct {
	// Position is the last event's position; 0 in an empty book.
	Position int64
	// RecordedAt is at or after the last event's; later appends get a later one.
	RecordedAt time.Time
}

// Append is one append as an engine gets it: checked, encoded, every event with
// its id. Position, SequenceNumber and RecordedAt are zero; so is OccurredAt
// where it is to equal RecordedAt.
type Append struct {
	Entries []EncodedEntry
}

// EncodedEntry is the part of an [Append] that goes to one aggregate. Without events
// it is a guard: nothing is written to the aggregate, and the append is refused
// unless it is as expected.
type EncodedEntry struct {
	Aggregate AggregateID
	Expected  Expected
	// After, where set, is the id that the aggregate's last event must have: what
	// was decided rests on that event, which was not recorded yet at the time. A
	// number alone would hold for another event in its place.
	After  UUID
	Events []Recorded
}

// Outcome is what became of one append.
type Outcome struct {
	// Records are the events as recorded, in the order given: now, or earlier
	// where Duplicate is set. Empty when Err is set.
	Records []Recorded
	// Duplicate says that all the events were there before and nothing was written.
	Duplicate bool
	// Err is why the append was refused: a [*ConflictError], [*KeyReusedError]
	// or [*InvalidError].
	Err error
}

// ErrUnclear is what an engine's Append returns (wrapped around the cause) when
// the commit was sent and no trustworthy reply came. [Book] settles it.
var ErrUnclear = errors.New("the reply to the commit was lost")

// ErrInlineChanged is what an engine's Append returns when the book's inline projections
// are not those that the caller knows of: see [InlineWork].Revision.
var ErrInlineChanged = errors.New("the inline projections of the book have changed")
