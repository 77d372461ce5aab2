package daybook

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// The checks of what the library itself promises.

const oneAggregateOnly = "only one aggregate is read"

// positionsCheck: positions are 1, 2, 3 … up to the head, and there is none behind it.
type positionsCheck struct{}

func (positionsCheck) Name() string { return "positions" }

func (positionsCheck) Begin(_ context.Context, p *Pass) (Look, error) {
	if !p.Whole() {
		p.Skip(oneAggregateOnly)
	}
	if p.Number() > 1 || !p.Whole() {
		return nil, nil
	}
	p.Looked(0, "event")
	return &positionsLook{Pass: p}, nil
}

type positionsLook struct {
	*Pass
	last int64
}

func (l *positionsLook) Event(e *CheckedEvent) {
	l.Looked(1, "event")
	if e.Position != l.last+1 {
		l.missing(l.last+1, e.Position-1)
	}
	l.last = e.Position
}

func (l *positionsLook) missing(from, to int64) {
	l.Report(Finding{
		Position: from, Problem: fmt.Sprintf("no event is recorded at positions %d to %d", from, to),
		Found: "0 events", Expected: strconv.FormatInt(to-from+1, 10),
	})
}

// End looks behind the head. Whoever sees an event sees a head that is as far: so the
// head is asked for after the last event.
func (l *positionsLook) End(ctx context.Context) error {
	if until := l.Until(); l.last != until {
		l.missing(l.last+1, until)
	}
	for last, err := range l.Book().Read(ctx, Query{Reverse: true, Limit: 1}) {
		if err != nil {
			return err
		}
		head, err := l.Book().Head(ctx)
		if err != nil {
			return err
		}
		if last.Position > head.Position {
			f := FindingAt(last, "an event is recorded behind the book's head")
			f.Found, f.Expected = strconv.FormatInt(last.Position, 10), fmt.Sprintf("at most %d", head.Position)
			l.Report(f)
		}
	}
	return nil
}

// timesCheck: recorded times never decrease along the positions, nor lie behind the
// head's.
type timesCheck struct{}

func (timesCheck) Name() string { return "times" }

func (timesCheck) Begin(_ context.Context, p *Pass) (Look, error) {
	if p.Number() > 1 {
		return nil, nil
	}
	p.Looked(0, "event")
	return &timesLook{Pass: p}, nil
}

type timesLook struct {
	*Pass
	last Recorded
}

func (l *timesLook) Event(e *CheckedEvent) {
	l.Looked(1, "event")
	if e.RecordedAt.Before(l.last.RecordedAt) {
		f := FindingAt(e.Recorded, "it was recorded before the event at position %d", l.last.Position)
		f.Found, f.Expected = instantText(e.RecordedAt), "not before "+instantText(l.last.RecordedAt)
		l.Report(f)
	}
	l.last = e.Recorded
}

func (l *timesLook) End(context.Context) error {
	if head := l.run.head; l.run.atHead && l.last.RecordedAt.After(head.RecordedAt) {
		f := FindingAt(l.last, "it was recorded later than anything in the book, as its head has it")
		f.Found, f.Expected = instantText(l.last.RecordedAt), "not after "+instantText(head.RecordedAt)
		l.Report(f)
	}
	return nil
}

func instantText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// eventsCheck: every event decodes, through its upcasters, and its metadata can be
// read.
type eventsCheck struct{}

func (eventsCheck) Name() string { return "events" }

func (eventsCheck) Begin(_ context.Context, p *Pass) (Look, error) {
	if p.Number() > 1 {
		return nil, nil
	}
	p.Looked(0, "event")
	return eventsLook{p}, nil
}

type eventsLook struct{ *Pass }

func (l eventsLook) Event(e *CheckedEvent) {
	l.Looked(1, "event")
	if _, err := e.Data(); err != nil {
		l.Report(FindingAt(e.Recorded, "%v", e.cause()))
	}
	if _, unreadable := e.Metadata.Extra[unreadableName]; unreadable {
		l.Report(FindingAt(e.Recorded, "its metadata is no object of strings"))
	}
}

func (eventsLook) End(context.Context) error { return nil }

// aggregatesCheck: the sequence numbers of every aggregate are 1, 2, 3 …, and all its
// events are of one type of aggregate.
type aggregatesCheck struct{}

func (aggregatesCheck) Name() string { return "sequence numbers" }

func (aggregatesCheck) Begin(_ context.Context, p *Pass) (Look, error) { return aggregatesLook{p}, nil }

type aggregatesLook struct{ *Pass }

func (l aggregatesLook) Event(e *CheckedEvent) {
	if !e.Own {
		return
	}
	a := &l.aggregates[e.Index]
	if e.Aggregate.Type != a.Type {
		f := FindingAt(e.Recorded, "the aggregate has events of another type")
		f.Found, f.Expected = e.Aggregate.Type, a.Type
		l.Report(f)
	}
	if e.SequenceNumber != a.sequence+1 {
		f := FindingAt(e.Recorded, "it does not follow the event before it in the aggregate")
		f.Found, f.Expected = strconv.FormatInt(e.SequenceNumber, 10), strconv.FormatInt(a.sequence+1, 10)
		l.Report(f)
	}
	a.sequence = max(a.sequence, e.SequenceNumber)
}

func (l aggregatesLook) End(context.Context) error {
	l.Looked(int64(len(l.aggregates)), "aggregate")
	return nil
}
