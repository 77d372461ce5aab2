package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// counting is inline work that counts deposits by account in a table, and how often it
// was called.
type counting struct {
	table daybook.Table
	calls int
	// after runs when the work is done, and may spoil it.
	after func(rows []daybook.Recorded) error
	// apply is hand-written SQL, or nil.
	apply func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error
}

func (c *counting) inline(revision int64) daybook.InlineWork {
	return daybook.InlineWork{Revision: revision, Keys: c.keys, Fold: c.fold, Apply: c.apply}
}

func (c *counting) keys(rows []daybook.Recorded) ([]daybook.TableKeys, error) {
	keys := daybook.TableKeys{Table: c.table}
	seen := map[daybook.UUID]bool{}
	for _, rec := range rows {
		if id := rec.Aggregate.ID; !seen[id] {
			seen[id] = true
			keys.Keys = append(keys.Keys, []any{id})
		}
	}
	return []daybook.TableKeys{keys}, nil
}

func (c *counting) fold(rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
	c.calls++
	counts := map[daybook.UUID]int64{}
	for _, row := range loaded[0] {
		counts[row[0].(daybook.UUID)] = row[1].(int64) //nolint:forcetypeassert // or the test fails
	}
	for _, rec := range rows {
		if rec.Position == 0 || rec.RecordedAt.IsZero() || rec.OccurredAt.IsZero() {
			return nil, errors.New("the events have no place")
		}
		counts[rec.Aggregate.ID]++
	}
	out := daybook.TableRows{Table: c.table}
	for id, n := range counts {
		out.Rows = append(out.Rows, []any{id, n})
	}
	if c.after != nil {
		return []daybook.TableRows{out}, c.after(rows)
	}
	return []daybook.TableRows{out}, nil
}

// counts are the table, by account.
func counts(t testing.TB, db *DB, table daybook.Table) map[daybook.UUID]int64 {
	t.Helper()
	out := map[daybook.UUID]int64{}
	for _, row := range selectAll(t, db, table) {
		out[row[0].(daybook.UUID)] = row[1].(int64) //nolint:forcetypeassert // or the test fails
	}
	return out
}

// I10: what inline work writes is in the transaction of the append.
func TestInlineAppend(t *testing.T) {
	t.Parallel()
	for name, guessed := range map[string]bool{"guessed": true, "locked": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, book, conn := openBook(t)
			work := &counting{table: balances("balances")}
			createTable(t, db, book, work.table)
			a, b := account(), account()
			one := func(aggregate daybook.AggregateID, n int, at int64) daybook.Append {
				out := deposits(aggregate, n)
				if guessed {
					out.Entries[0].Expected = daybook.Exactly(at)
				}
				return out
			}
			first := []daybook.Append{one(a, 2, 0), one(b, 1, 0)}
			for _, batch := range [][]daybook.Append{first, {one(a, 1, 2)}, {one(a, 1, 3), one(b, 3, 1)}} {
				outcomes, err := db.Append(t.Context(), book, batch, work.inline(0))
				if err != nil || outcomes[0].Err != nil {
					t.Fatal(outcomes, err)
				}
			}
			if diff := cmp.Diff(map[daybook.UUID]int64{a.ID: 4, b.ID: 4}, counts(t, db, work.table)); diff != "" || work.calls != 3 {
				t.Errorf("the table differs: %s, after %d calls", diff, work.calls)
			}
			wantHead(t, conn, book, 8)

			t.Run("a repeated append does not call it", func(t *testing.T) {
				outcomes, err := db.Append(t.Context(), book, first, work.inline(0))
				if err != nil || !outcomes[0].Duplicate || work.calls != 3 {
					t.Errorf("outcomes are %+v, error %v, %d calls", outcomes, err, work.calls)
				}
			})
			t.Run("a conflict does not reach it", func(t *testing.T) {
				refused, fine := deposits(a, 1), deposits(b, 1)
				refused.Entries[0].Expected = daybook.Exactly(1)
				fine.Entries[0].Expected = daybook.Exactly(4)
				outcomes, err := db.Append(t.Context(), book, []daybook.Append{refused, fine}, work.inline(0))
				if err != nil || !errors.Is(outcomes[0].Err, daybook.ErrConflict) || outcomes[1].Err != nil || outcomes[1].Records[0].Position != 9 {
					t.Errorf("outcomes are %+v, error %v", outcomes, err)
				}
				if got := counts(t, db, work.table); got[a.ID] != 4 || got[b.ID] != 5 {
					t.Errorf("counts are %v", got)
				}
			})
		})
	}
}

