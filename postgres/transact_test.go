package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daybook-go/daybook"
)

func checkpoint(projection string, generation int64) daybook.Checkpoint {
	return daybook.Checkpoint{
		Projection: projection, Generation: generation, Kind: daybook.KindBehind, State: daybook.GenerationBuilding,
		Declared: daybook.Fold{1, 2, 3}, Table: "balances_1", Position: 7, RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Incarnation: daybook.NewUUID(), Paused: true, Failed: 8, Failure: "because", Rate: 1.5, Runner: daybook.NewUUID(),
	}
}

// put writes a checkpoint in a transaction of its own.
func put(t testing.TB, db *DB, book daybook.BookID, c daybook.Checkpoint) (written bool) {
	t.Helper()
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) (err error) {
		written, err = tx.PutCheckpoint(ctx, c)
		return err
	})
	return written
}

func TestCheckpoints(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	other, err := db.OpenBook(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	zero := daybook.Checkpoint{Projection: "Zero", Generation: 1, Kind: daybook.KindInline, State: daybook.GenerationKept}
	first, second := checkpoint("a", 1), checkpoint("a", 2)
	second.State = daybook.GenerationLive
	for _, c := range []daybook.Checkpoint{second, first, zero} {
		if !put(t, db, book, c) || !put(t, db, other, c) {
			t.Fatalf("%+v was not written", c)
		}
	}
	want := []daybook.Checkpoint{zero, first, second} // by bytes: capitals first
	for i := range want {
		want[i].Revision = 1
	}
	list := func(projection string, want ...daybook.Checkpoint) {
		t.Helper()
		wantCheckpoints(t, db, book, projection, want)
	}
	list("", want...)
	list("a", first1(first), first1(second))
	list("nobody")

	t.Run("who knows another revision writes nothing", func(t *testing.T) {
		for _, revision := range []int64{0, 2} {
			again := first
			again.Revision, again.Position = revision, 99
			if put(t, db, book, again) {
				t.Errorf("written over revision %d", revision)
			}
			transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
				dropped, err := tx.DropCheckpoint(ctx, again)
				if dropped {
					t.Error("dropped")
				}
				return err
			})
		}
		missing := checkpoint("b", 1)
		missing.Revision = 1
		if put(t, db, book, missing) {
			t.Error("one that is not there was written over")
		}
		list("", want...)
	})
	t.Run("who knows it does, once", func(t *testing.T) {
		again := first1(first)
		again.Position, again.Failure, again.Runner, again.Paused = 8, "zero \x00 and \xff", daybook.UUID{}, false
		if !put(t, db, book, again) || put(t, db, book, again) {
			t.Error("not written once")
		}
		again.Revision, again.Failure = 2, "zero \uFFFD and \uFFFD"
		list("a", again, first1(second))
		transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
			if dropped, err := tx.DropCheckpoint(ctx, again); !dropped || err != nil {
				t.Errorf("dropped %t, error %v", dropped, err)
			}
			return nil
		})
		list("a", first1(second))
	})
	if n := value[int64](t, conn, `SELECT count(*) FROM daybook.checkpoints WHERE book_id = $1`, int64(other)); n != 3 {
		t.Errorf("the other book has %d checkpoints", n)
	}
}

func wantCheckpoints(t testing.TB, db *DB, book daybook.BookID, projection string, want []daybook.Checkpoint) {
	t.Helper()
	got, err := db.Checkpoints(t.Context(), book, projection)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(daybook.Checkpoint{}, "UpdatedAt")); diff != "" || err != nil {
		t.Errorf("checkpoints of %q differ: %s, error %v", projection, diff, err)
	}
	for _, c := range got {
		if age := time.Since(c.UpdatedAt); c.UpdatedAt.Location() != time.UTC || age > time.Hour || age < -time.Hour {
			t.Errorf("updated at %s", c.UpdatedAt)
		}
	}
}

