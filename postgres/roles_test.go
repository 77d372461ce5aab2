package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

const (
	// shortly is a wait that is meant to run out.
	shortly = 200 * time.Millisecond
	// loginPassword serves servers that ask for one.
	loginPassword = "not a secret"
)

// newLogin makes a login for the duration of the test, a member of group unless "".
func newLogin(t testing.TB, admin *pgx.Conn, group string) string {
	t.Helper()
	name := "daybook_test_" + strings.ToLower(rand.Text())
	exec(t, admin, fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD '%s'`, name, loginPassword))
	t.Cleanup(func() {
		for _, statement := range []string{`DROP OWNED BY `, `DROP ROLE `} {
			if _, err := admin.Exec(context.WithoutCancel(t.Context()), statement+name); err != nil {
				t.Error(err)
			}
		}
	})
	if group != "" {
		exec(t, admin, fmt.Sprintf(`GRANT %s TO %s`, group, name))
	}
	return name
}

// I20: what the application may do, and nothing else.
func TestApplicationRole(t *testing.T) {
	t.Parallel()
	dsn := migrated.DSN(t)
	admin := connect(t, dsn)
	login := as(t, dsn, newLogin(t, admin, "daybook_app"))
	db, book, app := openBookAt(t, login)
	aggregate := account()
	recorded := appendOne(t, db, book, deposits(aggregate, 2))

	t.Run("it appends, reads and fences", func(t *testing.T) {
		if _, err := db.Fence(t.Context(), book, time.Now()); err != nil {
			t.Error(err)
		}
		head, err := db.Head(t.Context(), book)
		if err != nil || head.Position != recorded[1].Position {
			t.Errorf("head is %+v, error %v", head, err)
		}
	})
	for _, statement := range []string{
		`INSERT INTO daybook.events SELECT book_id, position + 10, aggregate_type, gen_random_uuid(), 1, gen_random_uuid(), event_type, 1, payload, metadata, occurred_at, recorded_at FROM daybook.events`,
		`INSERT INTO daybook.books (book_id, name) VALUES (7, 'seven')`,
		`INSERT INTO daybook.heads (book_id) VALUES (7)`,
		`UPDATE daybook.events SET payload = '{}'`,
		`UPDATE daybook.heads SET position = 0`,
		`UPDATE daybook.books SET name = 'other'`,
		`UPDATE daybook.schema_migrations SET version_id = 0`,
		`SELECT FROM daybook.heads FOR UPDATE`,
		`DELETE FROM daybook.events`,
		`DELETE FROM daybook.heads`,
		`TRUNCATE daybook.events`,
		`TRUNCATE daybook.heads`,
		`ALTER TABLE daybook.events ADD COLUMN more text`,
		`ALTER TABLE daybook.events DISABLE TRIGGER ALL`,
		`ALTER TABLE daybook.events DISABLE TRIGGER events_append_only`,
		`CREATE TRIGGER mine BEFORE INSERT ON daybook.events EXECUTE FUNCTION daybook.refuse_change()`,
		`CREATE RULE mine AS ON INSERT TO daybook.events DO INSTEAD NOTHING`,
		`CREATE TABLE daybook.mine (n int)`,
		`CREATE OR REPLACE FUNCTION daybook.lock_head(book bigint, out head_position bigint, out head_recorded_at timestamptz) LANGUAGE sql AS 'SELECT 1::bigint, now()'`,
		`DROP TRIGGER events_append_only ON daybook.events`,
		`DROP FUNCTION daybook.refuse_change() CASCADE`,
		`DROP TABLE daybook.events`,
		`DROP SCHEMA daybook CASCADE`,
		`SELECT daybook.refuse_change()`,
		`SET session_replication_role = replica`,
		`DO 'BEGIN LOCK TABLE daybook.events IN EXCLUSIVE MODE; END'`,
	} {
		t.Run("it may not "+statement, func(t *testing.T) {
			if _, err := app.Exec(t.Context(), statement); sqlState(err) != codePrivilege {
				t.Errorf("error is %v", err)
			}
		})
	}
	wantHead(t, admin, book, 2)

	t.Run("a login without daybook_app is told what it lacks", func(t *testing.T) {
		_, err := Open(t.Context(), as(t, dsn, newLogin(t, admin, "")))
		if sqlState(err) != codePrivilege || !strings.Contains(err.Error(), "GRANT daybook_app TO") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a temporary table or operator cannot stand in for what the functions use", func(t *testing.T) {
		exec(t, app, `CREATE TEMPORARY TABLE heads (book_id bigint, position bigint, recorded_at timestamptz)`)
		exec(t, app, `CREATE FUNCTION pg_temp.greatest_of(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`)
		exec(t, app, `CREATE OPERATOR pg_temp.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.greatest_of)`)
		exec(t, app, `SET search_path = pg_temp, pg_catalog`)
		if got := value[int64](t, app, `SELECT head_position FROM daybook.lock_head($1)`, int64(book)); got != 2 {
			t.Errorf("the head is at %d", got)
		}
	})
}

// Snapshots are a cache: the application writes and drops them itself, and no more.
func TestApplicationRoleKeepsSnapshots(t *testing.T) {
	t.Parallel()
	dsn := migrated.DSN(t)
	db, book, app := openBookAt(t, as(t, dsn, newLogin(t, connect(t, dsn), "daybook_app")))
	kept := []daybook.Snapshot{{Aggregate: account(), SequenceNumber: 2, Position: 2, State: []byte(`{}`)}}
	errKept := db.KeepSnapshots(t.Context(), book, kept)
	list, errListed := db.Snapshots(t.Context(), book, daybook.SnapshotQuery{Limit: 9})
	errDropped := db.DropSnapshots(t.Context(), book, kept)
	if err := errors.Join(errKept, errListed, errDropped); err != nil || len(list) != 1 {
		t.Errorf("%d snapshots, error %v", len(list), err)
	}
	for _, statement := range []string{
		`TRUNCATE daybook.snapshots`,
		`ALTER TABLE daybook.snapshots ADD COLUMN more text`,
		`CREATE TRIGGER mine BEFORE INSERT ON daybook.snapshots EXECUTE FUNCTION daybook.refuse_change()`,
		`DROP TABLE daybook.snapshots`,
	} {
		if _, err := app.Exec(t.Context(), statement); sqlState(err) != codePrivilege {
			t.Errorf("%s: error is %v", statement, err)
		}
	}
}

// I20: the owner's hand slips as well; superusers are the strongest owners there are.
func TestOwner(t *testing.T) {
	t.Parallel()
	db, book, owner := openBook(t)
	appendOne(t, db, book, deposits(account(), 2))

	for _, statement := range []string{
		`UPDATE daybook.events SET payload = '{}'`,
		`UPDATE daybook.events SET payload = '{}' WHERE false`,
		`DELETE FROM daybook.events`,
		`DELETE FROM daybook.events WHERE false`,
		`TRUNCATE daybook.events`,
		`TRUNCATE daybook.books CASCADE`,
		`INSERT INTO daybook.events SELECT * FROM daybook.events ON CONFLICT (book_id, position) DO UPDATE SET payload = '{}'`,
		`MERGE INTO daybook.events AS e USING daybook.books AS b ON e.book_id = b.book_id WHEN MATCHED THEN DELETE`,
		`WITH gone AS (DELETE FROM daybook.events RETURNING 1) SELECT count(*) FROM gone`,
		`DELETE FROM daybook.heads`,
		`TRUNCATE daybook.heads`,
		`UPDATE daybook.heads SET position = position - 1`,
		`UPDATE daybook.heads SET recorded_at = recorded_at - interval '1 second'`,
		`DELETE FROM daybook.books`,
	} {
		t.Run(statement+" is refused", func(t *testing.T) {
			if _, err := owner.Exec(t.Context(), statement); sqlState(err) != "ZD001" {
				t.Errorf("error is %v", err)
			}
		})
	}
	t.Run("a head stays with its book", func(t *testing.T) {
		if _, err := owner.Exec(t.Context(), `UPDATE daybook.heads SET book_id = book_id + 1`); sqlState(err) != "23503" {
			t.Errorf("error is %v", err) // of the foreign key
		}
	})
	t.Run("the message says which table and what", func(t *testing.T) {
		_, err := owner.Exec(t.Context(), `DELETE FROM daybook.events`)
		if err == nil || !strings.Contains(err.Error(), "daybook: events are append-only: DELETE is refused") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("session_replication_role does not switch the triggers off", func(t *testing.T) {
		exec(t, owner, `SET session_replication_role = replica`)
		_, err := owner.Exec(t.Context(), `DELETE FROM daybook.events`)
		if sqlState(err) != "ZD001" {
			t.Errorf("error is %v", err)
		}
		exec(t, owner, `RESET session_replication_role`)
	})
	wantHead(t, owner, book, 2)

	t.Run("disabling the trigger on purpose does", func(t *testing.T) {
		exec(t, owner, `ALTER TABLE daybook.events DISABLE TRIGGER events_append_only`)
		exec(t, owner, `UPDATE daybook.events SET payload = '{}'`)
		exec(t, owner, `ALTER TABLE daybook.events ENABLE ALWAYS TRIGGER events_append_only`)
		if _, err := owner.Exec(t.Context(), `DELETE FROM daybook.events`); sqlState(err) != "ZD001" {
			t.Errorf("error is %v", err)
		}
	})
}

// The rules that keep the way to several machines open, and functions that run
// with the owner's rights safe to call.
func TestSchemaRules(t *testing.T) {
	t.Parallel()
	admin := connect(t, migrated.DSN(t))
	for name, offenders := range map[string]string{
		"book_id bigint not null is the first column of every table": `
			SELECT c.relname FROM pg_class AS c
			WHERE c.relnamespace = 'daybook'::regnamespace AND c.relkind IN ('r', 'p', 'm') AND c.relname <> 'schema_migrations'
				AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = 1
					AND a.attname = 'book_id' AND a.atttypid = 'bigint'::regtype AND a.attnotnull)`,
		"book_id comes first in every index, except in the directory's by name": `
			SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
			WHERE c.relnamespace = 'daybook'::regnamespace AND i.indkey[0] <> 1
				AND i.indexrelid::regclass::text NOT IN ('daybook.books_name_key', 'daybook.schema_migrations_pkey')`,
		"book_id comes first in every foreign key": `
			SELECT conname FROM pg_constraint
			WHERE connamespace = 'daybook'::regnamespace AND contype = 'f' AND (conkey[1] <> 1 OR confkey[1] <> 1)`,
		"no column is an identity or takes its default from a sequence": `
			SELECT c.relname || '.' || a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
				LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE c.relnamespace = 'daybook'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_migrations'
				AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) ~ 'nextval')`,
		"the only sequence is that of the migrations": `
			SELECT relname FROM pg_class
			WHERE relnamespace = 'daybook'::regnamespace AND relkind = 'S' AND relname <> 'schema_migrations_id_seq'`,
		"every function has its search_path pinned, temporary objects last": `
			SELECT proname FROM pg_proc WHERE pronamespace = 'daybook'::regnamespace
				AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']`,
		"nothing is granted to everybody": `
			SELECT name FROM (
				SELECT proname AS name, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc WHERE pronamespace = 'daybook'::regnamespace
				UNION ALL SELECT relname, relacl FROM pg_class WHERE relnamespace = 'daybook'::regnamespace
				UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'daybook'
			) AS o WHERE EXISTS (SELECT FROM aclexplode(acl) AS granted WHERE granted.grantee = 0)`,
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := admin.Query(t.Context(), offenders)
			if err != nil {
				t.Fatal(err)
			}
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(names) > 0 {
				t.Errorf("not so: %q, error %v", names, err)
			}
		})
	}
}
