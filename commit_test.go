package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// between is a sound engine with something between it and the book: a gate, a lost
// reply, a broken line.
type between struct {
	daybook.Driver
	append func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error)
	deaf   bool
}

func (d *between) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	if d.append == nil {
		return d.Driver.Append(ctx, book, batch, inline)
	}
	return d.append(ctx, book, batch, inline)
}

func (d *between) Watch(ctx context.Context, book daybook.BookID, wake func()) {
	if !d.deaf {
		d.Driver.Watch(ctx, book, wake)
	}
}

func openCounters(t *testing.T, driver daybook.Driver) *daybook.Book {
	t.Helper()
	book, err := daybook.Open(t.Context(), driver, "main", counterEvents)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// adding is an append of n events to a new counter.
func adding(n int) daybook.Entry {
	e := daybook.Entry{Aggregate: daybook.AggregateID{Type: "counter", ID: daybook.NewUUID()}}
	for range n {
		e.Events = append(e.Events, daybook.Event{ID: daybook.NewUUID(), Data: added{1}})
	}
	return e
}

// gate lets batches through one by one, and tells how large they are.
type gate struct {
	arrived chan int
	pass    chan struct{}
}

func newGate() gate { return gate{make(chan int), make(chan struct{})} }

func (g gate) before(d daybook.Driver) *between {
	return &between{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
		g.arrived <- len(batch)
		select {
		case <-g.pass:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return d.Append(ctx, book, batch, inline)
	}}
}

type answered struct {
	records []daybook.Recorded
	err     error
}

// aside appends in a goroutine.
func aside(ctx context.Context, book *daybook.Book, e daybook.Entry) <-chan answered {
	done := make(chan answered, 1)
	go func() {
		records, err := book.Append(ctx, e)
		done <- answered{records, err}
	}()
	return done
}

// inLine waits until n appends made aside stand in line.
func inLine(t *testing.T, book *daybook.Book, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); daybook.InLine(book) != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d appends stand in line, want %d", daybook.InLine(book), n)
		}
	}
}

func TestAppendsAtTheSameTimeShareATransaction(t *testing.T) {
	t.Parallel()
	g := newGate()
	driver := g.before(newDriver(t))
	book := openCounters(t, driver)
	first := aside(t.Context(), book, adding(1))
	if n := <-g.arrived; n != 1 {
		t.Fatalf("the first batch holds %d appends", n)
	}
	taken := adding(1)
	var waiting []<-chan answered
	for i := range 10 {
		e := adding(1 + i)
		if i == 3 || i == 7 {
			e = taken // one of the two, and it is the same append: both get the record
		}
		if i == 5 {
			e.Expected = daybook.Exactly(9)
		}
		waiting = append(waiting, aside(t.Context(), book, e))
	}
	inLine(t, book, 10)
	g.pass <- struct{}{}
	if n := <-g.arrived; n != 10 {
		t.Errorf("the second batch holds %d appends, want the 10 that came meanwhile", n)
	}
	g.pass <- struct{}{}
	if got := <-first; got.err != nil || got.records[0].Position != 1 {
		t.Errorf("the first append: %v, %v", got.records, got.err)
	}
	var same []int64
	for i, one := range waiting {
		got := <-one
		switch i {
		case 5:
			var conflict *daybook.ConflictError
			if !errors.As(got.err, &conflict) || conflict.Actual != 0 {
				t.Errorf("the one that expects too much: %v", got.err)
			}
		case 3, 7:
			if got.err != nil || len(got.records) != 1 {
				t.Fatalf("the same append twice in a batch: %v", got.err)
			}
			same = append(same, got.records[0].Position)
		default:
			if got.err != nil || len(got.records) != 1+i {
				t.Errorf("append %d of the batch: %d records, %v", i, len(got.records), got.err)
			}
		}
	}
	if same[0] != same[1] {
		t.Errorf("the same append was recorded at %v", same)
	}
}

func TestABatchHoldsWhatOneAppendMay(t *testing.T) {
	t.Parallel()
	g := newGate()
	book := openCounters(t, g.before(newDriver(t)))
	first := aside(t.Context(), book, adding(1))
	<-g.arrived
	half := daybook.MaxEventsPerAppend / 2
	waiting := []<-chan answered{first}
	for i, n := range []int{half, half, 1} {
		waiting = append(waiting, aside(t.Context(), book, adding(n)))
		inLine(t, book, i+1)
	}
	for _, want := range []int{2, 1} {
		g.pass <- struct{}{}
		if n := <-g.arrived; n != want {
			t.Errorf("a batch holds %d appends, want %d", n, want)
		}
	}
	g.pass <- struct{}{}
	for _, one := range waiting {
		if got := <-one; got.err != nil {
			t.Error(got.err)
		}
	}
}

