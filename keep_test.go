package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// watched is a sound engine that counts how often it is asked what, and does not keep
// snapshots before it may.
type watched struct {
	daybook.Driver
	keep func(ctx context.Context) error // before keeping; nil is no error

	mu    sync.Mutex
	calls []string
}

func (w *watched) note(call string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
}

// since returns what has been asked since the last time.
func (w *watched) since() (calls []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, w.calls = w.calls, nil
	return calls
}

func (w *watched) Resume(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
	w.note("resume")
	return w.Driver.Resume(ctx, book, q)
}

func (w *watched) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	w.note("read")
	return w.Driver.Read(ctx, book, q, into)
}

func (w *watched) Head(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
	w.note("head")
	return w.Driver.Head(ctx, book)
}

func (w *watched) Snapshots(ctx context.Context, book daybook.BookID, q daybook.SnapshotQuery) ([]daybook.Snapshot, error) {
	w.note("snapshots")
	return w.Driver.Snapshots(ctx, book, q)
}

func (w *watched) KeepSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	if w.keep != nil {
		if err := w.keep(ctx); err != nil {
			return err
		}
	}
	return w.Driver.KeepSnapshots(ctx, book, snapshots)
}

// appendCounts appends n events of 1 to a counter, in appends of 10, each of which
// occurred an hour after the one before.
func appendCounts(t *testing.T, book *daybook.Book, id daybook.AggregateID, n int) (records []daybook.Recorded) {
	t.Helper()
	for len(records) < n {
		e := daybook.Entry{Aggregate: id, Expected: daybook.Exactly(int64(len(records)))}
		for range min(10, n-len(records)) {
			occurred := time.Date(2020, 1, 1, len(records)+len(e.Events), 0, 0, 0, time.UTC)
			e.Events = append(e.Events, daybook.Event{Data: added{1}, OccurredAt: occurred})
		}
		added, err := book.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, added...)
	}
	return records
}

// The past is as near as the present: no load asks the engine more often than it must.
func TestALoadIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	engine := &watched{Driver: newDriver(t)}
	book := openCounters(t, engine)
	repo := keptCounters(t, book, daybook.Snapshots{CheckOneIn: -1})
	records := appendCounts(t, book, counter(1), 1_250)
	if _, err := repo.Keep(t.Context(), counter(1)); err != nil {
		t.Fatal(err)
	}
	engine.since()
	for name, c := range map[string]struct {
		at    func(daybook.Recorded) daybook.Point
		calls []string
	}{
		"now":      {func(daybook.Recorded) daybook.Point { return daybook.Point{} }, []string{"resume"}},
		"number":   {func(rec daybook.Recorded) daybook.Point { return daybook.AtSequence(rec.SequenceNumber) }, []string{"resume"}},
		"position": {func(rec daybook.Recorded) daybook.Point { return daybook.AtPosition(rec.Position) }, []string{"head", "resume"}},
		"recorded": {func(rec daybook.Recorded) daybook.Point { return daybook.AsOf(rec.RecordedAt) }, []string{"head", "resume"}},
		"occurred": {func(rec daybook.Recorded) daybook.Point { return daybook.AsOfOccurred(rec.OccurredAt) }, []string{"resume", "snapshots", "read"}},
	} {
		for n := 100; n < 1_000; n += 37 {
			rec := records[n-1]
			loaded, err := repo.LoadAt(t.Context(), counter(1), c.at(rec))
			if err != nil || name != "now" && (loaded.State < n || loaded.State > n+9) {
				t.Errorf("%s %d: %+v, %v", name, n, loaded, err)
			}
			if diff := cmp.Diff(c.calls, engine.since()); diff != "" {
				t.Errorf("%s %d (-want +got): %s", name, n, diff)
			}
		}
	}
	if stats := repo.SnapshotStats(); stats.Written != 25 {
		t.Errorf("%+v", stats)
	}
}

