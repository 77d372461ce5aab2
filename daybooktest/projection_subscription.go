package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// mailbox is who gets the events of a subscription.
type mailbox struct {
	mu   sync.Mutex
	got  []daybook.Recorded
	hook func(e daybook.ProjectedEvent, before int) error // before: how often it was tried before
	try  map[int64]int
}

func (m *mailbox) deliver(_ context.Context, e daybook.ProjectedEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.try == nil {
		m.try = map[int64]int{}
	}
	before := m.try[e.Position]
	m.try[e.Position]++
	if m.hook != nil {
		if err := m.hook(e, before); err != nil {
			return err
		}
	}
	m.got = append(m.got, e.Recorded)
	return nil
}

// received are the events in the order in which they came first, and how many came again.
func (m *mailbox) received() (first []daybook.Recorded, again int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[int64]bool{}
	for _, rec := range m.got {
		if seen[rec.Position] {
			again++
			continue
		}
		seen[rec.Position] = true
		first = append(first, rec)
	}
	return first, again
}

// deliveredInOrder calls subscribers off at random, in two processes.
func deliveredInOrder(s *scene) {
	ids := newNotebooks(4)
	box := &mailbox{}
	sub := &daybook.Subscription{Name: "mail", Deliver: box.deliver}
	s.catchUp(0, sub)
	ctx, end := context.WithCancel(s.Context())
	defer end()
	var runners sync.WaitGroup
	for handle, book := range s.books {
		runners.Go(func() {
			for r := chance(200 + handle); ctx.Err() == nil; {
				working, cancel := context.WithTimeout(ctx, time.Duration(1+r.IntN(40))*time.Millisecond)
				if err := book.Run(working, sub); !errors.Is(err, working.Err()) {
					s.Errorf("Run, called off, has ended with %v", err)
				}
				cancel()
				s.awaits(book) //nolint:contextcheck // ctx may have ended, and the wait is for the store
			}
		})
	}
	for round := range times(20) {
		s.scribble(s.Context(), s.book, chance(300+round), ids, 3)
	}
	end()
	runners.Wait()
	s.catchUp(1, sub)
	first, again := box.received()
	s.same("the events in the order in which they were delivered first", first, s.all())
	before := len(box.got)
	s.catchUp(0, sub)
	if len(box.got) != before {
		s.Errorf("a subscription that is at the end has delivered %d more events", len(box.got)-before)
	}
	s.Logf("%d events, %d of them again", len(first), again)
	since := &mailbox{}
	s.catchUp(0, &daybook.Subscription{Name: "late", Deliver: since.deliver, Since: 7, EventTypes: []string{"Noted"}})
	got, _ := since.received()
	want := slices.DeleteFunc(s.all(), func(rec daybook.Recorded) bool { return rec.Position <= 7 || rec.EventType != "Noted" })
	s.same("the events of one type behind a position", got, want)
}

// deliveredInParts has several workers, some of whose deliveries fail, and expects each
// aggregate's events in their order.
func deliveredInParts(s *scene) {
	ids := newNotebooks(6)
	for i := range 40 {
		s.append(entry(ids[i%len(ids)], daybook.Any(), fmt.Sprint(i), "and more"))
	}
	box := &mailbox{hook: func(e daybook.ProjectedEvent, before int) error {
		if e.Position == 31 && before == 0 {
			return errors.New("out of paper")
		}
		return nil
	}}
	sub := &daybook.Subscription{
		Name: "mail", Deliver: box.deliver, Workers: 4,
		Partition: func(e daybook.ProjectedEvent) string { return e.Aggregate.ID.String() },
	}
	stop := s.during(s.book, sub)
	s.eventually("all is delivered", func() bool { return s.books[1].WaitFor(s.Context(), "mail", s.head().Position) == nil })
	stop()
	if box.try[31] < 2 {
		s.Errorf("the event that could not be delivered was tried %d times", box.try[31])
	}
	first, again := box.received()
	if again != 0 {
		s.Errorf("%d events were delivered again, because another one was not", again)
	}
	for _, id := range ids {
		var got []daybook.Recorded
		for _, rec := range first {
			if rec.Aggregate == id {
				got = append(got, rec)
			}
		}
		want := slices.DeleteFunc(s.all(), func(rec daybook.Recorded) bool { return rec.Aggregate != id })
		s.same("the events of one part", got, want)
	}
}

// deliveredOthers changes what a subscription wants. What it has delivered must not come
// again.
func deliveredOthers(s *scene) {
	id := newAggregate()
	records := s.append(entry(id, daybook.NoEvents(), "1", "2"))
	box := &mailbox{}
	s.catchUp(0, &daybook.Subscription{Name: "mail", Deliver: box.deliver, EventTypes: []string{"Marked"}})
	s.catchUp(0, &daybook.Subscription{Name: "mail", Deliver: box.deliver, EventTypes: []string{"Noted"}})
	if len(box.got) != 0 {
		s.Errorf("delivered %v, which it did not want at the time", box.got)
	}
	more := s.append(entry(id, daybook.Any(), "3"))
	s.catchUp(0, &daybook.Subscription{Name: "mail", Deliver: box.deliver, EventTypes: []string{"Noted", "Marked"}, Workers: 2, Partition: func(daybook.ProjectedEvent) string { return "" }})
	s.catchUp(1, &daybook.Subscription{Name: "mail", Deliver: box.deliver})
	s.same("what was delivered behind "+fmt.Sprint(records[1].Position), box.got, more)
	if p := s.statusOf("mail"); p.Generation != 1 {
		s.Errorf("it is generation %d, want the first one", p.Generation)
	}
}

// deadLetters gives up an event after two attempts, and waits at another for ever.
func deadLetters(s *scene) {
	id := newAggregate()
	records := s.append(entry(id, daybook.NoEvents(), "a", "dead", "b", "panics", "c"))
	box := &mailbox{hook: func(e daybook.ProjectedEvent, _ int) error {
		switch line(e.Data) {
		case "dead":
			return errors.New("no such address")
		case "panics":
			panic("the letter burns")
		}
		return nil
	}}
	sub := &daybook.Subscription{Name: "mail", Deliver: box.deliver, DeadLetterAfter: 2}
	waiting := &daybook.Subscription{Name: "waiting", Deliver: (&mailbox{hook: box.hook}).deliver}
	stop := s.during(s.book, sub, waiting)
	s.eventually("all is delivered or given up", func() bool { return s.books[1].WaitFor(s.Context(), "mail", 5) == nil })
	if p := s.statusOf("waiting"); p.Failed != 2 || p.Position != 1 || !strings.Contains(p.Failure, "no such address") {
		s.Errorf("one that gives up nothing is %+v, want it to wait at position 2", p)
	}
	stop()
	first, again := box.received()
	s.same("what was delivered", first, []daybook.Recorded{records[0], records[2], records[4]})
	if box.try[2] != 2 || box.try[4] != 2 || again != 0 {
		s.Errorf("tried %v, %d events came again, want two attempts for what is given up", box.try, again)
	}
	list, err := s.book.Skips(s.Context())
	if err != nil || len(list) != 2 {
		s.Fatalf("Skips: %+v, %v, want 2", list, err)
	}
	for i, why := range []string{"no such address", "the letter burns"} {
		if list[i].Projection != "mail" || list[i].Position != int64(2+2*i) || !strings.Contains(list[i].Reason, why) || !strings.Contains(list[i].Reason, "dead letter") {
			s.Errorf("the skip is %+v, want it to say %q", list[i], why)
		}
	}
}
