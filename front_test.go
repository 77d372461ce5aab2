package daybook_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// addingTo executes add on a counter in a goroutine.
func addingTo(ctx context.Context, repo *counterRepository, id daybook.AggregateID, by int) <-chan executed {
	done := make(chan executed, 1)
	go func() {
		result, err := repo.Execute(ctx, id, add{by})
		done <- executed{result, err}
	}()
	return done
}

type executed struct {
	result daybook.Result[int]
	err    error
}

func TestCommandsOnOneAggregateShareATransaction(t *testing.T) {
	t.Parallel()
	g := newGate()
	book := openCounters(t, g.before(newDriver(t)))
	repo := daybook.NewRepository(book, counters)
	first := addingTo(t.Context(), repo, counter(1), 1)
	<-g.arrived
	var waiting []<-chan executed
	for range 9 {
		waiting = append(waiting, addingTo(t.Context(), repo, counter(1), 1))
	}
	inLine(t, book, 9)
	g.pass <- struct{}{}
	if n := <-g.arrived; n != 9 {
		t.Errorf("the second batch holds %d commands, want the 9 that came meanwhile", n)
	}
	g.pass <- struct{}{}
	if got := <-first; got.err != nil || got.result.State != 1 || got.result.Position != 1 {
		t.Errorf("the first command: %+v, %v", got.result, got.err)
	}
	seen := map[int64]bool{}
	for _, one := range waiting {
		got := <-one
		if got.err != nil || len(got.result.Events) != 1 {
			t.Fatalf("a command: %+v, %v", got.result, got.err)
		}
		n := got.result.SequenceNumber
		if seen[n] || int64(got.result.State) != n || got.result.Position != n || got.result.Events[0].SequenceNumber != n {
			t.Errorf("a command got %+v", got.result)
		}
		seen[n] = true
	}
}

// A decision that rests on one which is not recorded in the end.
func TestADecisionThatRestsOnALostOneIsMadeAgain(t *testing.T) {
	t.Parallel()
	g := newGate()
	path := newFile(t)
	book := openCounters(t, g.before(openFile(t, path)))
	repo := daybook.NewRepository(book, counters)
	elsewhere := daybook.NewRepository(openCounters(t, openFile(t, path)), counters)
	open := make(chan struct{})
	ahead := addingTo(t.Context(), repo, counter(2), 7) // keeps the batch before busy
	<-g.arrived
	first := addingTo(t.Context(), repo, counter(1), 5)
	inLine(t, book, 1)
	second := addingTo(t.Context(), repo, counter(1), -5) // only with the first one's 5
	inLine(t, book, 2)
	if _, err := elsewhere.Execute(t.Context(), counter(1), add{1}); err != nil {
		t.Fatal(err)
	}
	go func() { // every batch goes through from here on
		for {
			select {
			case g.pass <- struct{}{}:
			case <-g.arrived:
			case <-open:
				return
			}
		}
	}()
	defer close(open)
	for _, one := range []<-chan executed{ahead, first, second} {
		if got := <-one; got.err != nil && !errors.Is(got.err, errBelowZero) {
			t.Errorf("a command: %v", got.err)
		}
	}
	neverBelowZero(t, openCounters(t, openFile(t, path)))
}

// neverBelowZero fails the test unless the rule held after every event of counter 1.
func neverBelowZero(t *testing.T, book *daybook.Book) {
	t.Helper()
	sum := 0
	for rec, err := range book.Read(t.Context(), daybook.Query{Aggregate: counter(1)}) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := book.Decode(rec)
		if err != nil {
			t.Fatal(err)
		}
		if sum += event.(added).By; sum < 0 {
			t.Errorf("after event %d the sum is %d: it was decided on a state that never was", rec.SequenceNumber, sum)
		}
	}
}

