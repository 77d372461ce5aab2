package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/daybook-go/daybook"
)

const checkpointColumns = `projection, generation, kind, state, declared, table_name, position, recorded_at, incarnation,
	paused, failed, failure, rate, runner, revision, updated_at, version, shape`

const (
	// selectCheckpoints returns those of projection ?2 in book ?1, or of all where it is
	// ''; selectSkips the same of what they pass over. Both walk the primary key.
	selectCheckpoints = `SELECT ` + checkpointColumns + ` FROM checkpoints
WHERE book_id = ?1 AND projection >= ?2 AND (?2 = '' OR projection <= ?2) ORDER BY projection, generation`
	selectSkips = `SELECT projection, position, reason, skipped_at FROM skips
WHERE book_id = ?1 AND projection >= ?2 AND (?2 = '' OR projection <= ?2) ORDER BY projection, position`

	// insertCheckpoint writes one that is not there to book ?1, or nothing.
	insertCheckpoint = `INSERT INTO checkpoints (book_id, ` + checkpointColumns + `)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
ON CONFLICT (book_id, projection, generation) DO NOTHING`

	// updateCheckpoint writes over the one of book ?1 that has the key ?2, ?3, if its
	// revision is the one before ?16. Index: the primary key.
	updateCheckpoint = `UPDATE checkpoints SET kind = ?4, state = ?5, declared = ?6, table_name = ?7, position = ?8, recorded_at = ?9,
	incarnation = ?10, paused = ?11, failed = ?12, failure = ?13, rate = ?14, runner = ?15, revision = ?16, updated_at = ?17, version = ?18, shape = ?19
WHERE book_id = ?1 AND projection = ?2 AND generation = ?3 AND revision = ?16 - 1`

	// deleteCheckpoint removes the one of book ?1 with the key ?2, ?3 and revision ?4.
	// Index: the primary key.
	deleteCheckpoint = `DELETE FROM checkpoints WHERE book_id = ?1 AND projection = ?2 AND generation = ?3 AND revision = ?4`

	// insertSkip writes one to book ?1, unless it is there.
	insertSkip = `INSERT INTO skips (book_id, projection, position, reason, skipped_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (book_id, projection, position) DO NOTHING`

	// updateInline moves the revision of the inline projections of book ?1 up to ?2.
	updateInline = `UPDATE heads SET inline = ?2 WHERE book_id = ?1 AND inline < ?2`
)

func readCheckpoints(ctx context.Context, q querier, book daybook.BookID, projection string) (list []daybook.Checkpoint, err error) {
	rows, err := q.QueryContext(ctx, selectCheckpoints, book, projection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanCheckpoint(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

func scanCheckpoint(rows *sql.Rows) (c daybook.Checkpoint, err error) {
	var declared, incarnation, runner string
	var recordedAt, updatedAt int64
	if err = rows.Scan(&c.Projection, &c.Generation, &c.Kind, &c.State, &declared, &c.Table, &c.Position, &recordedAt, &incarnation,
		&c.Paused, &c.Failed, &c.Failure, &c.Rate, &runner, &c.Revision, &updatedAt, &c.Version, &c.Shape); err != nil {
		return c, err
	}
	broken := func(column string, err error) error {
		return fmt.Errorf("the checkpoint of %s, generation %d: its %s: %w", c.Projection, c.Generation, column, err)
	}
	if len(declared) != hex.EncodedLen(len(c.Declared)) {
		return c, broken("declared", fmt.Errorf("it has %d characters", len(declared)))
	}
	if _, err = hex.Decode(c.Declared[:], []byte(declared)); err != nil {
		return c, broken("declared", err)
	}
	if c.Incarnation, err = parseUUID(incarnation); err != nil {
		return c, broken("incarnation", err)
	}
	if c.Runner, err = parseUUID(runner); err != nil {
		return c, broken("runner", err)
	}
	c.RecordedAt, c.UpdatedAt = fromMicros(recordedAt), fromMicros(updatedAt)
	return c, nil
}

func readSkips(ctx context.Context, q querier, book daybook.BookID, projection string) (list []daybook.Skip, err error) {
	rows, err := q.QueryContext(ctx, selectSkips, book, projection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s daybook.Skip
		var skippedAt int64
		if err := rows.Scan(&s.Projection, &s.Position, &s.Reason, &skippedAt); err != nil {
			return nil, err
		}
		s.SkippedAt = fromMicros(skippedAt)
		list = append(list, s)
	}
	return list, rows.Err()
}

func (t *transaction) PutCheckpoint(ctx context.Context, c daybook.Checkpoint) (bool, error) {
	if math.IsNaN(c.Rate) {
		return false, &daybook.InvalidError{Field: "rate", Reason: "NaN is no number"}
	}
	statement := updateCheckpoint
	if c.Revision == 0 {
		statement = insertCheckpoint
	}
	return t.changes(ctx, statement, t.book, c.Projection, c.Generation, string(c.Kind), string(c.State), foldText(c.Declared), c.Table, c.Position, micros(c.RecordedAt),
		c.Incarnation.String(), c.Paused, c.Failed, c.Failure, c.Rate, c.Runner.String(), c.Revision+1, micros(t.now()), c.Version, c.Shape)
}

func (t *transaction) DropCheckpoint(ctx context.Context, c daybook.Checkpoint) (bool, error) {
	return t.changes(ctx, deleteCheckpoint, t.book, c.Projection, c.Generation, c.Revision)
}

func (t *transaction) PutSkip(ctx context.Context, s daybook.Skip) error {
	_, err := t.changes(ctx, insertSkip, t.book, s.Projection, s.Position, s.Reason, micros(t.now()))
	return err
}

func (t *transaction) SetInline(ctx context.Context, revision int64) error {
	if !t.headLocked {
		return fmt.Errorf("the inline projections change only while the head is locked: give Transact lockHead")
	}
	moved, err := t.changes(ctx, updateInline, t.book, revision)
	if err == nil && !moved {
		err = fmt.Errorf("the revision of the inline projections only goes up, and %d does not come after it", revision)
	}
	return err
}

// changes runs a statement and reports whether it has changed a row.
func (t *transaction) changes(ctx context.Context, statement string, args ...any) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	result, err := t.session.ExecContext(context.WithoutCancel(ctx), statement, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// now is the time of what is written, by the engine's clock.
func (t *transaction) now() time.Time { return t.db.now() }
