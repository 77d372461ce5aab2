package daybook_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// JarDay is a key of two columns, jar and day.
type JarDay struct{ Jar, Day string }

// Eaten is a row: what was eaten out of a jar on a day.
type Eaten struct {
	Spoons   int       `db:",index"`
	Latest   time.Time `db:"last_eaten"`
	Helpings []int
}

var eaten = &daybook.View[JarDay, Eaten]{
	Name:       "eaten",
	Indexes:    []string{"day, spoons"},
	EventTypes: []string{"Filling"},
	Keys: func(e daybook.ProjectedEvent) []JarDay {
		if f := e.Data.(Filling); f.Spoons < 0 {
			return []JarDay{{f.Jar, e.OccurredAt.Format(time.DateOnly)}}
		}
		return nil
	},
	Evolve: func(row Eaten, _ JarDay, e daybook.ProjectedEvent) (Eaten, bool) {
		helping := -e.Data.(Filling).Spoons
		return Eaten{row.Spoons + helping, e.OccurredAt, append(row.Helpings, helping)}, false
	},
	Aggregates: func(key JarDay) []daybook.AggregateID {
		return []daybook.AggregateID{{Type: "jar", ID: daybook.UUID{1}.Derive(key.Jar)}}
	},
}

// eat takes spoons out of a jar, on a day of November, at noon.
func eat(ctx context.Context, book *daybook.Book, jar string, day, spoons int) {
	id := daybook.AggregateID{Type: "jar", ID: daybook.UUID{1}.Derive(jar)}
	noon := time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC)
	helping := daybook.Event{Data: Filling{jar, -spoons}, OccurredAt: noon}
	must(book.Append(ctx, daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{helping}}))
}

// Rows are found by any column, sorted by any, and come in pages.
func ExampleView_After() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{eaten}))
	for day := 2; day <= 6; day++ {
		eat(ctx, book, "honey", day, day%4+1)
		eat(ctx, book, "jam", day, 1)
	}
	page := daybook.ViewQuery{
		Where:   []daybook.Condition{{Column: "day", Op: daybook.Less, Value: "2026-11-06"}, {Column: "jar", Op: daybook.Equal, Value: "honey"}},
		Order:   []string{"spoons"},
		Reverse: true,
		Limit:   3,
	}
	rows, err := eaten.Find(ctx, book, page)
	for err == nil && len(rows) > 0 {
		for _, r := range rows {
			fmt.Println(r.Key.Day, r.Row.Spoons)
		}
		fmt.Println("--")
		rows, err = eaten.After(ctx, book, page, rows[len(rows)-1])
	}
	fmt.Println(err)
	// Output:
	// 2026-11-03 4
	// 2026-11-02 3
	// 2026-11-05 2
	// --
	// 2026-11-04 1
	// --
	// <nil>
}

// One row of the past is worked out of the events of a few aggregates, however long the
// book is.
func ExampleView_GetAt() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{eaten}))
	eat(ctx, book, "honey", 2, 3)
	eat(ctx, book, "jam", 2, 1)
	eat(ctx, book, "honey", 2, 4)
	row, found, err := eaten.GetAt(ctx, book, JarDay{"honey", "2026-11-02"}, daybook.AtPosition(2))
	fmt.Println(row.Spoons, row.Helpings, found, err)
	// Output:
	// 3 [3] true <nil>
}

// Tables of your own are joined with a view by its name in SQL.
func ExampleView_SQLName() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "jars"))
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "jars.db")
	must(0, sqlite.Migrate(ctx, file))
	db := must(sqlite.Open(ctx, file))
	defer db.Close()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{contents}))
	fill(ctx, book, "honey", 5)

	pool := must(sql.Open("sqlite", file)) // on PostgreSQL, the pool that your program has
	defer pool.Close()
	must(pool.ExecContext(ctx, `CREATE TABLE owners (jar TEXT PRIMARY KEY, name TEXT NOT NULL)`))
	must(pool.ExecContext(ctx, `INSERT INTO owners VALUES ('honey', 'Winnie')`))

	query := `SELECT o.name, c.spoons FROM owners AS o JOIN ` + contents.SQLName(book) + ` AS c ON c.jar = o.jar`
	var name string
	var spoons int
	err := pool.QueryRowContext(ctx, query).Scan(&name, &spoons)
	fmt.Println(contents.SQLName(book), "-", name, "has", spoons, "spoons,", err)
	// Output:
	// main_contents - Winnie has 5 spoons, <nil>
}

// What is to become inline is made first, behind: then it can be watched, and Open has
// nothing left to do.
func ExampleBook_Rebuild_beforeInline() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	fill(ctx, book, "honey", 5)
	show := func(position, head int64) { fmt.Println(position, "of", head, "events") }
	rebuilt, err := book.Rebuild(ctx, contents, daybook.RebuildOptions{Progress: show})
	fmt.Println("generation", rebuilt.Generation, err)

	book = must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{contents}))
	fill(ctx, book, "honey", -2)
	fmt.Println(contents.Get(ctx, book, "honey"))
	// Output:
	// 1 of 1 events
	// generation 1 <nil>
	// {3 2} true <nil>
}

func TestContentsOfAnEvent(t *testing.T) {
	t.Parallel()
	supper := daybook.ProjectedEvent{Data: Filling{"honey", -2}}
	got, dropped := contents.Evolve(Contents{Spoons: 5, Times: 1}, "honey", supper)
	if want := (Contents{Spoons: 3, Times: 2}); got != want || dropped {
		t.Errorf("got %+v, %t, want %+v", got, dropped, want)
	}
}

func TestContentsOfABook(t *testing.T) {
	t.Parallel()
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "jars.db")
	must(0, sqlite.Migrate(ctx, file))
	db := must(sqlite.Open(ctx, file))
	defer db.Close()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{contents}))
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "honey", -2)

	check := must(contents.Check(book))
	v := must(daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{check}}))
	if !v.Proved() {
		t.Error(v.Findings)
	}
}
