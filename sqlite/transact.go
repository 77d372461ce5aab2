package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/daybook-go/daybook"
)

// transaction is a [daybook.DriverTx]: the session, while it is in a transaction.
type transaction struct {
	tables
	db         *DB
	session    *session
	hand       *handwritten
	headLocked bool
}

var _ daybook.DriverTx = (*transaction)(nil)

// Transact implements [daybook.Driver]. The lock of the file is that of every head, so
// lockHead costs nothing, and no transaction loses to another one.
func (db *DB) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(ctx context.Context, tx daybook.DriverTx) error) error {
	return db.write(ctx, func(_ context.Context, s *session) (bool, error) {
		t := &transaction{
			tables: tables{book: book, on: s, rows: &s.tables},
			db:     db, session: s, hand: &handwritten{conn: s.conn}, headLocked: lockHead,
		}
		defer t.hand.end()
		return true, work(ctx, t)
	})
}

// SQL implements [daybook.DriverTx].
func (t *transaction) SQL() daybook.Tx { return t.hand }

// LoadRows implements [daybook.DriverTx].
func (t *transaction) LoadRows(ctx context.Context, keys daybook.TableKeys) ([][]any, error) {
	return loadRows(ctx, t.session, keys)
}

// WriteRows implements [daybook.DriverTx].
func (t *transaction) WriteRows(ctx context.Context, rows daybook.TableRows) error {
	return writeRows(ctx, t.session, rows)
}

// CreateTable implements [daybook.DriverTx].
func (t *transaction) CreateTable(ctx context.Context, table daybook.Table) error {
	statements, err := createTable(table)
	if err != nil {
		return err
	}
	return t.change(ctx, statements...)
}

// DropTable implements [daybook.DriverTx].
func (t *transaction) DropTable(ctx context.Context, name string) error {
	if err := notOurs(name); err != nil {
		return err
	}
	var view string
	err := t.session.QueryRowContext(context.WithoutCancel(ctx), selectPointing, fromTable(name)).Scan(&view)
	switch {
	case err == nil:
		return fmt.Errorf("the name %s stands for the table %s: let it stand for another one first", view, name)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	return t.change(ctx, `DROP TABLE IF EXISTS `+quoted(name))
}

// pointer is how the SQL of a view begins that stands for a table. SQLite keeps the text
// of a view as it was written, so this tells it from one that somebody else has made.
func pointer(name string) string {
	return `CREATE VIEW ` + quoted(name) + ` AS /* daybook: one table at a time */ SELECT `
}

// fromTable is how such a view ends.
func fromTable(name string) string { return ` FROM ` + quoted(name) }

// selectPointing returns a view the SQL of which ends with ?1. There are few views.
const selectPointing = `SELECT name FROM sqlite_schema WHERE type = 'view' AND substr(sql, -length(?1)) = ?1 LIMIT 1`

// selectNamed returns what has the name ?1: table, view or index, and its SQL.
const selectNamed = `SELECT type, coalesce(sql, '') FROM sqlite_schema WHERE name = ?1`

// pointed returns the SQL of the view that stands for a table under that name, or ""
// where nothing has the name. It is an error where something else has it.
func (t *transaction) pointed(ctx context.Context, name string) (text string, err error) {
	var kind string
	err = t.session.QueryRowContext(context.WithoutCancel(ctx), selectNamed, name).Scan(&kind, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case kind != "view" || !strings.HasPrefix(text, pointer(name)):
		return "", fmt.Errorf("there is a %s %s already, which daybook has not made to stand for a table: choose another name", kind, name)
	}
	return text, nil
}

// Point implements [daybook.DriverTx].
func (t *transaction) Point(ctx context.Context, name string, table daybook.Table) error {
	there, err := t.pointed(ctx, name)
	if err != nil {
		return err
	}
	text := pointer(name) + list(table.Columns) + fromTable(table.Name)
	switch there {
	case text:
		return nil
	case "":
		return t.change(ctx, text)
	}
	return t.change(ctx, `DROP VIEW `+quoted(name), text)
}

// Unpoint implements [daybook.DriverTx].
func (t *transaction) Unpoint(ctx context.Context, name string) error {
	there, err := t.pointed(ctx, name)
	if err != nil || there == "" {
		return err
	}
	return t.change(ctx, `DROP VIEW `+quoted(name))
}

// change runs statements that change what tables there are.
func (t *transaction) change(ctx context.Context, statements ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.session.tables.forget(); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := t.session.conn.ExecContext(context.WithoutCancel(ctx), statement); err != nil {
			return err
		}
	}
	return nil
}
