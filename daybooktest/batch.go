package daybooktest

import (
	"errors"
	"fmt"
	"time"

	"github.com/daybook-go/daybook"
)

func batchOutcomes(s *scene) {
	a, b, old := newAggregate(), newAggregate(), newAggregate()
	oldEvent := rawEvent("old")
	original := s.place(raw(old, daybook.NoEvents(), oldEvent))
	forged := oldEvent
	forged.Payload = []byte(`{"text":"forged"}`)
	two := func(first, second daybook.Append) daybook.Append {
		return daybook.Append{Entries: append(first.Entries, second.Entries...)}
	}
	outcomes := s.batch(
		raw(a, daybook.NoEvents(), rawEvent("a1"), rawEvent("a2")),
		raw(a, daybook.NoEvents(), rawEvent("too late")),
		raw(old, daybook.Exactly(9), oldEvent),
		raw(a, daybook.Exactly(2), rawEvent("a3")),
		raw(old, daybook.Any(), forged),
		two(raw(b, daybook.NoEvents(), rawEvent("b1")), raw(a, daybook.Exactly(1), rawEvent("refused, and b1 with it"))),
		two(raw(b, daybook.NoEvents(), rawEvent("b1")), raw(a, daybook.Exactly(3), rawEvent("a4"))),
		raw(daybook.AggregateID{Type: "ledger", ID: b.ID}, daybook.Any(), rawEvent("b is a notebook by now")),
		raw(b, daybook.Exists(), rawEvent("b2")),
	)
	type want struct {
		positions []int64
		duplicate bool
		err       error
		actual    int64
	}
	for i, want := range []want{
		{positions: []int64{2, 3}},
		{err: daybook.ErrConflict, actual: 2},
		{positions: []int64{1}, duplicate: true},
		{positions: []int64{4}},
		{err: daybook.ErrKeyReused},
		{err: daybook.ErrConflict, actual: 3},
		{positions: []int64{5, 6}},
		{err: daybook.ErrInvalid},
		{positions: []int64{7}},
	} {
		got := outcomes[i]
		doing := fmt.Sprintf("append %d of the batch", i)
		if len(got.Records) != len(want.positions) || got.Duplicate != want.duplicate {
			s.Errorf("%s: outcome %+v, want positions %v, duplicate %v", doing, got, want.positions, want.duplicate)
			continue
		}
		for j, rec := range got.Records {
			if rec.Position != want.positions[j] {
				s.Errorf("%s: %v, want position %d", doing, rec, want.positions[j])
			}
		}
		if want.err == nil {
			if got.Err != nil {
				s.Errorf("%s: %v", doing, got.Err)
			}
			continue
		}
		s.refused(doing, got.Err, want.err)
		var conflict *daybook.ConflictError
		if errors.As(got.Err, &conflict) && conflict.Actual != want.actual {
			s.Errorf("%s: the conflict says %d, want %d, what the appends before it have made of it", doing, conflict.Actual, want.actual)
		}
	}
	s.same("the original of a duplicate in a batch", outcomes[2].Records, original)
	var written []daybook.Recorded
	for _, i := range []int{2, 0, 3, 6, 8} {
		written = append(written, outcomes[i].Records...)
	}
	s.same("the book is not what the outcomes say", s.all(), written)
}

func batchRepeatsItself(s *scene) {
	a := newAggregate()
	e1, e2, e3 := rawEvent("1"), rawEvent("2"), rawEvent("3")
	other := e1
	other.Payload = []byte(`{"text":"other"}`)
	late, early := e3, e2
	late.OccurredAt, early.OccurredAt = now().Add(-time.Hour), now().Add(-time.Hour)
	outcomes := s.batch(
		raw(a, daybook.NoEvents(), e1, e2),
		raw(a, daybook.NoEvents(), e1, e2), // found among those just placed
		raw(a, daybook.Exactly(2), e2, e3), // only a part of it
		raw(a, daybook.Exactly(2), other),  // other content
		raw(a, daybook.Exactly(2), late),   // still free after the refusals
		raw(a, daybook.NoEvents(), e1, e2),
		raw(a, daybook.NoEvents(), e1, early), // occurred otherwise: when it was recorded, the first time
	)
	s.refused("another occurred time than in the batch", outcomes[6].Err, daybook.ErrKeyReused)
	s.same("the repetition in the same batch", outcomes[1].Records, outcomes[0].Records)
	s.same("the later repetition in the same batch", outcomes[5].Records, outcomes[0].Records)
	if outcomes[0].Duplicate || !outcomes[1].Duplicate || !outcomes[5].Duplicate {
		s.Errorf("the outcomes are %+v, want the second and the last to be duplicates of the first", outcomes)
	}
	s.refused("a part of what is in the batch", outcomes[2].Err, daybook.ErrKeyReused)
	s.refused("other content than in the batch", outcomes[3].Err, daybook.ErrKeyReused)
	if outcomes[4].Err != nil || len(outcomes[4].Records) != 1 || outcomes[4].Records[0].Position != 3 {
		s.Errorf("an id free after a refusal in the same batch: %+v, want it at position 3", outcomes[4])
	}
	s.same("the book", s.all(), append(outcomes[0].Records, outcomes[4].Records...))
}