func TestInlineAppendThatFails(t *testing.T) {
	t.Parallel()
	errSpoilt := errors.New("spoilt")
	bothWays(t, func(t *testing.T, one func() daybook.Append) {
		t.Helper()
		db, book, conn := openBook(t)
		table := balances("balances")
		createTable(t, db, book, table)
		for name, test := range map[string]struct {
			work counting
			want func(error) bool
		}{
			"its fold": {counting{after: func([]daybook.Recorded) error { return errSpoilt }}, func(err error) bool { return errors.Is(err, errSpoilt) }},
			"its fold, as the server might": {counting{after: func([]daybook.Recorded) error { return &daybook.ConflictError{} }}, func(err error) bool {
				return errors.Is(err, daybook.ErrConflict)
			}},
			"its hand-written SQL": {counting{apply: func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO daybook_views.balances SELECT account, 1 FROM daybook_views.balances UNION ALL SELECT $1, 1 UNION ALL SELECT $1, 1`, daybook.NewUUID())
				return err
			}}, func(err error) bool { return sqlState(err) == codeUnique }},
			"its hand-written SQL, and it says nothing": {counting{apply: func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				_, _ = tx.ExecContext(ctx, `SELECT 1/0`)
				return nil
			}}, func(err error) bool { return errors.Is(err, errFailed) }},
			"its hand-written SQL, with rows left open": {counting{apply: func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				_, err := tx.QueryContext(ctx, `SELECT n FROM generate_series(1, 100000) AS n`) //nolint:rowserrcheck,sqlclosecheck // which is the mistake
				return err
			}}, func(err error) bool { return errors.Is(err, errRowsOpen) }},
			"its hand-written SQL, within rows": {counting{apply: func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				if _, err := tx.QueryContext(ctx, `SELECT n FROM generate_series(1, 100000) AS n`); err != nil { //nolint:rowserrcheck,sqlclosecheck // which is the mistake
					return err
				}
				return tx.QueryRowContext(ctx, `SELECT 1`).Scan(new(int))
			}}, func(err error) bool { return errors.Is(err, errRowsOpen) }},
			"its rows": {counting{table: daybook.Table{Name: "balances", Key: 1, Columns: []daybook.Column{table.Columns[0], {Name: "deposits", Type: daybook.TextColumn}}}}, func(err error) bool {
				return isTablesError(err) && err != nil
			}},
		} {
			work := &test.work
			if work.table.Name == "" {
				work.table = table
			}
			_, err := db.Append(t.Context(), book, []daybook.Append{one()}, work.inline(0))
			if !test.want(err) || errors.Is(err, daybook.ErrUnclear) {
				t.Errorf("%s: error is %v", name, err)
			}
		}
		wantHead(t, conn, book, 0)
		if got := counts(t, db, table); len(got) > 0 {
			t.Errorf("the table has %v", got)
		}
		if open := value[int64](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daybook' AND datname = current_database() AND state LIKE 'idle in transaction%'`); open != 0 {
			t.Errorf("%d connections are left in a transaction", open)
		}
	})
}

func TestInlineAppendThatPanics(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, one func() daybook.Append) {
		t.Helper()
		db, book, conn := openBook(t)
		table := balances("balances")
		createTable(t, db, book, table)
		for name, work := range map[string]counting{
			"its fold":             {after: func([]daybook.Recorded) error { panic("spoilt") }},
			"its hand-written SQL": {apply: func(context.Context, daybook.Tx, []daybook.Recorded) error { panic("spoilt") }},
			"its hand-written SQL, with rows left open": {apply: func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				_, _ = tx.QueryContext(ctx, `SELECT n FROM generate_series(1, 100000) AS n`) //nolint:rowserrcheck,sqlclosecheck // which is the mistake
				panic("spoilt")
			}},
		} {
			func() {
				defer func() {
					if got := recover(); got != "spoilt" {
						t.Errorf("%s: recovered %v", name, got)
					}
				}()
				work.table = table
				_, err := db.Append(t.Context(), book, []daybook.Append{one()}, work.inline(0))
				t.Errorf("%s: error is %v, want a panic", name, err)
			}()
		}
		wantHead(t, conn, book, 0)
		appendOne(t, db, book, one())
		// The pool ends what is in a transaction aside.
		for deadline := time.Now().Add(patience); db.pool.Stat().AcquiredConns() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are not given back", db.pool.Stat().AcquiredConns())
			}
		}
	})
}

