package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

type tally struct {
	Sum    int64 `db:"sum,index"`
	Events int
	Last   time.Time
}

// newTallies is a view of counters: one row each, and none for a counter that is at zero.
func newTallies() *daybook.View[daybook.UUID, tally] {
	return &daybook.View[daybook.UUID, tally]{
		Name: "tallies",
		Key:  "counter_id",
		Keys: daybook.PerAggregate,
		Evolve: func(row tally, _ daybook.UUID, e daybook.ProjectedEvent) (tally, bool) {
			a, ok := e.Data.(added)
			if !ok {
				return row, false
			}
			if a.By == 13 {
				panic("thirteen")
			}
			row.Sum += int64(a.By)
			row.Events++
			row.Last = e.RecordedAt
			return row, row.Sum == 0
		},
		Aggregates: func(id daybook.UUID) []daybook.AggregateID { return []daybook.AggregateID{{Type: "counter", ID: id}} },
	}
}

func openTallied(t *testing.T, driver daybook.Driver, options ...daybook.OpenOption) (*daybook.Book, *counterRepository) {
	t.Helper()
	book, err := daybook.Open(t.Context(), driver, "main", counterEvents, options...)
	if err != nil {
		t.Fatal(err)
	}
	return book, daybook.NewRepository(book, counters)
}

func counterID(n int) daybook.AggregateID {
	return daybook.AggregateID{Type: "counter", ID: daybook.UUID{15: 1}.Derive(fmt.Sprint(n))}
}

func wantTally(t *testing.T, book *daybook.Book, view *daybook.View[daybook.UUID, tally], n int, sum int64) {
	t.Helper()
	row, found, err := view.Get(t.Context(), book, counterID(n).ID)
	if err != nil || !found && sum != 0 || row.Sum != sum {
		t.Errorf("counter %d has the row %+v, %t, error %v, want the sum %d", n, row, found, err, sum)
	}
}

