-- Times are microseconds since 1970-01-01T00:00:00Z, UUIDs are text in canonical
-- form, payloads and metadata are JSON text. book_id comes first in every key.

-- +goose Up
CREATE TABLE books (
	book_id    INTEGER NOT NULL PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	created_at INTEGER NOT NULL
) STRICT;

-- One row a book: the last place given out. recorded_at begins at what a Go program
-- takes for "no time", the beginning of the year 1. inline is the revision of the set of
-- projections that are written together with the events: whoever appends must know them.
CREATE TABLE heads (
	book_id     INTEGER NOT NULL PRIMARY KEY REFERENCES books,
	position    INTEGER NOT NULL,
	recorded_at INTEGER NOT NULL,
	incarnation TEXT    NOT NULL,
	inline      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- WITHOUT ROWID: the table is its primary key, so a book is read in the order it
-- is stored in, and one index less is written.
CREATE TABLE events (
	book_id         INTEGER NOT NULL REFERENCES books,
	position        INTEGER NOT NULL CHECK (position >= 1),
	aggregate_type  TEXT    NOT NULL,
	aggregate_id    TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL CHECK (sequence_number >= 1),
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
CREATE UNIQUE INDEX events_by_event_id ON events (book_id, event_id);

-- +goose StatementBegin
CREATE TRIGGER events_never_updated BEFORE UPDATE ON events
BEGIN
	SELECT RAISE(ABORT, 'daybook: events are append-only: UPDATE is refused');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN
	SELECT RAISE(ABORT, 'daybook: events are append-only: DELETE is refused');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE deletes the row in its way without firing a DELETE trigger
-- (unless recursive_triggers is on, which is each connection's own choice).
-- +goose StatementBegin
CREATE TRIGGER events_never_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE book_id = NEW.book_id AND position = NEW.position)
	OR EXISTS (SELECT 1 FROM events WHERE book_id = NEW.book_id AND event_id = NEW.event_id)
	OR EXISTS (SELECT 1 FROM events WHERE book_id = NEW.book_id AND aggregate_id = NEW.aggregate_id AND sequence_number = NEW.sequence_number)
BEGIN
	SELECT RAISE(ABORT, 'daybook: events are append-only: the place or the event id is taken');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER books_never_updated BEFORE UPDATE ON books
BEGIN
	SELECT RAISE(ABORT, 'daybook: a book keeps its name and number: UPDATE is refused');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER books_never_deleted BEFORE DELETE ON books
BEGIN
	SELECT RAISE(ABORT, 'daybook: a book is for ever: DELETE is refused');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER books_never_replaced BEFORE INSERT ON books
WHEN EXISTS (SELECT 1 FROM books WHERE book_id = NEW.book_id OR name = NEW.name)
BEGIN
	SELECT RAISE(ABORT, 'daybook: the name or the number of the book is taken');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER heads_never_back BEFORE UPDATE ON heads
WHEN NEW.book_id <> OLD.book_id OR NEW.position < OLD.position OR NEW.recorded_at < OLD.recorded_at
BEGIN
	SELECT RAISE(ABORT, 'daybook: a head only moves forward');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER heads_never_deleted BEFORE DELETE ON heads
BEGIN
	SELECT RAISE(ABORT, 'daybook: a book has its head for ever: DELETE is refused');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER heads_never_replaced BEFORE INSERT ON heads
WHEN EXISTS (SELECT 1 FROM heads WHERE book_id = NEW.book_id)
BEGIN
	SELECT RAISE(ABORT, 'daybook: a book has one head');
END;
-- +goose StatementEnd
