package daybooktest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daybook-go/daybook"
)

// promptly is how long a call may take that has nothing to wait for, on a machine that
// is busy or stands still for a while.
const promptly = 20 * time.Second

// recorded reports whether the events of e are there, all or none.
func (s *scene) recorded(e daybook.Entry) bool {
	s.Helper()
	var ids []daybook.UUID
	for _, event := range e.Events {
		ids = append(ids, event.ID)
	}
	found, err := s.book.Lookup(s.Context(), ids...)
	if err != nil {
		s.Fatalf("Lookup: %v", err)
	}
	if len(found) != 0 && len(found) != len(ids) {
		s.Errorf("%d of the %d events of one append are there", len(found), len(ids))
	}
	return len(found) == len(ids)
}

// calls are all that can be asked of a handle, by name.
func calls(s *scene, e daybook.Entry) map[string]func(context.Context, daybook.Driver) error {
	return map[string]func(context.Context, daybook.Driver) error{
		"OpenBook": func(ctx context.Context, d daybook.Driver) error {
			_, err := d.OpenBook(ctx, "b-"+daybook.NewUUID().String())
			return err
		},
		"Append": func(ctx context.Context, d daybook.Driver) error {
			event := rawEvent("x")
			event.EventID = e.Events[0].ID
			_, err := d.Append(ctx, s.id, []daybook.Append{raw(e.Aggregate, e.Expected, event)}, daybook.InlineWork{})
			return err
		},
		"Read": func(ctx context.Context, d daybook.Driver) error {
			_, err := d.Read(ctx, s.id, daybook.Query{Limit: 10}, nil)
			return err
		},
		"Lookup": func(ctx context.Context, d daybook.Driver) error {
			_, err := d.Lookup(ctx, s.id, []daybook.UUID{e.Events[0].ID})
			return err
		},
		"Head": func(ctx context.Context, d daybook.Driver) error {
			_, err := d.Head(ctx, s.id)
			return err
		},
		"Fence": func(ctx context.Context, d daybook.Driver) error {
			_, err := d.Fence(ctx, s.id, now())
			return err
		},
	}
}

func cancelledBefore(s *scene) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	e := entry(newAggregate(), daybook.NoEvents(), "x")
	unchanged := s.unchanged()
	for name, call := range calls(s, e) {
		start := now()
		if err := call(ctx, s.driver); !errors.Is(err, context.Canceled) {
			s.Errorf("%s with a cancelled context: %v, want %v", name, err, context.Canceled)
		}
		if took := now().Sub(start); took > promptly {
			s.Errorf("%s with a cancelled context took %v", name, took)
		}
	}
	if _, err := s.book.Append(ctx, e); !errors.Is(err, context.Canceled) {
		s.Errorf("Book.Append with a cancelled context: %v", err)
	}
	for _, err := range s.book.Read(ctx, daybook.Query{}) {
		if !errors.Is(err, context.Canceled) {
			s.Errorf("Book.Read with a cancelled context: %v", err)
		}
	}
	unchanged("calls with a cancelled context")
	if s.recorded(e) {
		s.Errorf("an append with a cancelled context is recorded")
	}
	if records := s.append(e); len(records) != 1 { // and the handle and the ids are still good
		s.Errorf("the same append, not cancelled: %v", records)
	}
}

// attempted is an append that may have been cancelled, and what was answered.
type attempted struct {
	entry daybook.Entry
	err   error
}

func cancelledHalfWay(s *scene) {
	var all []attempted
	for i := range times(120) {
		texts := slices.Repeat([]string{"x"}, 1+i%40)
		e := entry(newAggregate(), daybook.NoEvents(), texts...)
		// Alone, few appends are under way when they are cancelled. Behind a large one
		// of the other handle they wait in the engine.
		ahead := func() {}
		if i%3 == 2 {
			ahead = s.ahead(s.books[(i+1)%2])
		}
		// From cancelled at once to after it has ended.
		ctx, cancel := context.WithTimeout(s.Context(), time.Duration(i)*40*time.Microsecond)
		_, err := s.books[i%2].Append(ctx, e)
		cancel()
		ahead()
		all = append(all, attempted{e, err})
		s.honest(all[i])
	}
	// What was under way then has ended by now.
	if _, err := s.driver.Fence(s.Context(), s.id, s.head().RecordedAt.Add(time.Microsecond)); err != nil {
		s.Errorf("Fence: %v", err)
	}
	for _, one := range all {
		s.honest(one)
	}
	s.append(entry(newAggregate(), daybook.NoEvents(), "the handle is still good"))
}

// ahead begins a large append. The function that it returns waits for its end.
func (s *scene) ahead(book *daybook.Book) (wait func()) {
	done := make(chan error, 1)
	go func() {
		_, err := book.Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), slices.Repeat([]string{"x"}, 500)...))
		done <- err
	}()
	return func() {
		if err := <-done; err != nil {
			s.Errorf("a large append beside one that is cancelled: %v", err)
		}
	}
}

