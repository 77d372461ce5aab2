package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

const (
	// resumeSQL: the newest snapshot of aggregate $3 and fold $4 in book $1 with a number
	// up to $5 and $6, and the first $7 events from its own on, of type $2, up to $5. The
	// row of the first event has the snapshot with it, as one value: a column more costs
	// every row. One step back in snapshots_pkey,
	// and a walk of events_sequence_key.
	//
	// A snapshot may say anything. So the event that it names must be there, or the walk
	// begins with the first one: else there could be no events at all to show that the
	// snapshot is wrong.
	resumeSQL = resumeHeadSQL + `)
	ORDER BY s.sequence_number DESC
	LIMIT 1` + resumeTailSQL + `
ORDER BY page.sequence_number`

	// resumeWithinSQL is resumeSQL with positions up to $8 and recorded up to $9. A step
	// each in snapshots_by_position and snapshots_by_recorded_at say how far to step back
	// in snapshots_pkey, and on to one in which nothing occurred after $10; what is found
	// there is held against the bounds once more. To the events the bounds are applied as
	// in readAggregateForwardSQL: to the page, not to the walk.
	resumeWithinSQL = resumeHeadSQL + `,
		coalesce((
			SELECT p.sequence_number FROM daybook.snapshots AS p
			WHERE p.book_id = $1 AND p.aggregate_id = $3 AND p.fold = $4 AND p.position <= $8
			ORDER BY p.position DESC LIMIT 1
		), 0),
		coalesce((
			SELECT r.sequence_number FROM daybook.snapshots AS r
			WHERE r.book_id = $1 AND r.aggregate_id = $3 AND r.fold = $4 AND r.recorded_at <= $9
			ORDER BY r.recorded_at DESC, r.sequence_number DESC LIMIT 1
		), 0)) AND s.position <= $8 AND s.recorded_at <= $9 AND s.occurred_max <= $10
	ORDER BY s.sequence_number DESC
	LIMIT 1` + resumeTailSQL + `
WHERE page.position <= $8 AND page.recorded_at <= $9
ORDER BY page.sequence_number`

	resumeHeadSQL = `
WITH kept AS MATERIALIZED (
	SELECT ROW(` + keptColumns + `) AS snapshot, coalesce((
			SELECT e.sequence_number FROM daybook.events AS e
			WHERE e.book_id = $1 AND e.aggregate_id = $3 AND e.sequence_number = s.sequence_number
				AND e.position = s.position AND e.recorded_at = s.recorded_at
		), 1) AS start
	FROM daybook.snapshots AS s
	WHERE s.book_id = $1 AND s.aggregate_id = $3 AND s.fold = $4 AND s.sequence_number <= least($5::bigint, $6::bigint`

	resumeTailSQL = `
)
SELECT page.*, CASE WHEN page.sequence_number = (SELECT start FROM kept) THEN (SELECT snapshot FROM kept) END
FROM (
	SELECT ` + eventColumns + `
	FROM daybook.events
	WHERE book_id = $1 AND aggregate_id = $3 AND aggregate_type = $2
		AND sequence_number >= coalesce((SELECT start FROM kept), 1) AND sequence_number <= $5
	ORDER BY sequence_number
	LIMIT $7
) AS page`

	// keptColumns are those of a snapshot, as decodeSnapshot reads them.
	keptColumns = `s.aggregate_type, s.aggregate_id, s.fold, s.sequence_number, s.position, s.recorded_at,
	s.occurred_max, s.since_sequence, s.occurred_min, s.state_hash, s.checksum, s.state`

	// snapshotsSQL: the first $7 snapshots of book $1 with keys behind $2, $3, $4 and up
	// to aggregate $5 and fold $6. Walks snapshots_pkey.
	snapshotsSQL = `
SELECT ` + keptColumns + snapshotRangeSQL

	// headersSQL is snapshotsSQL without the states.
	headersSQL = `
SELECT s.aggregate_type, s.aggregate_id, s.fold, s.sequence_number, s.position, s.recorded_at,
	s.occurred_max, s.since_sequence, s.occurred_min, s.state_hash, s.checksum, NULL::jsonb` + snapshotRangeSQL

	snapshotRangeSQL = `
FROM daybook.snapshots AS s
WHERE s.book_id = $1 AND (s.aggregate_id, s.fold, s.sequence_number) > ($2, $3, $4) AND (s.aggregate_id, s.fold) <= ($5, $6)
ORDER BY s.aggregate_id, s.fold, s.sequence_number
LIMIT $7`

	// asyncSQL lets this transaction's commit not wait for the disk, because a cache need
	// not be durable. It comes after its events in the server's log, and so never
	// survives what it was made of.
	asyncSQL = `SELECT set_config('synchronous_commit', 'off', true)`

	// keepSnapshotsSQL writes snapshots to book $1, or over those with the same keys.
	// $2 … $13 are arrays. Index snapshots_pkey.
	keepSnapshotsSQL = `
INSERT INTO daybook.snapshots (book_id, aggregate_type, aggregate_id, fold, sequence_number, position, recorded_at,
	occurred_max, since_sequence, occurred_min, state_hash, checksum, state)
SELECT $1::bigint, k.* FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bigint[], $6::bigint[], $7::timestamptz[],
	$8::timestamptz[], $9::bigint[], $10::timestamptz[], $11::bytea[], $12::bytea[], $13::jsonb[]) AS k
ON CONFLICT (book_id, aggregate_id, fold, sequence_number) DO UPDATE SET
	aggregate_type = excluded.aggregate_type, position = excluded.position, recorded_at = excluded.recorded_at,
	occurred_max = excluded.occurred_max, since_sequence = excluded.since_sequence, occurred_min = excluded.occurred_min,
	state_hash = excluded.state_hash, checksum = excluded.checksum, state = excluded.state`

	// dropSnapshotsSQL removes the snapshots with the keys $2, $3, $4 from book $1. One
	// step in the order of snapshots_pkey each; joined to the table, or looked for by an
	// equation, a plan made while it was young would read all of the book's.
	dropSnapshotsSQL = `
DELETE FROM daybook.snapshots
WHERE ctid = any(ARRAY(
	SELECT found.ctid
	FROM unnest($2::uuid[], $3::bytea[], $4::bigint[]) AS gone(id, fold, number)
	CROSS JOIN LATERAL (
		SELECT s.ctid, s.sequence_number
		FROM daybook.snapshots AS s
		WHERE s.book_id = $1 AND s.aggregate_id = gone.id AND s.fold = gone.fold AND s.sequence_number >= gone.number
		ORDER BY s.sequence_number
		LIMIT 1
	) AS found
	WHERE found.sequence_number = gone.number))`
)