// A caller who is alone is the one who goes to the engine. Where that panics and somebody
// above recovers, as servers do, the book goes on.
func TestAPanicOfTheEngineDoesNotStopTheBook(t *testing.T) {
	t.Parallel()
	sound := newDriver(t)
	driver := &between{Driver: sound}
	book := openCounters(t, driver)
	driver.append = func(context.Context, daybook.BookID, []daybook.Append, daybook.InlineWork) ([]daybook.Outcome, error) {
		driver.append = nil
		panic("the engine")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not come through")
			}
		}()
		_, _ = book.Append(t.Context(), adding(1))
	}()
	for range 2 {
		if _, err := book.Append(t.Context(), adding(1)); err != nil {
			t.Error(err)
		}
	}
}

func TestACallerMayLeaveTheLine(t *testing.T) {
	t.Parallel()
	g := newGate()
	book := openCounters(t, g.before(newDriver(t)))
	first := aside(t.Context(), book, adding(1))
	<-g.arrived
	ctx, cancel := context.WithCancel(t.Context())
	e := adding(1)
	leaving := aside(ctx, book, e)
	staying := aside(t.Context(), book, adding(1))
	inLine(t, book, 2)
	cancel()
	if got := <-leaving; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, daybook.ErrOutcomeUnknown) {
		t.Errorf("who leaves the line gets %v", got.err)
	}
	g.pass <- struct{}{}
	if n := <-g.arrived; n != 1 {
		t.Errorf("the batch holds %d appends, want the one whose caller has stayed", n)
	}
	g.pass <- struct{}{}
	for _, one := range []<-chan answered{first, staying} {
		if got := <-one; got.err != nil {
			t.Error(got.err)
		}
	}
	if found, err := book.Lookup(t.Context(), e.Events[0].ID); err != nil || len(found) != 0 {
		t.Errorf("what was taken out of the line is recorded: %v, %v", found, err)
	}
}

func TestACallerMayLeaveABatchThatGoesOn(t *testing.T) {
	t.Parallel()
	g := newGate()
	book := openCounters(t, g.before(newDriver(t)))
	first := aside(t.Context(), book, adding(1))
	<-g.arrived
	ctx, cancel := context.WithCancel(t.Context())
	e := adding(1)
	leaving := aside(ctx, book, e)
	staying := aside(t.Context(), book, adding(1))
	inLine(t, book, 2)
	g.pass <- struct{}{}
	<-g.arrived // the two are under way
	cancel()
	left := <-leaving
	var unknown *daybook.OutcomeUnknownError
	if !errors.As(left.err, &unknown) || !errors.Is(left.err, context.Canceled) || len(unknown.EventIDs) != 1 || unknown.EventIDs[0] != e.Events[0].ID {
		t.Errorf("who leaves a batch that goes on gets %v, want it unknown, with the id", left.err)
	}
	g.pass <- struct{}{}
	for _, one := range []<-chan answered{first, staying} {
		if got := <-one; got.err != nil {
			t.Error(got.err)
		}
	}
	retry := aside(t.Context(), book, e)
	<-g.arrived
	g.pass <- struct{}{}
	if got := <-retry; got.err != nil || len(got.records) != 1 || got.records[0].Position > 3 {
		t.Errorf("the retry settles it with %v, %v, want the original", got.records, got.err)
	}
}

func TestABatchThatNobodyWaitsForIsCalledOff(t *testing.T) {
	t.Parallel()
	g := newGate()
	book := openCounters(t, g.before(newDriver(t)))
	leave := func() error {
		ctx, cancel := context.WithCancel(t.Context())
		leaving := aside(ctx, book, adding(1))
		<-g.arrived
		cancel() // and the gate stays closed
		return (<-leaving).err
	}
	err := leave()
	// To call a batch off takes a moment, and a caller waits for no more than that: one
	// on a machine that stands still does not get to know. Not all of them, though.
	for tries := 1; errors.Is(err, daybook.ErrOutcomeUnknown) && tries < 10; tries++ {
		err = leave()
	}
	if !errors.Is(err, context.Canceled) || errors.Is(err, daybook.ErrOutcomeUnknown) {
		t.Errorf("the only caller, leaving, gets %v, want to know that nothing was written", err)
	}
	next := aside(t.Context(), book, adding(1))
	<-g.arrived
	g.pass <- struct{}{}
	if got := <-next; got.err != nil || got.records[0].Position != 1 {
		t.Errorf("the next append: %v, %v", got.records, got.err)
	}
}

// losing is an engine whose replies get lost, before the commit or after it.
func losing(d daybook.Driver, lost func() (before, after bool)) *between {
	gone := fmt.Errorf("%w: the line is dead", daybook.ErrUnclear)
	return &between{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
		before, after := lost()
		if before {
			return nil, gone
		}
		outcomes, err := d.Append(ctx, book, batch, inline)
		if after && err == nil {
			return nil, gone
		}
		return outcomes, err
	}}
}

