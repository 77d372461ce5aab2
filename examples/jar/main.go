// Command jar keeps count of the spoons of honey in a jar.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

type Poured struct{ Spoons int } // what happens to a jar: honey goes in or, below zero, out

var jars = daybook.Decider[int, any, Poured]{
	Type:    "jar",
	Initial: func() int { return 0 },
	Evolve:  func(spoons int, e Poured) int { return spoons + e.Spoons },
}

func take(spoons int) ([]Poured, error) { // a decision: pure, and made again after a lost race
	if spoons < 2 {
		return nil, errors.New("the jar is empty")
	}
	return []Poured{{-2}}, nil
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	ctx, honey := context.Background(), daybook.AggregateID{Type: "jar", ID: daybook.UUID{1}.Derive("honey")}
	must(0, sqlite.Migrate(ctx, "jars.db"))
	db := must(sqlite.Open(ctx, "jars.db")) // or postgres.Open(ctx, "postgres://…")
	defer db.Close()
	book := must(daybook.Open(ctx, db, "main", daybook.NewRegistry(daybook.Type[Poured]("Poured"))))
	repo := daybook.NewRepository(book, jars)

	must(repo.Update(ctx, honey, func(int) ([]Poured, error) { return []Poured{{5}}, nil }, daybook.Key("filled")))
	must(repo.Update(ctx, honey, take, daybook.Key("breakfast")))
	now := must(repo.Update(ctx, honey, take, daybook.Key("breakfast"))) // a retry: nothing happens
	then := must(repo.LoadAt(ctx, honey, daybook.AtSequence(1)))
	fmt.Println(now.State, "spoons left, before breakfast", then.State)
}