func TestInlineAppendThatIsBehind(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, one func() daybook.Append) {
		t.Helper()
		db, book, conn := openBook(t)
		work := &counting{table: balances("balances")}
		createTable(t, db, book, work.table)
		transactOn(t, db, book, true, func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, 3) })
		two := []daybook.Append{one(), one()}
		for _, inline := range []daybook.InlineWork{{}, {Revision: 2}, {Revision: 4}, work.inline(0), work.inline(2)} {
			for _, batch := range [][]daybook.Append{{one()}, two} {
				if _, err := db.Append(t.Context(), book, batch, inline); !errors.Is(err, daybook.ErrInlineChanged) {
					t.Errorf("revision %d: error is %v", inline.Revision, err)
				}
			}
		}
		wantHead(t, conn, book, 0)
		if work.calls != 0 {
			t.Errorf("it was called %d times", work.calls)
		}
		if _, err := db.Append(t.Context(), book, two, work.inline(3)); err != nil {
			t.Error(err)
		}
		wantHead(t, conn, book, 2)

		t.Run("also where its table is gone", func(t *testing.T) {
			transactOn(t, db, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
				return errors.Join(tx.SetInline(ctx, 4), tx.DropTable(ctx, work.table.Name))
			})
			for _, open := range []*DB{db, openDB(t, conn.Config().ConnString())} {
				if _, err := open.Append(t.Context(), book, []daybook.Append{one()}, work.inline(3)); !errors.Is(err, daybook.ErrInlineChanged) {
					t.Errorf("error is %v", err)
				}
			}
			_, err := db.Append(t.Context(), book, []daybook.Append{one()}, work.inline(4))
			if sqlState(err) != "42P01" || errors.Is(err, daybook.ErrInlineChanged) || errors.Is(err, daybook.ErrSchema) {
				t.Errorf("with a table that is missing: error is %v", err)
			}
		})
	})
}

// What ends in between leaves nothing behind, and no doubt where none is due.
func TestInlineAppendThatIsLost(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, one func() daybook.Append) {
		t.Helper()
		db, book, conn := openBook(t)
		work := &counting{table: balances("balances")}
		createTable(t, db, book, work.table)
		a := one()
		work.after = func([]daybook.Recorded) error {
			pid := waitFor(t, conn, `state = 'idle in transaction'`)
			exec(t, conn, `SELECT pg_terminate_backend($1)`, pid)
			return nil
		}
		// The commit was sent, and nobody said what became of it.
		if _, err := db.Append(t.Context(), book, []daybook.Append{a}, work.inline(0)); !errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("error is %v", err)
		}
		wantHead(t, conn, book, 0)

		ctx, cancel := context.WithCancel(t.Context())
		work.after = func([]daybook.Recorded) error { cancel(); return nil }
		if _, err := db.Append(ctx, book, []daybook.Append{a}, work.inline(0)); !errors.Is(err, context.Canceled) || errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("with a context that has ended: error is %v", err)
		}
		wantHead(t, conn, book, 0)
		if got := counts(t, db, work.table); len(got) > 0 {
			t.Errorf("the table has %v", got)
		}

		work.after = nil
		outcomes, err := db.Append(t.Context(), book, []daybook.Append{a}, work.inline(0))
		if err != nil || outcomes[0].Duplicate || counts(t, db, work.table)[a.Entries[0].Aggregate.ID] != 1 {
			t.Errorf("outcomes are %+v, error %v, the table has %v", outcomes, err, counts(t, db, work.table))
		}
	})
}