// Whatever has become of a snapshot, the answer is right, the caller of Report is told,
// and the snapshot is replaced.
func TestACorruptSnapshotIsIgnoredToldAndReplaced(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*daybook.Snapshot){
		"the state":            func(s *daybook.Snapshot) { s.State = []byte("1000") },
		"no number":            func(s *daybook.Snapshot) { s.State = []byte(`"x"`) },
		"the checksum":         func(s *daybook.Snapshot) { s.Checksum[0]++ },
		"the hash":             func(s *daybook.Snapshot) { s.StateHash[0]++ },
		"the number":           func(s *daybook.Snapshot) { s.SequenceNumber += 3 },
		"beyond the end":       func(s *daybook.Snapshot) { s.SequenceNumber += 1_000 },
		"the aggregate":        func(s *daybook.Snapshot) { s.Aggregate = counter(2) },
		"the type":             func(s *daybook.Snapshot) { s.Aggregate.Type = "account" },
		"the position":         func(s *daybook.Snapshot) { s.Position-- },
		"the time":             func(s *daybook.Snapshot) { s.RecordedAt = s.RecordedAt.Add(time.Microsecond) },
		"the last occurrence":  func(s *daybook.Snapshot) { s.OccurredMax = s.OccurredMax.AddDate(-9, 0, 0) },
		"the first occurrence": func(s *daybook.Snapshot) { s.OccurredMin = s.OccurredMin.AddDate(9, 0, 0) },
		"the segment":          func(s *daybook.Snapshot) { s.SinceSequence = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := newDriver(t)
			book := openCounters(t, driver)
			var told reports
			repo := keptCounters(t, book, daybook.Snapshots{Every: 10, CheckOneIn: -1, Report: told.add})
			records := appendCounts(t, book, counter(1), 35)
			appendCounts(t, book, counter(2), 35)
			if _, err := repo.Keep(t.Context(), counter(1)); err != nil {
				t.Fatal(err)
			}
			all := listed(t, book)
			if err := book.DropSnapshots(t.Context(), all[1:]...); err != nil {
				t.Fatal(err)
			}
			spoilt := slices.Clone(all[1:])
			id := counter(1)
			for i := range spoilt {
				spoil(&spoilt[i])
				id = spoilt[i].Aggregate
			}
			if name == "the type" {
				id = counter(1)
			}
			number, err := driver.OpenBook(t.Context(), "main")
			if err != nil {
				t.Fatal(err)
			}
			if err := driver.KeepSnapshots(t.Context(), number, spoilt); err != nil {
				t.Fatal(err)
			}
			wantCorrupt(t, book, len(spoilt))
			for n := int64(35); n > 0; n-- {
				wantState(t, repo, id, daybook.AtSequence(n), int(n))
				wantState(t, repo, id, daybook.AsOfOccurred(records[n-1].OccurredAt), int(n))
			}
			wantState(t, repo, id, daybook.Point{}, 35)
			flush(t, repo)
			corrupt := repo.SnapshotStats().Corrupt
			if errs := told.all(); corrupt == 0 || int64(len(errs)) != corrupt || !errors.Is(errs[0], daybook.ErrSnapshotCorrupt) {
				t.Errorf("%d are corrupt, reported %v", corrupt, errs)
			}
			wantState(t, repo, id, daybook.Point{}, 35)
			flush(t, repo)
			wantNumbers(t, book, id, 10, 20, 30)
			for n := int64(35); n > 0; n-- {
				wantState(t, repo, id, daybook.AtSequence(n), int(n))
			}
			if now := repo.SnapshotStats().Corrupt; now != corrupt {
				t.Errorf("%d more are corrupt after they were replaced", now-corrupt)
			}
		})
	}
}

// wantCorrupt fails the test unless so many snapshots of the book are found corrupt by
// looking at them.
func wantCorrupt(t *testing.T, book *daybook.Book, want int) {
	t.Helper()
	corrupt := 0
	for s, err := range book.Snapshots(t.Context(), daybook.SnapshotQuery{States: true}) {
		if err != nil {
			t.Fatal(err)
		}
		switch err := book.CheckSnapshot(t.Context(), s); {
		case errors.Is(err, daybook.ErrSnapshotCorrupt):
			corrupt++
		case err != nil:
			t.Fatal(err)
		}
	}
	if corrupt != want {
		t.Errorf("%d snapshots are found corrupt, want %d", corrupt, want)
	}
}

