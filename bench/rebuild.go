package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// rebuildEach is how many events each account has whose balance is made anew.
const rebuildEach = 100

// prepareRebuild fills a book of many accounts, and sets up making their balances anew, by
// the library and by hand, each in a new process every time.
func prepareRebuild(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	if err := fillWide(ctx, book, s.BookEvents, rebuildEach); err != nil {
		return nil, err
	}
	if _, err := book.Rebuild(ctx, newBalances(), daybook.RebuildOptions{}); err != nil { // so that every round switches from one to the next
		return nil, err
	}
	forget(s, book)
	ours := s.inProcess(nameDaybook, doRebuild, s.BookEvents)
	ours.verify = func(ctx context.Context) error { return auditBalances(ctx, s, book, viewTable(book)) }
	theirs := s.inProcess(nameRaw, doRebuild, s.BookEvents)
	theirs.verify = func(ctx context.Context) error { return auditBalances(ctx, s, book, s.target(nameRaw).table()) }
	return []contender{ours, theirs}, nil
}

// rebuild makes the read model anew.
func rebuild(ctx context.Context, asked request) (s sample, err error) {
	work := rebuildByHand
	if asked.Contender == nameDaybook {
		work = rebuildByLibrary
	}
	used := processCPU()
	events, took, err := work(ctx, asked.Target)
	s = sample{Events: events, Elapsed: took, Client: processCPU() - used, Latency: newLatencies(), PeakRSS: peakRSS()}
	s.Latency.add(took)
	return s, err
}

func rebuildByLibrary(ctx context.Context, t target) (events int64, took time.Duration, err error) {
	book, closeBook, err := openBook(ctx, t)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, closeBook()) }()
	view := newBalances()
	start := time.Now()
	made, err := book.Rebuild(ctx, view, daybook.RebuildOptions{})
	took = time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	if made.Resumed != 0 || made.Rows != max(1, made.Position/rebuildEach) {
		return 0, 0, fmt.Errorf("the rebuild has not made it anew: %+v", made)
	}
	_, err = book.DropKept(ctx, view)
	return made.Position, took, err
}

// rebuildByHand does the least that a rebuild can do: it streams the columns it needs in
// one query, decodes, folds in a map, and copies that into a new table, which takes the
// old one's place. It proves nothing, cannot go on where it was, and needs the memory for all rows.
func rebuildByHand(ctx context.Context, t target) (events int64, took time.Duration, err error) {
	conn, err := openReader(ctx, t.DSN)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	id, err := bookID(ctx, conn, t.Book)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	all := balances{}
	registry := newRegistry()
	rec := daybook.Recorded{Aggregate: daybook.AggregateID{Type: aggregateType}, EventType: eventType}
	add := func(raw [][]byte) error {
		if string(raw[3]) != eventType {
			return fmt.Errorf("position %d is a %s", integer(raw[0]), raw[3])
		}
		rec.Position, rec.Aggregate.ID, rec.SequenceNumber = integer(raw[0]), daybook.UUID(raw[1]), integer(raw[2])
		rec.SchemaVersion, rec.Payload = int(binary.BigEndian.Uint32(raw[4])), raw[5]
		rec.OccurredAt, rec.RecordedAt = instant(raw[6]), instant(raw[7])
		event, err := paidOf(registry.Decode(rec))
		if err != nil {
			return err
		}
		events++
		all.add(event, &rec)
		return nil
	}
	err = eachRow(ctx, conn, add, `SELECT position, aggregate_id, sequence_number, event_type, schema_version, payload, occurred_at, recorded_at
FROM daybook.events WHERE book_id = $1 ORDER BY position`, id)
	if err == nil {
		err = copyBalances(ctx, conn, t, all)
	}
	return events, time.Since(start), err
}

// balancesSQL makes a table as the view's is, in the place of the one that was there.
const balancesSQL = `
DROP TABLE IF EXISTS %[1]s;
CREATE TABLE %[1]s (
	account_id uuid NOT NULL, handle text COLLATE "C" NOT NULL, owner text COLLATE "C" NOT NULL, currency text COLLATE "C" NOT NULL,
	balance bigint NOT NULL, status text COLLATE "C" NOT NULL, overflow boolean NOT NULL,
	handle_key text COLLATE "C" NOT NULL, owner_key text COLLATE "C" NOT NULL, search text COLLATE "C" NOT NULL,
	deposits bigint NOT NULL, withdrawals bigint NOT NULL, sent bigint NOT NULL, received bigint NOT NULL, opened_at timestamptz,
	sequence_number bigint NOT NULL, position bigint NOT NULL, last_event text COLLATE "C" NOT NULL,
	last_occurred_at timestamptz NOT NULL, last_recorded_at timestamptz NOT NULL
)`

// copyBalances makes the table and its indexes, these when the rows are there.
func copyBalances(ctx context.Context, conn *pgx.Conn, t target, all balances) error {
	rows := make([][]any, 0, len(all))
	for key, row := range all {
		rows = append(rows, row.values(key))
	}
	indexes := fmt.Sprintf(`ALTER TABLE %s ADD PRIMARY KEY (account_id)`, t.table())
	for _, column := range balanceIndexes {
		indexes += fmt.Sprintf(`; CREATE INDEX ON %s (%s)`, t.table(), column)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(balancesSQL, t.table()), pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			_, err = tx.CopyFrom(ctx, pgx.Identifier{t.Schema, t.Table}, balanceColumns, pgx.CopyFromRows(rows))
		}
		if err == nil {
			_, err = tx.Exec(ctx, indexes, pgx.QueryExecModeSimpleProtocol)
		}
		return err
	})
}