func TestInlineView(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	book, repo := openTallied(t, driver, daybook.Inline{view})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for range 20 {
				if _, err := repo.Execute(t.Context(), counterID(n), add{n + 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var refused int
	all.Go(func() {
		for range 10 {
			if _, err := repo.Execute(t.Context(), counterID(99), add{13}); errors.Is(err, daybook.ErrProjection) {
				refused++
			} else {
				t.Errorf("error is %v", err)
			}
		}
	})
	all.Wait()
	for n := range 8 {
		wantTally(t, book, view, n, int64(20*(n+1)))
	}
	if refused != 10 {
		t.Errorf("%d appends were refused", refused)
	}
	head, err := book.Head(t.Context())
	if err != nil || head.Position != 160 {
		t.Errorf("the book ends at %+v, %v", head, err)
	}
	rows, err := view.Find(t.Context(), book, daybook.ViewQuery{Order: []string{"sum"}, Reverse: true, Limit: 3})
	if err != nil || len(rows) != 3 || rows[0].Row.Sum != 160 {
		t.Errorf("rows %+v, error %v", rows, err)
	}
	if _, plain := openTallied(t, driver); true {
		_, err := plain.Execute(t.Context(), counterID(1), add{1})
		if !errors.Is(err, daybook.ErrProjectionChanged) {
			t.Errorf("a program without the projection may append: %v", err)
		}
	}
}

func TestRunBehind(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	book, repo := openTallied(t, driver)
	for n := range 5 {
		if _, err := repo.Execute(t.Context(), counterID(n), add{n + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, view) }()
	for n := range 5 {
		res, err := repo.Execute(t.Context(), counterID(n), add{10})
		if err != nil {
			t.Fatal(err)
		}
		if err := book.WaitFor(t.Context(), "tallies", res.Events[0].Position); err != nil {
			t.Fatal(err)
		}
		wantTally(t, book, view, n, int64(n+11))
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || len(list) != 1 || list[0].Position != 10 || !list[0].Runner.IsZero() {
		t.Errorf("projections are %+v, %v", list, err)
	}
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	book, repo := openTallied(t, driver, daybook.Inline{view})
	fillCounters(t, repo, 50)
	before, err := view.Find(t.Context(), book, daybook.ViewQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for generation := range int64(3) {
		rebuilt, err := book.Rebuild(t.Context(), view, daybook.RebuildOptions{})
		if err != nil || rebuilt.Generation != generation+2 || rebuilt.Rows != int64(len(before)) {
			t.Fatalf("rebuilt %+v, %v", rebuilt, err)
		}
	}
	after, err := view.Find(t.Context(), book, daybook.ViewQuery{})
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := repo.Execute(t.Context(), counterID(1), add{1000}); err != nil {
		t.Fatal(err)
	}
	if back, err := book.Rebuild(t.Context(), view, daybook.RebuildOptions{Kept: true}); err != nil || back.Generation != 3 {
		t.Errorf("went back to %+v, %v", back, err)
	}
	n, err := book.DropKept(t.Context(), view)
	if err != nil || n != 3 {
		t.Errorf("dropped %d, %v", n, err)
	}
	list, err := view.Find(t.Context(), book, daybook.ViewQuery{Order: []string{"sum"}, Reverse: true})
	if err != nil || len(list) != 7 || list[0].Row.Sum < 1000 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestPoison(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	book, repo := openTallied(t, driver)
	for n := range 9 {
		by := n + 1
		if n == 4 {
			by = 13
		}
		if _, err := repo.Execute(t.Context(), counterID(n), add{by}); err != nil {
			t.Fatal(err)
		}
	}
	err := book.CatchUp(t.Context(), view)
	var failed *daybook.ProjectionError
	if !errors.As(err, &failed) || failed.Record.Position != 5 {
		t.Fatalf("error is %v", err)
	}
	list, err := book.Projections(t.Context())
	if err != nil || list[0].Position != 4 || list[0].Failed != 5 || list[0].Failure == "" {
		t.Errorf("projections are %+v, %v", list, err)
	}
	if err := book.SkipEvent(t.Context(), "tallies", 5, "thirteen is bad luck"); err != nil {
		t.Fatal(err)
	}
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	wantTally(t, book, view, 8, 9)
	list, err = book.Projections(t.Context())
	if err != nil || list[0].Position != 9 || list[0].Failed != 0 {
		t.Errorf("projections are %+v, %v", list, err)
	}
}

func TestViewOfThePast(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	view := newTallies()
	view.CopyEvery = 10
	book, repo := openTallied(t, driver)
	sums := map[int64]map[int]int64{0: {}}
	now := map[int]int64{}
	for n := range 57 {
		by := n%9 + 1
		if now[n%5] > 20 {
			by = -int(now[n%5])
		}
		if _, err := repo.Execute(t.Context(), counterID(n%5), add{by}); err != nil {
			t.Fatal(err)
		}
		now[n%5] += int64(by)
		sums[int64(n+1)] = map[int]int64{}
		for c, sum := range now {
			sums[int64(n+1)][c] = sum
		}
		if n == 30 {
			if err := book.CatchUp(t.Context(), view); err != nil {
				t.Fatal(err)
			}
		}
	}
	for position := range int64(58) {
		past, err := view.At(t.Context(), book, daybook.AtPosition(position))
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for n, sum := range sums[position] {
			if sum == 0 {
				continue
			}
			rows++
			row, found, err := view.GetAt(t.Context(), book, counterID(n).ID, daybook.AtPosition(position))
			if err != nil || !found || row.Sum != sum {
				t.Errorf("at %d counter %d has %+v %t %v, want %d", position, n, row, found, err, sum)
			}
		}
		if past.Position != position || len(past.Rows) != rows || position >= 31 && past.From == 0 {
			t.Errorf("at %d: %+v, want %d rows", position, past, rows)
		}
	}
	if err := book.CatchUp(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	check, err := view.Check(book)
	if err != nil {
		t.Fatal(err)
	}
	v, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: []daybook.Check{check}})
	if err != nil || !v.Proved() || v.Checks[len(v.Checks)-1].Looked == 0 {
		t.Errorf("%+v %v", v, err)
	}
}

// wider has a column more than tally, and counts otherwise.
type wider struct {
	Sum    int64
	Events int
	Last   time.Time
	Most   int `db:",index"`
}

func newWider() *daybook.View[daybook.UUID, wider] {
	return &daybook.View[daybook.UUID, wider]{
		Name: "tallies", Key: "counter_id", Version: 1, Keys: daybook.PerAggregate,
		Evolve: func(row wider, _ daybook.UUID, e daybook.ProjectedEvent) (wider, bool) {
			a, ok := e.Data.(added)
			if !ok {
				return row, false
			}
			return wider{row.Sum + int64(a.By), row.Events + 2, e.RecordedAt, max(row.Most, a.By)}, false
		},
	}
}

func TestChangedView(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	old := newTallies()
	book, repo := openTallied(t, driver, daybook.Inline{old})
	for n := range 30 {
		if _, err := repo.Execute(t.Context(), counterID(n%7), add{n + 20}); err != nil {
			t.Fatal(err)
		}
	}
	changed := newWider()
	check, err := changed.Check(book)
	if err != nil {
		t.Fatal(err)
	}
	v, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: []daybook.Check{check}})
	if err != nil || v.Checks[len(v.Checks)-1].Findings != 14 { // of each row, the number of events and the new column
		t.Errorf("what it would change: %+v %v", v, err)
	}

	newer, newRepo := openTallied(t, driver, daybook.Inline{changed})
	if v, err = daybook.Verify(t.Context(), newer, daybook.VerifyOptions{Checks: []daybook.Check{check}}); err != nil || !v.Proved() {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := newRepo.Execute(t.Context(), counterID(3), add{1}); err != nil {
		t.Error(err)
	}
	if _, err := repo.Execute(t.Context(), counterID(3), add{1}); !errors.Is(err, daybook.ErrProjectionChanged) {
		t.Errorf("the older program may append: %v", err)
	}
	if _, _, err := old.Get(t.Context(), book, counterID(3).ID); err != nil {
		t.Errorf("the older program cannot read what it still knows: %v", err)
	}
	again, againRepo := openTallied(t, driver, daybook.Inline{old})
	if _, err := againRepo.Execute(t.Context(), counterID(3), add{1}); !errors.Is(err, daybook.ErrProjectionChanged) {
		t.Errorf("the older program may append after it was started again: %v", err)
	}
	back, err := again.Rebuild(t.Context(), old, daybook.RebuildOptions{Kept: true})
	if err != nil || back.Generation != 1 {
		t.Fatalf("%+v %v", back, err)
	}
	if _, err := againRepo.Execute(t.Context(), counterID(3), add{1}); err != nil {
		t.Error(err)
	}
	wantTally(t, again, old, 3, 23+30+37+44+2)
}

// A name that no event has selects none: the read model would be empty for ever, and nobody
// would know why.
func TestAMisspeltEventTypeIsRefused(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	book, _ := openTallied(t, driver)
	view := newTallies()
	view.EventTypes = []string{"Added", "Aded"}
	_, openErr := daybook.Open(t.Context(), driver, "main", counterEvents, daybook.Inline{view})
	over, cancel := context.WithCancel(t.Context())
	cancel() // or Run would not end
	_, rebuildErr := book.Rebuild(t.Context(), view, daybook.RebuildOptions{})
	for what, err := range map[string]error{
		"Open": openErr, "Rebuild": rebuildErr, "Run": book.Run(over, view), "CatchUp": book.CatchUp(t.Context(), view),
		"a subscription": book.CatchUp(t.Context(), &daybook.Subscription{Name: "letters", EventTypes: []string{"Aded"}, Deliver: func(context.Context, daybook.ProjectedEvent) error { return nil }}),
	} {
		if !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), `"Aded"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is being made for the first time is there, and cannot be changed yet.
func TestAProjectionThatIsBeingMadeIsNoUnknownOne(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	book, repo := openTallied(t, driver)
	if _, err := repo.Execute(t.Context(), counterID(1), add{13}); err != nil {
		t.Fatal(err)
	}
	if _, err := daybook.Open(t.Context(), driver, "main", counterEvents, daybook.Inline{newTallies()}); !errors.Is(err, daybook.ErrProjection) {
		t.Fatalf("a view that cannot take what is there was made inline: %v", err)
	}
	if err := book.SkipEvent(t.Context(), "tallies", 1, "bad luck"); err == nil || !strings.Contains(err.Error(), "is being made") {
		t.Errorf("skipping: %v", err)
	}

	// So it is made behind first, where events can be skipped.
	if err := book.DropProjection(t.Context(), newTallies()); err != nil {
		t.Fatal(err)
	}
	if err := book.CatchUp(t.Context(), newTallies()); !errors.Is(err, daybook.ErrProjection) {
		t.Errorf("behind: %v", err)
	}
	if err := book.SkipEvent(t.Context(), "tallies", 1, "bad luck"); err != nil {
		t.Fatal(err)
	}
	_, inline := openTallied(t, driver, daybook.Inline{newTallies()})
	if _, err := inline.Execute(t.Context(), counterID(2), add{2}); err != nil {
		t.Fatal(err)
	}
	wantTally(t, book, newTallies(), 2, 2)
}

// An event that cannot be read is named once, however many errors name it.
func TestAProjectionErrorNamesTheEventOnce(t *testing.T) {
	t.Parallel()
	rec := daybook.Recorded{Position: 7, EventType: "Unknown", SchemaVersion: 1, Aggregate: counterID(1), SequenceNumber: 3}
	cause := errors.New("no such type")
	err := &daybook.ProjectionError{Projection: "tallies", Record: rec, Err: &daybook.DecodeError{Book: "main", Record: rec, Err: cause}}
	if want := "daybook: projection tallies cannot take " + rec.String() + ": no such type"; err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if !errors.Is(err, cause) || !errors.Is(err, daybook.ErrProjection) {
		t.Errorf("%v is not what it was made of", err)
	}
}

// A key may be empty, and is seen to be so.
func TestMessagesQuoteKeys(t *testing.T) {
	t.Parallel()
	type weight struct{ Kilograms float64 }
	for want, view := range map[string]*daybook.View[string, weight]{
		`the row of "": `: {
			Keys:   func(daybook.ProjectedEvent) []string { return []string{""} },
			Evolve: func(weight, string, daybook.ProjectedEvent) (weight, bool) { return weight{math.NaN()}, false },
		},
		`Keys returned "" twice`: {
			Keys:   func(daybook.ProjectedEvent) []string { return []string{"", ""} },
			Evolve: func(row weight, _ string, _ daybook.ProjectedEvent) (weight, bool) { return row, false },
		},
	} {
		view.Name = "weights"
		_, repo := openTallied(t, newDriver(t), daybook.Inline{view})
		_, err := repo.Execute(t.Context(), counterID(1), add{1})
		if !errors.Is(err, daybook.ErrProjection) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %s", err, want)
		}
	}
}