// A connection that is lost while the hand-written SQL runs is another matter: no commit
// was sent.
func TestInlineAppendIsTriedAgain(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, one func() daybook.Append) {
		t.Helper()
		db, book, conn := openBook(t)
		calls := 0
		inline := daybook.InlineWork{Apply: func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error {
			if calls++; calls == 1 {
				_, err := tx.ExecContext(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
				return err
			}
			_, err := tx.ExecContext(ctx, `CREATE TABLE public.seen AS SELECT $1::bigint AS position`, rows[0].Position)
			return err
		}}
		if _, err := db.Append(t.Context(), book, []daybook.Append{one()}, inline); err != nil || calls != 2 {
			t.Errorf("error is %v after %d calls", err, calls)
		}
		wantHead(t, conn, book, 1)
		if got := value[int64](t, conn, `SELECT position FROM public.seen`); got != 1 {
			t.Errorf("it has seen position %d", got)
		}
	})
}

// Appends with inline work that race are in turn: no count is lost.
func TestInlineAppendsThatRace(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	table := balances("balances")
	createTable(t, db, book, table)
	aggregate := account()
	const writers, each = 8, 10
	errs := make(chan error, writers)
	for range writers {
		go func() {
			work := &counting{table: table}
			for range each {
				if _, err := db.Append(t.Context(), book, []daybook.Append{deposits(aggregate, 1)}, work.inline(0)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantHead(t, conn, book, writers*each)
	if got := counts(t, db, table)[aggregate.ID]; got != writers*each {
		t.Errorf("the count is %d", got)
	}
}

// A text that no index takes is blamed on its event, however the view is kept.
func TestATextTooLongForAnIndex(t *testing.T) {
	t.Parallel()
	type texts struct {
		Text string `db:",index"`
	}
	type said struct{ Text string }
	view := &daybook.View[daybook.UUID, texts]{
		Name: "texts", Keys: daybook.PerAggregate,
		Evolve: func(_ texts, _ daybook.UUID, e daybook.ProjectedEvent) (texts, bool) {
			return texts{e.Data.(said).Text}, false //nolint:forcetypeassert // or the test fails
		},
	}
	db, _, _ := openBook(t)
	registry := daybook.NewRegistry(daybook.Type[said]("Said"))
	book, err := daybook.Open(t.Context(), db, "texts", registry)
	if err != nil {
		t.Fatal(err)
	}
	var long strings.Builder // that is not to be compressed
	for range 500 {
		long.WriteString(daybook.NewUUID().String())
	}
	for _, text := range []string{"short", long.String(), "short again"} {
		if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: account(), Events: []daybook.Event{{Data: said{text}}}}); err != nil {
			t.Fatal(err)
		}
	}
	_, rebuildErr := book.Rebuild(t.Context(), view, daybook.RebuildOptions{})
	if err := book.DropProjection(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Rebuild": rebuildErr, "CatchUp": book.CatchUp(t.Context(), view)} {
		var failed *daybook.ProjectionError
		if !errors.As(err, &failed) || failed.Projection != "texts" || failed.Record.Position != 2 || !strings.Contains(err.Error(), "index") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// bothWays runs a test with an append that is guessed and one that is not.
func bothWays(t *testing.T, test func(t *testing.T, one func() daybook.Append)) {
	t.Helper()
	t.Run("guessed", func(t *testing.T) {
		t.Parallel()
		test(t, func() daybook.Append {
			a := deposits(account(), 1)
			a.Entries[0].Expected = daybook.NoEvents()
			return a
		})
	})
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		test(t, func() daybook.Append { return deposits(account(), 1) })
	})
}
