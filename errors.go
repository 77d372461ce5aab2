package daybook

import (
	"errors"
	"fmt"
)

// What a caller can act on. Each is matched with errors.Is; the types below carry
// the particulars and are matched with errors.As.
var (
	// ErrConflict: another writer was first. Load again and decide again.
	ErrConflict = errors.New("daybook: conflict")
	// ErrOutcomeUnknown: the database stayed out of reach, or the caller gave up in
	// the middle of a commit, and it cannot be said whether the append was recorded.
	// Append the same events with the same ids again: that settles it.
	ErrOutcomeUnknown = errors.New("daybook: outcome unknown")
	// ErrTooLarge: one of the limits of this package would be exceeded.
	ErrTooLarge = errors.New("daybook: too large")
	// ErrSchema: the database's tables are not those this program needs. Migrate first.
	ErrSchema = errors.New("daybook: schema")
	// ErrUnknownEvent: the registry has no such event type or schema version.
	ErrUnknownEvent = errors.New("daybook: unknown event")
	// ErrDecode: a stored payload does not have the shape its type says.
	ErrDecode = errors.New("daybook: decode")
	// ErrKeyReused: an event id or idempotency key was used before, for other content.
	ErrKeyReused = errors.New("daybook: key reused")
	// ErrInvalid: a value was refused; the message names the field and the fix.
	ErrInvalid = errors.New("daybook: invalid")
	// ErrNotThere: the point asked for lies beyond the last event.
	ErrNotThere = errors.New("daybook: not there")
	// ErrSnapshot: a state made with a snapshot differs from the fold of the events.
	ErrSnapshot = errors.New("daybook: snapshot")
	// ErrSnapshotCorrupt: a snapshot is not as it was written. It is not used. This
	// goes to [Snapshots].Report, and is never the error of a load.
	ErrSnapshotCorrupt = errors.New("daybook: a corrupt snapshot")
	// ErrProjection: a projection could not take an event. An append that it takes part in
	// was not written; one that runs behind stops there, and is tried again.
	ErrProjection = errors.New("daybook: projection")
	// ErrProjectionChanged: a projection in the book is not the one that this program
	// declares, or is one that it does not declare and must. Nothing was written.
	ErrProjectionChanged = errors.New("daybook: projection changed")
	// ErrProjectionBusy: another process is at the same work.
	ErrProjectionBusy = errors.New("daybook: projection busy")
	// ErrRestored: a projection is ahead of the book, or from another incarnation of it: the
	// book was restored from a backup. Rebuild the projection.
	ErrRestored = errors.New("daybook: the book was restored")
)

