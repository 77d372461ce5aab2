package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

func TestCreateTable(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	table := everything(strings.Repeat("n", 63))
	table.Columns[2].Name = "select" // a word of SQL's own
	table.Indexes[0] = []string{"select"}
	createTable(t, db, book, table)
	writeRows(t, db, book, daybook.TableRows{Table: table, Rows: [][]any{{"a", int64(1), "text", nil, nil, nil, nil, nil, nil}}})
	if got := selectAll(t, db, table); len(got) != 1 || got[0][2] != "text" {
		t.Errorf("rows are %v", got)
	}
	if indexes := value[int64](t, conn, `SELECT count(*) FROM pg_indexes WHERE schemaname = 'daybook_views'`); indexes != 4 {
		t.Errorf("there are %d indexes", indexes)
	}
	create := func(table daybook.Table) error {
		return db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.CreateTable(ctx, table) })
	}
	t.Run("a second time it fails", func(t *testing.T) {
		if err := create(table); sqlState(err) != "42P07" {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("without a key it fails", func(t *testing.T) {
		for _, key := range []int{0, 3} {
			if err := create(daybook.Table{Name: "other", Key: key, Columns: table.Columns[:2]}); err == nil || !strings.Contains(err.Error(), "cannot be the primary key") {
				t.Errorf("error is %v", err)
			}
		}
	})
	t.Run("it is gone after it is dropped, once or twice", func(t *testing.T) {
		for range 2 {
			transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, table.Name) })
		}
		if _, err := db.SelectRows(t.Context(), daybook.RowQuery{Table: table.Name, Columns: table.Columns}); sqlState(err) != "42P01" || errors.Is(err, daybook.ErrSchema) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("another table of its name has other types", func(t *testing.T) {
		for _, columnType := range []daybook.ColumnType{daybook.TextColumn, daybook.UUIDColumn, daybook.IntegerColumn} {
			other := daybook.Table{Name: "changing", Key: 1, Columns: []daybook.Column{{Name: "key", Type: columnType}}}
			key := map[daybook.ColumnType]any{daybook.TextColumn: "a", daybook.UUIDColumn: daybook.NewUUID(), daybook.IntegerColumn: int64(1)}[columnType]
			createTable(t, db, book, other)
			writeRows(t, db, book, daybook.TableRows{Table: other, Rows: [][]any{{key}}})
			transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
				loaded, err := tx.LoadRows(ctx, daybook.TableKeys{Table: other, Keys: [][]any{{key}}})
				if diff := cmp.Diff([][]any{{key}}, loaded); diff != "" {
					t.Errorf("loaded rows differ: %s", diff)
				}
				return errors.Join(err, tx.DropTable(ctx, other.Name))
			})
		}
	})
}

