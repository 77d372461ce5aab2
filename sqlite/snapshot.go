package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"

	"github.com/daybook-go/daybook"
)

// snapshotColumns are what scanSnapshot reads, in its order, before the state.
const snapshotColumns = `aggregate_type, aggregate_id, fold, sequence_number, position, recorded_at,
	occurred_max, since_sequence, occurred_min, state_hash, checksum`

const (
	// selectKept returns the newest snapshot of aggregate ?2 and fold ?3 in book ?1 with a
	// number up to ?4 and ?5, a position up to ?6, recorded up to ?7 and with
	// nothing in it that occurred after ?8; and the number of the event it names, or 1 where that is not recorded as it says. A probe each of
	// snapshots_by_position and snapshots_by_recorded_at, and of the primary key from
	// there back; its own place is held against the bounds once more, because any of
	// them may say anything.
	selectKept = `SELECT ` + snapshotColumns + `, state, coalesce((
		SELECT e.sequence_number FROM events AS e
		WHERE e.book_id = ?1 AND e.aggregate_id = ?2 AND e.sequence_number = s.sequence_number
			AND +e.position = s.position AND e.recorded_at = s.recorded_at), 1)
FROM snapshots AS s
WHERE book_id = ?1 AND aggregate_id = ?2 AND fold = ?3 AND sequence_number <= min(?4, ?5,
	coalesce((SELECT sequence_number FROM snapshots INDEXED BY snapshots_by_position
		WHERE book_id = ?1 AND aggregate_id = ?2 AND fold = ?3 AND position <= ?6 ORDER BY position DESC LIMIT 1), 0),
	coalesce((SELECT sequence_number FROM snapshots INDEXED BY snapshots_by_recorded_at
		WHERE book_id = ?1 AND aggregate_id = ?2 AND fold = ?3 AND recorded_at <= ?7 ORDER BY recorded_at DESC, sequence_number DESC LIMIT 1), 0))
	AND +position <= ?6 AND +recorded_at <= ?7 AND occurred_max <= ?8
ORDER BY sequence_number DESC LIMIT 1`

	// selectResumed returns the first ?8 events of aggregate ?3 of type ?2 in book ?1 from
	// number ?4 up to ?5. The bounds on positions, ?6, and times, ?7, are applied to the
	// page, not to the walk of events_by_aggregate: that would go on to the end of the
	// aggregate where it found no more.
	selectResumed = `SELECT * FROM (
	SELECT ` + columns + ` FROM events
	WHERE book_id = ?1 AND aggregate_id = ?3 AND aggregate_type = ?2 AND sequence_number >= ?4 AND sequence_number <= ?5
	ORDER BY sequence_number LIMIT ?8)
WHERE position <= ?6 AND recorded_at <= ?7 ORDER BY sequence_number`
)

const (
	// selectSnapshots returns the first ?7 snapshots of book ?1 with keys behind ?2, ?3,
	// ?4 and up to aggregate ?5 and fold ?6, selectHeaders the same without the states.
	// Both walk the primary key.
	selectSnapshots = `SELECT ` + snapshotColumns + `, state` + snapshotRange
	selectHeaders   = `SELECT ` + snapshotColumns + `, NULL` + snapshotRange
	snapshotRange   = ` FROM snapshots
WHERE book_id = ?1 AND (aggregate_id, fold, sequence_number) > (?2, ?3, ?4) AND (aggregate_id, fold) <= (?5, ?6)
ORDER BY aggregate_id, fold, sequence_number LIMIT ?7`
)

const (
	// replaceSnapshot writes one snapshot to book ?1, or over the one with its key.
	replaceSnapshot = `INSERT OR REPLACE INTO snapshots (book_id, ` + snapshotColumns + `, state)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`

	// deleteSnapshot removes the snapshot with the key ?2, ?3, ?4. Index: the primary key.
	deleteSnapshot = `DELETE FROM snapshots WHERE book_id = ?1 AND aggregate_id = ?2 AND fold = ?3 AND sequence_number = ?4`
)

