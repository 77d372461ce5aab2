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

// A subscription may append what follows from an event. An id that is derived from the
// event's makes it happen once, however often the event is delivered.
func ExampleSubscription_append() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	refill := &daybook.Subscription{
		Name:       "refill",
		EventTypes: []string{"Filling"},
		Deliver: func(ctx context.Context, e daybook.ProjectedEvent) error {
			f := e.Data.(Filling)
			if f.Spoons >= 0 {
				return nil
			}
			again := daybook.Event{ID: e.EventID.Derive("refill"), Data: Filling{f.Jar, -f.Spoons}}
			_, err := book.Append(ctx, daybook.Entry{Aggregate: e.Aggregate, Expected: daybook.Any(), Events: []daybook.Event{again}})
			return err
		},
	}
	fill(ctx, book, "honey", 5)
	fill(ctx, book, "honey", -2)
	must(0, book.CatchUp(ctx, refill))
	must(0, book.CatchUp(ctx, contents))
	fmt.Println(contents.Get(ctx, book, "honey"))
	// Output:
	// {5 3} true <nil>
}

// An event that was passed over is in the book as before: whoever has found out what was
// wrong hands it over himself.
func ExampleBook_SkipEvent() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	open := false
	deliver := func(_ context.Context, e daybook.ProjectedEvent) error {
		if f := e.Data.(Filling); f.Jar != "jam" || open {
			fmt.Println("a letter about", f.Jar)
			return nil
		}
		return errors.New("nobody is interested in jam")
	}
	letters := &daybook.Subscription{Name: "letters", Deliver: deliver}
	position := fill(ctx, book, "jam", 9)
	fill(ctx, book, "honey", 5)

	fmt.Println(book.CatchUp(ctx, letters) != nil, "- skipping", position)
	must(0, book.SkipEvent(ctx, "letters", position, "ticket 17: wait for the summer"))
	must(0, book.CatchUp(ctx, letters))

	open = true // it is summer
	for _, skip := range must(book.Skips(ctx)) {
		fmt.Println(skip.Projection, "has passed over", skip.Position, "-", skip.Reason)
		for rec, err := range book.Read(ctx, daybook.Query{AfterPosition: skip.Position - 1, Limit: 1}) {
			must(rec, err)
			must(0, deliver(ctx, daybook.ProjectedEvent{Recorded: rec, Data: must(book.Decode(rec))}))
		}
	}
	// Output:
	// true - skipping 1
	// a letter about honey
	// letters has passed over 1 - ticket 17: wait for the summer
	// a letter about jam
}

// Many letters at a time, but those about one jar one after the other; and none about what
// was before.
func ExampleSubscription_workers() {
	ctx := context.Background()
	db, closed := openJars(ctx)
	defer closed()
	book := must(daybook.Open(ctx, db, "main", fillings))
	fill(ctx, book, "honey", 5)
	head := must(book.Head(ctx))
	letters := &daybook.Subscription{
		Name:      "letters",
		Since:     head.Position, // only what comes from now on, when it is run for the first time
		Workers:   8,
		Partition: func(e daybook.ProjectedEvent) string { return e.Data.(Filling).Jar },
		Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
			fmt.Println("a letter about", e.Data.(Filling).Jar, "at", e.Position)
			return nil
		},
	}
	fill(ctx, book, "honey", -1)
	fill(ctx, book, "honey", -2)
	must(0, book.CatchUp(ctx, letters))
	// Output:
	// a letter about honey at 2
	// a letter about honey at 3
}