// A snapshot that came from elsewhere is as it was written, and yet names an event that
// this book does not have.
func TestASnapshotAheadOfItsBookIsFound(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	appendCounts(t, book, counter(1), 20)
	if _, err := keptCounters(t, book, daybook.Snapshots{Every: 10}).Keep(t.Context(), counter(1)); err != nil {
		t.Fatal(err)
	}
	wantCorrupt(t, book, 0)
	driver := newDriver(t)
	restored := openCounters(t, driver)
	appendCounts(t, restored, counter(1), 10)
	number, err := driver.OpenBook(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.KeepSnapshots(t.Context(), number, listed(t, book)); err != nil {
		t.Fatal(err)
	}
	// Its clock was another, so the first one names an event of another time.
	wantCorrupt(t, restored, 2)
}

// No command waits for a snapshot, or fails by one.
func TestWritingSnapshotsIsNoConcernOfCommands(t *testing.T) {
	t.Parallel()
	pass, broken := make(chan struct{}), errors.New("the engine cannot keep anything")
	engine := &watched{Driver: newDriver(t), keep: func(context.Context) error {
		<-pass
		return broken
	}}
	book := openCounters(t, engine)
	var told reports
	repo := daybook.NewRepository(book, counters, daybook.Snapshots{Every: 2, CheckOneIn: -1, Report: told.add})
	for n := range 9 {
		if result, err := repo.Execute(t.Context(), counter(1), add{1}); err != nil || result.State != n+1 {
			t.Fatalf("%+v, %v", result, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := repo.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush with a cancelled context while a snapshot is under way: %v", err)
	}
	close(pass)
	flush(t, repo)
	stats, errs := repo.SnapshotStats(), told.all()
	if stats.Written != 0 || stats.Failed == 0 || int(stats.Failed) != len(errs) || !errors.Is(errs[0], broken) {
		t.Errorf("%+v, reported %v", stats, errs)
	}
	if _, err := repo.Keep(t.Context(), counter(1)); !errors.Is(err, broken) {
		t.Errorf("who keeps one on purpose is told: %v", err)
	}
	wantState(t, repo, counter(1), daybook.Point{}, 9)
}

func TestTooManyThatWaitAreDropped(t *testing.T) {
	t.Parallel()
	began, pass := make(chan struct{}, 100), make(chan struct{})
	engine := &watched{Driver: newDriver(t), keep: func(context.Context) error {
		began <- struct{}{}
		<-pass
		return nil
	}}
	book := openCounters(t, engine)
	repo := keptCounters(t, book, daybook.Snapshots{Every: 1, CheckOneIn: -1})
	const most = 1_000 // that wait
	var entries []daybook.Entry
	for range most + 3 {
		entries = append(entries, adding(1))
	}
	if _, err := repo.Execute(t.Context(), counter(1), add{1}); err != nil {
		t.Fatal(err)
	}
	<-began // with that one
	for _, e := range entries {
		if _, err := repo.Execute(t.Context(), e.Aggregate, add{1}); err != nil {
			t.Fatal(err)
		}
	}
	if dropped := repo.SnapshotStats().Dropped; dropped != 3 {
		t.Errorf("%d are dropped, want 3", dropped)
	}
	close(pass)
	flush(t, repo)
	if stats := repo.SnapshotStats(); stats.Written != most+1 || stats.Failed != 0 {
		t.Errorf("%+v", stats)
	}
	// What was dropped is made up for.
	last := entries[most+2].Aggregate
	if _, err := repo.Execute(t.Context(), last, add{1}); err != nil {
		t.Fatal(err)
	}
	flush(t, repo)
	wantNumbers(t, book, last, 1, 2)
}

// The newest Thin are kept, and of the older ones those at multiples of ten times
// Every; what is dropped leaves no gap in what is known of when things occurred.
func TestTheOldAreThinnedOut(t *testing.T) {
	t.Parallel()
	rule := func(thin int64, numbers []int64) (want []int64) {
		for i, n := range numbers {
			if int64(len(numbers)-i) <= thin || n%20 == 0 {
				want = append(want, n)
			}
		}
		return want
	}
	book := openCounters(t, newDriver(t))
	repo := keptCounters(t, book, daybook.Snapshots{Every: 2, Thin: 3, CheckOneIn: 1})
	var there []int64
	for n := int64(1); n <= 67; n++ {
		if _, err := repo.Execute(t.Context(), counter(1), add{1}, daybook.Stamp{OccurredAt: time.Date(2020, 1, 1, int(n*7%50), 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
		flush(t, repo)
		if n%2 == 0 {
			there = rule(3, append(there, n))
		}
		wantNumbers(t, book, counter(1), there...)
	}
	if diff := cmp.Diff([]int64{20, 40, 60, 62, 64, 66}, there); diff != "" {
		t.Errorf("the rule of this test: %s", diff)
	}
	// All at once, as after a change of the fold, gives the same.
	if err := book.DropSnapshots(t.Context(), listed(t, book)...); err != nil {
		t.Fatal(err)
	}
	again := keptCounters(t, book, daybook.Snapshots{Every: 2, Thin: 3, CheckOneIn: 1})
	wantState(t, again, counter(1), daybook.Point{}, 67)
	flush(t, again)
	wantNumbers(t, book, counter(1), there...)
	since := int64(0)
	for _, s := range listed(t, book) {
		if s.SinceSequence != since {
			t.Errorf("the segment of the snapshot at %d begins at %d, want %d", s.SequenceNumber, s.SinceSequence, since)
		}
		since = s.SequenceNumber
	}
	if stats := repo.SnapshotStats(); stats.Corrupt+stats.Failed+stats.Differed > 0 {
		t.Errorf("%+v", stats)
	}
}

// limited is an engine that, as PostgreSQL does, takes a page of fewer than one event for a mistake.
type limited struct{ daybook.Driver }

func (l limited) Resume(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
	if q.Limit < 1 {
		return daybook.Snapshot{}, nil, fmt.Errorf("a limit of %d", q.Limit)
	}
	return l.Driver.Resume(ctx, book, q)
}

// Who wants no snapshots but those made on purpose, or all of them for ever, may say so
// with the largest number there is.
func TestTheLargestDistances(t *testing.T) {
	t.Parallel()
	book := openCounters(t, limited{newDriver(t)})
	appendCounts(t, book, counter(1), 450)
	seldom := keptCounters(t, book, daybook.Snapshots{Every: math.MaxInt, Thin: math.MaxInt, CheckOneIn: 1})
	if _, err := seldom.Keep(t.Context(), counter(1)); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, book, counter(1), 450)
	for _, n := range []int64{0, 1, 449, 450} {
		wantState(t, seldom, counter(1), daybook.AtSequence(n), int(n))
		wantState(t, seldom, counter(1), daybook.AtPosition(n), int(n))
	}
	wantState(t, seldom, counter(1), daybook.Point{}, 450)
	if err := book.DropSnapshots(t.Context(), listed(t, book)...); err != nil {
		t.Fatal(err)
	}
	dense := keptCounters(t, book, daybook.Snapshots{Every: 2, Thin: math.MaxInt, CheckOneIn: 1})
	if _, err := dense.Keep(t.Context(), counter(1)); err != nil {
		t.Fatal(err)
	}
	wantState(t, dense, counter(1), daybook.AtSequence(2), 2)
	addTimes(t, dense, counter(1), 2)
	if got := len(numbers(t, book, counter(1))); got != 226 {
		t.Errorf("%d snapshots are kept, want all 226", got)
	}
}

func listed(t *testing.T, book *daybook.Book) (list []daybook.Snapshot) {
	t.Helper()
	for s, err := range book.Snapshots(t.Context(), daybook.SnapshotQuery{States: true}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}
