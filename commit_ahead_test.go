package daybook_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// ahead is an engine that lets the next batch come while a gate holds the one before.
type ahead struct {
	daybook.Driver
	arrived chan int // how many appends a batch has
	pass    chan struct{}
	deny    bool // to let nobody come
	under   atomic.Int64
	most    atomic.Int64
}

func newAhead(d daybook.Driver) *ahead {
	return &ahead{Driver: d, arrived: make(chan int), pass: make(chan struct{})}
}

func (d *ahead) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	return d.AppendAhead(ctx, book, batch, inline.Revision, func() {})
}

func (d *ahead) AppendAhead(ctx context.Context, book daybook.BookID, batch []daybook.Append, revision int64, next func()) ([]daybook.Outcome, error) {
	d.most.Store(max(d.most.Load(), d.under.Add(1)))
	defer d.under.Add(-1)
	d.arrived <- len(batch)
	if !d.deny {
		next()
	}
	<-d.pass
	return d.Driver.Append(ctx, book, batch, daybook.InlineWork{Revision: revision})
}

// crowd is callers that append without end.
type crowd struct {
	stop    atomic.Bool
	written atomic.Int64
	ended   chan error
}

func newCrowd(ctx context.Context, book *daybook.Book, callers int) *crowd {
	c := &crowd{ended: make(chan error, callers)}
	for range callers {
		go func() {
			var err error
			for err == nil && !c.stop.Load() {
				if _, err = book.Append(ctx, adding(1)); err == nil {
					c.written.Add(1)
				}
			}
			c.ended <- err
		}()
	}
	return c
}

// turns has so many batches answered, one that is there already among them, the oldest one each
// time there are two, or no other has come for a while; and then lets all end. It returns
// the sizes of the batches, and how often there were two.
func (d *ahead) turns(t *testing.T, n int, c *crowd) (sizes []int, twos int) {
	t.Helper()
	held := 1
	for range n {
		for waiting := true; waiting && held < 2; {
			select {
			case size := <-d.arrived:
				sizes = append(sizes, size)
				held++
			case <-time.After(200 * time.Millisecond):
				waiting = held == 0
			}
		}
		if held == 2 {
			twos++
		}
		d.pass <- struct{}{}
		held--
	}
	c.stop.Store(true)
	close(d.pass)
	for range cap(c.ended) {
		for ended := false; !ended; {
			select {
			case err := <-c.ended:
				ended = true
				if err != nil {
					t.Error(err)
				}
			case <-d.arrived:
			}
		}
	}
	return sizes, twos
}

func TestBatchesThatGoAhead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		callers  int
		deny     bool
		together bool // is how it is done, see pace.go
		under    int64
	}{
		"half of the callers come back while the engine is at the other half": {callers: 64, under: 2},
		"of few callers the engine gets all at once":                          {callers: 8, under: 1},
		"an engine that lets nobody come gets all at once":                    {callers: 64, deny: true, under: 1},
		"where that is faster the engine gets all at once":                    {callers: 64, together: true, under: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := newAhead(newDriver(t))
			driver.deny = test.deny
			book := openCounters(t, driver)
			if test.together {
				daybook.GoTogether(book)
			}
			first := aside(t.Context(), book, adding(1))
			<-driver.arrived
			c := newCrowd(t.Context(), book, test.callers)
			inLine(t, book, test.callers)
			sizes, twos := driver.turns(t, 20, c)
			if most := driver.most.Load(); most != test.under {
				t.Errorf("%d batches were under way at once, want %d", most, test.under)
			}
			if test.under == 2 && twos < 10 {
				t.Errorf("in %d of 20 turns there was a second batch", twos)
			}
			large := 0
			for _, size := range sizes {
				if size > test.callers/2 {
					large++
				}
			}
			if all := large > len(sizes)/2; all != (test.under == 1) {
				t.Errorf("batches of %d of %d callers", sizes, test.callers)
			}
			if n := daybook.Paced(book); n > 0 != (test.callers == 64) {
				t.Errorf("of %d batches of %d callers %d count for the pace", len(sizes), test.callers, n)
			}
			if got := <-first; got.err != nil {
				t.Error(got.err)
			}
			if head, err := book.Head(t.Context()); err != nil || head.Position != 1+c.written.Load() {
				t.Errorf("the head is at %d, error %v; %d and one were acknowledged", head.Position, err, c.written.Load())
			}
		})
	}
}

// A batch that goes another way may rest on the one under way: it does not overtake it.
func TestAFewWaitForTheBatchUnderWay(t *testing.T) {
	t.Parallel()
	driver := newAhead(newDriver(t))
	book := openCounters(t, driver)
	append1 := func() <-chan answered { return aside(t.Context(), book, adding(1)) }
	calls := []<-chan answered{append1()}
	<-driver.arrived
	for range 40 {
		calls = append(calls, append1())
	}
	inLine(t, book, 40)
	driver.pass <- struct{}{}
	<-driver.arrived // all 40, who are enough for a batch behind theirs
	calls = append(calls, append1())
	<-driver.arrived
	driver.pass <- struct{}{} // for the 40
	for _, call := range calls[:41] {
		if got := <-call; got.err != nil {
			t.Error(got.err)
		}
	}
	driver.most.Store(1)
	calls = append(calls, append1())
	inLine(t, book, 1)
	select {
	case <-driver.arrived:
		t.Error("a single append has come beside the one under way")
	case <-time.After(20 * time.Millisecond):
	}
	driver.pass <- struct{}{}
	<-driver.arrived
	driver.pass <- struct{}{}
	for _, call := range calls[41:] {
		if got := <-call; got.err != nil {
			t.Error(got.err)
		}
	}
	if most := driver.most.Load(); most != 1 {
		t.Errorf("%d batches were under way at once", most)
	}
}
