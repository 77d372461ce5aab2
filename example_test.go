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

// What can happen to a jar, and the state it leaves behind.
type (
	Filled  struct{ Spoons int }
	Emptied struct{ Spoons int }
	Jar     struct{ Spoons int }
)

var jars = daybook.Decider[Jar, any, any]{
	Type:    "jar",
	Initial: func() Jar { return Jar{} },
	Evolve: func(jar Jar, event any) Jar {
		switch e := event.(type) {
		case Filled:
			jar.Spoons += e.Spoons
		case Emptied:
			jar.Spoons -= e.Spoons
		}
		return jar
	},
}

var errEmpty = errors.New("there is not that much in the jar")

func take(spoons int) func(Jar) ([]any, error) {
	return func(jar Jar) ([]any, error) {
		if jar.Spoons < spoons {
			return nil, errEmpty
		}
		return []any{Emptied{spoons}}, nil
	}
}

func Example() {
	ctx := context.Background()
	file := filepath.Join(os.TempDir(), fmt.Sprintf("jars-%d.db", os.Getpid()))
	defer os.Remove(file)
	if err := sqlite.Migrate(ctx, file); err != nil {
		log.Fatal(err)
	}
	db, err := sqlite.Open(ctx, file)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	events := daybook.NewRegistry(daybook.Type[Filled]("Filled"), daybook.Type[Emptied]("Emptied"))
	book, err := daybook.Open(ctx, db, "main", events)
	if err != nil {
		log.Fatal(err)
	}
	repo := daybook.NewRepository(book, jars)
	honey := daybook.AggregateID{Type: "jar", ID: daybook.NewUUID()}

	_, err = repo.Update(ctx, honey, func(Jar) ([]any, error) { return []any{Filled{5}}, nil })
	fmt.Println("filled:", err)
	jar, err := repo.Update(ctx, honey, take(2), daybook.Key("breakfast"))
	fmt.Println("breakfast:", jar.State.Spoons, "left,", err)
	jar, err = repo.Update(ctx, honey, take(2), daybook.Key("breakfast")) // a retry: nothing happens
	fmt.Println("breakfast again:", jar.State.Spoons, "left,", err)
	_, err = repo.Update(ctx, honey, take(9))
	fmt.Println("feast:", err)

	for n := range int64(3) {
		then, _ := repo.LoadAt(ctx, honey, daybook.AtSequence(n))
		fmt.Printf("after event %d: %d spoons\n", n, then.State.Spoons)
	}
	// Output:
	// filled: <nil>
	// breakfast: 3 left, <nil>
	// breakfast again: 3 left, <nil>
	// feast: there is not that much in the jar
	// after event 0: 0 spoons
	// after event 1: 5 spoons
	// after event 2: 3 spoons
}
