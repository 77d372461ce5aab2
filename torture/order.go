package torture

import (
	"context"
	"strconv"
	"strings"

	"github.com/daybook-go/daybook"
)

// Written is the event of the suite. It says by itself which order it belongs to,
// and how much of it, so that a log shows what was torn or doubled.
type Written struct {
	Order daybook.UUID `json:"order"`
	// Index counts the events of the order from 0, Of is how many there are.
	Index int64 `json:"index"`
	Of    int64 `json:"of"`
	// Padding gives the event a size.
	Padding string `json:"padding"`
}

// Registry returns the events of the suite: open the book with it.
func Registry() *daybook.Registry { return daybook.NewRegistry(daybook.Type[Written]("Written")) }

// aggregateType is what all events of the suite happen to.
const aggregateType = "torture"

// An Order is one append that somebody wants, complete enough to ask for it again
// under the same ids after everything else is forgotten.
type Order struct {
	ID    daybook.UUID `json:"id"`
	Parts []Part       `json:"parts"`
	// Keyed orders are commands, executed under the order's id as their key; what
	// their parts expect is not looked at. Others are appended under event ids
	// derived from it.
	Keyed bool `json:"keyed,omitzero"`
	// Padding is the size of each event, roughly, in bytes.
	Padding int `json:"padding"`
}

// Part is what an order writes to one aggregate.
type Part struct {
	Aggregate daybook.UUID `json:"aggregate"`
	Expected  Belief       `json:"expected"`
	Events    int          `json:"events"`
}

// Belief is what a part expects of its aggregate: a sequence number, [AnyNumber] or
// [SomeNumber].
type Belief int64

const (
	// AnyNumber expects nothing.
	AnyNumber Belief = -1
	// SomeNumber expects at least one event.
	SomeNumber Belief = -2
)

func (b Belief) expected() daybook.Expected {
	switch b {
	case AnyNumber:
		return daybook.Any()
	case SomeNumber:
		return daybook.Exists()
	default:
		return daybook.Exactly(int64(b))
	}
}

func aggregateID(id daybook.UUID) daybook.AggregateID {
	return daybook.AggregateID{Type: aggregateType, ID: id}
}

// events is how many events the whole order has.
func (o Order) events() int {
	n := 0
	for _, part := range o.Parts {
		n += part.Events
	}
	return n
}

// written returns the events of the order, a slice per part.
func (o Order) written() [][]Written {
	padding, of := strings.Repeat("x", o.Padding), int64(o.events())
	all, index := make([][]Written, len(o.Parts)), int64(0)
	for i, part := range o.Parts {
		for range part.Events {
			all[i] = append(all[i], Written{Order: o.ID, Index: index, Of: of, Padding: padding})
			index++
		}
	}
	return all
}

// eventID is the id of an event of an order that is not keyed.
func (o Order) eventID(index int64) daybook.UUID { return o.ID.Derive(strconv.FormatInt(index, 10)) }

// submit asks the book for the order, and returns the records in the order of its
// events.
func (o Order) submit(ctx context.Context, book *daybook.Book) ([]daybook.Recorded, error) {
	if o.Keyed {
		return o.execute(ctx, book)
	}
	entries := make([]daybook.Entry, len(o.Parts))
	for i, events := range o.written() {
		entries[i] = daybook.Entry{Aggregate: aggregateID(o.Parts[i].Aggregate), Expected: o.Parts[i].Expected.expected()}
		for _, event := range events {
			entries[i].Events = append(entries[i].Events, daybook.Event{ID: o.eventID(event.Index), Data: event})
		}
	}
	return book.Append(ctx, entries...)
}

// commands decides whatever it is asked to: the state is how often that was.
var commands = daybook.Decider[int64, []Written, Written]{
	Type:    aggregateType,
	Initial: func() int64 { return 0 },
	Decide:  func(_ int64, events []Written) ([]Written, error) { return events, nil },
	Evolve:  func(state int64, _ Written) int64 { return state + 1 },
}

func (o Order) execute(ctx context.Context, book *daybook.Book) ([]daybook.Recorded, error) {
	addressed := make([]daybook.Addressed[[]Written], len(o.Parts))
	for i, events := range o.written() {
		addressed[i] = daybook.Addressed[[]Written]{Aggregate: aggregateID(o.Parts[i].Aggregate), Command: events}
	}
	results, err := daybook.NewRepository(book, commands).ExecuteAll(ctx, addressed, daybook.Key(o.ID.String()))
	if err != nil {
		return nil, err
	}
	var records []daybook.Recorded
	for _, result := range results {
		records = append(records, result.Events...)
	}
	return records, nil
}
