-- The book: its directory, its heads, its events, and the functions through which
-- alone a program writes. book_id comes first in every key and predicate; there is
-- no sequence, so that whatever has a number got it under a lock held until commit.

-- +goose Up

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'daybook_app') THEN
        -- A role belongs to the whole cluster: another database may be creating it
        -- at this moment.
        CREATE ROLE daybook_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'daybook: the role daybook_app is missing and % may not create it: have an administrator run "CREATE ROLE daybook_app NOLOGIN", then migrate again', current_user
            USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

CREATE TABLE daybook.books (
    book_id    bigint      NOT NULL PRIMARY KEY CHECK (book_id >= 1),
    name       text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE daybook.books IS 'The directory: one append-only log with one total order each.';

-- recorded_at begins at what a Go program takes for "no time". The row is updated
-- by every append: the free space keeps its versions on one page and out of the index.
CREATE TABLE daybook.heads (
    book_id     bigint      NOT NULL PRIMARY KEY REFERENCES daybook.books,
    position    bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    recorded_at timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
    incarnation uuid        NOT NULL DEFAULT gen_random_uuid(),
    inline      bigint      NOT NULL DEFAULT 0 CHECK (inline >= 0)
) WITH (fillfactor = 10);
COMMENT ON TABLE daybook.heads IS 'The last place given out in each book. An append holds the lock of its row until it has committed.';
COMMENT ON COLUMN daybook.heads.inline IS 'The revision of the set of inline projections: an append must know it, or it would leave one of them behind.';

CREATE TABLE daybook.events (
    book_id         bigint      NOT NULL,
    position        bigint      NOT NULL CHECK (position >= 1),
    aggregate_type  text        NOT NULL CHECK (octet_length(aggregate_type) BETWEEN 1 AND 100),
    aggregate_id    uuid        NOT NULL,
    sequence_number bigint      NOT NULL CHECK (sequence_number >= 1),
    event_id        uuid        NOT NULL,
    event_type      text        NOT NULL CHECK (octet_length(event_type) BETWEEN 1 AND 100),
    schema_version  integer     NOT NULL CHECK (schema_version >= 1),
    payload         jsonb       NOT NULL,
    metadata        jsonb       NOT NULL,
    occurred_at     timestamptz NOT NULL CHECK (occurred_at >= '1000-01-01 00:00:00+00' AND occurred_at < '9000-01-01 00:00:00+00'),
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, position),
    CONSTRAINT events_sequence_key UNIQUE (book_id, aggregate_id, sequence_number),
    CONSTRAINT events_event_id_key UNIQUE (book_id, event_id)
);
COMMENT ON TABLE daybook.events IS 'What happened, in order, for ever: append-only by privilege and by trigger.';

-- +goose StatementBegin
CREATE FUNCTION daybook.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'daybook: % are append-only: % is refused', tg_table_name, tg_op
        USING ERRCODE = 'ZD001', HINT = 'Append an event that says what has changed.';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION daybook.refuse_step_back() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'daybook: the head of book % is at position %, recorded at %, inline revision %: it may not go back', old.book_id, old.position, old.recorded_at, old.inline
        USING ERRCODE = 'ZD001';
END
$$;
-- +goose StatementEnd

-- Triggers per statement fire for no rows, too, and for ON CONFLICT DO UPDATE and
-- MERGE. ENABLE ALWAYS: session_replication_role does not switch them off.
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.events
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER heads_append_only BEFORE DELETE OR TRUNCATE ON daybook.heads
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER books_append_only BEFORE DELETE OR TRUNCATE ON daybook.books
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
-- After, and not before: a trigger before it makes every append lock the head twice.
CREATE TRIGGER heads_never_step_back AFTER UPDATE ON daybook.heads
    FOR EACH ROW WHEN (new.position < old.position OR new.recorded_at < old.recorded_at OR new.inline < old.inline)
    EXECUTE FUNCTION daybook.refuse_step_back();
ALTER TABLE daybook.events ENABLE ALWAYS TRIGGER events_append_only;
ALTER TABLE daybook.heads ENABLE ALWAYS TRIGGER heads_append_only;
ALTER TABLE daybook.heads ENABLE ALWAYS TRIGGER heads_never_step_back;
ALTER TABLE daybook.books ENABLE ALWAYS TRIGGER books_append_only;