func TestPoint(t *testing.T) { //nolint:funlen // sub-tests that share what the ones before have pointed at
	t.Parallel()
	db, book, conn := openBook(t)
	text := func(names ...string) (columns []daybook.Column) {
		for _, name := range names {
			columns = append(columns, daybook.Column{Name: name, Type: daybook.TextColumn})
		}
		return columns
	}
	tables := []daybook.Table{
		{Name: "people_1", Key: 1, Columns: text("name", "town")},
		{Name: "people_2", Key: 1, Columns: text("name", "town", "street")},
		{Name: "people_3", Key: 1, Columns: text("name", "street")},
		{Name: "people_4", Key: 1, Columns: []daybook.Column{{Name: "name", Type: daybook.IntegerColumn}, {Name: "street", Type: daybook.TextColumn}}},
	}
	point := func(name string, table daybook.Table) error {
		return db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.Point(ctx, name, table) })
	}
	reader := newLogin(t, conn, "")
	for i, table := range tables {
		createTable(t, db, book, table)
		row := []any{"1", "b", "c"}[:len(table.Columns)]
		if i == 3 {
			row[0] = int64(1)
		}
		writeRows(t, db, book, daybook.TableRows{Table: table, Rows: [][]any{row}})
		if err := point("people", table); err != nil {
			t.Fatal(err)
		}
		found, err := db.SelectRows(t.Context(), daybook.RowQuery{Table: "people", Columns: table.Columns})
		if diff := cmp.Diff([][]any{row}, found); diff != "" || err != nil {
			t.Errorf("%s: rows differ: %s, error %v", table.Name, diff, err)
		}
		if i == 0 {
			exec(t, conn, `GRANT SELECT ON daybook_views.people TO `+reader+` WITH GRANT OPTION`)
		}
		if granted := value[bool](t, conn, `SELECT has_table_privilege($1, 'daybook_views.people', 'SELECT WITH GRANT OPTION')`, reader); !granted {
			t.Errorf("%s: what was granted on the view is lost", table.Name)
		}
	}
	t.Run("what depends on it is in the way of other columns only", func(t *testing.T) {
		exec(t, conn, `CREATE VIEW streets AS SELECT street FROM daybook_views.people`)
		if err := point("people", tables[3]); err != nil {
			t.Error(err)
		}
		err := point("people", tables[0])
		if sqlState(err) != codeDependent || !strings.Contains(err.Error(), "view streets depends on view daybook_views.people") || !strings.Contains(err.Error(), "drop these first") {
			t.Errorf("error is %v", err)
		}
		err = db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.Unpoint(ctx, "people") })
		if sqlState(err) != codeDependent {
			t.Errorf("error is %v", err)
		}
		exec(t, conn, `DROP VIEW streets`)
	})
	t.Run("a table that it stands for cannot be dropped", func(t *testing.T) {
		err := db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, "people_4") })
		if sqlState(err) != codeDependent {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the name of a table is refused", func(t *testing.T) {
		if err := point("people_1", tables[1]); err == nil || !strings.Contains(err.Error(), "belongs to something that is not a view") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("it stands for nothing after it is removed, once or twice", func(t *testing.T) {
		for range 2 {
			transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.Unpoint(ctx, "people") })
		}
		transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, "people_4") })
	})
}

// Several logins are members of daybook_app, and each one may do all of it.
func TestApplicationRoleKeepsProjections(t *testing.T) {
	t.Parallel()
	dsn := migrated.DSN(t)
	admin := connect(t, dsn)
	first, book, app := openBookAt(t, as(t, dsn, newLogin(t, admin, "daybook_app")))
	second := openDB(t, as(t, dsn, newLogin(t, admin, "daybook_app")))
	superuser := openDB(t, dsn)
	makers := []*DB{first, second, superuser}
	for i, maker := range makers {
		changer := makers[(i+1)%len(makers)]
		work := &counting{table: balances(fmt.Sprintf("balances_%d", i))}
		c := checkpoint(fmt.Sprintf("p%d", i), 1)
		transactOn(t, maker, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			_, err := tx.PutCheckpoint(ctx, c)
			return errors.Join(err, tx.PutSkip(ctx, daybook.Skip{Projection: c.Projection, Position: 1}), tx.CreateTable(ctx, work.table),
				tx.Point(ctx, "current", work.table), tx.SetInline(ctx, int64(2*i+1)))
		})
		for _, db := range makers {
			if _, err := db.Append(t.Context(), book, []daybook.Append{deposits(account(), 1)}, work.inline(int64(2*i+1))); err != nil {
				t.Error(err)
			}
		}
		if got := counts(t, changer, daybook.Table{Name: "current", Columns: work.table.Columns, Key: 1}); len(got) != len(makers) {
			t.Errorf("counts are %v", got)
		}
		transactOn(t, changer, book, true, func(ctx context.Context, tx daybook.DriverTx) error {
			dropped, err := tx.DropCheckpoint(ctx, first1(c))
			if !dropped {
				t.Error("the checkpoint was not dropped")
			}
			var role string
			errRole := tx.SQL().QueryRowContext(ctx, `SELECT current_setting('role')`).Scan(&role)
			if role != "none" {
				t.Errorf("the role is %s", role)
			}
			return errors.Join(err, errRole, tx.SetInline(ctx, int64(2*i+2)), tx.Unpoint(ctx, "current"), tx.DropTable(ctx, work.table.Name))
		})
	}
	for _, statement := range []string{
		`UPDATE daybook.heads SET inline = 99`,
		`TRUNCATE daybook.checkpoints`,
		`ALTER TABLE daybook.skips ADD COLUMN more text`,
		`DROP TABLE daybook.checkpoints`,
		`DROP SCHEMA daybook_views CASCADE`,
	} {
		if _, err := app.Exec(t.Context(), statement); sqlState(err) != codePrivilege {
			t.Errorf("%s: error is %v", statement, err)
		}
	}
	if _, err := admin.Exec(t.Context(), `UPDATE daybook.heads SET inline = inline - 1`); sqlState(err) != "ZD001" {
		t.Errorf("the owner's hand: error is %v", err)
	}
}

