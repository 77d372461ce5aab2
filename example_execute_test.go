package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// Shelf is a shelf of a shop: goods are put on it and taken off. Its events and its
// commands are two closed sets.
type Shelf struct{ Pieces int }

type ShelfEvent interface{ shelfEvent() }

type (
	Stocked struct{ Pieces int }
	Picked  struct{ Pieces int }
)

func (Stocked) shelfEvent() {}
func (Picked) shelfEvent()  {}

type ShelfCommand interface{ shelfCommand() }

type (
	Stock struct{ Pieces int }
	Pick  struct{ Pieces int }
)

func (Stock) shelfCommand() {}
func (Pick) shelfCommand()  {}

var errTooFew = errors.New("there are too few pieces on the shelf")

var shelves = daybook.Decider[Shelf, ShelfCommand, ShelfEvent]{
	Type:    "shelf",
	Initial: func() Shelf { return Shelf{} },
	Decide: func(s Shelf, command ShelfCommand) ([]ShelfEvent, error) {
		switch c := command.(type) {
		case Stock:
			return []ShelfEvent{Stocked(c)}, nil
		case Pick:
			if c.Pieces > s.Pieces {
				return nil, errTooFew
			}
			return []ShelfEvent{Picked(c)}, nil
		}
		return nil, fmt.Errorf("%T is no command of a shelf", command)
	},
	Evolve: func(s Shelf, event ShelfEvent) Shelf {
		switch e := event.(type) {
		case Stocked:
			s.Pieces += e.Pieces
		case Picked:
			s.Pieces -= e.Pieces
		}
		return s
	},
}

func shelf(name string) daybook.AggregateID {
	return daybook.AggregateID{Type: "shelf", ID: daybook.UUID{2}.Derive(name)}
}

// openShop returns a new book of shelves, and closes it when close is called.
func openShop(ctx context.Context) (book *daybook.Book, closed func()) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "shop.db")
	if err := sqlite.Migrate(ctx, file); err != nil {
		log.Fatal(err)
	}
	db, err := sqlite.Open(ctx, file)
	if err != nil {
		log.Fatal(err)
	}
	events := daybook.NewRegistry(daybook.Type[Stocked]("Stocked"), daybook.Type[Picked]("Picked"))
	if book, err = daybook.Open(ctx, db, "main", events); err != nil {
		log.Fatal(err)
	}
	return book, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// Commands of one's own, and what becomes of them.
func ExampleRepository_Execute() {
	ctx := context.Background()
	book, closed := openShop(ctx)
	defer closed()
	shop := daybook.NewRepository(book, shelves)

	nuts, err := shop.Execute(ctx, shelf("nuts"), Stock{Pieces: 10}, daybook.Key("delivery-17"))
	fmt.Println(nuts.State.Pieces, "nuts,", err)

	_, err = shop.Execute(ctx, shelf("nuts"), Pick{Pieces: 11})
	fmt.Println("refused by the rules:", errors.Is(err, errTooFew))

	_, err = shop.Execute(ctx, shelf("nuts"), Pick{Pieces: 1}, daybook.IfAt(7))
	var conflict *daybook.ConflictError
	fmt.Println("not as expected:", errors.As(err, &conflict), "it is at", conflict.Actual)

	_, err = shop.Execute(ctx, shelf("nuts"), Stock{Pieces: 99}, daybook.Key("delivery-17"))
	fmt.Println("the key stands for something else:", errors.Is(err, daybook.ErrKeyReused))
	// Output:
	// 10 nuts, <nil>
	// refused by the rules: true
	// not as expected: true it is at 1
	// the key stands for something else: true
}

// Two aggregates in one append: both or neither.
func ExampleRepository_ExecuteAll() {
	ctx := context.Background()
	book, closed := openShop(ctx)
	defer closed()
	shop := daybook.NewRepository(book, shelves)

	results, err := shop.ExecuteAll(ctx, []daybook.Addressed[ShelfCommand]{
		{Aggregate: shelf("nuts"), Command: Stock{Pieces: 10}},
		{Aggregate: shelf("bolts"), Command: Stock{Pieces: 3}},
	})
	fmt.Println(results[0].State.Pieces, "nuts and", results[1].State.Pieces, "bolts,", err)

	_, err = shop.ExecuteAll(ctx, []daybook.Addressed[ShelfCommand]{
		{Aggregate: shelf("nuts"), Command: Pick{Pieces: 4}},
		{Aggregate: shelf("bolts"), Command: Pick{Pieces: 4}},
	})
	nuts, _ := shop.Load(ctx, shelf("nuts"))
	fmt.Println(err, "- still", nuts.State.Pieces, "nuts")
	// Output:
	// 10 nuts and 3 bolts, <nil>
	// there are too few pieces on the shelf - still 10 nuts
}

// A reader remembers one number. This one adds up what was picked, stops, and goes
// on where it was.
func ExampleBook_Follow() {
	ctx := context.Background()
	book, closed := openShop(ctx)
	defer closed()
	shop := daybook.NewRepository(book, shelves)
	for _, command := range []ShelfCommand{Stock{Pieces: 10}, Pick{Pieces: 2}, Pick{Pieces: 3}} {
		if _, err := shop.Execute(ctx, shelf("nuts"), command); err != nil {
			log.Fatal(err)
		}
	}
	position, picked := int64(0), 0 // kept together, where the reader keeps what it makes of the events
	follow := func(until int64) {
		for rec, err := range book.Follow(ctx, daybook.Query{AfterPosition: position, EventTypes: []string{"Picked"}}) {
			if err != nil {
				log.Fatal(err) // ctx has ended, or the database is out of reach: begin again at position
			}
			event, err := book.Decode(rec)
			if err != nil {
				log.Fatal(err)
			}
			picked += event.(Picked).Pieces
			position = rec.Position
			if position >= until {
				return
			}
		}
	}
	follow(2)
	fmt.Println("picked up to position", position, "-", picked)
	follow(3)
	fmt.Println("picked up to position", position, "-", picked)
	// Output:
	// picked up to position 2 - 2
	// picked up to position 3 - 5
}