func TestOneGenerationIsLiveOrBuilding(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	for _, state := range []daybook.GenerationState{daybook.GenerationLive, daybook.GenerationBuilding} {
		err := db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error {
			for generation := range int64(2) {
				c := checkpoint("twice", generation+1)
				c.State = state
				if _, err := tx.PutCheckpoint(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
		if want := "twice has another generation that is " + string(state); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want: %s", err, want)
		}
	}
}

// first1 is c as it is after it was first written.
func first1(c daybook.Checkpoint) daybook.Checkpoint {
	c.Revision = 1
	return c
}

func TestSkips(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
		for _, s := range []daybook.Skip{{Projection: "b", Position: 1, Reason: "x"}, {Projection: "a", Position: 9, Reason: "second"}, {Projection: "a", Position: 2, Reason: "first"}, {Projection: "a", Position: 2, Reason: "again"}} {
			if err := tx.PutSkip(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
		for projection, want := range map[string]string{"": "a/2/first a/9/second b/1/x", "a": "a/2/first a/9/second", "c": ""} {
			skips, err := tx.Skips(ctx, projection)
			if err != nil {
				return err
			}
			var got []string
			for _, s := range skips {
				got = append(got, fmt.Sprintf("%s/%d/%s", s.Projection, s.Position, s.Reason))
				if s.SkippedAt.IsZero() {
					t.Errorf("%+v has no time", s)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("skips of %q are %v", projection, got)
			}
		}
		return nil
	})
}

func TestTransact(t *testing.T) {
	t.Parallel()
	errSpoilt := errors.New("spoilt")
	db, book, conn := openBook(t)
	table := balances("balances")
	rows := daybook.TableRows{Table: table, Rows: [][]any{{daybook.NewUUID(), int64(1)}}}
	all := func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.PutCheckpoint(ctx, checkpoint("a", 1))
		return errors.Join(err, tx.CreateTable(ctx, table), tx.WriteRows(ctx, rows), tx.SetInline(ctx, 1))
	}
	nothing := func(t *testing.T) {
		t.Helper()
		checkpoints, err := db.Checkpoints(t.Context(), book, "")
		exists := value[bool](t, conn, `SELECT to_regclass('daybook_views.balances') IS NOT NULL OR EXISTS (SELECT FROM daybook.heads WHERE inline > 0)`)
		if len(checkpoints) > 0 || err != nil || exists {
			t.Errorf("%d checkpoints are left, or a table; error %v", len(checkpoints), err)
		}
	}
	t.Run("an error keeps nothing", func(t *testing.T) {
		err := db.Transact(t.Context(), book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			return errors.Join(all(ctx, tx), errSpoilt)
		})
		if !errors.Is(err, errSpoilt) {
			t.Errorf("error is %v", err)
		}
		nothing(t)
	})
	t.Run("a panic keeps nothing", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
			nothing(t)
		}()
		_ = db.Transact(t.Context(), book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			if err := all(ctx, tx); err != nil {
				return err
			}
			panic(errSpoilt)
		})
	})
	t.Run("a context that ends keeps nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Transact(ctx, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			defer cancel()
			return all(ctx, tx)
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("error is %v", err)
		}
		nothing(t)
	})
	t.Run("a lost connection has it called again", func(t *testing.T) {
		calls := 0
		transactOn(t, db, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			if calls++; calls == 1 {
				exec(t, conn, `SELECT pg_terminate_backend($1)`, waitFor(t, conn, `state = 'idle in transaction'`)) //nolint:contextcheck // another connection, with the test's context
			}
			return all(ctx, tx)
		})
		if calls != 2 {
			t.Errorf("it was called %d times", calls)
		}
		if state := stateOf(t, db, book); state.Inline != 1 {
			t.Errorf("the state is %+v", state)
		}
	})
}

func TestTransactRefuses(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	transactOn(t, db, book, true, func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, 1) })
	t.Run("the revision of the inline projections only goes up", func(t *testing.T) {
		for _, revision := range []int64{0, 1} {
			err := db.Transact(t.Context(), book, true, func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, revision) })
			if sqlState(err) != "ZD004" {
				t.Errorf("error is %v", err)
			}
		}
	})
	t.Run("nothing works after its end", func(t *testing.T) {
		var late daybook.Tx
		transactOn(t, db, book, false, func(_ context.Context, tx daybook.DriverTx) error {
			late = tx.SQL()
			return nil
		})
		if _, err := late.ExecContext(t.Context(), `SELECT 1`); !errors.Is(err, errTooLate) {
			t.Errorf("error is %v", err)
		}
	})
}

func stateOf(t testing.TB, db *DB, book daybook.BookID) (state daybook.BookState) {
	t.Helper()
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) (err error) {
		state, err = tx.State(ctx)
		return err
	})
	return state
}

