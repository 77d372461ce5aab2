package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// everything is a table with a column of every type, and a null in each that may be.
var everything = daybook.Table{
	Name: "everything_1", Key: 2, Indexes: [][]string{{"whole", "name"}},
	Columns: []daybook.Column{
		{Name: "id", Type: daybook.UUIDColumn}, {Name: "name", Type: daybook.TextColumn},
		{Name: "whole", Type: daybook.IntegerColumn, Null: true}, {Name: "yes", Type: daybook.BooleanColumn, Null: true},
		{Name: "part", Type: daybook.RealColumn, Null: true}, {Name: "at", Type: daybook.TimeColumn, Null: true},
		{Name: "more", Type: daybook.JSONColumn, Null: true},
	},
}

func transact(t *testing.T, db *DB, work func(ctx context.Context, tx daybook.DriverTx) error) {
	t.Helper()
	if err := db.Transact(t.Context(), 1, true, work); err != nil {
		t.Fatalf("Transact: %v", err)
	}
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	at := time.Date(2026, 11, 24, 10, 0, 0, 123456000, time.UTC)
	rows := [][]any{
		{daybook.UUID{1: 1}, "ä", int64(math.MaxInt64), true, math.Inf(1), at, []byte(`{"a":1}`)},
		{daybook.UUID{1: 1}, "Ä", int64(math.MinInt64), false, math.Inf(-1), time.Time{}, []byte(`[]`)},
		{daybook.UUID{1: 2}, "", nil, nil, nil, nil, nil},
		{daybook.UUID{1: 3}, "x", int64(0), false, 1.0, at, []byte(`null`)},
	}
	transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.CreateTable(ctx, everything); err != nil {
			return err
		}
		if err := tx.WriteRows(ctx, daybook.TableRows{Table: everything, Rows: rows}); err != nil {
			return err
		}
		if err := tx.WriteRows(ctx, daybook.TableRows{Table: everything, Rows: rows[:2], Dropped: [][]any{{daybook.UUID{1: 3}, "x"}, {daybook.UUID{1: 3}, "y"}}}); err != nil {
			return err
		}
		got, err := tx.LoadRows(ctx, daybook.TableKeys{Table: everything, Keys: [][]any{{daybook.UUID{1: 1}, "ä"}, {daybook.UUID{1: 3}, "x"}}})
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(got, rows[:1]) {
			t.Errorf("loaded %v, want %v", got, rows[:1])
		}
		return tx.Point(ctx, "everything", everything)
	})
	got, err := db.SelectRows(t.Context(), daybook.RowQuery{Table: "everything", Columns: everything.Columns, Order: []string{"id", "name"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := [][]any{rows[1], rows[0], rows[2]}; !reflect.DeepEqual(got, want) {
		t.Errorf("selected %v, want %v", got, want)
	}
	err = db.Transact(t.Context(), 1, false, func(ctx context.Context, tx daybook.DriverTx) error {
		return tx.WriteRows(ctx, daybook.TableRows{Table: everything, Rows: [][]any{{daybook.UUID{1: 9}, "x", nil, nil, math.NaN(), nil, nil}}})
	})
	if !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "column part") {
		t.Errorf("NaN: %v", err)
	}
}

func TestHandWrittenSQLCannotEndTheTransaction(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.SQL().ExecContext(ctx, `CREATE TABLE mine (x INTEGER NOT NULL)`)
		return err
	})
	write := `INSERT INTO mine (x) VALUES ($1)`
	for _, statements := range [][]string{
		{write, `COMMIT`},
		{write, `ROLLBACK`, write},
		{write, `ROLLBACK`, `BEGIN IMMEDIATE`, write},
		{write, `COMMIT`, `BEGIN`, write},
		{write, `COMMIT`, `BEGIN`, write, `COMMIT`},
		{`INSERT OR ROLLBACK INTO mine (x) VALUES (NULL)`, write},
		{write, `COMMIT`, `SELECT 1`},
	} {
		err := db.Transact(t.Context(), 1, true, func(ctx context.Context, tx daybook.DriverTx) error {
			for _, statement := range statements {
				args := []any{7}
				if statement != write {
					args = nil
				}
				_, _ = tx.SQL().ExecContext(ctx, statement, args...) // passed over on purpose
			}
			return nil
		})
		if !errors.Is(err, errEnded) || errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("%s: %v", statements, err)
		}
		var rows int
		if err := db.readers.QueryRowContext(t.Context(), `SELECT count(*) FROM mine`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%s has left %d rows, %v", statements, rows, err)
		}
		if _, err := db.Fence(t.Context(), 1, time.Now()); err != nil {
			t.Errorf("the next after %s: %v", statements, err)
		}
	}
	err := db.Transact(t.Context(), 1, true, func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.SQL().ExecContext(ctx, `COMMIT`)
		return err
	})
	if !errors.Is(err, errEnded) || errors.Is(err, daybook.ErrUnclear) {
		t.Errorf("an error that is returned: %v", err)
	}
}

