package torture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/daybook-go/daybook"
)

// Report is what a check found.
type Report struct {
	// Orders were asked for. Done were acknowledged, Refused were told that nothing
	// was written; Unknown were left without an answer, and Settled of those turned
	// out, or were made, to be recorded.
	Orders, Done, Refused, Unknown, Settled int
	// Events are in the book.
	Events int
	// Questions about the past were answered, once and for ever.
	Questions int
	// Looks at read models were whole.
	Looks int
	// Findings are the promises that do not hold. Of each promise there are at most
	// [MaxFindings]; More counts the others.
	Findings []Finding
	More     int
}

// Finding is one promise that does not hold.
type Finding struct {
	// Promise is its number, "I1" to "I12", "I15", "I17" or "I18", as docs/reference/torture.md
	// lists them.
	Promise string
	Text    string
}

// MaxFindings bounds what a report says about one promise.
const MaxFindings = 5

// Held reports whether every promise holds.
func (r *Report) Held() bool { return len(r.Findings) == 0 }

// String is the report in a few lines: one with the numbers, and one per finding.
func (r *Report) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d orders: %d done, %d refused, %d unknown (%d of them recorded); %d events",
		r.Orders, r.Done, r.Refused, r.Unknown, r.Settled, r.Events)
	for _, f := range r.Findings {
		fmt.Fprintf(&out, "\n%s does not hold: %s", f.Promise, f.Text)
	}
	if r.More > 0 {
		fmt.Fprintf(&out, "\nand %d more findings", r.More)
	}
	return out.String()
}

// check is one check under way.
type check struct {
	book    *daybook.Book
	clock   clock
	history *History
	report  Report
	counted map[string]int
	probes  int // of hand-written SQL

	log    []entry
	head   daybook.Head
	orders map[daybook.UUID][]int // indexes in log
}

// entry is an event of the book.
type entry struct {
	Place
	Written
	aggregateType string
}

// Witness is somebody who looked at the book while it was written to: a [Follower] or
// a [Historian].
type Witness interface {
	testify(ctx context.Context, c *check, name string) error
}

// Check holds a book to its promises, after the writers have ended and while nobody
// else writes. It settles what the history leaves unknown first, so it writes to the
// book; followers must still be running, and have some seconds to come to the end.
// Historians must have ended: a question can move the head.
//
// The error is about the check itself, which then has no verdict: a book that cannot
// be read or does not answer.
func Check(ctx context.Context, book *daybook.Book, h *History, witnesses ...Witness) (*Report, error) {
	c, err := newCheck(ctx, book, h, witnesses)
	if err != nil {
		return nil, err
	}
	return &c.report, nil
}