func batchOfNothing(s *scene) {
	a := newAggregate()
	s.append(entry(a, daybook.NoEvents(), "1"))
	unchanged := s.unchanged()
	s.batch()
	unchanged("an empty batch")
	for _, outcome := range s.batch(raw(a, daybook.NoEvents(), rawEvent("x")), raw(a, daybook.Exactly(2), rawEvent("y"))) {
		s.refused("a batch of refused appends", outcome.Err, daybook.ErrConflict)
	}
	unchanged("a batch of refused appends")
	if rec := s.append(entry(a, daybook.Exactly(1), "2"))[0]; rec.Position != 2 {
		s.Errorf("after refused batches the next event is %v, want position 2", rec)
	}
}

// after is an append of one event that rests on another one.
func after(id daybook.AggregateID, expected daybook.Expected, event daybook.UUID) daybook.Append {
	a := raw(id, expected, rawEvent("rests on another"))
	a.Entries[0].After = event
	return a
}

func restsOnAnEvent(s *scene) {
	a := newAggregate()
	one, two := rawEvent("1"), rawEvent("2")
	s.place(raw(a, daybook.NoEvents(), one, two))
	unchanged := s.unchanged()
	for name, wrong := range map[string]daybook.Append{
		"another event's id":    after(a, daybook.Exactly(2), daybook.NewUUID()),
		"an earlier event":      after(a, daybook.Exactly(2), one.EventID),
		"an event elsewhere":    after(newAggregate(), daybook.NoEvents(), two.EventID),
		"the wrong number":      after(a, daybook.Exactly(1), two.EventID),
		"any, another event":    after(a, daybook.Any(), one.EventID),
		"exists, another event": after(a, daybook.Exists(), one.EventID),
	} {
		s.refused("an append that rests on "+name, s.batch(wrong)[0].Err, daybook.ErrConflict)
	}
	unchanged("appends that rest on what is not there")
	right := after(a, daybook.Exactly(2), two.EventID)
	chained := after(a, daybook.Exactly(3), right.Entries[0].Events[0].EventID)
	lost := after(a, daybook.Exactly(4), daybook.NewUUID())
	behind := after(a, daybook.Exactly(5), lost.Entries[0].Events[0].EventID)
	for i, outcome := range s.batch(right, chained, lost, behind) {
		if i < 2 {
			if outcome.Err != nil || outcome.Records[0].SequenceNumber != int64(3+i) {
				s.Errorf("append %d of a chain: %+v", i, outcome)
			}
			continue
		}
		s.refused("an append that rests on one that was refused", outcome.Err, daybook.ErrConflict)
	}
	right = after(a, daybook.Exactly(4), chained.Entries[0].Events[0].EventID)
	if outcome := s.batch(right)[0]; outcome.Err != nil {
		s.Errorf("an append that rests on the last event: %v", outcome.Err)
	}
}

func guardsAreKept(s *scene) {
	a, b := newAggregate(), newAggregate()
	guarded := func(expected daybook.Expected) daybook.Append {
		x := raw(b, daybook.Any(), rawEvent("only if"))
		x.Entries = append(x.Entries, daybook.EncodedEntry{Aggregate: a, Expected: expected})
		return x
	}
	s.place(raw(a, daybook.NoEvents(), rawEvent("1")))
	unchanged := s.unchanged()
	for _, wrong := range []daybook.Expected{daybook.NoEvents(), daybook.Exactly(2)} {
		s.refused("a guard that expects "+wrong.String(), s.batch(guarded(wrong))[0].Err, daybook.ErrConflict)
	}
	unchanged("appends that a guard refuses")
	for _, right := range []daybook.Expected{daybook.Exactly(1), daybook.Exists(), daybook.Any()} {
		if outcome := s.batch(guarded(right))[0]; outcome.Err != nil || len(outcome.Records) != 1 {
			s.Errorf("a guard that expects %s: %+v", right, outcome)
		}
	}
	if records := s.read(daybook.Query{Aggregate: a, Limit: 9}); len(records) != 1 {
		s.Errorf("a guard has written to its aggregate: %v", records)
	}
}
