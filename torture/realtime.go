package torture

import (
	"cmp"
	"slices"

	"github.com/daybook-go/daybook"
)

// span is when an order that is recorded was under way, and where it ended up.
type span struct {
	id              daybook.UUID
	begun, answered int64
	first, last     int64 // positions
}

// spans returns those of all acknowledged orders.
func (c *check) spans() (spans []span) {
	for id, about := range c.history.orders {
		if done := about.done(); done != nil && len(done.places) > 0 {
			s := span{id: id, begun: about.begun(), answered: done.answered, first: done.places[0].Position, last: done.places[len(done.places)-1].Position}
			spans = append(spans, s)
		}
	}
	return spans
}

// realTime: I7. An append that was begun after another was acknowledged comes
// behind it.
func (c *check) realTime() {
	byBegin := c.spans()
	byEnd := slices.Clone(byBegin)
	slices.SortFunc(byBegin, func(a, b span) int { return cmp.Compare(a.begun, b.begun) })
	slices.SortFunc(byEnd, func(a, b span) int { return cmp.Compare(a.answered, b.answered) })
	var highest span // of those that were acknowledged before
	for _, s := range byBegin {
		for len(byEnd) > 0 && byEnd[0].answered < s.begun {
			if byEnd[0].last > highest.last {
				highest = byEnd[0]
			}
			byEnd = byEnd[1:]
		}
		if s.first < highest.last {
			c.found("I7", "order %s was begun %d ns after order %s was acknowledged at position %d, and is at %d",
				s.id, s.begun-highest.answered, highest.id, highest.last, s.first)
		}
	}
}

// races: I8. An append that expected number n is number n+1; one that was refused
// because its aggregate was at n was refused while it was.
func (c *check) races() {
	type key struct {
		aggregate daybook.UUID
		number    int64
	}
	written := map[key]*told{}
	for id, about := range c.history.orders {
		done := about.done()
		if done == nil {
			continue
		}
		for _, place := range done.places {
			written[key{place.Aggregate, place.Number}] = about
		}
		if about.order.Keyed || len(done.places) != about.order.events() {
			continue
		}
		at := 0
		for _, part := range about.order.Parts {
			if number := done.places[at].Number; !part.Expected.expected().Holds(number - 1) {
				c.found("I8", "order %s expected %s of %s, and is number %d", id, part.Expected.expected(), part.Aggregate, number)
			}
			at += part.Events
		}
	}
	for id, about := range c.history.orders {
		for _, call := range about.calls {
			if call.lost == nil {
				continue
			}
			lost := *call.lost
			if before := written[key{lost.Aggregate, lost.Actual}]; lost.Actual > 0 && (before == nil || before.begun() > call.answered) {
				c.found("I8", "order %s was refused because %s was at %d, which it was not yet", id, lost.Aggregate, lost.Actual)
			}
			if next := written[key{lost.Aggregate, lost.Actual + 1}]; next != nil && next.done().answered < call.asked {
				c.found("I8", "order %s was refused because %s was at %d, although %d was acknowledged before", id, lost.Aggregate, lost.Actual, lost.Actual+1)
			}
			for _, part := range about.order.Parts {
				if !about.order.Keyed && part.Aggregate == lost.Aggregate && part.Expected.expected().Holds(lost.Actual) {
					c.found("I8", "order %s was refused although it expected %s and %s was at %d", id, part.Expected.expected(), lost.Aggregate, lost.Actual)
				}
			}
		}
	}
}