// A deadlock is nobody's fault, and the one who loses is called again.
func TestTransactAfterADeadlock(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	if !put(t, db, book, checkpoint("a", 1)) || !put(t, db, book, checkpoint("b", 1)) {
		t.Fatal("not written")
	}
	met := make(chan struct{})
	errs := make(chan error, 2)
	for i, names := range [][]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			waited := false
			errs <- db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error {
				for _, name := range names {
					found, err := tx.Checkpoints(ctx, name)
					if err != nil {
						return err
					}
					if _, err := tx.PutCheckpoint(ctx, found[0]); err != nil {
						return err
					}
					if waited {
						continue
					}
					if waited = true; i == 0 {
						met <- struct{}{}
					} else {
						<-met
					}
				}
				return nil
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestTransactLocksTheHead(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	var done <-chan result
	transactOn(t, db, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
		done = appendAside(t.Context(), db, book, deposits(account(), 1)) //nolint:contextcheck // another connection, with the test's context
		waitFor(t, conn, waitsForTheHead)                                 //nolint:contextcheck // another connection, with the test's context
		state, err := tx.State(ctx)
		if state.Position != 0 || state.Incarnation.IsZero() {
			t.Errorf("the state is %+v", state)
		}
		return err
	})
	if got := <-done; got.err != nil {
		t.Error(got.err)
	}
	wantHead(t, conn, book, 1)
}

func TestHandWrittenSQL(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	table := balances("balances")
	createTable(t, db, book, table)
	const scans = `SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN ('enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'enable_incremental_sort', 'jit', 'plan_cache_mode')`
	id := daybook.NewUUID()
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
		hand := tx.SQL()
		for range 2 {
			var got string
			if err := hand.QueryRowContext(ctx, scans).Scan(&got); err != nil || got != "on on on on on auto" {
				t.Errorf("its planner has %s, error %v", got, err)
			}
			if _, err := hand.ExecContext(ctx, `INSERT INTO daybook_views.balances VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, 7); err != nil {
				return err
			}
			// In between, what is ours has the planner as it needs it.
			loaded, err := tx.LoadRows(ctx, daybook.TableKeys{Table: table, Keys: [][]any{{id}}})
			if diff := cmp.Diff([][]any{{id, int64(7)}}, loaded); diff != "" || err != nil {
				t.Errorf("loaded rows differ: %s, error %v", diff, err)
			}
		}
		rows, err := hand.QueryContext(ctx, `SELECT deposits FROM daybook_views.balances`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		if _, err := tx.State(ctx); !errors.Is(err, errRowsOpen) {
			t.Errorf("with rows left open: error is %v", err)
		}
		if _, err := hand.ExecContext(ctx, `SELECT 1`); !errors.Is(err, errRowsOpen) {
			t.Errorf("with rows left open: error is %v", err)
		}
		return rows.Err()
	})
	// What it sets ends with the transaction.
	if got := value[int64](t, conn, `SELECT deposits FROM daybook_views.balances`); got != 7 {
		t.Errorf("deposits are %d", got)
	}
	var got string
	if err := db.pool.QueryRow(t.Context(), scans).Scan(&got); err != nil || got != "off off off off off force_generic_plan" {
		t.Errorf("afterwards the planner has %s, error %v", got, err)
	}
	t.Run("that commits leaves it open what has become of the transaction", func(t *testing.T) {
		err := db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error {
			_, err := tx.SQL().ExecContext(ctx, `COMMIT`)
			return err
		})
		if !errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestPin(t *testing.T) {
	t.Parallel()
	db, book, conn := openBookAt(t, with(t, migrated.DSN(t), "idle_in_transaction_session_timeout", "200ms"))
	work := &counting{table: balances("balances")}
	createTable(t, db, book, work.table)
	aggregate := account()
	add := func() {
		t.Helper()
		if _, err := db.Append(t.Context(), book, []daybook.Append{deposits(aggregate, 1)}, work.inline(0)); err != nil {
			t.Fatal(err)
		}
	}
	add()
	pinned, err := db.Pin(t.Context(), book)
	if err != nil {
		t.Fatal(err)
	}
	add()
	put(t, db, book, checkpoint("a", 1))
	time.Sleep(2 * shortly) // longer than a client may be silent that locks something
	for range 2 {
		state, errState := pinned.State(t.Context())
		checkpoints, errCheckpoints := pinned.Checkpoints(t.Context(), "")
		skips, errSkips := pinned.Skips(t.Context(), "")
		rows, errRows := pinned.SelectRows(t.Context(), daybook.RowQuery{Table: work.table.Name, Columns: work.table.Columns})
		records, errRead := pinned.Read(t.Context(), daybook.Query{Limit: 10})
		if err := errors.Join(errState, errCheckpoints, errSkips, errRows, errRead); err != nil {
			t.Fatal(err)
		}
		if state.Position != 1 || len(checkpoints)+len(skips) > 0 || len(records) != 1 {
			t.Errorf("the state is %+v, with %d checkpoints and %d records", state, len(checkpoints), len(records))
		}
		if diff := cmp.Diff([][]any{{aggregate.ID, int64(1)}}, rows); diff != "" {
			t.Errorf("rows differ: %s", diff)
		}
	}
	for range 2 {
		if err := pinned.Close(); err != nil {
			t.Error(err)
		}
	}
	if open := value[int64](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daybook' AND datname = current_database() AND state LIKE 'idle in transaction%'`); open != 0 {
		t.Errorf("%d connections are left in a transaction", open)
	}
	if _, err := db.Pin(t.Context(), 99); err == nil || !strings.Contains(err.Error(), "there is no book with the id 99") {
		t.Errorf("error is %v", err)
	}
}
