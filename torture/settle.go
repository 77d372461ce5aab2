package torture

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-go/daybook"
)

// settlingTries bounds how often one order is asked for while the checker settles.
const settlingTries = 20

// settle asks again for what is unknown, under the same ids, and puts the answers
// into the history. A second time it must get the same answer.
func (c *check) settle(ctx context.Context) error {
	for _, about := range c.history.orders {
		if !about.open() {
			continue
		}
		c.report.Unknown++
		if err := c.settleOne(ctx, about); err != nil {
			return err
		}
		if about.open() {
			c.found("I3", "order %s stays unknown, however often it is asked for", about.order.ID)
			continue
		}
		if about.done() == nil {
			continue
		}
		c.report.Settled++
		first := len(about.calls)
		if err := c.settleOne(ctx, about); err != nil {
			return err
		}
		if again := about.calls[first]; again.answer == answerDone && !equalPlaces(again.places, about.done().places) {
			c.found("I2", "order %s was settled twice, with different answers", about.order.ID)
		}
	}
	return nil
}

// settleOne asks until there is an answer that settles it. The database is well
// when this is called, so that an error that persists is the checker's.
func (c *check) settleOne(ctx context.Context, about *told) error {
	var last call
	for range settlingTries {
		last = call{try: len(about.calls) + 1, asked: c.clock.now()}
		records, err := about.order.submit(ctx, c.book)
		l := answered(about.order.ID, last.try, records, err)
		last.answered, last.answer, last.places, last.message, last.lost = c.clock.now(), l.Answer, l.Places, l.Error, l.Lost
		about.calls = append(about.calls, last)
		if last.answer != answerFailed && last.answer != answerUnknown {
			return nil
		}
		breathe(ctx)
	}
	return fmt.Errorf("settling order %s: %s", about.order.ID, last.message)
}

func equalPlaces(a, b []Place) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// read takes the whole book, and its head before and after.
func (c *check) read(ctx context.Context) error {
	head, err := c.book.Head(ctx)
	if err != nil {
		return err
	}
	c.log = nil
	for rec, err := range c.book.Read(ctx, daybook.Query{}) {
		if err != nil {
			return err
		}
		value, err := c.book.Decode(rec)
		if err != nil {
			return err
		}
		written, ok := value.(Written)
		if !ok {
			return fmt.Errorf("%v is no event of this suite: check a book that nobody else writes to", rec)
		}
		rec.Payload = nil
		c.log = append(c.log, entry{Place: placeOf(rec), Written: written, aggregateType: rec.Aggregate.Type})
	}
	c.head = head
	after, err := c.book.Head(ctx)
	if err == nil && after != head {
		err = errors.New("somebody writes to the book while it is checked")
	}
	return err
}