// Resume implements [daybook.Driver]. There is no wire, so it asks twice: what is
// recorded up to a snapshot stays as it is.
func (db *DB) Resume(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (kept daybook.Snapshot, records []daybook.Recorded, err error) {
	recorded := orForever(q.UntilRecorded)
	id := q.Aggregate.ID.String()
	err = patient(ctx, func() error {
		start := int64(1)
		row := db.resumer.QueryRowContext(ctx, selectKept, book, id, foldText(q.Fold), orMax(q.UntilSequence), orMax(q.SnapshotUntil), orMax(q.UntilPosition), recorded, orForever(q.OccurredUntil))
		kept, err = scanSnapshot(row, &start)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		records, err = scan(ctx, db.resumer, daybook.MaxPageBytes, nil, selectResumed, book, q.Aggregate.Type, id, start,
			orMax(q.UntilSequence), orMax(q.UntilPosition), recorded, q.Limit)
		return err
	})
	return kept, records, explain(err)
}

// Snapshots implements [daybook.Driver].
func (db *DB) Snapshots(ctx context.Context, book daybook.BookID, q daybook.SnapshotQuery) (list []daybook.Snapshot, err error) {
	query := selectHeaders
	if q.States {
		query = selectSnapshots
	}
	after, until := q.Bounds()
	err = patient(ctx, func() error {
		list, err = db.snapshots(ctx, query, book, after.Aggregate.ID.String(), foldText(after.Fold), after.SequenceNumber,
			until.Aggregate.ID.String(), foldText(until.Fold), q.Limit)
		return err
	})
	return list, explain(err)
}

func (db *DB) snapshots(ctx context.Context, query string, args ...any) (list []daybook.Snapshot, err error) {
	rows, err := db.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanSnapshot(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// KeepSnapshots implements [daybook.Driver].
func (db *DB) KeepSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	return db.write(ctx, func(ended context.Context, s *session) (bool, error) {
		for _, k := range snapshots {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if _, err := s.ExecContext(ended, replaceSnapshot, book, k.Aggregate.Type, k.Aggregate.ID.String(), foldText(k.Fold), k.SequenceNumber,
				k.Position, micros(k.RecordedAt), micros(k.OccurredMax), k.SinceSequence, micros(k.OccurredMin),
				hex.EncodeToString(k.StateHash[:]), hex.EncodeToString(k.Checksum[:]), string(k.State)); err != nil {
				return false, err
			}
		}
		return len(snapshots) > 0, nil
	})
}

// DropSnapshots implements [daybook.Driver].
func (db *DB) DropSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	return db.write(ctx, func(ended context.Context, s *session) (bool, error) {
		for _, k := range snapshots {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if _, err := s.ExecContext(ended, deleteSnapshot, book, k.Aggregate.ID.String(), foldText(k.Fold), k.SequenceNumber); err != nil {
				return false, err
			}
		}
		return len(snapshots) > 0, nil
	})
}

func foldText(f daybook.Fold) string { return hex.EncodeToString(f[:]) }

// scanSnapshot reads snapshotColumns, the state and what else is asked for. What is
// not of the right form is left as it is: the checksum tells.
func scanSnapshot(row interface{ Scan(...any) error }, more ...any) (s daybook.Snapshot, err error) {
	var id, fold, stateHash, checksum string
	var recordedAt, occurredMax, occurredMin int64
	if err = row.Scan(append([]any{&s.Aggregate.Type, &id, &fold, &s.SequenceNumber, &s.Position, &recordedAt,
		&occurredMax, &s.SinceSequence, &occurredMin, &stateHash, &checksum, &s.State}, more...)...); err != nil {
		return daybook.Snapshot{}, err
	}
	s.Aggregate.ID, _ = daybook.ParseUUID(id) // what is none stays the nil UUID
	for to, text := range map[*[32]byte]string{(*[32]byte)(&s.Fold): fold, &s.StateHash: stateHash, &s.Checksum: checksum} {
		if len(text) == hex.EncodedLen(len(to)) {
			_, _ = hex.Decode(to[:], []byte(text)) // as above
		}
	}
	s.RecordedAt, s.OccurredMax, s.OccurredMin = fromMicros(recordedAt), fromMicros(occurredMax), fromMicros(occurredMin)
	return s, nil
}
