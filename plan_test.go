package daybook_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// The aggregates of random batches; the last has the first one's id.
var guessed = []daybook.AggregateID{
	{Type: "a", ID: daybook.UUID{15: 1}}, {Type: "a", ID: daybook.UUID{15: 2}},
	{Type: "a", ID: daybook.UUID{15: 3}}, {Type: "b", ID: daybook.UUID{15: 1}},
}

// drawBatch draws appends by writers of whom most know what is in the book.
func drawBatch(t *rapid.T, s daybook.Survey) (batch []daybook.Append) {
	at := map[daybook.UUID]int64{}
	last := map[daybook.UUID]daybook.UUID{}
	for id, head := range s.Aggregates {
		at[id], last[id] = head.SequenceNumber, head.EventID
	}
	for range rapid.IntRange(0, 4).Draw(t, "appends") {
		var a daybook.Append
		for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(guessed), 1, 3, func(id daybook.AggregateID) daybook.UUID { return id.ID }).Draw(t, "aggregates") {
			e := daybook.EncodedEntry{Aggregate: id, Expected: rapid.SampledFrom([]daybook.Expected{
				daybook.Exactly(at[id.ID]), daybook.Exactly(at[id.ID]), daybook.Exactly(at[id.ID]), daybook.Exactly(at[id.ID]),
				daybook.NoEvents(), daybook.Exactly(2), daybook.Any(),
			}).Draw(t, "expected")}
			if at[id.ID] > 0 && rapid.IntRange(0, 3).Draw(t, "rests on an event") == 0 {
				e.After = rapid.SampledFrom([]daybook.UUID{last[id.ID], last[id.ID], {9}}).Draw(t, "after")
			}
			for range rapid.IntRange(1, 2).Draw(t, "events") {
				at[id.ID]++
				last[id.ID] = daybook.UUID{14: rapid.ByteRange(1, 120).Draw(t, "event id")}
				e.Events = append(e.Events, daybook.Recorded{EventID: last[id.ID], EventType: "E", Payload: []byte(`{}`)})
			}
			a.Entries = append(a.Entries, e)
		}
		batch = append(batch, a)
	}
	return batch
}

// drawSurvey draws what is in the book.
func drawSurvey(t *rapid.T) daybook.Survey {
	s := daybook.Survey{Position: 100, Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
	for _, id := range guessed[:3] {
		if n := rapid.IntRange(0, 3).Draw(t, "sequence number"); n > 0 {
			s.Aggregates[id.ID] = daybook.AggregateHead{Type: id.Type, SequenceNumber: int64(n), EventID: daybook.UUID{13: id.ID[15]}}
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "recorded") {
		id := daybook.UUID{14: byte(120 - i)}
		s.Recorded[id] = daybook.Recorded{EventID: id, Position: int64(10 + i), Aggregate: guessed[0], EventType: "E", Payload: []byte(`{}`)}
	}
	return s
}

// writable is what a database proves of rows: that each follows the one before it,
// of the same type, is free, and has a new event id.
func writable(s daybook.Survey, p *daybook.Placement) bool {
	at := map[daybook.UUID]daybook.AggregateHead{}
	for id, head := range s.Aggregates {
		at[id] = head
	}
	for _, row := range p.Rows {
		last := at[row.Aggregate.ID]
		_, there := s.Recorded[row.EventID]
		if after, rests := p.After[row.EventID]; rests && after != last.EventID {
			return false
		}
		if there || row.SequenceNumber != last.SequenceNumber+1 || (last.SequenceNumber > 0 && last.Type != row.Aggregate.Type) {
			return false
		}
		at[row.Aggregate.ID] = daybook.AggregateHead{Type: row.Aggregate.Type, SequenceNumber: row.SequenceNumber, EventID: row.EventID}
	}
	return true
}

// The outcomes of a guess that can be written are those of a look.
func TestAGuessThatCanBeWrittenIsTrue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	held, failed := 0, 0
	one := func(t *rapid.T) {
		survey := drawSurvey(t)
		batch := drawBatch(t, survey)
		guess, ok := daybook.Guess(batch)
		if !ok {
			return
		}
		if !writable(survey, guess) {
			failed++
			return
		}
		held++
		guess.Shift(survey.Position)
		want := daybook.Plan(batch, survey).Outcomes(now)
		got := guess.Outcomes(now)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(daybook.Expected{})); diff != "" {
			t.Fatalf("a guess that can be written gives other outcomes (-looked +guessed):\n%s", diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			one(t)
		}
	})
	t.Logf("%d guesses held, %d did not", held, failed)
	if held < 5 || failed < 5 {
		t.Errorf("%d guesses held and %d did not: too few to show anything", held, failed)
	}
}

func TestWhatIsNotGuessed(t *testing.T) {
	t.Parallel()
	one := func(id daybook.AggregateID, expected daybook.Expected, event byte) daybook.EncodedEntry {
		return daybook.EncodedEntry{Aggregate: id, Expected: expected, Events: []daybook.Recorded{{EventID: daybook.UUID{event}}}}
	}
	of := func(entries ...daybook.EncodedEntry) daybook.Append { return daybook.Append{Entries: entries} }
	for name, batch := range map[string][]daybook.Append{
		"nothing":             {},
		"a guard":             {of(one(guessed[0], daybook.NoEvents(), 1), daybook.EncodedEntry{Aggregate: guessed[1]})},
		"any":                 {of(one(guessed[0], daybook.Any(), 1))},
		"exists":              {of(one(guessed[0], daybook.Exists(), 1))},
		"one event twice":     {of(one(guessed[0], daybook.NoEvents(), 1)), of(one(guessed[0], daybook.NoEvents(), 1))},
		"one id as two types": {of(one(guessed[0], daybook.NoEvents(), 1)), of(one(guessed[3], daybook.Exactly(1), 2))},
		// Its id may be recorded, so that it is a retry.
		"a conflict": {of(one(guessed[0], daybook.Exactly(7), 1)), of(one(guessed[0], daybook.Exactly(7), 2))},
	} {
		if _, ok := daybook.Guess(batch); ok {
			t.Errorf("%s was guessed", name)
		}
	}
	for name, batch := range map[string][]daybook.Append{
		"what rests on an event": {of(daybook.EncodedEntry{Aggregate: guessed[0], Expected: daybook.Exactly(7), After: daybook.UUID{8}, Events: []daybook.Recorded{{EventID: daybook.UUID{1}}}})},
		"a chain":                {of(one(guessed[0], daybook.Exactly(7), 1)), of(one(guessed[0], daybook.Exactly(8), 2)), of(one(guessed[0], daybook.Any(), 3))},
		"two new aggregates":     {of(one(guessed[0], daybook.NoEvents(), 1), one(guessed[1], daybook.NoEvents(), 2))},
	} {
		if _, ok := daybook.Guess(batch); !ok {
			t.Errorf("%s was not guessed", name)
		}
	}
}
