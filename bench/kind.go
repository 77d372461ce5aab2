package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// kind is a way to write events without a library.
type kind string

const (
	// plain is one INSERT an event, with the position from a sequence. It is fast,
	// and a reader that remembers a position loses what commits late below it.
	plain kind = "plain"
	// xid8 is plain with the transaction's id beside, so that a reader can wait for
	// the oldest transaction that is under way.
	xid8 kind = "xid8"
	// naive asks for the aggregate's last number first: four round trips.
	naive kind = "naive"
	// naiveFold reads, decodes and folds the aggregate's events for it.
	naiveFold kind = "naive-fold"
	// headrow takes the position from a row that stays locked until the commit, one
	// transaction an event, one round trip. It keeps the order that daybook keeps.
	headrow kind = "headrow"
	// bulk is one INSERT of many rows, given as arrays.
	bulk kind = "bulk"
)

// tableSQL makes a baseline's table: the columns and the indexes of daybook.events,
// without the book's id in front of them, and without its checks and triggers.
const tableSQL = `
CREATE TABLE %s (
	position        bigserial   NOT NULL PRIMARY KEY,
	aggregate_type  text        NOT NULL,
	aggregate_id    uuid        NOT NULL,
	sequence_number bigint      NOT NULL,
	event_id        uuid        NOT NULL UNIQUE,
	event_type      text        NOT NULL,
	schema_version  integer     NOT NULL,
	payload         jsonb       NOT NULL,
	metadata        jsonb       NOT NULL,
	occurred_at     timestamptz NOT NULL,
	recorded_at     timestamptz NOT NULL,
	UNIQUE (aggregate_id, sequence_number)
)`

