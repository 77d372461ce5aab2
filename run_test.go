package daybook_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"

	"github.com/daybook-go/daybook"
)

// A row that no column keeps is an invalid value, and stops one projection all the same.
func TestRunGoesOnWithoutOneWhoseRowCannotBeKept(t *testing.T) {
	t.Parallel()
	type weight struct{ Kilograms float64 }
	nan := &daybook.View[daybook.UUID, weight]{
		Name: "weights", Keys: daybook.PerAggregate,
		Evolve: func(weight, daybook.UUID, daybook.ProjectedEvent) (weight, bool) { return weight{math.NaN()}, false },
	}
	sound := newTallies()
	book, repo := openTallied(t, newDriver(t))
	if err := book.CatchUp(t.Context(), nan, sound); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, nan, sound) }()
	for range 3 {
		res, err := repo.Execute(t.Context(), counterID(1), add{1})
		if err != nil {
			t.Fatal(err)
		}
		if err := book.WaitFor(t.Context(), "weights", 1); !errors.Is(err, daybook.ErrProjection) {
			t.Errorf("error is %v, want it to say that the projection has stopped", err)
		}
		if err := book.WaitFor(t.Context(), "tallies", res.Events[0].Position); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

// Who is not the first to make a projection waits for the first.
func TestManyMakeAProjectionAtOnce(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	book, repo := openTallied(t, driver)
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Fatal(err)
	}
	view := newTallies()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			other, _ := openTallied(t, driver)
			if err := other.CatchUp(t.Context(), view); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantTally(t, book, view, 1, 1)
}

// An attempt to deliver an event is one delivery, and there are as many as was said.
func TestASubscriptionGivesUpAfterSoManyAttempts(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	for range 3 {
		if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
			t.Fatal(err)
		}
	}
	tries := map[int64]int{}
	letters := &daybook.Subscription{Name: "letters", DeadLetterAfter: 2, Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
		if tries[e.Position]++; e.Position == 2 {
			return errors.New("no such address")
		}
		return nil
	}}
	if err := book.CatchUp(t.Context(), letters); !errors.Is(err, daybook.ErrProjection) || tries[2] != 1 {
		t.Fatalf("error is %v, tried %v", err, tries)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, letters) }()
	for book.WaitFor(t.Context(), "letters", 3) != nil { // until it is given up
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if tries[1] != 1 || tries[2] != 3 || tries[3] != 1 {
		t.Errorf("tried %v, want the second 1 time and then 2 times by another one, and the others once", tries)
	}
}