// keptBinary says which of keptColumns arrive in PostgreSQL's binary form.
var keptBinary = []bool{false, true, true, true, true, true, true, true, true, true, true, false}

// Resume returns the newest snapshot within q's bounds and the events from its own
// on; see [daybook.Driver].
func (db *DB) Resume(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (kept daybook.Snapshot, records []daybook.Recorded, err error) {
	isBinary := append(slices.Clone(binaryColumns), true)
	query, args := resumeSQL, []any{int64(book), q.Aggregate.Type, [16]byte(q.Aggregate.ID), q.Fold[:], orNone(q.UntilSequence), orNone(q.SnapshotUntil), q.Limit}
	if q.UntilPosition != 0 || !q.UntilRecorded.IsZero() || !q.OccurredUntil.IsZero() {
		query, args = resumeWithinSQL, append(args, orNone(q.UntilPosition), orForever(q.UntilRecorded), orForever(q.OccurredUntil))
	}
	err = db.do(ctx, func(conn *pgx.Conn) error {
		kept = daybook.Snapshot{}
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		// The limit is what there may be, and mostly there is much less.
		records, err = scanWith(rows, isBinary, daybook.MaxPageBytes, make([]daybook.Recorded, 0, min(q.Limit, fewRecords)), func(raw [][]byte) {
			if row := raw[len(binaryColumns)]; row != nil {
				kept = decodeSnapshot(fieldsOf(row))
			}
		})
		return err
	})
	return kept, records, explain("resume", err)
}

// Snapshots lists snapshots in the order of their keys; see [daybook.Driver].
func (db *DB) Snapshots(ctx context.Context, book daybook.BookID, q daybook.SnapshotQuery) (list []daybook.Snapshot, err error) {
	query := headersSQL
	if q.States {
		query = snapshotsSQL
	}
	after, until := q.Bounds()
	err = db.do(ctx, func(conn *pgx.Conn) error {
		list = nil
		rows, err := conn.Query(ctx, query, int64(book), [16]byte(after.Aggregate.ID), after.Fold[:], after.SequenceNumber,
			[16]byte(until.Aggregate.ID), until.Fold[:], q.Limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if len(list) == 0 && !asExpected(rows, keptBinary) {
				return errNotBinary
			}
			list = append(list, decodeSnapshot(rows.RawValues()))
		}
		rows.Close()
		return rows.Err()
	})
	return list, explain("snapshots", err)
}

// KeepSnapshots writes snapshots; see [daybook.Driver].
func (db *DB) KeepSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	n := len(snapshots)
	var (
		types     = make(pgtype.FlatArray[string], n)
		numbers   = make(pgtype.FlatArray[int64], n)
		positions = make(pgtype.FlatArray[int64], n)
		sinces    = make(pgtype.FlatArray[int64], n)
		recorded  = make(pgtype.FlatArray[time.Time], n)
		maxima    = make(pgtype.FlatArray[time.Time], n)
		minima    = make(pgtype.FlatArray[time.Time], n)
		hashes    = make(pgtype.FlatArray[[]byte], n)
		checksums = make(pgtype.FlatArray[[]byte], n)
		states    = make(pgtype.FlatArray[[]byte], n)
	)
	snapshots = inKeyOrder(snapshots)
	ids, folds, _ := keysOf(snapshots)
	for i, s := range snapshots {
		types[i], numbers[i], positions[i], sinces[i] = s.Aggregate.Type, s.SequenceNumber, s.Position, s.SinceSequence
		recorded[i], maxima[i], minima[i] = s.RecordedAt, s.OccurredMax, s.OccurredMin
		hashes[i], checksums[i], states[i] = s.StateHash[:], s.Checksum[:], s.State
	}
	return explain("keep snapshots", db.asynchronously(ctx, keepSnapshotsSQL, int64(book), types, ids, folds, numbers, positions, recorded,
		maxima, sinces, minima, hashes, checksums, states))
}

