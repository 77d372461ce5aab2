package daybook_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-go/daybook"
)

// letters is another service. It tells repetitions by the key that comes with each letter.
type letters struct {
	received map[daybook.UUID]bool
	mute     bool // it takes letters, and its replies are lost
}

func (l *letters) send(key daybook.UUID, text string) error {
	if !l.received[key] {
		fmt.Println("a letter:", text)
	}
	l.received[key] = true
	if l.mute {
		return errors.New("no reply")
	}
	return nil
}

// Effects outside of the database happen at least once, in order. The event's id is the
// key by which whoever gets them knows a repetition.
func ExampleSubscription() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	post := &letters{received: map[daybook.UUID]bool{}, mute: true}
	warnings := &daybook.Subscription{
		Name:       "warnings",
		EventTypes: []string{"Filling"},
		Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
			if f := e.Data.(Filling); f.Spoons < 0 {
				return post.send(e.EventID, fmt.Sprintf("%d spoons of %s are gone", -f.Spoons, f.Jar))
			}
			return nil
		},
		DeadLetterAfter: 20, // attempts of Run
	}
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "honey", -2)
	fill(ctx, book, "honey", -1)

	err := book.CatchUp(ctx, warnings) // Run would try again by itself
	var failed *daybook.ProjectionError
	if errors.As(err, &failed) {
		fmt.Println("stopped at position", failed.Record.Position, "-", failed.Err)
	}
	post.mute = false
	fmt.Println("again:", book.CatchUp(ctx, warnings))
	// Output:
	// a letter: 2 spoons of honey are gone
	// stopped at position 2 - no reply
	// a letter: 1 spoons of honey are gone
	// again: <nil>
}
