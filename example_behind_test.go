package daybook_test

import (
	"context"
	"fmt"

	"github.com/daybook-go/daybook"
)

// A view that runs behind costs appends nothing. Who has to see what he has just
// appended waits for it.
func ExampleBook_Run() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings)) // no Inline
	fill(ctx, book, "honey", 5)
	must(0, book.CatchUp(ctx, contents)) // makes the view, and brings it up to the head

	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, contents) }() // until the program ends

	position := fill(ctx, book, "honey", -2)
	must(0, book.WaitFor(ctx, "contents", position))
	honey, _, err := contents.Get(ctx, book, "honey")
	fmt.Println(honey.Spoons, "spoons of honey,", err)

	stop()
	fmt.Println("Run:", <-ended)
	for _, p := range must(book.Projections(context.Background())) {
		fmt.Println(p.Projection, "runs", p.Kind, "and is at position", p.Position, "with a lag of", p.Lag)
	}
	// Output:
	// 3 spoons of honey, <nil>
	// Run: context canceled
	// contents runs behind and is at position 2 with a lag of 0
}

// Largest is a row of the changed view, which also says what was most in a jar.
type Largest struct {
	Spoons int `db:",index"`
	Times  int
	Most   int
}

// contentsNow is contents, declared otherwise.
var contentsNow = &daybook.View[string, Largest]{
	Name: "contents", Key: "jar", Version: 1, ByCommand: true,
	Keys: contents.Keys,
	Evolve: func(row Largest, _ string, e daybook.ProjectedEvent) (Largest, bool) {
		spoons := row.Spoons + e.Data.(Filling).Spoons
		return Largest{spoons, row.Times + 1, max(row.Most, spoons)}, false
	},
}

// A changed view is made anew beside the one that serves. First it can be seen what the
// change changes; afterwards one can go back.
func ExampleBook_Rebuild() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "honey", -2)
	must(0, book.CatchUp(ctx, contents)) // the program of yesterday

	check := must(contentsNow.Check(book)) // nothing is written
	v := must(daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{check}}))
	for _, f := range v.Findings {
		fmt.Printf("row %s, %s: found %s, expected %s\n", f.Row, f.Field, f.Found, f.Expected)
	}

	rebuilt := must(book.Rebuild(ctx, contentsNow, daybook.RebuildOptions{}))
	honey, _, err := contentsNow.Get(ctx, book, "honey")
	fmt.Println("generation", rebuilt.Generation, "- most", honey.Most, err)
	v = must(daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{check}}))
	fmt.Println("proved:", v.Proved())

	back := must(book.Rebuild(ctx, contents, daybook.RebuildOptions{Kept: true})) // by the old declaration
	fmt.Println("back to generation", back.Generation)
	fmt.Println("dropped:", must(book.DropKept(ctx, contents)))
	must(0, book.DropProjection(ctx, contents))
	fmt.Println("left:", must(book.Projections(ctx)))
	// Output:
	// row honey, most: found no such field, expected "5"
	// generation 2 - most 5 <nil>
	// proved: true
	// back to generation 1
	// dropped: 1
	// left: []
}

// A view can be asked as of any position or time. Copies, and the live rows, are where it
// begins; where there is none, at the first event.
func ExampleView_At() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings, daybook.Inline{contents}))
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "jam", 9)
	copied := must(book.CopyView(ctx, contents))
	fill(ctx, book, "jam", -4)
	fill(ctx, book, "jam", -4)

	for position := range int64(4) {
		past := must(contents.At(ctx, book, daybook.AtPosition(position)))
		fmt.Println("at", position, "from", past.From, "-", past.Rows)
	}
	jam, found, err := contents.GetAt(ctx, book, "jam", daybook.AtPosition(copied))
	fmt.Println(jam.Spoons, found, err)
	// Output:
	// at 0 from 0 - []
	// at 1 from 0 - [{honey {5 1}}]
	// at 2 from 2 - [{honey {5 1}} {jam {9 1}}]
	// at 3 from 2 - [{honey {5 1}} {jam {5 2}}]
	// 9 true <nil>
}