func newCheck(ctx context.Context, book *daybook.Book, h *History, witnesses []Witness) (*check, error) {
	c := &check{book: book, clock: newClock(), history: h, counted: map[string]int{}, orders: map[daybook.UUID][]int{}}
	c.countAnswers()
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	c.dense()
	c.nothingTwice()
	c.nothingTorn()
	c.nothingLost()
	c.nothingMadeUp()
	c.realTime()
	c.races()
	for i, w := range witnesses {
		if err := w.testify(ctx, c, fmt.Sprintf("witness %d", i+1)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *check) found(promise, format string, args ...any) {
	if c.counted[promise]++; c.counted[promise] > MaxFindings {
		c.report.More++
		return
	}
	c.report.Findings = append(c.report.Findings, Finding{promise, fmt.Sprintf(format, args...)})
}

// countAnswers counts what callers were told, and finds what none should be.
func (c *check) countAnswers() {
	c.report.Orders = len(c.history.orders)
	for _, about := range c.history.orders {
		switch {
		case about.done() != nil:
			c.report.Done++
		case !about.open():
			c.report.Refused++
		}
		for _, call := range about.calls {
			if call.answer == answerAbsurd {
				c.found("I3", "order %s got an answer that makes no sense: %s", about.order.ID, call.message)
			}
		}
	}
}

// dense: I4, I5 and I15.
func (c *check) dense() {
	c.report.Events = len(c.log)
	numbers := map[daybook.UUID]int64{}
	recordedAt := int64(0)
	for i, e := range c.log {
		if e.Position != int64(i+1) {
			c.found("I5", "the event after %d others is at position %d", i, e.Position)
		}
		if numbers[e.Aggregate]++; e.Number != numbers[e.Aggregate] {
			c.found("I4", "position %d is number %d of its aggregate %s, want %d", e.Position, e.Number, e.Aggregate, numbers[e.Aggregate])
		}
		if e.RecordedAt < recordedAt {
			c.found("I15", "position %d was recorded %d µs before the position below it", e.Position, recordedAt-e.RecordedAt)
		}
		recordedAt = e.RecordedAt
		c.orders[e.Order] = append(c.orders[e.Order], i)
	}
	if c.head.Position != int64(len(c.log)) {
		c.found("I5", "the head is at position %d, the book has %d events", c.head.Position, len(c.log))
	}
	if len(c.log) > 0 && c.head.RecordedAt.UnixMicro() < recordedAt {
		c.found("I15", "the head was recorded at %v, before the last event", c.head.RecordedAt)
	}
}

// nothingTwice: I2, by the event's id and by what the event says of itself.
func (c *check) nothingTwice() {
	ids, parts := map[daybook.UUID]int64{}, map[string]int64{}
	for _, e := range c.log {
		if first := ids[e.Event]; first > 0 {
			c.found("I2", "event id %s is at positions %d and %d", e.Event, first, e.Position)
		}
		ids[e.Event] = e.Position
		part := fmt.Sprint(e.Order, e.Index)
		if first := parts[part]; first > 0 {
			c.found("I2", "event %d of order %s is recorded twice, at positions %d and %d", e.Index, e.Order, first, e.Position)
		}
		parts[part] = e.Position
	}
}

// nothingTorn: I9. The events of an order are all there, side by side, in order,
// where they were to go, and recorded at one time.
func (c *check) nothingTorn() {
	for id, at := range c.orders {
		first := c.log[at[0]]
		if int64(len(at)) != first.Of {
			c.found("I9", "order %s has %d events, %d are recorded", id, first.Of, len(at))
			continue
		}
		for n, i := range at {
			e := c.log[i]
			if i != at[0]+n || e.Index != int64(n) || e.RecordedAt != first.RecordedAt {
				c.found("I9", "event %d of order %s is at position %d, recorded at %d; the first one at %d, recorded at %d",
					e.Index, id, e.Position, e.RecordedAt, first.Position, first.RecordedAt)
				break
			}
		}
		about := c.history.orders[id]
		if about == nil {
			continue // see nothingMadeUp
		}
		n := 0
		for _, part := range about.order.Parts {
			for range part.Events {
				if n < len(at) && c.log[at[n]].Aggregate != part.Aggregate {
					c.found("I9", "event %d of order %s belongs to %s and is recorded for %s", n, id, part.Aggregate, c.log[at[n]].Aggregate)
				}
				n++
			}
		}
	}
}

// nothingLost: I1. What was acknowledged is exactly where it was said to be.
func (c *check) nothingLost() {
	for id, about := range c.history.orders {
		done := about.done()
		if done == nil {
			continue
		}
		for _, call := range about.calls {
			if call.answer == answerDone && !equalPlaces(call.places, done.places) {
				c.found("I2", "order %s was acknowledged twice, at different places: %v and %v", id, done.places, call.places)
			}
		}
		if len(done.places) != about.order.events() {
			c.found("I1", "order %s of %d events was acknowledged with %d", id, about.order.events(), len(done.places))
		}
		for n, place := range done.places {
			if place.Position < 1 || place.Position > int64(len(c.log)) {
				c.found("I1", "event %d of order %s was acknowledged at position %d; the book ends at %d", n, id, place.Position, len(c.log))
				continue
			}
			at := c.log[place.Position-1]
			if at.Place != place || at.Order != id || at.Index != int64(n) || at.aggregateType != aggregateType {
				c.found("I1", "event %d of order %s was acknowledged as %+v; there is event %d of order %s, %+v", n, id, place, at.Index, at.Order, at.Place)
			}
		}
	}
}

// nothingMadeUp: I3. What was refused is not there, and neither is what nobody
// asked for.
func (c *check) nothingMadeUp() {
	for id, at := range c.orders {
		about := c.history.orders[id]
		switch position := c.log[at[0]].Position; {
		case about == nil:
			c.found("I3", "nobody asked for order %s at position %d", id, position)
		case about.done() == nil:
			var said []string
			for _, call := range about.calls {
				said = append(said, fmt.Sprintf("%s %s", call.answer, call.message))
			}
			c.found("I3", "order %s (keyed: %v) was said not to be written, and is at position %d: %s", id, about.order.Keyed, position, strings.Join(slices.Compact(said), "; "))
		}
	}
}
