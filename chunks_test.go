package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
)

// gathered is a projection that remembers the positions it has got, page by page.
type gathered struct{ pages [][]int64 }

func (g *gathered) projection(types ...string) *daybook.Projection {
	return &daybook.Projection{Name: "gathered", EventTypes: types, Apply: func(_ context.Context, _ daybook.Tx, page daybook.Page) error {
		var positions []int64
		for _, e := range page.Events {
			if a, ok := e.Data.(added); ok && a.By == 13 {
				panic("thirteen")
			}
			positions = append(positions, e.Position)
		}
		g.pages = append(g.pages, positions)
		return nil
	}}
}

// fillLong appends n events, each made from its number: 1, 2, 3 …
func fillLong(t *testing.T, book *daybook.Book, n int, event func(number int) any) {
	t.Helper()
	for from := 0; from < n; from += 5_000 {
		var events []daybook.Event
		for number := from; number < min(from+5_000, n); number++ {
			events = append(events, daybook.Event{Data: event(number + 1)})
		}
		if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: counterID(from), Events: events}); err != nil {
			t.Fatal(err)
		}
	}
}

// Long books are read by several at a time: each event comes once, in its place.
func TestALongBookIsTakenInOrder(t *testing.T) {
	t.Parallel()
	const events = 23_456
	book, _ := openTallied(t, newDriver(t))
	fillLong(t, book, events, func(int) any { return added{By: 1} })
	var got gathered
	if err := book.CatchUp(t.Context(), got.projection()); err != nil {
		t.Fatal(err)
	}
	next := int64(1)
	for _, page := range got.pages {
		for _, position := range page {
			if position != next {
				t.Fatalf("position %d comes after %d", position, next-1)
			}
			next++
		}
	}
	if next != events+1 {
		t.Errorf("%d events came, want %d", next-1, events)
	}
}

// Who wants few of the events gets them in full pages all the same: each is a transaction.
func TestFewOfManyEventsAreOnePage(t *testing.T) {
	t.Parallel()
	book, _ := openTallied(t, newDriver(t))
	fillLong(t, book, 20_000, func(number int) any {
		if number%100 == 0 {
			return elsewhere{}
		}
		return added{By: 1}
	})
	var got gathered
	if err := book.CatchUp(t.Context(), got.projection("Elsewhere")); err != nil {
		t.Fatal(err)
	}
	if len(got.pages) != 1 || len(got.pages[0]) != 200 || got.pages[0][199] != 20_000 {
		t.Errorf("pages are %v, want one of 200 events", got.pages)
	}
}

// Large events end a page before it has many.
func TestLargeEventsComeInSmallPages(t *testing.T) {
	t.Parallel()
	registry := daybook.NewRegistry(daybook.Type[struct{ Text string }]("Large"))
	book, err := daybook.Open(t.Context(), newDriver(t), "main", registry)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 900_000)
	for n := range 12 {
		if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: counterID(n), Events: []daybook.Event{{Data: struct{ Text string }{text}}}}); err != nil {
			t.Fatal(err)
		}
	}
	var got gathered
	if err := book.CatchUp(t.Context(), got.projection()); err != nil {
		t.Fatal(err)
	}
	if want := "[[1 2 3 4 5] [6 7 8 9 10] [11 12]]"; fmt.Sprint(got.pages) != want {
		t.Errorf("pages are %v, want %s", got.pages, want)
	}
}

// An event that cannot be taken stops a projection at it, however far ahead others are read.
func TestAnEventFarAheadStopsAtItsPlace(t *testing.T) {
	t.Parallel()
	const bad = 9_001
	book, _ := openTallied(t, newDriver(t))
	fillLong(t, book, 20_000, func(number int) any {
		if number == bad {
			return added{By: 13}
		}
		return added{By: 1}
	})
	var got gathered
	err := book.CatchUp(t.Context(), got.projection())
	var failed *daybook.ProjectionError
	if !errors.As(err, &failed) || failed.Record.Position != bad {
		t.Fatalf("error is %v, want it to be about position %d", err, bad)
	}
	list, err := book.Projections(t.Context())
	if err != nil || list[0].Position != bad-1 || list[0].Failed != bad {
		t.Errorf("projections are %+v, %v", list, err)
	}
}
