package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/daybook-go/daybook"
)

// guessMessage is what goes over the wire to write a guess and commit it: Bind, Execute and
// Sync of https://www.postgresql.org/docs/current/protocol-message-formats.html. pgx would
// bring the rows there by way of two more buffers, and sends nothing while an answer is
// outstanding.
type guessMessage struct {
	statement
	rows int
	buf  []byte
}

// statement is one that connections have prepared under a name.
type statement struct{ name, sql string }

var (
	appendStatement    = statement{"daybook_append", appendSQL}
	appendOneStatement = statement{"daybook_append_one", appendOneSQL}
)

// prepare makes a connection fit for the statement: a round trip, the first time.
func (s statement) prepare(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Prepare(ctx, s.name, s.sql)
	return err
}

// messages are for use again: what a batch needs in memory is for the most part this.
var messages = sync.Pool{New: func() any { return new(guessMessage) }}

// keptMessage is up to what size, in bytes, a message is kept.
const keptMessage = 1 << 20

// free keeps the message for another one.
func (m *guessMessage) free() {
	if cap(m.buf) <= keptMessage {
		messages.Put(m)
	}
}

// newGuessMessage returns the message for a guess of many rows, or of one.
func newGuessMessage(book daybook.BookID, inline int64, plan *daybook.Placement) (*guessMessage, error) {
	m := messages.Get().(*guessMessage) //nolint:forcetypeassert // what the pool makes
	m.begin(appendStatement, 3+len(fields), len(plan.Rows), book, inline)
	m.buf = binary.BigEndian.AppendUint32(m.buf, null) // the head, which is not known
	for i := range fields {
		err := m.param(func(buf []byte) (out []byte, isNull bool, err error) {
			out, err = column{plan.Rows, plan.After, &fields[i]}.encode(buf)
			return out, false, err
		})
		if err != nil {
			return nil, err
		}
	}
	m.end()
	return m, nil
}

// newGuessOfOne returns the message for a guess of one row.
func newGuessOfOne(book daybook.BookID, inline int64, plan *daybook.Placement) (*guessMessage, error) {
	m := messages.Get().(*guessMessage) //nolint:forcetypeassert // what the pool makes
	m.begin(appendOneStatement, 2+len(fields), 1, book, inline)
	for i := range fields {
		err := m.param(func(buf []byte) ([]byte, bool, error) { return fields[i].put(buf, &plan.Rows[0], plan.After) })
		if err != nil {
			return nil, err
		}
	}
	m.end()
	return m, nil
}

// begin begins the message, up to the first two parameters.
func (m *guessMessage) begin(s statement, params, rows int, book daybook.BookID, inline int64) {
	m.statement, m.rows = s, rows
	m.buf = append(m.buf[:0], 'B', 0, 0, 0, 0, 0) // its length, and the portal, which has no name
	m.buf = append(append(m.buf, s.name...), 0)
	m.buf = append(m.buf, 0, 1, 0, 1)                            // all parameters are in binary
	m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(params)) //nolint:gosec // a dozen
	m.buf = appendInt64(appendInt32(m.buf, 8), int64(book))
	m.buf = appendInt64(appendInt32(m.buf, 8), inline)
}

// param appends a parameter, and its length before it.
func (m *guessMessage) param(put func(buf []byte) (out []byte, isNull bool, err error)) error {
	at := len(m.buf)
	buf, isNull, err := put(append(m.buf, 0, 0, 0, 0))
	if err != nil {
		return err
	}
	m.buf = endElement(buf, at, isNull)
	return nil
}

// end ends the message: all results in binary, all rows, and commit.
func (m *guessMessage) end() {
	m.buf = append(m.buf, 0, 1, 0, 1)
	binary.BigEndian.PutUint32(m.buf[1:], uint32(len(m.buf)-1)) //nolint:gosec // an append is far below 4 GiB
	m.buf = append(m.buf, 'E', 0, 0, 0, 9, 0, 0, 0, 0, 0)
	m.buf = append(m.buf, 'S', 0, 0, 0, 4)
}

// exchange sends the message and reads the answer, on a connection that has the statement.
func (m *guessMessage) exchange(ctx context.Context, conn *pgx.Conn) (placed place, err error) {
	err = bounded(ctx, conn, func() error { //nolint:contextcheck // it ends both with ctx
		if _, err := conn.PgConn().Conn().Write(m.buf); err != nil {
			return err
		}
		placed, err = readPlace(conn)
		return err
	})
	return placed, err
}

// bounded makes work, which uses the network beneath conn, end with ctx. The connection is of
// no more use after that, and after an error that is not the server's.
func bounded(ctx context.Context, conn *pgx.Conn, work func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.PgConn().Conn().SetDeadline(time.Unix(1, 0)) })
	err := work()
	ended := !stop()
	var refused *pgconn.PgError
	if ended || err != nil && !errors.As(err, &refused) {
		_ = conn.Close(ctx)
	}
	if ended && err != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// readPlace reads the answer to a message, up to where the server waits for the next one.
func readPlace(conn *pgx.Conn) (placed place, err error) {
	for {
		message, broken := conn.PgConn().ReceiveMessage(context.Background())
		if broken != nil {
			return place{}, errors.Join(err, broken)
		}
		switch m := message.(type) {
		case *pgproto3.DataRow:
			if len(m.Values) != 2 || len(m.Values[0]) != 8 || len(m.Values[1]) != 8 {
				return place{}, errors.New("the answer of daybook.append is not a bigint and a timestamptz")
			}
			placed = place{before: integer(m.Values[0]), recordedAt: instant(m.Values[1])}
		case *pgproto3.ErrorResponse:
			err = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if err == nil && placed.recordedAt.IsZero() {
				err = errors.New("daybook.append has not answered")
			}
			return placed, err
		}
	}
}
