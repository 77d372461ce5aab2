-- What projections keep: how far each has come, and what it passes over. Their tables
-- are made as they are declared, and are no part of any migration.

-- +goose Up

-- A generation of a projection is made once, from the first event on. declared is the
-- fingerprint of the declaration it was made by, hexadecimal; a runner nobody is and an
-- incarnation that is not known are the nil UUID. Of one that is live, inline and not
-- paused, position and recorded_at are the head's: what is here is not looked at.
CREATE TABLE checkpoints (
	book_id     INTEGER NOT NULL REFERENCES books,
	projection  TEXT    NOT NULL,
	generation  INTEGER NOT NULL CHECK (generation >= 1),
	kind        TEXT    NOT NULL CHECK (kind IN ('inline', 'behind', 'subscription')),
	state       TEXT    NOT NULL CHECK (state IN ('building', 'live', 'kept', 'copied')),
	declared    TEXT    NOT NULL,
	table_name  TEXT    NOT NULL,
	version     INTEGER NOT NULL CHECK (version >= 0),
	shape       TEXT    NOT NULL,
	position    INTEGER NOT NULL CHECK (position >= 0),
	recorded_at INTEGER NOT NULL,
	incarnation TEXT    NOT NULL,
	paused      INTEGER NOT NULL CHECK (paused IN (0, 1)),
	failed      INTEGER NOT NULL CHECK (failed >= 0),
	failure     TEXT    NOT NULL,
	rate        REAL    NOT NULL,
	runner      TEXT    NOT NULL,
	revision    INTEGER NOT NULL CHECK (revision >= 1),
	updated_at  INTEGER NOT NULL,
	PRIMARY KEY (book_id, projection, generation)
) STRICT, WITHOUT ROWID;

-- Readers go by the one that is live, and a rebuild makes one at a time.
CREATE UNIQUE INDEX checkpoints_live ON checkpoints (book_id, projection) WHERE state = 'live';
CREATE UNIQUE INDEX checkpoints_building ON checkpoints (book_id, projection) WHERE state = 'building';

CREATE TABLE skips (
	book_id    INTEGER NOT NULL REFERENCES books,
	projection TEXT    NOT NULL,
	position   INTEGER NOT NULL CHECK (position >= 1),
	reason     TEXT    NOT NULL,
	skipped_at INTEGER NOT NULL,
	PRIMARY KEY (book_id, projection, position)
) STRICT, WITHOUT ROWID;