// A user's function that panics, or ends its goroutine as t.FailNow does.
func TestWhoeverPanicsLeavesNoTransaction(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	book := openBook(t, db)
	for name, leave := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		for place, run := range map[string]func(){
			"Transact": func() {
				_ = db.Transact(t.Context(), 1, false, func(ctx context.Context, tx daybook.DriverTx) error {
					if err := tx.PutSkip(ctx, daybook.Skip{Projection: "p", Position: 1}); err != nil {
						t.Error(err)
					}
					leave()
					return nil
				})
			},
			"Append": func() {
				event := daybook.Recorded{EventID: daybook.NewUUID(), EventType: "Noted", SchemaVersion: 1, Payload: []byte(`{"text":"x"}`)}
				entry := daybook.EncodedEntry{Aggregate: daybook.AggregateID{Type: "notebook", ID: daybook.NewUUID()}, Events: []daybook.Recorded{event}}
				_, _ = db.Append(t.Context(), 1, []daybook.Append{{Entries: []daybook.EncodedEntry{entry}}}, daybook.InlineWork{
					Apply: func(context.Context, daybook.Tx, []daybook.Recorded) error { leave(); return nil },
				})
			},
		} {
			left := make(chan any)
			go func() {
				defer func() { left <- recover() }()
				run()
			}()
			if p := <-left; (p != nil) != (name == "panic") {
				t.Errorf("%s in %s: recovered %v", name, place, p)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := db.Fence(ctx, 1, time.Now()); err != nil {
				t.Errorf("the next writer after a %s in %s: %v", name, place, err)
			}
			cancel()
		}
	}
	if head, err := book.Head(t.Context()); err != nil || head.Position != 0 {
		t.Errorf("the head is %v, %v, want it at 0", head, err)
	}
	pin, err := db.Pin(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	if skips, err := pin.Skips(t.Context(), ""); err != nil || len(skips) != 0 {
		t.Errorf("the skips are %v, %v, want none", skips, err)
	}
}

// A query that goes on would keep the connection at what it has seen, and once another
// process has written, nobody who has seen less may.
func TestWhatHandWrittenSQLLeavesOpenIsClosed(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	db, other := openFile(t, path), openFile(t, path)
	book, theirs := openBook(t, db), openBook(t, other)
	for range 5 {
		if _, err := theirs.Append(t.Context(), note("x", daybook.Any())); err != nil {
			t.Fatal(err)
		}
	}
	var kept daybook.Tx
	transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
		kept = tx.SQL()
		rows, err := kept.QueryContext(ctx, `SELECT position FROM events WHERE position > $1`, 0) //nolint:sqlclosecheck,rowserrcheck // left open on purpose
		if err != nil || !rows.Next() {
			t.Errorf("no row: %v", err)
		}
		kept.QueryRowContext(ctx, `SELECT position FROM events`)
		return nil
	})
	if _, err := theirs.Append(t.Context(), note("between", daybook.Any())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := book.Append(ctx, note("after", daybook.Any())); err != nil {
		t.Errorf("the next append: %v", err)
	}
	if _, err := kept.ExecContext(t.Context(), `DELETE FROM skips`); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("a statement after the transaction: %v", err)
	}
	if _, err := kept.QueryContext(t.Context(), `SELECT 1`); !errors.Is(err, sql.ErrTxDone) { //nolint:sqlclosecheck,rowserrcheck // there is none
		t.Errorf("a query after the transaction: %v", err)
	}
	if err := kept.QueryRowContext(t.Context(), `SELECT 1`).Scan(new(int)); err == nil {
		t.Error("a row after the transaction")
	}
}

func TestStatementsForTablesDoNotPileUp(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	for range 3 {
		transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
			if err := tx.CreateTable(ctx, everything); err != nil {
				return err
			}
			if err := tx.WriteRows(ctx, daybook.TableRows{Table: everything, Rows: [][]any{{daybook.UUID{1: 1}, "", nil, nil, nil, nil, nil}}}); err != nil {
				return err
			}
			for i := range 2 * maxTableStatements {
				where := []daybook.Condition{{Column: "whole", Op: daybook.Less, Value: int64(i)}}
				q := daybook.RowQuery{Table: everything.Name, Columns: everything.Columns[:1+i%7], Where: slices.Repeat(where, 1+i/7)}
				if _, err := tx.SelectRows(ctx, q); err != nil {
					return err
				}
			}
			if n := len(tx.(*transaction).session.tables.prepared); n > maxTableStatements || n == 0 {
				t.Errorf("%d statements are kept, want at most %d", n, maxTableStatements)
			}
			return nil
		})
		for i := range 2 * maxTableStatements {
			q := daybook.RowQuery{Table: everything.Name, Columns: everything.Columns[:1+i%7], Limit: 1 + i}
			q.Where = slices.Repeat([]daybook.Condition{{Column: "whole", Op: daybook.Less, Value: int64(i)}}, 1+i/7)
			if _, err := db.SelectRows(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(db.resumer.statements); n > maxTableStatements {
			t.Errorf("%d statements of readers are kept, want at most %d", n, maxTableStatements)
		}
		transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
			if err := tx.DropTable(ctx, everything.Name); err != nil {
				return err
			}
			if n := len(tx.(*transaction).session.tables.prepared); n != 0 {
				t.Errorf("%d statements are kept of a table that is not there", n)
			}
			return tx.DropTable(ctx, everything.Name)
		})
	}
}

