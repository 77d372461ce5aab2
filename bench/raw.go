package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// eventColumns are all columns of an event, in the order that [decodeRow] reads.
const eventColumns = `position, aggregate_type, aggregate_id, sequence_number, event_id, event_type, schema_version, payload, metadata, occurred_at, recorded_at`

// openReader connects for reading by hand. The settings are those of the library's
// sessions: a baseline must not lose to a bad plan.
func openReader(ctx context.Context, dsn string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	delete(config.RuntimeParams, "allow_data_loss") // of package postgres
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "jit"} {
		config.RuntimeParams[name] = "off"
	}
	return pgx.ConnectConfig(ctx, config)
}

// reader is a connection for reading a book by hand, until the stage closes, and the
// number the book has there.
func (s *stage) reader(ctx context.Context, book *daybook.Book) (conn *pgx.Conn, number int64, err error) {
	if conn, err = openReader(ctx, s.PostgreSQL); err != nil {
		return nil, 0, err
	}
	s.onClose(conn.Close)
	number, err = bookID(ctx, conn, book.Name())
	return conn, number, err
}

// eachRow runs a query and hands every row to f, in PostgreSQL's own form: with
// pgx, reading RawValues takes half the time of Scan.
func eachRow(ctx context.Context, conn interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, f func(raw [][]byte) error, query string, args ...any) error {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// decodeRow reads one row of eventColumns, the metadata by the library's decoder.
// The payload is the connection's, until the next row.
func decodeRow(raw [][]byte) (rec daybook.Recorded, err error) {
	rec = daybook.Recorded{
		Position: integer(raw[0]), Aggregate: daybook.AggregateID{Type: aggregateType, ID: daybook.UUID(raw[2])}, SequenceNumber: integer(raw[3]),
		EventID: daybook.UUID(raw[4]), EventType: eventType, SchemaVersion: int(binary.BigEndian.Uint32(raw[6])),
		Payload: raw[7], OccurredAt: instant(raw[9]), RecordedAt: instant(raw[10]),
	}
	if string(raw[1]) != aggregateType || string(raw[5]) != eventType {
		return rec, fmt.Errorf("position %d is a %s of a %s", rec.Position, raw[5], raw[1])
	}
	return rec, rec.Metadata.UnmarshalJSON(raw[8])
}

func integer(raw []byte) int64 {
	return int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // the column's type
}

// instant reads a time: PostgreSQL counts microseconds from the year 2000.
func instant(raw []byte) time.Time {
	return time.UnixMicro(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro() + integer(raw)).UTC()
}

// foldNumber is the last sequence number of an aggregate, found by folding its
// events as a command needs them.
func (t target) foldNumber(ctx context.Context, tx pgx.Tx, id daybook.UUID) (last int64, err error) {
	var state account
	err = eachRow(ctx, tx, foldPayload(&state), `SELECT schema_version, payload FROM `+t.table()+` WHERE aggregate_id = $1 ORDER BY sequence_number`, [16]byte(id))
	return state.Events, err
}

// foldPayload folds rows of a schema version and a payload into state.
func foldPayload(state *account) func(raw [][]byte) error {
	registry := newRegistry()
	return func(raw [][]byte) error {
		event, err := paidOf(registry.Decode(daybook.Recorded{EventType: eventType, SchemaVersion: int(binary.BigEndian.Uint32(raw[0])), Payload: raw[1]}))
		if err == nil {
			*state = evolve(*state, event)
		}
		return err
	}
}

// foldRow folds whole rows into state.
func foldRow(state *account) func(raw [][]byte) error {
	registry := newRegistry()
	return func(raw [][]byte) error {
		rec, err := decodeRow(raw)
		if err != nil {
			return err
		}
		event, err := paidOf(registry.Decode(rec))
		if err == nil {
			*state = evolve(*state, event)
		}
		return err
	}
}

// bookID returns the book's number in the database.
func bookID(ctx context.Context, conn *pgx.Conn, name string) (id int64, err error) {
	err = conn.QueryRow(ctx, `SELECT book_id FROM daybook.books WHERE name = $1`, name).Scan(&id)
	return id, err
}
