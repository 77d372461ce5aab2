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