// An owner of the schema who is no member of daybook_app makes tables for it all the same.
func TestOwnerMakesTablesForTheApplication(t *testing.T) {
	t.Parallel()
	migrated.DSN(t) // creates daybook_app
	dsn := pgtest.DSN(t)
	admin := connect(t, dsn)
	owner := newLogin(t, admin, "")
	exec(t, admin, fmt.Sprintf(`GRANT CREATE ON DATABASE %s TO %s`, value[string](t, admin, `SELECT current_database()`), owner))
	if err := Migrate(t.Context(), as(t, dsn, owner)); err != nil {
		t.Fatal(err)
	}
	db, book, _ := openBookAt(t, as(t, dsn, owner))
	app := openDB(t, as(t, dsn, newLogin(t, admin, "daybook_app")))
	work := &counting{table: balances("balances_1")}
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
		return errors.Join(tx.CreateTable(ctx, work.table), tx.Point(ctx, "balances", work.table))
	})
	if _, err := app.Append(t.Context(), book, []daybook.Append{deposits(account(), 1)}, work.inline(0)); err != nil {
		t.Error(err)
	}
	if got := counts(t, app, daybook.Table{Name: "balances", Columns: work.table.Columns, Key: 1}); len(got) != 1 {
		t.Errorf("counts are %v", got)
	}
}

// TestTablePlans is TestPlans for the statements on projections: whatever the planner was
// told of a table, and whatever other indexes it has, a row is a step in the primary key.
func TestTablePlans(t *testing.T) {
	t.Parallel()
	db, book, owner := openBook(t)
	table := everything("everything")
	createTable(t, db, book, table)
	conn, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	var got strings.Builder
	explain := func(state string) {
		for _, statement := range []prepared{
			{"loadSQL", loadSQL(table), "text[], bigint[]", `'{a}', '{1}'`},
			{"dropRowsSQL", dropRowsSQL(table), "text[], bigint[]", `'{a}', '{1}'`},
			{"stateSQL", stateSQL, "bigint", `1`},
			{"checkpointsSQL", checkpointsSQL, "bigint, text", `1, 'a'`},
			{"putCheckpointSQL", putCheckpointSQL, "bigint, text, bigint, text, text, bytea, text, bigint, timestamptz, uuid, boolean, bigint, text, double precision, uuid, bigint, bigint, text",
				`1, 'a', 1, 'inline', 'live', '', '', 1, 'now', NULL, true, 1, '', 1, NULL, 1, 1, ''`},
			{"dropCheckpointSQL", dropCheckpointSQL, "bigint, text, bigint, bigint", `1, 'a', 1, 1`},
			{"skipsSQL", skipsSQL, "bigint, text", `1, 'a'`},
		} {
			explainPlans(t, conn.Conn(), statement, state, &got)
		}
	}
	analyze := `ANALYZE daybook_views.everything, daybook.checkpoints, daybook.skips`
	explain("young")
	exec(t, owner, analyze)
	explain("known to be empty")
	exec(t, owner, `INSERT INTO daybook_views.everything (owner, number, text) SELECT 'a' || n % 7, n, 'text' FROM generate_series(1, 50000) AS n`)
	explain("grown")
	exec(t, owner, analyze)
	explain("large")
	wantPlans(t, "table_plans.txt", got.String())
}
