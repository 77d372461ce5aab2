package bench

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// sqliteBook makes a file with a book in it, until the stage is closed.
func (s *stage) sqliteBook(ctx context.Context, dir string) (book *daybook.Book, path string, err error) {
	path = filepath.Join(dir, "daybook.db")
	if err := sqlite.Migrate(ctx, path); err != nil {
		return nil, path, err
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, path, err
	}
	s.onClose(func(context.Context) error { return db.Close() })
	book, err = daybook.Open(ctx, db, "main", newRegistry())
	return book, path, err
}

// openSQLite opens a file as a program without our library would, as durable as
// ours.
func (s *stage) openSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)") // as the engine's
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s.onClose(func(context.Context) error { return db.Close() })
	return db, nil
}

// singleSQL makes the baseline's table: the columns and indexes of the library's,
// without its triggers.
const singleSQL = `
CREATE TABLE events (
	book_id         INTEGER NOT NULL,
	position        INTEGER NOT NULL,
	aggregate_type  TEXT    NOT NULL,
	aggregate_id    TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL,
	event_id        TEXT    NOT NULL,
	event_type      TEXT    NOT NULL,
	schema_version  INTEGER NOT NULL,
	payload         TEXT    NOT NULL,
	metadata        TEXT    NOT NULL,
	occurred_at     INTEGER NOT NULL,
	recorded_at     INTEGER NOT NULL,
	PRIMARY KEY (book_id, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX events_by_aggregate ON events (book_id, aggregate_id, sequence_number);
CREATE UNIQUE INDEX events_by_event_id ON events (book_id, event_id);`

// insertSingle is a transaction by itself: it takes the next position and writes.
const insertSingle = `
INSERT INTO events (book_id, position, aggregate_type, aggregate_id, sequence_number, event_id, event_type, schema_version, payload, metadata, occurred_at, recorded_at)
SELECT 1, coalesce(max(position), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM events WHERE book_id = 1`

// prepareSQLiteAppend sets up callers on a file of ours, and on one with a
// transaction for every append.
func prepareSQLiteAppend(ctx context.Context, s *stage) ([]contender, error) {
	const n = 64
	dir, err := s.scratch()
	if err != nil {
		return nil, err
	}
	book, _, err := s.sqliteBook(ctx, dir)
	if err != nil {
		return nil, err
	}
	db, err := s.openSQLite(filepath.Join(dir, "single.db"))
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, singleSQL); err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, insertSingle)
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return insert.Close() })
	single := newCallers(n, func(ctx context.Context, rows []row) error {
		r := rows[0]
		payload, meta, err := encodeByHand(r.event)
		if err != nil {
			return err
		}
		now := time.Now().UnixMicro()
		_, err = insert.ExecContext(ctx, r.aggregate.Type, r.aggregate.ID.String(), r.sequence, daybook.NewUUID().String(),
			eventType, schemaVersion, string(payload), string(meta), now, now)
		return err
	})
	return []contender{
		callersOnBook(book, newCallers(n, appendTo(book))),
		{name: nameSingle, round: single.round, verify: func(ctx context.Context) error {
			return audit(sqlitePlaces(ctx, db), single.written(), true)
		}},
	}, nil
}

func sqlitePlaces(ctx context.Context, db *sql.DB) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		rows, err := db.QueryContext(ctx, `SELECT position, aggregate_id, sequence_number FROM events WHERE book_id = 1 ORDER BY position`)
		if err != nil {
			yield(place{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var at place
			var id string
			err := rows.Scan(&at.position, &id, &at.sequence)
			if err == nil {
				at.aggregate, err = daybook.ParseUUID(id)
			}
			if !yield(at, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(place{}, err)
		}
	}
}

// prepareSQLiteReplay sets up Load and a reader by hand, on the same file.
func prepareSQLiteReplay(ctx context.Context, s *stage) ([]contender, error) {
	dir, err := s.scratch()
	if err != nil {
		return nil, err
	}
	book, path, err := s.sqliteBook(ctx, dir)
	if err != nil {
		return nil, err
	}
	id, err := fill(ctx, book, s.ReplayEvents, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	db, err := s.openSQLite(path)
	if err != nil {
		return nil, err
	}
	registry := newRegistry()
	return []contender{
		replayer(nameDaybook, s.ReplayEvents, loadFrom(book, id)),
		replayer(nameRaw, s.ReplayEvents, func(ctx context.Context) (account, error) { return replaySQLite(ctx, db, registry, id) }),
	}, nil
}

// replaySQLite reads whole rows in one query and has the library's decoders decode
// the JSON in them.
func replaySQLite(ctx context.Context, db *sql.DB, registry *daybook.Registry, id daybook.AggregateID) (state account, err error) {
	rows, err := db.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE book_id = 1 AND aggregate_id = ? ORDER BY sequence_number`, id.ID.String())
	if err != nil {
		return state, err
	}
	defer rows.Close()
	for rows.Next() {
		var rec daybook.Recorded
		var aggregateID, eventID string
		var meta sql.RawBytes
		var occurredAt, recordedAt int64
		if err := rows.Scan(&rec.Position, &rec.Aggregate.Type, &aggregateID, &rec.SequenceNumber, &eventID, &rec.EventType,
			&rec.SchemaVersion, &rec.Payload, &meta, &occurredAt, &recordedAt); err != nil {
			return state, err
		}
		if err := rec.Metadata.UnmarshalJSON(meta); err != nil {
			return state, err
		}
		event, err := paidOf(registry.Decode(rec))
		if err != nil {
			return state, fmt.Errorf("position %d: %w", rec.Position, err)
		}
		state = evolve(state, event)
	}
	return state, rows.Err()
}
