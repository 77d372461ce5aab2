package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-go/daybook"
)

// appRole is whose the tables of projections are, so that every login that is a member of
// it can change and drop what another one has made.
const appRole = "daybook_app"

// roleSQL: the role that a transaction acts as, and whether it may act as $1. From
// PostgreSQL 16 on, to be a member is not enough for that.
const roleSQL = ownMark + `
SELECT current_setting('role'), pg_has_role(current_user, $1, CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)`

// role is what roleSQL answers.
type role struct {
	was    string
	member bool
}

// fill factor: rows of views are updated often, by each append perhaps. With room on its
// page, the new version of a row stays out of the indexes.
const withRoom = ` WITH (fillfactor = 70)`

// CreateTable makes a table of a projection; see [daybook.DriverTx].
func (tx *transaction) CreateTable(ctx context.Context, t daybook.Table) error {
	if err := checkTable(t); err != nil {
		return explain("create table", tableError(t.Name, err))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "CREATE TABLE %s (%s, PRIMARY KEY (%s))%s", qualified(t.Name), list(t.Columns, func(i int, name string) string {
		column := t.Columns[i]
		name += ` ` + sqlTypes[column.Type]
		if column.Type == daybook.TextColumn {
			name += ` COLLATE "C"`
		}
		if !column.Null {
			name += ` NOT NULL`
		}
		return name
	}), list(t.Columns[:t.Key], plain), withRoom)
	for _, index := range t.Indexes {
		names := make([]string, len(index))
		for i, name := range index {
			names[i] = quoted(name)
		}
		fmt.Fprintf(&text, "; CREATE INDEX ON %s (%s)", qualified(t.Name), strings.Join(names, `, `))
	}
	return explain("create table", tableError(t.Name, tx.create(ctx, text.String(), `; GRANT ALL ON `+qualified(t.Name)+` TO `+appRole)))
}

// DropTable removes the table of a projection; see [daybook.DriverTx].
func (tx *transaction) DropTable(ctx context.Context, name string) error {
	return explain("drop table", tableError(name, tx.ddl(ctx, `DROP TABLE IF EXISTS `+qualified(name))))
}

// Point makes name a view of a table; see [daybook.DriverTx]. Where the view is there, it
// is replaced as it stands, with all that depends on it and with what has been granted on
// it. The server can do that only where it keeps its columns, and perhaps gets more; else
// another view takes its place, with the same grants.
func (tx *transaction) Point(ctx context.Context, name string, t daybook.Table) error {
	view := ` VIEW ` + qualified(name) + ` AS SELECT ` + list(t.Columns, plain) + ` FROM ` + qualified(t.Name)
	grant := `; GRANT ALL ON ` + qualified(name) + ` TO ` + appRole
	err := tx.point(ctx, name, view, grant)
	if err != nil {
		err = &tablesError{"view " + viewsSchema + "." + name, err}
	}
	return explain("point", err)
}

// viewSQL: what kind of relation $1 is, and the statements that grant what has been
// granted on it. No row where there is none.
const viewSQL = ownMark + `
SELECT c.relkind::text, coalesce((
	SELECT string_agg(format('; GRANT %s ON %s TO %s%s', a.privilege_type, $1::text,
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
		CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
	FROM aclexplode(c.relacl) AS a
	WHERE a.grantee <> c.relowner), '')
FROM pg_catalog.pg_class AS c
WHERE c.oid = to_regclass($1::text)`

func (tx *transaction) point(ctx context.Context, name, view, grant string) error {
	var kind, granted string
	err := tx.send(ctx, false, func(trip *pgx.Batch) error {
		trip.Queue(viewSQL, qualified(name)).QueryRow(func(row pgx.Row) error { return row.Scan(&kind, &granted) })
		return nil
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return tx.create(ctx, `CREATE`+view, grant)
	case err != nil:
		return err
	case kind != "v":
		return errors.New("the name belongs to something that is not a view")
	}
	var refused *pgconn.PgError
	err = tx.ddl(ctx, `SAVEPOINT daybook_point; CREATE OR REPLACE`+view)
	if !errors.As(err, &refused) || refused.Code != codeViewColumns {
		return err
	}
	if err := tx.ddl(ctx, `ROLLBACK TO SAVEPOINT daybook_point; DROP VIEW `+qualified(name)); err != nil {
		return err
	}
	return tx.create(ctx, `CREATE`+view+granted, grant)
}

// Unpoint removes a view; see [daybook.DriverTx].
func (tx *transaction) Unpoint(ctx context.Context, name string) error {
	err := tx.ddl(ctx, `DROP VIEW IF EXISTS `+qualified(name))
	if err != nil {
		err = &tablesError{"view " + viewsSchema + "." + name, err}
	}
	return explain("unpoint", err)
}

// create makes something that belongs to appRole where that is possible, and else, by
// grant, may be used by it.
func (tx *transaction) create(ctx context.Context, text, grant string) error {
	if tx.role == nil {
		found := new(role)
		err := tx.send(ctx, false, func(trip *pgx.Batch) error {
			trip.Queue(roleSQL, appRole).QueryRow(func(row pgx.Row) error { return row.Scan(&found.was, &found.member) })
			return nil
		})
		if err != nil {
			return err
		}
		tx.role = found
	}
	if !tx.role.member {
		return tx.ddl(ctx, text+grant)
	}
	return tx.ddl(ctx, `SET LOCAL ROLE `+appRole+`; `+text+`; SET LOCAL ROLE `+quoted(tx.role.was))
}

// ddl runs statements that have no parameters and return nothing, in one round trip.
func (tx *transaction) ddl(ctx context.Context, text string) error {
	if tx.busy() {
		return errRowsOpen
	}
	_, err := tx.conn.PgConn().Exec(ctx, ownMark+text).ReadAll()
	return err
}