// DropSnapshots removes snapshots by their keys; see [daybook.Driver].
func (db *DB) DropSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	ids, folds, numbers := keysOf(inKeyOrder(snapshots))
	return explain("drop snapshots", db.asynchronously(ctx, dropSnapshotsSQL, int64(book), ids, folds, numbers))
}

// asynchronously runs a statement on the cache, in one transaction and one round trip.
func (db *DB) asynchronously(ctx context.Context, query string, args ...any) error {
	return db.do(ctx, func(conn *pgx.Conn) error {
		var trip pgx.Batch
		trip.Queue(asyncSQL)
		trip.Queue(query, args...)
		return conn.SendBatch(ctx, &trip).Close()
	})
}

// inKeyOrder keeps two who write the same rows from waiting for each other.
func inKeyOrder(snapshots []daybook.Snapshot) []daybook.Snapshot {
	snapshots = slices.Clone(snapshots)
	slices.SortFunc(snapshots, daybook.Snapshot.Compare)
	return snapshots
}

func keysOf(snapshots []daybook.Snapshot) (ids pgtype.FlatArray[pgtype.UUID], folds pgtype.FlatArray[[]byte], numbers pgtype.FlatArray[int64]) {
	for _, s := range snapshots {
		ids, folds, numbers = append(ids, uuidParam(s.Aggregate.ID)), append(folds, s.Fold[:]), append(numbers, s.SequenceNumber)
	}
	return ids, folds, numbers
}

// fewRecords is how many events there mostly are behind a snapshot, at most.
const fewRecords = 64

// fieldsOf takes a row that is one value apart: the number of its fields, and of each
// the type, the length and the bytes. The last one is jsonb, which has its version in
// front where it is binary.
func fieldsOf(row []byte) [][]byte {
	fields := make([][]byte, 0, len(keptBinary))
	for row = row[4:]; len(row) > 0; {
		end := 8 + binary.BigEndian.Uint32(row[4:])
		fields = append(fields, row[8:end])
		row = row[end:]
	}
	last := len(fields) - 1
	fields[last] = fields[last][1:]
	return fields
}

// decodeSnapshot reads one row of keptColumns, and copies what it keeps.
func decodeSnapshot(raw [][]byte) (s daybook.Snapshot) {
	s.Aggregate.Type = string(raw[0])
	s.Aggregate.ID = daybook.UUID(raw[1])
	copy(s.Fold[:], raw[2])
	s.SequenceNumber = integer(raw[3])
	s.Position = integer(raw[4])
	s.RecordedAt = instant(raw[5])
	s.OccurredMax = instant(raw[6])
	s.SinceSequence = integer(raw[7])
	s.OccurredMin = instant(raw[8])
	copy(s.StateHash[:], raw[9])
	copy(s.Checksum[:], raw[10])
	s.State = slices.Clone(raw[11])
	return s
}
