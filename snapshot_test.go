package daybook_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// reports gathers what a repository reports.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *reports) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

// keptCounters is a repository that keeps snapshots, and reports nothing unless the
// test takes it.
func keptCounters(t *testing.T, book *daybook.Book, s daybook.Snapshots) *counterRepository {
	t.Helper()
	if s.Report == nil {
		s.Report = func(err error) { t.Error(err) }
	}
	repo := daybook.NewRepository(book, counters, s)
	t.Cleanup(func() {
		if err := repo.Flush(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return repo
}

func addTimes(t *testing.T, repo *counterRepository, id daybook.AggregateID, n int) {
	t.Helper()
	for range n {
		if _, err := repo.Execute(t.Context(), id, add{1}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, repo)
}

func flush(t *testing.T, repo interface{ Flush(context.Context) error }) {
	t.Helper()
	if err := repo.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// numbers are the sequence numbers of the snapshots of an aggregate.
func numbers(t *testing.T, book *daybook.Book, id daybook.AggregateID) (list []int64) {
	t.Helper()
	for s, err := range book.Snapshots(t.Context(), daybook.SnapshotQuery{Aggregate: id}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s.SequenceNumber)
	}
	return list
}

func wantNumbers(t *testing.T, book *daybook.Book, id daybook.AggregateID, want ...int64) {
	t.Helper()
	if diff := cmp.Diff(want, numbers(t, book, id)); diff != "" {
		t.Errorf("snapshots of %s (-want +got): %s", id, diff)
	}
}

func wantState(t *testing.T, repo *counterRepository, id daybook.AggregateID, at daybook.Point, state int) {
	t.Helper()
	loaded, err := repo.LoadAt(t.Context(), id, at)
	if err != nil || loaded.State != state {
		t.Errorf("%s: %+v, %v, want state %d", at, loaded, err, state)
	}
}

func TestCommandsLeaveSnapshotsBehind(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	repo := keptCounters(t, book, daybook.Snapshots{Every: 5, CheckOneIn: 1})
	addTimes(t, repo, counter(1), 17)
	wantNumbers(t, book, counter(1), 5, 10, 15)
	if _, err := repo.ExecuteAll(t.Context(), []daybook.Addressed[add]{{Aggregate: counter(1), Command: add{200}}, {Aggregate: counter(2), Command: add{1}}}); err != nil {
		t.Fatal(err)
	}
	addTimes(t, repo, counter(1), 1)
	wantNumbers(t, book, counter(1), 5, 10, 15, 20)
	wantNumbers(t, book, counter(2))
	wantState(t, repo, counter(1), daybook.Point{}, 218)
	if stats := repo.SnapshotStats(); stats.Written != 4 || stats.Used == 0 || stats.Checked != stats.Used || stats.Differed+stats.Corrupt+stats.Failed+stats.OtherFold+stats.Dropped != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestManyWritersOfOneAggregateLeaveItsSnapshots(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	repo := keptCounters(t, book, daybook.Snapshots{Every: 10, CheckOneIn: 1})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 5 {
				if _, err := repo.Execute(t.Context(), counter(1), add{1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	flush(t, repo)
	wantNumbers(t, book, counter(1), 10, 20, 30, 40, 50, 60, 70, 80)
	for n := range int64(81) {
		wantState(t, repo, counter(1), daybook.AtSequence(n), int(n))
	}
}

// What was written before there were snapshots, or by Append, gets them when it is
// loaded.
func TestALoadThatHadToReplayMuchLeavesSnapshotsBehind(t *testing.T) {
	t.Parallel()
	plain, book := newCounters(t)
	addTimes(t, plain, counter(1), 25)
	repo := keptCounters(t, book, daybook.Snapshots{Every: 10, CheckOneIn: 1})
	wantState(t, repo, counter(1), daybook.AtSequence(9), 9)
	flush(t, repo)
	wantNumbers(t, book, counter(1))
	wantState(t, repo, counter(1), daybook.Point{}, 25)
	flush(t, repo)
	wantNumbers(t, book, counter(1), 10, 20)
	if used := repo.SnapshotStats().Used; used != 0 {
		t.Errorf("%d loads used a snapshot that was not there yet", used)
	}
	wantState(t, repo, counter(1), daybook.Point{}, 25)
	wantState(t, repo, counter(1), daybook.AtSequence(19), 19)
	if stats := repo.SnapshotStats(); stats.Used != 2 || stats.Checked != 2 || stats.Written != 2 {
		t.Errorf("%+v", stats)
	}
}

func TestASnapshotOfAnotherFoldIsNotUsed(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	addTimes(t, keptCounters(t, book, daybook.Snapshots{Every: 5}), counter(1), 12)
	doubled := counters
	doubled.Evolve = func(sum int, e counterEvent) int { return sum + 2*e.(added).By }
	doubled.FoldVersion = 1
	repo := daybook.NewRepository(book, doubled, daybook.Snapshots{Every: 5, CheckOneIn: 1})
	for range 2 {
		wantState(t, repo, counter(1), daybook.Point{}, 24)
		flush(t, repo)
		wantNumbers(t, book, counter(1), 5, 10, 5, 10) // of both folds
	}
	if stats := repo.SnapshotStats(); stats.OtherFold != 1 || stats.Used != 1 || stats.Written != 2 {
		t.Errorf("%+v", stats)
	}
}

// The mistake that a fingerprint cannot see: Evolve means something else, and nobody
// said so.
func TestASampledCheckFindsASnapshotThatLies(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	addTimes(t, keptCounters(t, book, daybook.Snapshots{Every: 5}), counter(1), 12)
	doubled := counters
	doubled.Evolve = func(sum int, e counterEvent) int { return sum + 2*e.(added).By }
	var told reports
	repo := daybook.NewRepository(book, doubled, daybook.Snapshots{Every: 5, CheckOneIn: 1, Report: told.add})
	_, err := repo.Load(t.Context(), counter(1))
	want := &daybook.SnapshotError{Book: "main", Aggregate: counter(1), SequenceNumber: 12, Snapshot: 10, Kept: []byte("14"), Replayed: []byte("24")}
	var got *daybook.SnapshotError
	if !errors.As(err, &got) || !errors.Is(err, daybook.ErrSnapshot) || !cmp.Equal(want, got) {
		t.Fatalf("%+v, want %+v", err, want)
	}
	if !strings.Contains(err.Error(), "the snapshot at 10 and the events behind it give 14, all events give 24") {
		t.Errorf("the message is %s", err)
	}
	// From then on there are none.
	wantState(t, repo, counter(1), daybook.Point{}, 24)
	wantState(t, repo, counter(1), daybook.AtSequence(7), 14)
	if stats := repo.SnapshotStats(); stats.Checked != 1 || stats.Differed != 1 || stats.Used != 1 {
		t.Errorf("%+v", stats)
	}
	if len(told.all()) != 1 {
		t.Errorf("reported: %v", told.all())
	}
	if _, err := repo.Keep(t.Context(), counter(1)); err == nil || !strings.Contains(err.Error(), "drop the fold's snapshots") {
		t.Error("it keeps snapshots all the same")
	}
	// Without a check the wrong answer is given: this is what the check is for.
	blind := daybook.NewRepository(book, doubled, daybook.Snapshots{Every: 5, CheckOneIn: -1})
	wantState(t, blind, counter(1), daybook.Point{}, 14)
}

func TestASnapshotIsKeptOnPurpose(t *testing.T) {
	t.Parallel()
	plain, book := newCounters(t)
	addTimes(t, plain, counter(1), 12)
	if _, err := plain.Keep(t.Context(), counter(1)); err == nil {
		t.Error("a repository without snapshots keeps one")
	}
	repo := keptCounters(t, book, daybook.Snapshots{Every: 5, CheckOneIn: 1})
	for range 2 {
		kept, err := repo.Keep(t.Context(), counter(1))
		if err != nil || kept.SequenceNumber != 12 || string(kept.State) != "12" || kept.Fold != repo.Fold() {
			t.Fatalf("%+v, %v", kept, err)
		}
		wantNumbers(t, book, counter(1), 5, 10, 12)
	}
	if kept, err := repo.Keep(t.Context(), counter(2)); err != nil || kept.SequenceNumber != 0 {
		t.Errorf("of what nobody wrote: %+v, %v", kept, err)
	}
	if _, err := repo.Keep(t.Context(), daybook.AggregateID{Type: "account", ID: daybook.UUID{1}}); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("of another type: %v", err)
	}
	addTimes(t, repo, counter(1), 4)
	wantNumbers(t, book, counter(1), 5, 10, 12, 15)
	for n := range int64(17) {
		wantState(t, repo, counter(1), daybook.AtSequence(n), int(n))
	}
}