// honest fails the test unless the answer to an append was true.
func (s *scene) honest(a attempted) {
	s.Helper()
	switch there := s.recorded(a.entry); {
	case errors.Is(a.err, daybook.ErrOutcomeUnknown):
	case a.err == nil && !there:
		s.Errorf("an append of %d events was acknowledged and is not there", len(a.entry.Events))
	case a.err != nil && there:
		s.Errorf("an append of %d events is there, although its caller was told: %v", len(a.entry.Events), a.err)
	case a.err != nil && !errors.Is(a.err, context.DeadlineExceeded):
		s.Errorf("an append whose context ended: %v, want %v", a.err, context.DeadlineExceeded)
	}
}

func cancelledInLine(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	writing, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		atOnce(4, func(i int) {
			for writing.Err() == nil {
				if _, err := s.books[i%2].Append(ctx, entry(newAggregate(), daybook.NoEvents(), slices.Repeat([]string{"x"}, 1000)...)); err != nil {
					s.Errorf("a large append: %v", err)
					return
				}
			}
		})
	}()
	for i := range times(12) {
		e := entry(newAggregate(), daybook.NoEvents(), "x")
		waiting, leave := context.WithTimeout(ctx, time.Duration(1+i)*time.Millisecond)
		start := now()
		_, err := s.books[i%2].Append(waiting, e)
		took := now().Sub(start)
		leave()
		s.honest(attempted{e, err})
		if took > promptly {
			s.Errorf("an append in line, cancelled after %d ms, returned after %v", 1+i, took)
		}
	}
	stop()
	<-ended
}

// leaks fails the test where goroutines stay. It waits for those on their way out: a
// second or so each time that it looks, and longer on a busy machine.
func leaks(t *testing.T, doing string, ignore ...goleak.Option) {
	t.Helper()
	var err error
	for range 10 {
		if err = goleak.Find(ignore...); err == nil {
			return
		}
	}
	t.Errorf("%s: %v", doing, err)
}

func leaveNoGoroutine(t *testing.T, open Opener) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	one, two := open(t), open(t)
	s := newScene(t, one, two)
	s.stock(220)
	// Let the handles open what they keep open.
	breakingOff(s)
	cancelledHalfWay(s)
	if !t.Failed() {
		s.audit()
	}
	for _, driver := range s.drivers {
		if err := driver.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	leaks(t, "after reading, breaking off, cancelling and closing", before)
}

func closedHandle(t *testing.T, open Opener) {
	t.Helper()
	one, two := open(t), opened(t, open)
	s := newScene(t, one, two)
	e := entry(newAggregate(), daybook.NoEvents(), "x")
	s.append(e)
	if err := one.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for name, call := range calls(s, entry(newAggregate(), daybook.NoEvents(), "y")) {
		start := now()
		if err := call(t.Context(), one); err == nil {
			t.Errorf("%s on a closed handle succeeded", name)
		} else if errors.Is(err, daybook.ErrUnclear) {
			t.Errorf("%s on a closed handle: %v, but it is clear that nothing was written", name, err)
		}
		if took := now().Sub(start); took > promptly {
			t.Errorf("%s on a closed handle took %v", name, took)
		}
	}
	_ = one.Close() // a second time: an error perhaps, no panic
	s.driver, s.book = two, s.books[1]
	if records := s.all(); len(records) != 1 {
		t.Errorf("through the other handle, the book has %v", records)
	}
	s.append(entry(newAggregate(), daybook.NoEvents(), "the other handle works"))
	s.audit()
}

func nextProcess(t *testing.T, open Opener) {
	t.Helper()
	one, two := open(t), open(t)
	s := newScene(t, one, two)
	l := s.stock(60)
	name, id := s.book.Name(), s.id
	head := s.head()
	for _, driver := range s.drivers {
		if err := driver.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	three := opened(t, open)
	book, err := daybook.Open(t.Context(), three, name, registry)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	again, err := three.OpenBook(t.Context(), name)
	if err != nil || again != id {
		t.Fatalf("the book %s has the id %d (%v), it was %d", name, again, err, id)
	}
	later := &scene{TB: t, drivers: [2]daybook.Driver{three, three}, books: [2]*daybook.Book{book, book}, book: book, driver: three, id: id}
	later.same("the book, opened again", later.all(), l.records)
	if got := later.head(); got != head {
		t.Errorf("the head, opened again, is %+v, it was %+v", got, head)
	}
	rec := later.append(entry(newAggregate(), daybook.NoEvents(), "next"))[0]
	if rec.Position != head.Position+1 || !rec.RecordedAt.After(head.RecordedAt) {
		t.Errorf("the next event is %v at %v, after the head %+v", rec, rec.RecordedAt, head)
	}
	later.audit()
}
