-- Snapshots: states kept so that the events before them need not be folded again. A
-- cache, and never an authority: each carries what it takes to find out that it is
-- not the fold of its events, and whoever uses one looks. So this table is not
-- append-only, no trigger guards it, and a program writes to it directly.

-- +goose Up

-- Several per aggregate, so that the past is near one too. fold is the fingerprint of
-- what made the state, position and recorded_at are of its last event, occurred_max is
-- over all events in it. The segment since_sequence < n <= sequence_number has nothing
-- that occurred before occurred_min: a question about an earlier time passes over it.
-- checksum is over all of these and state_hash, which is over the state.
CREATE TABLE daybook.snapshots (
    book_id         bigint      NOT NULL,
    aggregate_type  text        NOT NULL CHECK (octet_length(aggregate_type) BETWEEN 1 AND 100),
    aggregate_id    uuid        NOT NULL,
    fold            bytea       NOT NULL CHECK (octet_length(fold) = 32),
    sequence_number bigint      NOT NULL CHECK (sequence_number >= 1),
    position        bigint      NOT NULL CHECK (position >= 1),
    recorded_at     timestamptz NOT NULL,
    occurred_max    timestamptz NOT NULL,
    since_sequence  bigint      NOT NULL CHECK (since_sequence >= 0),
    occurred_min    timestamptz NOT NULL,
    state           jsonb       NOT NULL,
    state_hash      bytea       NOT NULL CHECK (octet_length(state_hash) = 32),
    checksum        bytea       NOT NULL CHECK (octet_length(checksum) = 32),
    PRIMARY KEY (book_id, aggregate_id, fold, sequence_number)
);
COMMENT ON TABLE daybook.snapshots IS 'States kept at a sequence number: a cache, any row may be deleted at any time.';

-- Numbers, positions and times grow together along an aggregate, so "the newest at or
-- below" is one step in an index for each.
CREATE INDEX snapshots_by_position ON daybook.snapshots (book_id, aggregate_id, fold, position);
CREATE INDEX snapshots_by_recorded_at ON daybook.snapshots (book_id, aggregate_id, fold, recorded_at, sequence_number);

REVOKE ALL ON daybook.snapshots FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON daybook.snapshots TO daybook_app;