-- open_book returns the id of the book of that name, making it when it is new.
-- +goose StatementBegin
CREATE FUNCTION daybook.open_book(book_name text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id bigint;
BEGIN
    SELECT b.book_id INTO id FROM daybook.books AS b WHERE b.name = book_name;
    IF found THEN
        RETURN id;
    END IF;
    IF book_name IS NULL OR octet_length(book_name) > 100 OR book_name !~ '^[A-Za-z][A-Za-z0-9_.-]*$' THEN
        RAISE EXCEPTION 'daybook: % is not the name of a book: use 1 to 100 ASCII letters, digits, ''_'', ''-'' or ''.'', the first a letter', quote_nullable(left(book_name, 64))
            USING ERRCODE = 'ZD004';
    END IF;
    LOCK TABLE daybook.books IN SHARE ROW EXCLUSIVE MODE;
    SELECT b.book_id INTO id FROM daybook.books AS b WHERE b.name = book_name; -- somebody may have been first
    IF NOT found THEN
        INSERT INTO daybook.books (book_id, name)
            SELECT coalesce(max(b.book_id), 0) + 1, book_name FROM daybook.books AS b
            RETURNING book_id INTO id;
        INSERT INTO daybook.heads (book_id) VALUES (id);
    END IF;
    RETURN id;
END
$$;
-- +goose StatementEnd

-- lock_head waits for whoever appends to the book, and makes all others wait until
-- the caller's transaction ends.
-- +goose StatementBegin
CREATE FUNCTION daybook.lock_head(book bigint, OUT head_position bigint, OUT head_recorded_at timestamptz, OUT head_inline bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT h.position, h.recorded_at, h.inline INTO head_position, head_recorded_at, head_inline
        FROM daybook.heads AS h WHERE h.book_id = book FOR NO KEY UPDATE;
    IF NOT found THEN
        RAISE EXCEPTION 'daybook: there is no book with the id %', book USING ERRCODE = 'ZD005';
    END IF;
END
$$;
-- +goose StatementEnd

-- fence moves the head's recorded_at up to up_to, or to the clock when that is
-- earlier, and returns the head.
-- +goose StatementBegin
CREATE FUNCTION daybook.fence(book bigint, up_to timestamptz, OUT head_position bigint, OUT head_recorded_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF up_to IS NULL THEN
        RAISE EXCEPTION 'daybook: fence: a time is needed' USING ERRCODE = 'ZD004';
    END IF;
    SELECT l.head_position, l.head_recorded_at INTO head_position, head_recorded_at FROM daybook.lock_head(book) AS l;
    up_to := least(up_to, clock_timestamp());
    IF head_recorded_at < up_to THEN
        UPDATE daybook.heads AS h SET recorded_at = up_to
            WHERE h.book_id = book RETURNING h.recorded_at INTO head_recorded_at;
    END IF;
END
$$;
-- +goose StatementEnd

-- set_inline moves the revision of the set of inline projections up. Who appends waits
-- until the caller's transaction has ended, and must know the new one then.
-- +goose StatementBegin
CREATE FUNCTION daybook.set_inline(book bigint, revision bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known bigint;
BEGIN
    SELECT l.head_inline INTO known FROM daybook.lock_head(book) AS l;
    IF revision IS NULL OR revision <= known THEN
        RAISE EXCEPTION 'daybook: set_inline: the inline projections of book % are at revision %: % does not come after it', book, known, coalesce(revision::text, 'null')
            USING ERRCODE = 'ZD004';
    END IF;
    UPDATE daybook.heads AS h SET inline = revision WHERE h.book_id = book;
END
$$;
-- +goose StatementEnd

-- append writes events and returns the position before the first one, and their
-- recorded_at. Where head is given, the book's head must be at that position; inline
-- must be the head's, which the update itself answers: to look would be another
-- statement. The update takes the head's lock where the caller has not, and the
-- positions are given here: no client, however wrong, makes a hole or writes out of
-- order. Head and events are written by one statement, which is a fifth faster than
-- two. Elements are taken by number, which costs the same for each because PL/pgSQL
-- keeps arrays unpacked; unnest takes 0.1 ms to begin with so many arrays.
--
-- Whoever listens to the channel daybook is told the book's id: a hint to look.
-- +goose StatementBegin
CREATE FUNCTION daybook.append(
    book             bigint,
    inline           bigint,
    head             bigint, -- or null
    aggregate_types  text[],
    aggregate_ids    uuid[],
    sequence_numbers bigint[],
    event_ids        uuid[],
    event_types      text[],
    schema_versions  integer[],
    payloads         jsonb[],
    metadatas        jsonb[],
    occurred_ats     timestamptz[], -- null where it is to equal recorded_at
    afters           uuid[], -- null, or the id of the event that the first one of its aggregate must follow
    OUT before       bigint,
    OUT stamp        timestamptz
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number CONSTANT integer := cardinality(event_ids);
    known  bigint;
    wrong  integer;
BEGIN
    IF number IS NULL OR number = 0
        OR number IS DISTINCT FROM cardinality(aggregate_types) OR number IS DISTINCT FROM cardinality(aggregate_ids)
        OR number IS DISTINCT FROM cardinality(sequence_numbers) OR number IS DISTINCT FROM cardinality(event_types)
        OR number IS DISTINCT FROM cardinality(schema_versions) OR number IS DISTINCT FROM cardinality(payloads)
        OR number IS DISTINCT FROM cardinality(metadatas) OR number IS DISTINCT FROM cardinality(occurred_ats)
        OR number IS DISTINCT FROM cardinality(afters)
    THEN
        RAISE EXCEPTION 'daybook: append: the arrays must have the same number of elements, at least one' USING ERRCODE = 'ZD004';
    END IF;

    WITH moved AS (
        UPDATE daybook.heads AS h
            SET position = h.position + number,
                recorded_at = greatest(clock_timestamp(), h.recorded_at + interval '1 microsecond')
            WHERE h.book_id = book AND (head IS NULL OR h.position = head)
            RETURNING h.position - number AS before, h.recorded_at AS stamp, h.inline AS head_inline
    ), written AS (
        INSERT INTO daybook.events (
                book_id, position, aggregate_type, aggregate_id, sequence_number, event_id, event_type,
                schema_version, payload, metadata, occurred_at, recorded_at)
            SELECT book, m.before + i, aggregate_types[i], aggregate_ids[i], sequence_numbers[i], event_ids[i], event_types[i],
                    schema_versions[i], payloads[i], metadatas[i], coalesce(occurred_ats[i], m.stamp), m.stamp
                FROM moved AS m, generate_series(1, number) AS i
    )
    SELECT m.before, m.stamp, m.head_inline INTO before, stamp, known FROM moved AS m;
    IF NOT found THEN
        RAISE EXCEPTION 'daybook: append: there is no book % with its head at position %', book, coalesce(head::text, 'any') USING ERRCODE = 'ZD002';
    END IF;
    IF known IS DISTINCT FROM inline THEN
        RAISE EXCEPTION 'daybook: append: the inline projections of book % are at revision %, not %', book, known, coalesce(inline::text, 'null') USING ERRCODE = 'ZD006';
    END IF;

    -- What comes before an event must be recorded, before this call or in it, and of
    -- the same type. After the INSERT, so that it sees rows just written. To look for
    -- what is the element before would be a fifth of the time of a long append.
    --
    -- The look is a step in the order of events_sequence_key. An equation would say the
    -- same, and a planner that knows nothing of the table yet may serve it by any index
    -- that begins with book_id: by a walk through the whole book.
    SELECT i INTO wrong
        FROM generate_series(1, number) AS i
        WHERE (sequence_numbers[i] <> 1 OR afters[i] IS NOT NULL)
            AND (afters[i] IS NULL AND aggregate_types[i] = aggregate_types[i - 1] AND aggregate_ids[i] = aggregate_ids[i - 1]
                AND sequence_numbers[i] = sequence_numbers[i - 1] + 1) IS NOT TRUE
            AND aggregate_types[i] IS DISTINCT FROM (
            SELECT CASE WHEN p.sequence_number = sequence_numbers[i] - 1 AND p.position < before + i AND (afters[i] IS NULL OR p.event_id = afters[i])
                    THEN p.aggregate_type END
                FROM daybook.events AS p
                WHERE p.book_id = book AND p.aggregate_id = aggregate_ids[i] AND p.sequence_number >= sequence_numbers[i] - 1
                ORDER BY p.sequence_number
                LIMIT 1)
        LIMIT 1;
    IF found THEN
        RAISE EXCEPTION 'daybook: append: sequence number % of %/% does not follow the event before it', sequence_numbers[wrong], left(aggregate_types[wrong], 100), aggregate_ids[wrong]
            USING ERRCODE = 'ZD003';
    END IF;
    PERFORM pg_notify('daybook', book::text);
END
$$;
-- +goose StatementEnd

-- append_one is append for a single event, for the caller who is alone: a third of the
-- time of append goes into taking arrays apart.
-- +goose StatementBegin
CREATE FUNCTION daybook.append_one(
    book            bigint,
    inline          bigint,
    aggregate_type  text,
    aggregate_id    uuid,
    sequence_number bigint,
    event_id        uuid,
    event_type      text,
    schema_version  integer,
    payload         jsonb,
    metadata        jsonb,
    occurred_at     timestamptz, -- null where it is to equal recorded_at
    after           uuid, -- null, or the id of the event that this one must follow
    OUT before      bigint,
    OUT stamp       timestamptz
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    follows CONSTANT boolean := sequence_number = 1 AND after IS NULL;
    known   bigint;
BEGIN
    WITH moved AS (
        UPDATE daybook.heads AS h
            SET position = h.position + 1,
                recorded_at = greatest(clock_timestamp(), h.recorded_at + interval '1 microsecond')
            WHERE h.book_id = book
            RETURNING h.position - 1 AS before, h.recorded_at AS stamp, h.inline AS head_inline
    ), written AS (
        INSERT INTO daybook.events (
                book_id, position, aggregate_type, aggregate_id, sequence_number, event_id, event_type,
                schema_version, payload, metadata, occurred_at, recorded_at)
            SELECT book, m.before + 1, aggregate_type, aggregate_id, sequence_number, event_id, event_type,
                    schema_version, payload, metadata, coalesce(occurred_at, m.stamp), m.stamp
                FROM moved AS m
    )
    SELECT m.before, m.stamp, m.head_inline INTO before, stamp, known FROM moved AS m;
    IF NOT found THEN
        RAISE EXCEPTION 'daybook: append: there is no book %', book USING ERRCODE = 'ZD002';
    END IF;
    IF known IS DISTINCT FROM inline THEN
        RAISE EXCEPTION 'daybook: append: the inline projections of book % are at revision %, not %', book, known, coalesce(inline::text, 'null') USING ERRCODE = 'ZD006';
    END IF;
    IF NOT follows AND aggregate_type IS DISTINCT FROM (
        SELECT CASE WHEN p.sequence_number = append_one.sequence_number - 1 AND (after IS NULL OR p.event_id = after) THEN p.aggregate_type END
            FROM daybook.events AS p
            WHERE p.book_id = book AND p.aggregate_id = append_one.aggregate_id AND p.sequence_number >= append_one.sequence_number - 1
            ORDER BY p.sequence_number
            LIMIT 1)
    THEN
        RAISE EXCEPTION 'daybook: append: sequence number % of %/% does not follow the event before it', sequence_number, left(aggregate_type, 100), aggregate_id
            USING ERRCODE = 'ZD003';
    END IF;
    PERFORM pg_notify('daybook', book::text);
END
$$;
-- +goose StatementEnd

-- An application's login is granted daybook_app. It reads the tables and writes
-- through the functions; nobody else does either.
REVOKE ALL ON SCHEMA daybook FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA daybook FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA daybook FROM PUBLIC;
GRANT USAGE ON SCHEMA daybook TO daybook_app;
GRANT SELECT ON daybook.books, daybook.heads, daybook.events, daybook.schema_migrations TO daybook_app;
GRANT EXECUTE ON FUNCTION
    daybook.open_book(text),
    daybook.lock_head(bigint),
    daybook.fence(bigint, timestamptz),
    daybook.set_inline(bigint, bigint),
    daybook.append_one(bigint, bigint, text, uuid, bigint, uuid, text, integer, jsonb, jsonb, timestamptz, uuid),
    daybook.append(bigint, bigint, bigint, text[], uuid[], bigint[], uuid[], text[], integer[], jsonb[], jsonb[], timestamptz[], uuid[])
    TO daybook_app;
