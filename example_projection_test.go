package daybook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// poured is a read model in SQL: what was taken out of jars, by jar. Each generation has a
// table of its own, and the view "<book>_poured" is the one that serves.
var poured = &daybook.Projection{
	Name:       "poured",
	EventTypes: []string{"Filling"},
	Setup: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE `+pouredTable(g)+` (jar TEXT PRIMARY KEY, spoons BIGINT NOT NULL)`)
		return err
	},
	Switch: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
		_, err := tx.ExecContext(ctx, `DROP VIEW IF EXISTS `+pouredView(g))
		if err == nil {
			_, err = tx.ExecContext(ctx, `CREATE VIEW `+pouredView(g)+` AS SELECT jar, spoons FROM `+pouredTable(g))
		}
		return err
	},
	Drop: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
		if g.Live { // and is what readers see
			if _, err := tx.ExecContext(ctx, `DROP VIEW `+pouredView(g)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DROP TABLE `+pouredTable(g))
		return err
	},
	Apply: func(ctx context.Context, tx daybook.Tx, page daybook.Page) error {
		add := `INSERT INTO ` + pouredTable(page.Generation) + ` AS p (jar, spoons) VALUES ($1, $2)
			ON CONFLICT (jar) DO UPDATE SET spoons = p.spoons + excluded.spoons`
		for _, e := range page.Events {
			if filling := e.Data.(Filling); filling.Spoons < 0 {
				if _, err := tx.ExecContext(ctx, add, filling.Jar, -filling.Spoons); err != nil {
					return &daybook.ProjectionError{Projection: "poured", Record: e.Recorded, Err: err}
				}
			}
		}
		return nil
	},
}

// Names are quoted, for that of a book may have capitals, '-' and '.'.
func pouredTable(g daybook.Generation) string {
	return fmt.Sprintf(`"%s_poured_g%d"`, g.Book, g.Number)
}
func pouredView(g daybook.Generation) string { return fmt.Sprintf(`"%s_poured"`, g.Book) }

// Hand-written SQL, in the transaction of the append.
func ExampleProjection() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "jars"))
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "jars.db")
	must(0, sqlite.Migrate(ctx, file))
	db := must(sqlite.Open(ctx, file))
	defer db.Close()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{poured, contents}))
	for _, spoons := range []int{9, -2, -3} {
		fill(ctx, book, "honey", spoons)
	}

	// Readers open the same file, and join what they like.
	reader := must(sql.Open("sqlite", file)) // the driver that package sqlite brings
	defer reader.Close()
	var in, out int
	err := reader.QueryRowContext(ctx, `SELECT c.spoons, p.spoons FROM main_contents AS c JOIN main_poured AS p ON p.jar = c.jar`).Scan(&in, &out)
	fmt.Println(in, "spoons in the jar,", out, "taken out,", err)

	rebuilt := must(book.Rebuild(ctx, poured, daybook.RebuildOptions{}))
	err = reader.QueryRowContext(ctx, `SELECT spoons FROM main_poured WHERE jar = 'honey'`).Scan(&out)
	fmt.Println("generation", rebuilt.Generation, "-", out, "taken out,", errors.Join(err, ctx.Err()))
	// Output:
	// 4 spoons in the jar, 5 taken out, <nil>
	// generation 2 - 5 taken out, <nil>
}
