package daybook_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// Attempts are counted for each event: those that another one took are not its own.
func TestAnEventIsGivenUpAfterItsOwnAttempts(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	fillCounters(t, repo, 2)
	tries := map[int64]int{}
	letters := &daybook.Subscription{Name: "letters", DeadLetterAfter: 2, Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
		if tries[e.Position]++; e.Position == 2 || tries[1] == 1 {
			return errors.New("no such address")
		}
		return nil
	}}
	stop := during(t, book, letters)
	until(t, book, func(p daybook.ProjectionStatus) bool { return p.Position == 2 })
	stop()
	if tries[1] != 2 || tries[2] != 2 {
		t.Errorf("tried %v, want each twice", tries)
	}
}

// during runs projections until stop is called, or the test ends.
func during(t *testing.T, book *daybook.Book, projectors ...daybook.Projector) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // it is to end before the book is closed
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, projectors...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// full lets no checkpoint in the file move on until room is called, as a full disk does.
func full(t *testing.T, file string) (room func()) {
	t.Helper()
	pool, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(30000)") // others write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	execute := func(statement string) {
		t.Helper()
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	execute(`CREATE TRIGGER full BEFORE UPDATE ON checkpoints WHEN new.position > old.position BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	return func() { execute(`DROP TRIGGER full`) }
}

// until waits for a generation of tallies to be as it should.
func until(t *testing.T, book *daybook.Book, so func(p daybook.ProjectionStatus) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		list, err := book.Projections(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, so) {
			return
		}
	}
}

func TestAChangedViewIsMadeAnewThoughTheFirstAttemptHasFailed(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	book, repo := openTallied(t, openFile(t, file))
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Fatal(err)
	}
	old, changed := newTallies(), newTallies()
	changed.Version = 1
	if err := book.CatchUp(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	room := full(t, file)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, changed) }()
	until(t, book, func(p daybook.ProjectionStatus) bool {
		return p.State == daybook.GenerationBuilding && strings.Contains(p.Failure, "no room")
	})
	room()
	until(t, book, func(p daybook.ProjectionStatus) bool { return p.State == daybook.GenerationLive && p.Generation == 2 })

	// Somebody goes back: a program that runs does not undo that.
	if _, err := book.Rebuild(t.Context(), old, daybook.RebuildOptions{Kept: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Fatal(err)
	}
	if err := book.CatchUp(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || len(list) != 2 || list[0].State != daybook.GenerationLive || list[0].Position != 2 {
		t.Errorf("projections are %+v, %v, want the first generation to be live again", list, err)
	}
	wantTally(t, book, old, 1, 2)
}

// A disk may be too full to say how far a subscription is: its letters are not sent again
// and again meanwhile.
func TestWhatWasDeliveredIsNotDeliveredAgainWhereTheCheckpointCannotBeWritten(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	book, repo := openTallied(t, openFile(t, file))
	for range 3 {
		if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
			t.Fatal(err)
		}
	}
	room := full(t, file)
	var mu sync.Mutex
	sent := map[int64]int{}
	letters := &daybook.Subscription{Name: "letters", Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
		mu.Lock()
		defer mu.Unlock()
		sent[e.Position]++
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, letters) }()
	until(t, book, func(p daybook.ProjectionStatus) bool { return p.Failed == 1 })
	room()
	for book.WaitFor(t.Context(), "letters", 3) != nil { // until it has got room
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if sent[1] != 1 || sent[2] != 1 || sent[3] != 1 {
		t.Errorf("sent %v, want each once", sent)
	}
}

// A subscription cannot be rebuilt: what it has delivered is out.
func TestASubscriptionOfARestoredBookSaysWhatToDo(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	book, repo := openTallied(t, openFile(t, file))
	execute := func(n int) {
		t.Helper()
		if _, err := repo.Execute(t.Context(), counterID(n), add{1}); err != nil {
			t.Fatal(err)
		}
	}
	execute(1)
	var got []int64
	letters := &daybook.Subscription{Name: "letters", Deliver: func(_ context.Context, e daybook.ProjectedEvent) error {
		got = append(got, e.Position)
		return nil
	}}
	if err := book.CatchUp(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), `UPDATE heads SET incarnation = $1`, daybook.NewUUID().String()); err != nil {
		t.Fatal(err)
	}
	execute(1)
	if err := book.CatchUp(t.Context(), letters); !errors.Is(err, daybook.ErrRestored) || !strings.Contains(err.Error(), "drop it, and let it begin again with Since") {
		t.Errorf("of another incarnation: %v", err)
	}
	if err := book.DropProjection(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	letters.Since = 1
	if err := book.CatchUp(t.Context(), letters); err != nil || !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("delivered %v, %v, want what comes behind Since", got, err)
	}
}

func TestCatchUpTakesUpAFirstRebuildThatWasKilled(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	fillCounters(t, repo, 5)
	view := newTallies()
	ctx, kill := context.WithCancel(t.Context())
	_, err := book.Rebuild(ctx, view, daybook.RebuildOptions{Progress: func(int64, int64) { kill() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := book.CatchUp(within, view); err != nil {
		t.Fatal(err)
	}
	wantTally(t, book, view, 1, 2)
}

func TestCatchUpEndsWhereAnotherHasStopped(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	book, repo := openTallied(t, driver)
	if _, err := repo.Execute(t.Context(), counterID(1), add{13}); err != nil {
		t.Fatal(err)
	}
	during(t, book, newTallies())
	until(t, book, func(p daybook.ProjectionStatus) bool { return p.Failed == 1 })
	other, _ := openTallied(t, driver)
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := other.CatchUp(within, newTallies()); !errors.Is(err, daybook.ErrProjection) {
		t.Errorf("error is %v, want the event that it has stopped at", err)
	}
}

// Who decides that an event is passed over, and who takes it at the same moment, do not both
// have their way: the rows would differ from their own rebuild.
func TestAnEventThatIsSkippedWhileItIsTakenIsNotInTheRows(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	for range 3 {
		if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
			t.Fatal(err)
		}
	}
	view := newTallies()
	skip := sync.OnceValue(func() error { return book.SkipEvent(t.Context(), "tallies", 2, "it was a mistake") })
	view.Keys = func(e daybook.ProjectedEvent) []daybook.UUID {
		if err := skip(); err != nil {
			t.Error(err)
		}
		return daybook.PerAggregate(e)
	}
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	wantTally(t, book, view, 1, 2)
}

// slow is an engine whose transactions take longer than a caller that leaves would wait.
type slow struct{ daybook.Driver }

func (d slow) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	return d.Driver.Transact(ctx, book, lockHead, work)
}

func TestWhoIsDoneSaysSoHoweverSlowTheStoreIs(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, slow{openFile(t, newFile(t))})
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Fatal(err)
	}
	if err := book.CatchUp(t.Context(), newTallies()); err != nil {
		t.Fatal(err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || len(list) != 1 || list[0].Position != 1 || !list[0].Runner.IsZero() {
		t.Errorf("projections are %+v, error %v, want one that nobody works on", list, err)
	}
}