// create makes the kind's table.
func (k kind) create(ctx context.Context, pool *pgxpool.Pool, t target) error {
	statement := fmt.Sprintf(tableSQL, t.table())
	switch k {
	case xid8:
		statement += `; ALTER TABLE ` + t.table() + ` ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id()`
	case headrow:
		// Free space for the versions of a row that every append updates, as the
		// library's table of heads has it.
		statement += `; CREATE TABLE ` + t.headTable() + ` (id integer PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 10)` +
			`; INSERT INTO ` + t.headTable() + ` VALUES (1, 0)`
	case plain, naive, naiveFold, bulk:
	}
	_, err := pool.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (t target) headTable() string {
	t.Table += "_head"
	return t.table()
}

const (
	// insertColumns are those that every kind gives a value to, in the order of the
	// parameters $1 … $8; both times are the server's.
	insertColumns = `aggregate_type, aggregate_id, sequence_number, event_id, event_type, schema_version, payload, metadata, occurred_at, recorded_at`
	insertValues  = `$1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), clock_timestamp()`
)

func (t target) insertSQL() string {
	return `INSERT INTO ` + t.table() + ` (` + insertColumns + `) VALUES (` + insertValues + `) RETURNING position`
}

// appender returns the kind's way to write to t. Its statements are prepared by
// pgx, once a connection.
func (k kind) appender(pool *pgxpool.Pool, t target) appender {
	insert := t.insertSQL()
	switch k {
	case naive:
		return func(ctx context.Context, rows []row) error { return appendAfter(ctx, pool, t, k.last(t), rows[0]) }
	case headrow:
		insert = `WITH head AS (UPDATE ` + t.headTable() + ` SET position = position + 1 WHERE id = 1 RETURNING position)
INSERT INTO ` + t.table() + ` (position, ` + insertColumns + `) SELECT head.position, ` + insertValues + ` FROM head RETURNING position`
	case bulk:
		return func(ctx context.Context, rows []row) error { return appendBulk(ctx, pool, t, rows) }
	case plain, xid8, naiveFold:
	}
	return func(ctx context.Context, rows []row) error {
		params, err := insertParams(rows[0])
		if err != nil {
			return err
		}
		var position int64
		return pool.QueryRow(ctx, insert, params...).Scan(&position)
	}
}

// insertParams encodes a row.
func insertParams(r row) ([]any, error) {
	payload, meta, err := encodeByHand(r.event)
	return []any{r.aggregate.Type, [16]byte(r.aggregate.ID), r.sequence, [16]byte(daybook.NewUUID()), eventType, schemaVersion, payload, meta}, err
}

// errElsewhere says that an aggregate is not where the writer believed it to be.
var errElsewhere = errors.New("the aggregate is at another sequence number")

// lastNumber asks for the last sequence number of an aggregate, 0 for none.
type lastNumber func(ctx context.Context, tx pgx.Tx, id daybook.UUID) (int64, error)

// last returns the kind's way to ask.
func (k kind) last(t target) lastNumber {
	if k == naiveFold {
		return t.foldNumber
	}
	return t.maxNumber
}

func (t target) maxNumber(ctx context.Context, tx pgx.Tx, id daybook.UUID) (last int64, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(max(sequence_number), 0) FROM `+t.table()+` WHERE aggregate_id = $1`, [16]byte(id)).Scan(&last)
	return last, err
}

// appendAfter appends what people write first: BEGIN, SELECT, INSERT, COMMIT. A row
// without a sequence number takes the next one.
func appendAfter(ctx context.Context, pool *pgxpool.Pool, t target, last lastNumber, r row) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		n, err := last(ctx, tx, r.aggregate.ID)
		if err != nil {
			return err
		}
		if r.sequence != 0 && r.sequence != n+1 {
			return errElsewhere
		}
		r.sequence = n + 1
		params, err := insertParams(r)
		if err != nil {
			return err
		}
		var position int64
		return tx.QueryRow(ctx, t.insertSQL(), params...).Scan(&position)
	})
}

// appendBulk writes all rows by one statement, which is one transaction.
func appendBulk(ctx context.Context, pool *pgxpool.Pool, t target, rows []row) error {
	n := len(rows)
	var (
		types     = make(pgtype.FlatArray[string], n)
		ids       = make(pgtype.FlatArray[pgtype.UUID], n)
		sequences = make(pgtype.FlatArray[int64], n)
		eventIDs  = make(pgtype.FlatArray[pgtype.UUID], n)
		names     = make(pgtype.FlatArray[string], n)
		versions  = make(pgtype.FlatArray[int64], n)
		payloads  = make(pgtype.FlatArray[[]byte], n)
		metadatas = make(pgtype.FlatArray[[]byte], n)
		err       error
	)
	for i, r := range rows {
		types[i], ids[i], sequences[i] = r.aggregate.Type, pgtype.UUID{Bytes: r.aggregate.ID, Valid: true}, r.sequence
		eventIDs[i], names[i], versions[i] = pgtype.UUID{Bytes: daybook.NewUUID(), Valid: true}, eventType, schemaVersion
		if payloads[i], metadatas[i], err = encodeByHand(r.event); err != nil {
			return err
		}
	}
	_, err = pool.Exec(ctx, `INSERT INTO `+t.table()+` (`+insertColumns+`)
SELECT e.*, clock_timestamp(), clock_timestamp()
FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::integer[], $7::jsonb[], $8::jsonb[]) AS e`,
		types, ids, sequences, eventIDs, names, versions, payloads, metadatas)
	return err
}

// places reads a baseline's table back.
func (t target) places(ctx context.Context, pool *pgxpool.Pool) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		rows, err := pool.Query(ctx, `SELECT position, aggregate_id, sequence_number FROM `+t.table()+` ORDER BY position`)
		if err != nil {
			yield(place{}, err)
			return
		}
		var at place
		var id pgtype.UUID
		stop := errors.New("stop")
		_, err = pgx.ForEachRow(rows, []any{&at.position, &id, &at.sequence}, func() error {
			at.aggregate = id.Bytes
			if !yield(at, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(place{}, err)
		}
	}
}