func TestTablesOfTheBookAreNotForViews(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	rows, err := db.readers.QueryContext(t.Context(), `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		table := everything
		table.Name = name
		for doing, work := range map[string]func(context.Context, daybook.DriverTx) error{
			"CreateTable": func(ctx context.Context, tx daybook.DriverTx) error { return tx.CreateTable(ctx, table) },
			"DropTable":   func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, name) },
			"Point":       func(ctx context.Context, tx daybook.DriverTx) error { return tx.Point(ctx, name, everything) },
			"Unpoint":     func(ctx context.Context, tx daybook.DriverTx) error { return tx.Unpoint(ctx, name) },
		} {
			if err := db.Transact(t.Context(), 1, false, work); err == nil {
				t.Errorf("%s does %s", doing, name)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// A view of somebody else's is not taken from him.
func TestANameThatIsTakenIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.CreateTable(ctx, everything); err != nil {
			return err
		}
		_, err := tx.SQL().ExecContext(ctx, `CREATE VIEW theirs AS SELECT 1 AS one`)
		return err
	})
	for _, name := range []string{"theirs", everything.Name, everything.Name + " by whole, name"} {
		err := db.Transact(t.Context(), 1, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.Point(ctx, name, everything) })
		if err == nil || !strings.Contains(err.Error(), "choose another name") {
			t.Errorf("Point at %s: %v", name, err)
		}
		if err := db.Transact(t.Context(), 1, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.Unpoint(ctx, name) }); err == nil {
			t.Errorf("Unpoint of %s works", name)
		}
	}
}

// Rows of a view are found and ordered by its indexes.
func TestRowsAreFoundByIndexes(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	transact(t, db, func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.CreateTable(ctx, everything); err != nil {
			return err
		}
		return tx.Point(ctx, "everything", everything)
	})
	id := daybook.UUID{1: 1}
	queries := map[string]string{"one row": loadText(everything, 1), "eight rows": loadText(everything, 8)}
	for name, q := range map[string]daybook.RowQuery{
		"by a part of the key":  {Where: []daybook.Condition{{Column: "id", Op: daybook.Equal, Value: id}}, Order: []string{"name"}},
		"the next by key":       {Order: []string{"id", "name"}, After: []any{id, "x"}, Limit: 9},
		"the one before by key": {Order: []string{"id", "name"}, After: []any{id, "x"}, Limit: 9, Reverse: true},
		"the next by an index":  {Where: []daybook.Condition{{Column: "whole", Op: daybook.Equal, Value: int64(7)}}, Order: []string{"name"}, After: []any{"x"}, Limit: 9},
	} {
		q.Table, q.Columns = "everything", everything.Columns
		text, _, err := selectText(q)
		if err != nil {
			t.Fatal(err)
		}
		queries[name] = text
	}
	for name, query := range queries {
		lines := strings.Join(plan(t, db, query), "\n")
		if strings.Contains(strings.ReplaceAll(lines, "SCAN the keys", ""), "SCAN everything") || strings.Contains(lines, "TEMP B-TREE") {
			t.Errorf("%s: %s\n%s", name, query, lines)
		}
	}
}

// Snapshots are held for as long as it takes, by as many as there are.
func TestPinsStandInNobodysWay(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	book := openBook(t, db)
	var pins []daybook.PinnedTables
	for i := range 3 * db.readers.Stats().MaxOpenConnections {
		pin, err := db.Pin(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, pin)
		if _, err := book.Append(t.Context(), note("x", daybook.Any())); err != nil {
			t.Fatalf("append %d: %v", i+1, err)
		}
	}
	for i, pin := range pins {
		if state, err := pin.State(t.Context()); err != nil || state.Position != int64(i) {
			t.Errorf("pin %d: %v, %v", i, state, err)
		}
		for range 2 {
			if err := pin.Close(); err != nil {
				t.Errorf("closing pin %d: %v", i, err)
			}
		}
	}
	if _, err := db.Pin(t.Context(), 77); err == nil {
		t.Error("a pin of no book")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Pin(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a pin for nobody: %v", err)
	}
	if n := db.pins.Stats().InUse; n != 0 {
		t.Errorf("%d connections are still in use", n)
	}
}

// On SQLite the head is always locked in a transaction; who does not ask for it would find
// out on PostgreSQL only.
func TestSetInlineNeedsTheLockOfTheHead(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	openBook(t, db)
	set := func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, 1) }
	if err := db.Transact(t.Context(), 1, false, set); err == nil || !strings.Contains(err.Error(), "lockHead") {
		t.Errorf("without the lock: %v", err)
	}
	transact(t, db, set)
}