func TestALostReplyIsSettled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // which replies get lost is no secret
	driver := losing(newDriver(t), func() (before, after bool) {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(6) == 0, random.IntN(3) == 0
	})
	book := openCounters(t, driver)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			id := daybook.AggregateID{Type: "counter", ID: daybook.NewUUID()}
			for n := range int64(5) {
				records, err := book.Append(t.Context(), daybook.Entry{Aggregate: id, Expected: daybook.Exactly(n), Events: []daybook.Event{{Data: added{1}}}})
				if err != nil || len(records) != 1 || records[0].SequenceNumber != n+1 {
					t.Errorf("append %d: %v, %v", n+1, records, err)
				}
			}
		})
	}
	all.Wait()
	if n := head(t, book); n != 40 {
		t.Errorf("40 appends were acknowledged and %d events are there", n)
	}
}

// The command was recorded, and what it did cannot be read back: to answer with the
// failure of a read would be to say that nothing was written.
func TestAKeyedCommandThatCannotBeReadBackIsUnknown(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	ctx, cancel := context.WithCancel(t.Context())
	appends := 0
	repo := daybook.NewRepository(openCounters(t, &between{Driver: driver, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
		outcomes, err := driver.Append(ctx, book, batch, inline)
		if appends++; appends == 1 {
			return nil, daybook.ErrUnclear
		}
		cancel()
		return outcomes, err
	}}), counters)
	_, err := repo.Execute(ctx, counter(1), add{1}, daybook.Key("k"))
	var unknown *daybook.OutcomeUnknownError
	if !errors.As(err, &unknown) || len(unknown.EventIDs) != 1 || !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v, want it unknown, with the id, because the context has ended", err)
	}
	result, err := repo.Execute(t.Context(), counter(1), add{1}, daybook.Key("k"))
	if err != nil || len(result.Events) != 1 || result.Events[0].EventID != unknown.EventIDs[0] || result.SequenceNumber != 1 {
		t.Errorf("a retry gives %+v, error %v, want the original", result, err)
	}
}

func TestAnOutcomeStaysUnknownOnlyWhileTheStoreIsOutOfReach(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	dead, asked := true, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	book := openCounters(t, losing(newDriver(t), func() (before, after bool) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == 3 { // it has tried to find out, and again
			cancel()
		}
		return false, dead
	}))
	e := adding(2)
	_, err := book.Append(ctx, e)
	var unknown *daybook.OutcomeUnknownError
	if !errors.As(err, &unknown) || len(unknown.EventIDs) != 2 || !errors.Is(err, context.Canceled) {
		t.Fatalf("while the line is dead: %v", err)
	}
	mu.Lock()
	dead = false
	mu.Unlock()
	records, err := book.Append(t.Context(), e)
	if err != nil || len(records) != 2 || records[0].EventID != unknown.EventIDs[0] || records[1].Position != 2 {
		t.Errorf("the retry: %v, %v", records, err)
	}
}

// A follower that had to ask the store would see an event a second.
func TestAFollowerHearsOfAppendsOfItsOwnProcess(t *testing.T) {
	t.Parallel()
	book := openCounters(t, &between{Driver: newDriver(t), deaf: true})
	hears(t, book, book)
}

func TestAFollowerHearsOfAppendsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	hears(t, openCounters(t, openFile(t, path)), openCounters(t, openFile(t, path)))
}

// A follower that is told nothing finds out by itself.
func TestAFollowerMissesNothingWhereNotificationsAreLost(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	follows(t, 2, openCounters(t, &between{Driver: openFile(t, path), deaf: true}), openCounters(t, openFile(t, path)))
}

// hears fails the test unless a follower of one book sees 90 events one by one, each
// before the next is appended to the other, in a fraction of the time that polling
// takes. There are so many that a machine may stand still for long meanwhile.
func hears(t *testing.T, following, appending *daybook.Book) {
	t.Helper()
	began := time.Now()
	follows(t, 90, following, appending)
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("seeing 90 events one by one took %v", took)
	}
}

func follows(t *testing.T, events int64, following, appending *daybook.Book) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	next := int64(1)
	grow := func() {
		if _, err := appending.Append(ctx, adding(1)); err != nil {
			t.Error(err)
		}
	}
	time.AfterFunc(20*time.Millisecond, grow)
	for rec, err := range following.Follow(ctx, daybook.Query{}) {
		if err != nil || rec.Position != next {
			t.Fatalf("followed %v, %v, want position %d", rec, err, next)
		}
		if next++; next > events {
			return
		}
		time.AfterFunc(2*time.Millisecond, grow) // while the follower waits, most times
	}
}
