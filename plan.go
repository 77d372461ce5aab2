package daybook

import (
	"bytes"
	"fmt"
	"time"
)

// Survey is what an engine knows under its lock about the appends of a batch.
type Survey struct {
	// Position is the head's.
	Position int64
	// Aggregates holds, for each aggregate of the batch that has events, the last
	// place given out in it.
	Aggregates map[UUID]AggregateHead
	// Recorded holds the events of the batch whose ids are already there.
	Recorded map[UUID]Recorded
}

// AggregateHead is the last place given out in an aggregate.
type AggregateHead struct {
	Type           string
	SequenceNumber int64
	// EventID is the last event's.
	EventID UUID
}

// Placement is what [Plan] decided for a batch.
type Placement struct {
	// Rows are the events to write, in order, with their places. RecordedAt is
	// zero, and so is OccurredAt where it is to equal RecordedAt.
	Rows []Recorded
	// After is set by [Guess]: by the id of an aggregate's first row, the id that the event
	// before that row must have.
	After map[UUID]UUID

	decisions []decision
}

// decision is the outcome of one append before the time of recording is known.
type decision struct {
	from, to  int        // Rows[from:to] are placed, where there are any
	originals []Recorded // or these were there before
	again     []int      // or Rows of the same batch: -1, or the index in Rows, per original
	err       error
}

// Plan decides what becomes of every append of a batch, in order, each one seeing
// those before it. Both engines use it, and so give the same answers. It changes
// s, whose maps must not be nil.
//
// Ids are looked at before the expected number: a retry of a recorded append is
// answered with the original, whatever has happened to the aggregate since.
func Plan(batch []Append, s Survey) *Placement {
	events := 0
	for _, a := range batch {
		for _, entry := range a.Entries {
			events += len(entry.Events)
		}
	}
	p := &planner{survey: s, placed: make(map[UUID]int, events)}
	p.out.Rows = make([]Recorded, 0, events)
	p.out.decisions = make([]decision, 0, len(batch))
	for _, a := range batch {
		p.out.decisions = append(p.out.decisions, p.decide(a))
	}
	return &p.out
}

// Guess is Plan for an engine that is a round trip away: instead of looking, it
// takes it that every aggregate is as the first append to it believes, and that all
// events are new. Positions count from 1, until [Placement.Shift].
//
// The guess is true if, and only if, its rows can be written: if every row's place
// follows the one before it and is free, its event id is new, and the event before
// the first row of an aggregate is the one that p.After names, if it names any. ok is
// false where no such guess can be made: where nothing is to be written, where a
// belief is no number, for a guard, and where an append would be refused. Its ids may be recorded, so that it
// is a retry, and writing the rows of others does not tell.
func Guess(batch []Append) (p *Placement, ok bool) {
	s := Survey{Aggregates: make(map[UUID]AggregateHead, len(batch))}
	var after map[UUID]UUID
	for _, a := range batch {
		for _, entry := range a.Entries {
			id := entry.Aggregate.ID
			if len(entry.Events) == 0 {
				return nil, false
			}
			if _, seen := s.Aggregates[id]; seen {
				continue
			}
			if entry.Expected.kind != expectExactly {
				return nil, false
			}
			s.Aggregates[id] = AggregateHead{Type: entry.Aggregate.Type, SequenceNumber: entry.Expected.number, EventID: entry.After}
			if entry.After.IsZero() {
				continue
			}
			if after == nil { // few have one
				after = map[UUID]UUID{}
			}
			after[entry.Events[0].EventID] = entry.After
		}
	}
	p = Plan(batch, s)
	p.After = after
	for _, d := range p.decisions {
		if d.err != nil || len(d.originals) > 0 {
			return nil, false
		}
	}
	return p, len(p.Rows) > 0
}

// Shift moves a guess behind the position that the engine has found the book at.
func (p *Placement) Shift(position int64) {
	for i := range p.Rows {
		p.Rows[i].Position += position
	}
}

type planner struct {
	survey Survey
	placed map[UUID]int // event id → index in out.Rows
	out    Placement
}

func (p *planner) decide(a Append) decision {
	if d, found := p.repeated(a); found {
		return d
	}
	for _, entry := range a.Entries {
		at := p.survey.Aggregates[entry.Aggregate.ID]
		if at.SequenceNumber > 0 && at.Type != entry.Aggregate.Type {
			return decision{err: invalid("aggregate.type", "%s is recorded as %s, so it cannot be written to as %s", entry.Aggregate.ID, at.Type, entry.Aggregate.Type)}
		}
		if !entry.Expected.Holds(at.SequenceNumber) || !entry.After.IsZero() && entry.After != at.EventID {
			return decision{err: &ConflictError{Aggregate: entry.Aggregate, Expected: entry.Expected, Actual: at.SequenceNumber}}
		}
	}
	from := len(p.out.Rows)
	for _, entry := range a.Entries {
		p.place(entry)
	}
	return decision{from: from, to: len(p.out.Rows)}
}

