package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// prepareRebuild sets up making a read model of a whole book anew, by the library and by
// hand, each in a new process every time. The book is that of [prepareVerify].
func prepareRebuild(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.wideBook(ctx)
	if err != nil {
		return nil, err
	}
	view := newBalances(perAccount)
	if _, err := book.Rebuild(ctx, view, daybook.RebuildOptions{}); err != nil { // so that every round switches from one to the next
		return nil, err
	}
	forget(s, book, view)
	ours := s.inProcess(nameDaybook, doRebuild, s.BookEvents)
	ours.verify = func(ctx context.Context) error { return auditView(ctx, s, book, view, byAccount) }
	theirs := s.inProcess(nameRaw, doRebuild, s.BookEvents)
	theirs.verify = func(ctx context.Context) error {
		want, err := foldBook(ctx, book, byAccount)
		if err != nil {
			return err
		}
		got, err := readBalances(ctx, s.pool, s.target(nameRaw).table())
		if err != nil {
			return err
		}
		return want.compare(got)
	}
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
	view := newBalances(perAccount)
	start := time.Now()
	made, err := book.Rebuild(ctx, view, daybook.RebuildOptions{})
	took = time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	if made.Resumed != 0 || made.Rows != min(made.Position, maxAccounts) {
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
	rows := map[int64]balance{}
	registry := newRegistry()
	add := func(raw [][]byte) error {
		rec := daybook.Recorded{EventType: string(raw[0]), SchemaVersion: int(raw[1][3]), Payload: raw[2], RecordedAt: instant(raw[3])}
		event, err := paidOf(registry.Decode(rec))
		if err != nil {
			return err
		}
		events++
		at := accountOf(event)
		rows[at] = rows[at].add(event, rec.RecordedAt)
		return nil
	}
	err = eachRow(ctx, conn, add, `SELECT event_type, schema_version, payload, recorded_at FROM daybook.events WHERE book_id = $1 ORDER BY position`, id)
	if err == nil {
		err = copyBalances(ctx, conn, t, rows)
	}
	return events, time.Since(start), err
}

// balancesSQL makes a table as the view's is, in the place of the one that was there.
const balancesSQL = `
DROP TABLE IF EXISTS %[1]s;
CREATE TABLE %[1]s (
	key      bigint           NOT NULL PRIMARY KEY,
	currency text COLLATE "C" NOT NULL,
	balance  bigint           NOT NULL,
	events   bigint           NOT NULL,
	last_at  timestamptz      NOT NULL
);
CREATE INDEX ON %[1]s (balance)`

func copyBalances(ctx context.Context, conn *pgx.Conn, t target, rows map[int64]balance) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(balancesSQL, t.table()), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		all := make([][]any, 0, len(rows))
		for key, row := range rows {
			all = append(all, []any{key, row.Currency, row.Balance, row.Events, row.LastAt})
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{t.Schema, t.Table}, []string{"key", "currency", "balance", "events", "last_at"}, pgx.CopyFromRows(all))
		return err
	})
}
