package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// Filling is what happens to a jar: honey goes in or, below zero, out.
type Filling struct {
	Jar    string
	Spoons int
}

// Contents is a row of the view: what is in a jar, and how often something was done to it.
type Contents struct {
	Spoons int `db:",index"`
	Times  int
}

var contents = &daybook.View[string, Contents]{
	Name: "contents", Key: "jar",
	Keys: func(e daybook.ProjectedEvent) []string { return []string{e.Data.(Filling).Jar} },
	Evolve: func(row Contents, _ string, e daybook.ProjectedEvent) (Contents, bool) {
		return Contents{row.Spoons + e.Data.(Filling).Spoons, row.Times + 1}, false
	},
}

func ExampleView() {
	ctx := context.Background()
	db, closed := openJars(ctx) // an empty SQLite file; or postgres.Open(ctx, "postgres://…")
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{contents}))
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "jam", 9)
	fill(ctx, book, "honey", -2)
	honey, found, err := contents.Get(ctx, book, "honey")
	fmt.Println(honey.Spoons, "spoons of honey,", found, err)
	for _, r := range must(contents.Find(ctx, book, daybook.ViewQuery{Order: []string{"spoons"}, Reverse: true})) {
		fmt.Println(r.Key, r.Row.Spoons)
	}
	past := must(contents.At(ctx, book, daybook.AtPosition(1)))
	fmt.Println("at position", past.Position, "-", past.Rows)
	// Output:
	// 3 spoons of honey, true <nil>
	// jam 9
	// honey 3
	// at position 1 - [{honey {5 1}}]
}

var fillings = daybook.NewRegistry(daybook.Type[Filling]("Filling"))

// fill appends an event, and returns its position.
func fill(ctx context.Context, book *daybook.Book, jar string, spoons int) int64 {
	id := daybook.AggregateID{Type: "jar", ID: daybook.UUID{1}.Derive(jar)}
	records := must(book.Append(ctx, daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{{Data: Filling{jar, spoons}}}}))
	return records[0].Position
}

// openJars returns an empty SQLite file, and removes it when closed is called.
func openJars(ctx context.Context) (db *sqlite.DB, closed func()) {
	dir := must(os.MkdirTemp("", "jars"))
	file := filepath.Join(dir, "jars.db")
	must(0, sqlite.Migrate(ctx, file))
	db = must(sqlite.Open(ctx, file))
	return db, func() { must(0, errors.Join(db.Close(), os.RemoveAll(dir))) }
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
