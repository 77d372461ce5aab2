package daybook_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/daybook-go/daybook"
)

// fillCounters appends n events to a few counters.
func fillCounters(t *testing.T, repo *counterRepository, n int) {
	t.Helper()
	for i := range n {
		if _, err := repo.Execute(t.Context(), counterID(i%7), add{i%9 + 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func states(t *testing.T, book *daybook.Book) map[daybook.GenerationState]int {
	t.Helper()
	list, err := book.Projections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[daybook.GenerationState]int{}
	for _, p := range list {
		counts[p.State]++
	}
	return counts
}

func TestCopiesAreBounded(t *testing.T) {
	t.Parallel()
	view := newTallies()
	book, repo := openTallied(t, newDriver(t), daybook.Inline{view})
	const copies = 40
	for range copies {
		fillCounters(t, repo, 1)
		if _, err := book.CopyView(t.Context(), view); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := book.CopyView(t.Context(), view); err != nil || again != copies {
		t.Errorf("a second copy at one position: %d, %v", again, err)
	}
	if got := states(t, book)[daybook.GenerationCopied]; got != 32 {
		t.Errorf("there are %d copies, want 32", got)
	}
	for _, position := range []int64{1, 7, 20, copies} {
		past, err := view.At(t.Context(), book, daybook.AtPosition(position))
		if err != nil || past.Position != position {
			t.Fatalf("at %d: %+v, %v", position, past, err)
		}
		var events int
		for _, row := range past.Rows {
			events += row.Row.Events
		}
		if int64(events) != position || position == copies && past.From != copies {
			t.Errorf("at %d, from %d: the rows are of %d events", position, past.From, events)
		}
	}
}

func TestDropProjection(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	book, repo := openTallied(t, driver, daybook.Inline{view})
	fillCounters(t, repo, 10)
	if err := book.DropProjection(t.Context(), view); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("one that every append writes to was dropped: %v", err)
	}
	if err := book.PauseProjection(t.Context(), "tallies"); err != nil {
		t.Fatal(err)
	}
	if err := book.DropProjection(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	if got := states(t, book); len(got) != 0 {
		t.Errorf("generations are left: %v", got)
	}
	if _, _, err := view.Get(t.Context(), book, counterID(1).ID); err == nil {
		t.Error("the view can still be read")
	}
	if err := book.DropProjection(t.Context(), view); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("one that is not there was dropped: %v", err)
	}
	_, plain := openTallied(t, driver)
	fillCounters(t, plain, 1)
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	if err := book.DropProjection(t.Context(), &daybook.Projection{Name: "tallies"}); err != nil { // as where nobody declares it
		t.Errorf("dropping it by its name: %v", err)
	}
	if err := book.DropProjection(t.Context(), &daybook.Projection{Name: "Tallies!"}); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("what is no name was dropped: %v", err)
	}
	again, _ := openTallied(t, driver, daybook.Inline{view})
	wantTally(t, again, view, 1, 2+9)
}

func TestSkipEventRefuses(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view, inline := newTallies(), newTallies()
	inline.Name = "inline"
	book, repo := openTallied(t, driver, daybook.Inline{inline})
	fillCounters(t, repo, 5)
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	fillCounters(t, repo, 5)
	for name, c := range map[string]struct {
		projection string
		position   int64
		reason     string
		want       error
	}{
		"what has been taken":    {"tallies", 5, "late", daybook.ErrInvalid},
		"what is not there":      {"tallies", 11, "early", daybook.ErrNotThere},
		"no position":            {"tallies", 0, "nothing", daybook.ErrInvalid},
		"without a reason":       {"tallies", 6, "", daybook.ErrInvalid},
		"what is inline":         {"inline", 6, "why not", daybook.ErrInvalid},
		"an unknown projection":  {"other", 6, "why not", daybook.ErrInvalid},
		"with what is not UTF-8": {"tallies", 6, "\xff", daybook.ErrInvalid},
	} {
		if err := book.SkipEvent(t.Context(), c.projection, c.position, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if skips, err := book.Skips(t.Context()); err != nil || len(skips) != 0 {
		t.Errorf("passed over: %v, %v", skips, err)
	}
}

// A rebuild stops at an event that the live generation has taken. It is not to be skipped,
// and the message says why not, and what to do instead.
func TestWhatTheLiveGenerationHasTakenIsNotSkipped(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	fillCounters(t, repo, 10)
	if err := book.CatchUp(t.Context(), newTallies()); err != nil {
		t.Fatal(err)
	}
	changed := newTallies()
	changed.Version = 1
	keys := changed.Keys
	changed.Keys = func(e daybook.ProjectedEvent) []daybook.UUID {
		if e.Position == 3 {
			panic("it does not know what to do with this")
		}
		return keys(e)
	}
	_, err := book.Rebuild(t.Context(), changed, daybook.RebuildOptions{})
	var failed *daybook.ProjectionError
	if !errors.As(err, &failed) || failed.Record.Position != 3 {
		t.Fatalf("rebuilding: %v", err)
	}
	err = book.SkipEvent(t.Context(), "tallies", 3, "why not")
	if !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "would differ from history") || !strings.Contains(err.Error(), "let that one ignore it") {
		t.Errorf("skipping it: %v", err)
	}
	changed.Version = 2
	changed.Keys = func(e daybook.ProjectedEvent) []daybook.UUID {
		if e.Position == 3 {
			return nil
		}
		return keys(e)
	}
	if rebuilt, err := book.Rebuild(t.Context(), changed, daybook.RebuildOptions{}); err != nil || rebuilt.Position != 10 {
		t.Errorf("rebuilt, where it ignores the event: %+v, %v", rebuilt, err)
	}
	letters := &daybook.Subscription{Name: "letters", Deliver: func(context.Context, daybook.ProjectedEvent) error { return nil }}
	if err := book.CatchUp(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	if err := book.SkipEvent(t.Context(), "letters", 3, "late"); !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "has delivered the event at 3 already") {
		t.Errorf("skipping what was delivered: %v", err)
	}
}

// A backup is played back: the book ends before what a projection has seen, or has gone on
// otherwise under another incarnation.
func TestRestoredBook(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	view := newTallies()
	book, repo := openTallied(t, openFile(t, file))
	fillCounters(t, repo, 5)
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	change := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	wantRestored := func(want bool) {
		t.Helper()
		list, err := book.Projections(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if live := list[len(list)-1]; live.Restored != want {
			t.Errorf("it is %+v, want Restored to be %t", live, want)
		}
	}
	fillCounters(t, repo, 1)
	wantRestored(false)
	change(`UPDATE checkpoints SET position = 9`)
	wantRestored(true)
	if err := book.CatchUp(t.Context(), view); !errors.Is(err, daybook.ErrRestored) {
		t.Errorf("catching up, ahead of the book: %v", err)
	}
	if _, err := book.CopyView(t.Context(), view); !errors.Is(err, daybook.ErrRestored) {
		t.Errorf("copying, ahead of the book: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := book.Run(ctx, view); !errors.Is(err, daybook.ErrRestored) {
		t.Errorf("ahead of the book: %v", err)
	}
	change(`UPDATE heads SET incarnation = '01a21186-0293-74fb-a39f-d2d2cd369638'`)
	for _, position := range []string{"5", "6"} { // with something to do, and without
		change(`UPDATE checkpoints SET position = ` + position)
		wantRestored(true)
		if err := book.CatchUp(t.Context(), view); !errors.Is(err, daybook.ErrRestored) {
			t.Errorf("at position %s of another incarnation: %v", position, err)
		}
		if _, err := book.CopyView(t.Context(), view); !errors.Is(err, daybook.ErrRestored) {
			t.Errorf("copying at position %s of another incarnation: %v", position, err)
		}
	}
	if _, err := book.Rebuild(t.Context(), view, daybook.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Error(err)
	}
	wantRestored(false)
}

func TestCatchUpOfNothingEnds(t *testing.T) {
	t.Parallel()
	book, _ := openTallied(t, newDriver(t))
	if err := book.CatchUp(t.Context()); err != nil {
		t.Error(err)
	}
}

// loser is an engine whose next transaction that locks the head is lost to another one, and so
// called again.
type loser struct {
	daybook.Driver
	meanwhile func() // nil when it has lost
}

func (l *loser) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	if lockHead && l.meanwhile != nil {
		l.meanwhile()
		l.meanwhile = nil
		lost := errors.New("lost")
		err := l.Driver.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error { return errors.Join(work(ctx, tx), lost) })
		if !errors.Is(err, lost) {
			return err
		}
	}
	return l.Driver.Transact(ctx, book, lockHead, work)
}

func TestARebuildWhoseSwitchIsDoneAgainCountsItsRowsOnce(t *testing.T) {
	t.Parallel()
	driver := &loser{Driver: newDriver(t)}
	view := newTallies()
	book, repo := openTallied(t, driver, daybook.Inline{view})
	fillCounters(t, repo, 7)
	driver.meanwhile = func() {
		if _, err := repo.Execute(t.Context(), counterID(99), add{1}); err != nil {
			t.Error(err)
		}
	}
	rebuilt, err := book.Rebuild(t.Context(), view, daybook.RebuildOptions{})
	if err != nil || rebuilt.Rows != 8 || rebuilt.Position != 8 || driver.meanwhile != nil {
		t.Errorf("rebuilt %+v, %v, want 8 rows", rebuilt, err)
	}
}

// A row that cannot be kept is found when a page of events is written: the event to blame is
// looked for, as when the view runs behind.
func TestARebuildFindsTheEventOfARowThatCannotBeKept(t *testing.T) {
	t.Parallel()
	type share struct{ Of float64 }
	book, repo := openTallied(t, newDriver(t))
	fillCounters(t, repo, 10)
	_, err := book.Rebuild(t.Context(), &daybook.View[daybook.UUID, share]{
		Name: "shares", Keys: daybook.PerAggregate,
		Evolve: func(row share, _ daybook.UUID, e daybook.ProjectedEvent) (share, bool) {
			return share{row.Of + 1/float64(e.Position-4) - 1/float64(e.Position-4)}, false // NaN at 4
		},
	}, daybook.RebuildOptions{})
	var failed *daybook.ProjectionError
	if !errors.As(err, &failed) || failed.Record.Position != 4 {
		t.Fatalf("rebuilding: %v", err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || len(list) != 1 || list[0].Failed != 4 || list[0].Position != 3 {
		t.Errorf("it is noted as %+v, %v", list, err)
	}
}

// What is being built will be live: it must not have taken what is then to be left out.
func TestSkippingWhatIsBeingBuilt(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	for _, by := range []int{1, 13, 17} {
		if _, err := repo.Execute(t.Context(), counterID(by), add{by}); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.CatchUp(t.Context(), newTallies()); !errors.Is(err, daybook.ErrProjection) {
		t.Fatalf("the view takes 13: %v", err)
	}
	newer := newWider()
	evolve := newer.Evolve
	newer.Evolve = func(row wider, id daybook.UUID, e daybook.ProjectedEvent) (wider, bool) {
		if a, ok := e.Data.(added); ok && a.By == 17 {
			panic("seventeen")
		}
		return evolve(row, id, e)
	}
	if _, err := book.Rebuild(t.Context(), newer, daybook.RebuildOptions{}); !errors.Is(err, daybook.ErrProjection) {
		t.Fatalf("the newer view takes 17: %v", err)
	}
	if err := book.SkipEvent(t.Context(), "tallies", 2, "13"); !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "has taken the event at 2 already") {
		t.Errorf("skipping what the generation that is being built has taken: %v", err)
	}
	if err := book.SkipEvent(t.Context(), "tallies", 3, "17"); err != nil {
		t.Error(err)
	}
	if _, err := book.Rebuild(t.Context(), newer, daybook.RebuildOptions{}); err != nil {
		t.Error(err)
	}
}

// Whoever rebuilds meanwhile does not go live with what is to be left out.
func TestSkippingWhileItIsRebuilt(t *testing.T) {
	t.Parallel()
	const events, skipped = 5_000, 4_500 // some chunks
	book, _ := openTallied(t, newDriver(t))
	if err := book.CatchUp(t.Context(), newTallies()); err != nil { // the live one has taken none of them
		t.Fatal(err)
	}
	fillLong(t, book, events, func(int) any { return added{By: 1} })
	skip := sync.OnceValue(func() error { return book.SkipEvent(t.Context(), "tallies", skipped, "by mistake") })
	_, err := book.Rebuild(t.Context(), newTallies(), daybook.RebuildOptions{Progress: func(int64, int64) {
		if err := skip(); err != nil {
			t.Error(err)
		}
	}})
	if !errors.Is(err, daybook.ErrProjectionBusy) {
		t.Fatalf("the rebuild that was under way: %v", err)
	}
	if _, err := book.Rebuild(t.Context(), newTallies(), daybook.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if row, _, err := newTallies().Get(t.Context(), book, counterID(0).ID); err != nil || row.Sum != events-1 {
		t.Errorf("the row is %+v, %v, want it without one of %d events", row, err, events)
	}
}
