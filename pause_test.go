package daybook_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// Who has paused a view is not overruled by a program that would make it anew.
func TestChangedViewThatIsPaused(t *testing.T) {
	t.Parallel()
	for name, inline := range map[string]bool{"inline": true, "behind": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := newDriver(t)
			var options, changed []daybook.OpenOption
			if inline {
				options, changed = append(options, daybook.Inline{newTallies()}), append(changed, daybook.Inline{newWider()})
			}
			book, repo := openTallied(t, driver, options...)
			fillCounters(t, repo, 5)
			if !inline {
				if err := book.CatchUp(t.Context(), newTallies()); err != nil {
					t.Fatal(err)
				}
			}
			if err := book.PauseProjection(t.Context(), "tallies"); err != nil {
				t.Fatal(err)
			}
			newer, newRepo := openTallied(t, driver, changed...)
			fillCounters(t, newRepo, 1)
			if !inline {
				if err := newer.CatchUp(t.Context(), newWider()); !errors.Is(err, daybook.ErrInvalid) {
					t.Errorf("caught up with a paused view: %v", err)
				}
			}
			list, err := newer.Projections(t.Context())
			if err != nil || len(list) != 1 || !list[0].Paused {
				t.Errorf("projections are %+v, %v", list, err)
			}
			if err := newer.ResumeProjection(t.Context(), newWider()); err != nil {
				t.Fatal(err)
			}
			if !inline {
				if err := newer.CatchUp(t.Context(), newWider()); err != nil {
					t.Error(err)
				}
			}
			fillCounters(t, newRepo, 1)
			if list, err = newer.Projections(t.Context()); err != nil || len(list) != 2 || list[1].State != daybook.GenerationLive || list[1].Paused {
				t.Errorf("projections are %+v, %v", list, err)
			}
		})
	}
}

// A program that is newer than what somebody has paused leaves it so, and makes it anew when it
// is resumed.
func TestRunOfAChangedViewThatIsPaused(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	if err := book.CatchUp(t.Context(), newTallies()); err != nil {
		t.Fatal(err)
	}
	if err := book.PauseProjection(t.Context(), "tallies"); err != nil {
		t.Fatal(err)
	}
	changed := newWider()
	if err := book.CatchUp(t.Context(), changed); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("catching up: error is %v, want it to say that it is paused", err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || len(list) != 1 || list[0].Generation != 1 || !list[0].Paused {
		t.Errorf("projections are %+v, %v, want one, paused", list, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, changed) }()
	res, err := repo.Execute(t.Context(), counterID(1), add{1})
	if err != nil {
		t.Fatal(err)
	}
	if err := book.ResumeProjection(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := book.WaitFor(t.Context(), "tallies", res.Events[0].Position); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if row, _, err := changed.Get(t.Context(), book, counterID(1).ID); err != nil || row.Sum != 1 {
		t.Errorf("the row is %+v, %v", row, err)
	}
}

// A pause is heard in the midst of a page, and what was delivered of it does not come again.
func TestASubscriptionThatIsPausedDeliversNoMoreUntilItIsResumed(t *testing.T) {
	t.Parallel()
	const letters = 60
	book, repo := openTallied(t, newDriver(t))
	fillCounters(t, repo, letters)
	sent := make(chan int64, 2*letters)
	mail := &daybook.Subscription{Name: "letters", Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
		sent <- e.Position
		<-time.After(50 * time.Millisecond)
		return nil
	}}
	stop := during(t, book, mail)
	until(t, book, func(daybook.ProjectionStatus) bool { return len(sent) > 0 })
	if err := book.PauseProjection(t.Context(), "letters"); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second)
	if n := len(sent); n == letters {
		t.Errorf("all %d letters were sent, and it was paused at the first", n)
	}
	if err := book.ResumeProjection(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	if err := book.WaitFor(t.Context(), "letters", letters); err != nil {
		t.Fatal(err)
	}
	stop()
	if len(sent) != letters {
		t.Errorf("%d letters were sent, want each of %d once", len(sent), letters)
	}
}