func (p *planner) place(entry EncodedEntry) {
	at := p.survey.Aggregates[entry.Aggregate.ID]
	for _, event := range entry.Events {
		at.Type = entry.Aggregate.Type
		at.SequenceNumber++
		p.survey.Position++
		event.Aggregate = entry.Aggregate
		event.SequenceNumber = at.SequenceNumber
		event.Position = p.survey.Position
		at.EventID = event.EventID
		p.placed[event.EventID] = len(p.out.Rows)
		p.out.Rows = append(p.out.Rows, event)
	}
	p.survey.Aggregates[entry.Aggregate.ID] = at
}

// repeated finds the events of a that are already there. found is false when none
// is; otherwise d returns the originals, or refuses.
func (p *planner) repeated(a Append) (d decision, found bool) {
	var missing *Recorded
	for _, entry := range a.Entries {
		for i, event := range entry.Events {
			original, row, ok := p.original(event.EventID)
			if !ok {
				missing = &entry.Events[i]
				continue
			}
			found = true
			event.Aggregate = entry.Aggregate
			if reason := difference(event, original); reason != "" && d.err == nil {
				d.err = &KeyReusedError{EventID: event.EventID, Position: original.Position, Reason: reason}
			}
			d.originals, d.again = append(d.originals, original), append(d.again, row)
		}
	}
	if found && missing != nil && d.err == nil {
		d.err = &KeyReusedError{EventID: d.originals[0].EventID, Position: d.originals[0].Position,
			Reason: fmt.Sprintf("but event %s of the same append is not: append only what is new, or repeat the append as it was", missing.EventID)}
	}
	return d, found
}

func (p *planner) original(id UUID) (rec Recorded, row int, ok bool) {
	if row, ok = p.placed[id]; ok {
		return p.out.Rows[row], row, true
	}
	rec, ok = p.survey.Recorded[id]
	return rec, -1, ok
}

// difference says in words how a repeated event differs from its original, or "".
func difference(again, original Recorded) string {
	switch {
	case again.Aggregate != original.Aggregate:
		return fmt.Sprintf("it belongs to %s, not to %s", original.Aggregate, again.Aggregate)
	case again.EventType != original.EventType:
		return fmt.Sprintf("it is a %s, not a %s", original.EventType, again.EventType)
	case again.SchemaVersion != original.SchemaVersion:
		return fmt.Sprintf("it has schema version %d, not %d", original.SchemaVersion, again.SchemaVersion)
	case !again.OccurredAt.IsZero() && !again.OccurredAt.Equal(original.OccurredAt):
		return fmt.Sprintf("it occurred at %s, not at %s", when(original.OccurredAt), when(again.OccurredAt))
	case !sameJSON(again.Payload, original.Payload):
		return "its payload differs"
	}
	return ""
}

// when says a time of occurrence. It is zero where the original is of the same
// batch and occurred when it is recorded, which is not known yet.
func when(t time.Time) string {
	if t.IsZero() {
		return "the time it is recorded"
	}
	return t.Format(time.RFC3339Nano)
}

func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	canonicalA, errA := CanonicalJSON(a)
	canonicalB, errB := CanonicalJSON(b)
	return errA == nil && errB == nil && bytes.Equal(canonicalA, canonicalB)
}

// Outcomes stamps the placed rows with the time of recording and returns the
// outcome of every append of the batch, in order.
func (p *Placement) Outcomes(recordedAt time.Time) []Outcome {
	for i := range p.Rows {
		p.Rows[i].RecordedAt = recordedAt
		if p.Rows[i].OccurredAt.IsZero() {
			p.Rows[i].OccurredAt = recordedAt
		}
	}
	outcomes := make([]Outcome, 0, len(p.decisions))
	for _, d := range p.decisions {
		switch {
		case d.err != nil:
			outcomes = append(outcomes, Outcome{Err: d.err})
		case len(d.originals) > 0:
			for i, row := range d.again {
				if row >= 0 {
					d.originals[i] = p.Rows[row]
				}
			}
			outcomes = append(outcomes, Outcome{Records: d.originals, Duplicate: true})
		default:
			outcomes = append(outcomes, Outcome{Records: p.Rows[d.from:d.to:d.to]})
		}
	}
	return outcomes
}