func TestARuleHoldsWhileProcessesCompete(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	var all sync.WaitGroup
	for process := range 2 {
		repo := daybook.NewRepository(openCounters(t, openFile(t, path)), counters)
		for i := range 8 {
			by := []int{5, -5}[(i+process)%2]
			all.Go(func() {
				for range 20 {
					if _, err := repo.Execute(t.Context(), counter(1), add{by}); err != nil && !errors.Is(err, errBelowZero) {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	neverBelowZero(t, openCounters(t, openFile(t, path)))
}

// panicking is an engine whose first reading ends in a panic, when it may.
type panicking struct {
	daybook.Driver
	reads      atomic.Int64
	began, end chan struct{}
}

func (p *panicking) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	if p.reads.Add(1) == 1 {
		close(p.began)
		<-p.end
		panic("the engine")
	}
	return p.Driver.Read(ctx, book, q, into)
}

// Who loads the state at a front and ends in a panic, from which somebody above recovers,
// leaves none to the next one.
func TestAPanicWhileLoadingLeavesNoState(t *testing.T) {
	t.Parallel()
	engine := &panicking{Driver: newDriver(t), began: make(chan struct{}), end: make(chan struct{})}
	inDebt := counters
	inDebt.Initial = func() int { return -10 }
	repo := daybook.NewRepository(openCounters(t, engine), inDebt)
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		_, _ = repo.Execute(t.Context(), counter(1), add{5})
	}()
	<-engine.began
	next := addingTo(t.Context(), repo, counter(1), 5)
	for daybook.AtFront(repo, counter(1)) < 2 {
		time.Sleep(time.Millisecond)
	}
	close(engine.end)
	if <-ended == nil {
		t.Error("the panic did not come through")
	}
	if got := <-next; !errors.Is(got.err, errBelowZero) {
		t.Errorf("who has -10 adds 5: %+v, %v", got.result, got.err)
	}
}

// What is refused is refused by what is recorded, not by what is about to be.
func TestARefusalRestsOnWhatIsRecorded(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	here := daybook.NewRepository(openCounters(t, openFile(t, path)), counters)
	there := daybook.NewRepository(openCounters(t, openFile(t, path)), counters)
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() { // keeps the front of counter 1 open, with a state that soon is out of date
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := here.Execute(t.Context(), counter(1), add{0}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 30 {
		if _, err := there.Execute(t.Context(), counter(1), add{3}); err != nil {
			t.Fatal(err)
		}
		// Acknowledged before this one begins, so this one must see it.
		if _, err := here.Execute(t.Context(), counter(1), add{-3}); err != nil {
			t.Fatalf("refused on a state that is out of date: %v", err)
		}
	}
	close(stop)
	all.Wait()
}

func TestManyCommandsFromManyProcessesOnOneAggregate(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	var all sync.WaitGroup
	for range 2 {
		repo := daybook.NewRepository(openCounters(t, openFile(t, path)), counters)
		for i := range 16 {
			all.Go(func() {
				for range 5 {
					by := []int{100, 1, 2}[i%3] // some cause two events
					if _, err := repo.Execute(t.Context(), counter(1), add{by}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	book := openCounters(t, openFile(t, path))
	loaded, err := daybook.NewRepository(book, counters).Load(t.Context(), counter(1))
	if want := 2 * 5 * (6*100 + 5*1 + 5*2); err != nil || loaded.State != want {
		t.Errorf("the sum is %d, %v, want %d: every command once", loaded.State, err, want)
	}
}

// floor is a state that an assignment does not copy whole.
type floor struct {
	Sum   int
	Least map[string]int
}

var floored = daybook.Decider[floor, add, counterEvent]{
	Type:    "counter",
	Initial: func() floor { return floor{Least: map[string]int{"sum": 0}} },
	Decide: func(s floor, c add) ([]counterEvent, error) {
		if s.Sum+c.By < s.Least["sum"] {
			return nil, errBelowZero
		}
		return []counterEvent{added(c)}, nil
	},
	Evolve: func(s floor, e counterEvent) floor {
		s.Sum += e.(added).By
		return s
	},
}

// What a caller does with the state it was given is no concern of those who decide
// beside it.
func TestAResultIsItsCallersOwn(t *testing.T) {
	t.Parallel()
	repo := daybook.NewRepository(openCounters(t, newDriver(t)), floored)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 30 {
				result, err := repo.Execute(t.Context(), counter(1), add{-1})
				if err == nil {
					t.Error("a caller has taken what is not there")
				}
				if result, err = repo.Execute(t.Context(), counter(1), add{0}); err != nil && !errors.Is(err, daybook.ErrConflict) {
					t.Error(err)
				}
				if result.State.Least != nil {
					result.State.Least["sum"] = -1_000
				}
			}
		})
	}
	callers.Wait()
}
