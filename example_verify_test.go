package daybook_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"strconv"

	"github.com/daybook-go/daybook"
)

// enough is a rule of the shop: no shelf has ever had fewer pieces than none.
var enough = daybook.Rule("enough pieces", shelves, func(s daybook.Step[Shelf, ShelfEvent]) error {
	if s.After.Pieces < 0 {
		return fmt.Errorf("%d pieces are on the shelf", s.After.Pieces)
	}
	return nil
})

// A book is proved by what the library promises and by what a program knows of it.
func ExampleVerify() {
	ctx := context.Background()
	book, closed := openShop(ctx)
	defer closed()
	shop := daybook.NewRepository(book, shelves)
	for _, command := range []ShelfCommand{Stock{Pieces: 10}, Pick{Pieces: 4}} {
		if _, err := shop.Execute(ctx, shelf("nuts"), command); err != nil {
			log.Fatal(err)
		}
	}
	// Somebody records what the shelf would never have granted.
	if _, err := book.Append(ctx, daybook.Entry{Aggregate: shelf("nuts"), Expected: daybook.Any(), Events: []daybook.Event{{Data: Picked{Pieces: 9}}}}); err != nil {
		log.Fatal(err)
	}
	v, err := daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{enough}})
	if err != nil {
		log.Fatal(err) // the book could not be looked at
	}
	fmt.Println("proved:", v.Proved(), "- up to position", v.Position)
	for _, f := range v.Findings {
		fmt.Printf("%s, position %d, number %d: %s\n", f.Check, f.Position, f.SequenceNumber, f.Problem)
	}
	// Output:
	// proved: false - up to position 3
	// enough pieces, position 3, number 3: -3 pieces are on the shelf
}

// stock is a read model: the pieces on every shelf, as a table has them.
type stock map[string]int

func (s stock) Pin(context.Context) (daybook.PinnedRows, error) { return s, nil }

// Position is up to where events are in the rows: a program keeps it beside them.
func (stock) Position() int64 { return 2 }

func (s stock) Rows(context.Context) iter.Seq2[daybook.Row, error] {
	return func(yield func(daybook.Row, error) bool) {
		for id, pieces := range s {
			if !yield(daybook.Row{Key: id, Fields: []daybook.Field{{Name: "pieces", Value: strconv.Itoa(pieces)}}}, nil) {
				return
			}
		}
	}
}

func (stock) Close() error { return nil }

// A read model is made anew from the events, and compared row by row.
func ExampleRowCheck() {
	ctx := context.Background()
	book, closed := openShop(ctx)
	defer closed()
	shop := daybook.NewRepository(book, shelves)
	for _, command := range []ShelfCommand{Stock{Pieces: 10}, Pick{Pieces: 4}} {
		if _, err := shop.Execute(ctx, shelf("nuts"), command); err != nil {
			log.Fatal(err)
		}
	}
	nuts := shelf("nuts").ID.String()
	check := &daybook.RowCheck[Shelf]{
		Table: "stock",
		Model: stock{nuts: 7},
		Keys: func(e *daybook.CheckedEvent) ([]string, error) {
			_, err := e.Data()
			return []string{e.Aggregate.ID.String()}, err
		},
		Evolve: func(row Shelf, _ string, e *daybook.CheckedEvent) (Shelf, bool) {
			data, _ := e.Data() // Keys has seen that it can be read
			return shelves.Evolve(row, data.(ShelfEvent)), false
		},
		Fields: func(row Shelf) []daybook.Field {
			return []daybook.Field{{Name: "pieces", Value: strconv.Itoa(row.Pieces)}}
		},
	}
	v, err := daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{check}})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range v.Findings {
		fmt.Printf("%s, the row of nuts: %v, field %s: found %s, expected %s\n", f.Table, f.Row == nuts, f.Field, f.Found, f.Expected)
	}
	// Output:
	// stock, the row of nuts: true, field pieces: found "7", expected "6"
}