// ConflictError says that an aggregate was not as the writer expected. Nothing of
// the append was written.
type ConflictError struct {
	Aggregate AggregateID
	Expected  Expected
	// Actual is the aggregate's true sequence number when the append was judged.
	Actual int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("daybook: %s is at sequence number %d, expected %s", e.Aggregate, e.Actual, e.Expected)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// OutcomeUnknownError says that the reply to a commit was lost for good.
type OutcomeUnknownError struct {
	// EventIDs are the ids of the append. Appending the same events under them
	// again returns the original records, or writes them now.
	EventIDs []UUID
	// Err is the last error seen while trying to find out.
	Err error
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("daybook: it is unknown whether the append of %d events (first id %s) was recorded: append them again under the same ids to find out: %v",
		len(e.EventIDs), e.EventIDs[0], e.Err)
}

// Is makes errors.Is(err, ErrOutcomeUnknown) true.
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the last error seen.
func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

// TooLargeError says which limit would be exceeded. Nothing was written.
type TooLargeError struct {
	// What is limited, in words: "events in one append", "bytes of payload" …
	What string
	// Limit and Got are in the unit that What names.
	Limit, Got int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("daybook: %d %s, the limit is %d", e.Got, e.What, e.Limit)
}

// Is makes errors.Is(err, ErrTooLarge) true.
func (e *TooLargeError) Is(target error) bool { return target == ErrTooLarge }

// KeyReusedError says that an event id is already recorded with other content, or
// that only some events of an append are. Nothing was written.
type KeyReusedError struct {
	// EventID is the id that stands in the way. Position is where it is recorded.
	EventID  UUID
	Position int64
	// Key is the idempotency key the id was derived from, where there is one.
	Key string
	// Reason says in words what differs.
	Reason string
}

func (e *KeyReusedError) Error() string {
	if e.Key != "" {
		return fmt.Sprintf("daybook: the key %s was used before, at position %d, for something else: %s", quote(e.Key), e.Position, e.Reason)
	}
	return fmt.Sprintf("daybook: event id %s is already recorded at position %d: %s", e.EventID, e.Position, e.Reason)
}

// Is makes errors.Is(err, ErrKeyReused) true.
func (e *KeyReusedError) Is(target error) bool { return target == ErrKeyReused }

// InvalidError says which field was refused and what would be accepted.
type InvalidError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string { return "daybook: " + e.Field + ": " + e.Reason }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// DecodeError says which recorded event cannot be turned into a Go value. The raw
// record can still be read. It is ErrUnknownEvent or ErrDecode, by Err.
type DecodeError struct {
	Book   string
	Record Recorded
	Err    error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("daybook: book %s, %s: %v", e.Book, e.Record, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// NotThereError says that a point lies beyond what has been recorded.
type NotThereError struct {
	// What names the kind of point: "sequence number" or "position".
	What string
	// Asked is the number asked for, Last the highest there is.
	Asked, Last int64
	// Subject is the aggregate or book asked about, in words.
	Subject string
}

func (e *NotThereError) Error() string {
	return fmt.Sprintf("daybook: %s ends at %s %d, there is no %d", e.Subject, e.What, e.Last, e.Asked)
}

// Is makes errors.Is(err, ErrNotThere) true.
func (e *NotThereError) Is(target error) bool { return target == ErrNotThere }

// SnapshotError says that a state made with a snapshot is not what a full replay
// makes of the same events: the meaning of Evolve has changed and the decider's
// FoldVersion has not, or Evolve depends on more than its arguments.
type SnapshotError struct {
	// Book and Aggregate say whose state it is.
	Book      string
	Aggregate AggregateID
	// SequenceNumber is that of the last event both were made of, Snapshot that of the
	// snapshot which one of them began with.
	SequenceNumber, Snapshot int64
	// Kept is the state made with the snapshot, Replayed that of the full replay, as JSON.
	Kept, Replayed []byte
}

func (e *SnapshotError) Error() string {
	return fmt.Sprintf("daybook: book %s, %s at sequence number %d: the snapshot at %d and the events behind it give %s, all events give %s: if Evolve or an upcaster has changed, raise the decider's FoldVersion",
		e.Book, e.Aggregate, e.SequenceNumber, e.Snapshot, shortened(e.Kept), shortened(e.Replayed))
}

// Is makes errors.Is(err, ErrSnapshot) true.
func (e *SnapshotError) Is(target error) bool { return target == ErrSnapshot }

// maxShownBytes is how much of a state a message shows.
const maxShownBytes = 2_000

func shortened(state []byte) string {
	if len(state) <= maxShownBytes {
		return string(state)
	}
	return fmt.Sprintf("%s… (%d bytes)", state[:maxShownBytes], len(state))
}

// ProjectionError says at which event a projection failed.
type ProjectionError struct {
	Projection string
	// Record is the event. In an append, it was not recorded.
	Record Recorded
	Err    error
}

func (e *ProjectionError) Error() string {
	err := e.Err
	if decode, ok := err.(*DecodeError); ok && decode.Record.Position == e.Record.Position { //nolint:errorlint // what is around it has something to say
		err = decode.Err // it would name the event once more
	}
	return fmt.Sprintf("daybook: projection %s cannot take %s: %v", e.Projection, e.Record, err)
}

// Is makes errors.Is(err, ErrProjection) true.
func (e *ProjectionError) Is(target error) bool { return target == ErrProjection }

// Unwrap returns the cause.
func (e *ProjectionError) Unwrap() error { return e.Err }
