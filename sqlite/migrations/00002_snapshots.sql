-- Snapshots: states kept so that the events before them need not be folded again. A
-- cache, and never an authority: each carries what it takes to find out that it is
-- not the fold of its events, and whoever uses one looks. So this table is not
-- append-only, and no trigger guards it.

-- +goose Up

-- Several per aggregate, so that the past is near one too. fold is the fingerprint of
-- what made the state, position and recorded_at are of its last event, occurred_max is
-- over all events in it. The segment since_sequence < n <= sequence_number has nothing
-- that occurred before occurred_min: a question about an earlier time passes over it.
-- checksum is over all of these and state_hash, which is over the state. Hashes are
-- hexadecimal.
CREATE TABLE snapshots (
	book_id         INTEGER NOT NULL REFERENCES books,
	aggregate_type  TEXT    NOT NULL,
	aggregate_id    TEXT    NOT NULL,
	fold            TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL CHECK (sequence_number >= 1),
	position        INTEGER NOT NULL CHECK (position >= 1),
	recorded_at     INTEGER NOT NULL,
	occurred_max    INTEGER NOT NULL,
	since_sequence  INTEGER NOT NULL CHECK (since_sequence >= 0),
	occurred_min    INTEGER NOT NULL,
	state           TEXT    NOT NULL,
	state_hash      TEXT    NOT NULL,
	checksum        TEXT    NOT NULL,
	PRIMARY KEY (book_id, aggregate_id, fold, sequence_number)
) STRICT, WITHOUT ROWID;

-- Numbers, positions and times grow together along an aggregate, so "the newest at or
-- below" is one step in an index for each.
CREATE INDEX snapshots_by_position ON snapshots (book_id, aggregate_id, fold, position);
CREATE INDEX snapshots_by_recorded_at ON snapshots (book_id, aggregate_id, fold, recorded_at, sequence_number);
