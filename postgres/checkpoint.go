package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

const (
	// stateSQL: the head of book $1 and what goes with it. Index heads_pkey.
	stateSQL = ownMark + `SELECT position, recorded_at, incarnation, inline FROM daybook.heads WHERE book_id = $1`

	// checkpointsSQL: the checkpoints of book $1, of projection $2 unless it is ''. Walks
	// checkpoints_pkey, which is short.
	checkpointsSQL = ownMark + `
SELECT projection, generation, kind, state, declared, table_name, position, recorded_at, incarnation, paused, failed, failure,
	rate, runner, revision, updated_at, version, shape
FROM daybook.checkpoints
WHERE book_id = $1 AND ($2::text = '' OR projection = $2)
ORDER BY projection, generation`

	// skipsSQL is checkpointsSQL for skips. Walks skips_pkey.
	skipsSQL = ownMark + `
SELECT projection, position, reason, skipped_at
FROM daybook.skips
WHERE book_id = $1 AND ($2::text = '' OR projection = $2)
ORDER BY projection, position`

	// newCheckpointSQL writes a checkpoint that is not there, else nothing. No index is named
	// as the one in conflict: were it the primary key, the second of two who write the same one
	// at once could fail at the index on what is live, or is being built.
	newCheckpointSQL = ownMark + `
INSERT INTO daybook.checkpoints (book_id, projection, generation, kind, state, declared, table_name, position, recorded_at,
	incarnation, paused, failed, failure, rate, runner, revision, updated_at, version, shape)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::bigint + 1, clock_timestamp(), $17, $18)
ON CONFLICT DO NOTHING`

	// putCheckpointSQL writes a checkpoint over the one that is at revision $16. Index
	// checkpoints_pkey.
	putCheckpointSQL = ownMark + `
UPDATE daybook.checkpoints SET kind = $4, state = $5, declared = $6, table_name = $7, position = $8, recorded_at = $9,
	incarnation = $10, paused = $11, failed = $12, failure = $13, rate = $14, runner = $15, revision = $16::bigint + 1,
	updated_at = clock_timestamp(), version = $17, shape = $18
WHERE book_id = $1 AND projection = $2 AND generation = $3 AND revision = $16`

	// dropCheckpointSQL removes the checkpoint that is at revision $4. Index checkpoints_pkey.
	dropCheckpointSQL = ownMark + `
DELETE FROM daybook.checkpoints WHERE book_id = $1 AND projection = $2 AND generation = $3 AND revision = $4`

	putSkipSQL = ownMark + `
INSERT INTO daybook.skips (book_id, projection, position, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (book_id, projection, position) DO NOTHING`

	setInlineSQL = ownMark + `SELECT daybook.set_inline($1, $2)`
)

// putCheckpoint is the statement that writes c, and its parameters.
func putCheckpoint(book daybook.BookID, c daybook.Checkpoint) (query string, args []any) {
	query = putCheckpointSQL
	if c.Revision == 0 {
		query = newCheckpointSQL
	}
	return query, []any{
		int64(book), c.Projection, c.Generation, string(c.Kind), string(c.State), c.Declared[:], c.Table, c.Position, c.RecordedAt,
		uuidParam(c.Incarnation), c.Paused, c.Failed, storable(c.Failure), c.Rate, uuidParam(c.Runner), c.Revision, c.Version, c.Shape,
	}
}

// storable is text as the server can keep it: what goes wrong may be said in any bytes, and
// must not be lost over it.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

func queueState(trip *pgx.Batch, book daybook.BookID, state *daybook.BookState) {
	trip.Queue(stateSQL, int64(book)).QueryRow(func(row pgx.Row) error {
		var incarnation pgtype.UUID
		err := row.Scan(&state.Position, &state.RecordedAt, &incarnation, &state.Inline)
		state.RecordedAt, state.Incarnation = state.RecordedAt.UTC(), incarnation.Bytes
		return err
	})
}

func queueCheckpoints(trip *pgx.Batch, book daybook.BookID, projection string, found *[]daybook.Checkpoint) {
	*found = nil // another try may have begun
	trip.Queue(checkpointsSQL, int64(book), projection).Query(func(rows pgx.Rows) (err error) {
		*found, err = pgx.AppendRows(*found, rows, func(row pgx.CollectableRow) (c daybook.Checkpoint, err error) {
			var declared []byte
			var incarnation, runner pgtype.UUID
			err = row.Scan(&c.Projection, &c.Generation, &c.Kind, &c.State, &declared, &c.Table, &c.Position, &c.RecordedAt,
				&incarnation, &c.Paused, &c.Failed, &c.Failure, &c.Rate, &runner, &c.Revision, &c.UpdatedAt, &c.Version, &c.Shape)
			copy(c.Declared[:], declared)
			c.Incarnation, c.Runner = incarnation.Bytes, runner.Bytes
			c.RecordedAt, c.UpdatedAt = c.RecordedAt.UTC(), c.UpdatedAt.UTC()
			return c, err
		})
		return err
	})
}

func queueSkips(trip *pgx.Batch, book daybook.BookID, projection string, found *[]daybook.Skip) {
	*found = nil
	trip.Queue(skipsSQL, int64(book), projection).Query(func(rows pgx.Rows) (err error) {
		*found, err = pgx.AppendRows(*found, rows, func(row pgx.CollectableRow) (s daybook.Skip, err error) {
			err = row.Scan(&s.Projection, &s.Position, &s.Reason, &s.SkippedAt)
			s.SkippedAt = s.SkippedAt.UTC()
			return s, err
		})
		return err
	})
}

// queueOne makes a statement part of a trip, which sets written where it has changed a row.
func queueOne(trip *pgx.Batch, written *bool, query string, args ...any) {
	trip.Queue(query, args...).Exec(func(tag pgconn.CommandTag) error {
		*written = tag.RowsAffected() == 1
		return nil
	})
}
