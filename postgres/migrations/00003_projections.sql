-- Projections: how far each one has come, what it passes over, and a schema for the
-- tables it makes. All of that can be made again from the events, so none of it is
-- append-only, and a program writes to it directly.

-- +goose Up

-- A row a generation of a projection. Whoever changes it says which revision he has
-- seen, so that two who work on the same one cannot both go on. table_name is '' and
-- runner the nil UUID where there is none, failed 0. Names are ordered by their bytes.
-- It is written to once or more a second by each projection: the free space keeps its
-- versions on their pages.
CREATE TABLE daybook.checkpoints (
    book_id     bigint           NOT NULL,
    projection  text COLLATE "C" NOT NULL CHECK (octet_length(projection) BETWEEN 1 AND 100),
    generation  bigint           NOT NULL CHECK (generation >= 1),
    kind        text             NOT NULL CHECK (kind IN ('inline', 'behind', 'subscription')),
    state       text             NOT NULL CHECK (state IN ('building', 'live', 'kept', 'copied')),
    declared    bytea            NOT NULL CHECK (octet_length(declared) = 32),
    table_name  text             NOT NULL CHECK (octet_length(table_name) <= 63),
    version     bigint           NOT NULL CHECK (version >= 0),
    shape       text             NOT NULL,
    position    bigint           NOT NULL CHECK (position >= 0),
    recorded_at timestamptz      NOT NULL,
    incarnation uuid             NOT NULL,
    paused      boolean          NOT NULL,
    failed      bigint           NOT NULL CHECK (failed >= 0),
    failure     text             NOT NULL,
    rate        double precision NOT NULL,
    runner      uuid             NOT NULL,
    revision    bigint           NOT NULL CHECK (revision >= 1),
    updated_at  timestamptz      NOT NULL,
    PRIMARY KEY (book_id, projection, generation)
) WITH (fillfactor = 50);
COMMENT ON TABLE daybook.checkpoints IS 'How far each generation of a projection has come: it is written in the transaction that writes its table.';

-- What readers see, and what is to take its place, is one at most.
CREATE UNIQUE INDEX checkpoints_live_key ON daybook.checkpoints (book_id, projection) WHERE state = 'live';
CREATE UNIQUE INDEX checkpoints_building_key ON daybook.checkpoints (book_id, projection) WHERE state = 'building';

CREATE TABLE daybook.skips (
    book_id    bigint           NOT NULL,
    projection text COLLATE "C" NOT NULL CHECK (octet_length(projection) BETWEEN 1 AND 100),
    position   bigint           NOT NULL CHECK (position >= 1),
    reason     text             NOT NULL,
    skipped_at timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book_id, projection, position)
);
COMMENT ON TABLE daybook.skips IS 'Events that a projection passes over, because somebody has said so.';

REVOKE ALL ON daybook.checkpoints, daybook.skips FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON daybook.checkpoints, daybook.skips TO daybook_app;

-- +goose StatementBegin
DO $$
BEGIN
    -- Not IF NOT EXISTS: that needs the privilege even where the schema exists.
    IF to_regnamespace('daybook_views') IS NULL THEN
        CREATE SCHEMA daybook_views;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'daybook: the schema daybook_views is missing and % may not create it: have an administrator run "CREATE SCHEMA daybook_views AUTHORIZATION %", then migrate again', current_user, quote_ident(current_user)
            USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

COMMENT ON SCHEMA daybook_views IS 'Tables of projections: made, changed and dropped by programs; and views, which stand for those that are live.';
REVOKE ALL ON SCHEMA daybook_views FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA daybook_views TO daybook_app;
