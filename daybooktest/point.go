package daybooktest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// foldOf is the state of id after those of records that include selects, worked
// out in the plainest way.
func foldOf(s *scene, records []daybook.Recorded, id daybook.AggregateID, include func(daybook.Recorded) bool) daybook.Loaded[[]string] {
	s.Helper()
	want := daybook.Loaded[[]string]{Aggregate: id}
	for _, rec := range records {
		if rec.Aggregate != id || !include(rec) {
			continue
		}
		value, err := s.book.Decode(rec)
		if err != nil {
			s.Fatalf("Decode: %v", err)
		}
		want.State = append(want.State, line(value))
		want.SequenceNumber, want.Position = rec.SequenceNumber, rec.Position
	}
	return want
}

// loads fails the test unless LoadAt returns want.
func (s *scene) loads(id daybook.AggregateID, at daybook.Point, want daybook.Loaded[[]string]) {
	s.Helper()
	s.loadsFrom(s.notebooks(), id, at, want)
}

func (s *scene) loadsFrom(repo *daybook.Repository[[]string, note, any], id daybook.AggregateID, at daybook.Point, want daybook.Loaded[[]string]) {
	s.Helper()
	got, err := repo.LoadAt(s.Context(), id, at)
	if err != nil {
		s.Errorf("LoadAt %s: %v", at, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("LoadAt %s is not the fold of the events up to there (-want +got):\n%s", at, diff)
	}
}

// drawHistory appends a few random events to two aggregates, with occurred times
// in any order.
func (s *scene) drawHistory(t *rapid.T) (records []daybook.Recorded, ids []daybook.AggregateID) {
	s.Helper()
	ids = []daybook.AggregateID{newAggregate(), newAggregate()}
	return s.drawAppends(t, ids), ids
}

// drawAppends is drawHistory on aggregates that may have one.
func (s *scene) drawAppends(t *rapid.T, ids []daybook.AggregateID) (records []daybook.Recorded) {
	s.Helper()
	start := now().Add(-time.Hour).Truncate(time.Hour)
	for i := range rapid.IntRange(1, 6).Draw(t, "appends") {
		var entries []daybook.Entry
		for _, j := range rapid.SliceOfNDistinct(rapid.IntRange(0, 1), 1, 2, rapid.ID[int]).Draw(t, "aggregates") {
			e := daybook.Entry{Aggregate: ids[j], Expected: daybook.Any()}
			for k := range rapid.IntRange(1, 2).Draw(t, "events") {
				event := daybook.Event{Data: noted{Text: fmt.Sprintf("%d.%d", i, k)}}
				if minutes := rapid.IntRange(0, 5).Draw(t, "minutes"); minutes > 0 {
					event.OccurredAt = start.Add(time.Duration(minutes) * time.Minute)
				}
				e.Events = append(e.Events, event)
			}
			entries = append(entries, e)
		}
		records = append(records, s.append(entries...)...)
	}
	return records
}

func everyPoint(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		records, ids := r.drawHistory(t)
		r.asksEveryPoint(t, r.notebooks(), records, ids[0])
		last := records[len(records)-1].RecordedAt
		// Times within a microsecond, and in another zone, ask the same question.
		r.loads(ids[0], daybook.AsOf(last.Add(999).In(time.FixedZone("", 3600))), foldOf(r, records, ids[0], func(daybook.Recorded) bool { return true }))
		r.loads(ids[0], daybook.AsOf(last.AddDate(-100, 0, 0)), daybook.Loaded[[]string]{Aggregate: ids[0]})
		unknown := newAggregate()
		r.loads(unknown, daybook.AsOf(last), daybook.Loaded[[]string]{Aggregate: unknown})
	})
}

// instant is a point, and what a book shows there.
type instant struct {
	at    daybook.Point
	shows func(daybook.Recorded) bool
}

// everyInstant are all points of every kind in the history of id, but for those in
// combination with what had occurred by a time.
func everyInstant(records []daybook.Recorded, id daybook.AggregateID) []instant {
	instants := []instant{{daybook.Point{}, func(daybook.Recorded) bool { return true }}}
	for p := range int64(len(records) + 1) {
		instants = append(instants, instant{daybook.AtPosition(p), func(rec daybook.Recorded) bool { return rec.Position <= p }})
		if p == 0 || records[p-1].Aggregate == id {
			n := int64(0)
			if p > 0 {
				n = records[p-1].SequenceNumber
			}
			instants = append(instants, instant{daybook.AtSequence(n), func(rec daybook.Recorded) bool { return rec.SequenceNumber <= n }})
		}
	}
	for i, rec := range records {
		if i > 0 && rec.RecordedAt.Equal(records[i-1].RecordedAt) {
			continue // of the same append
		}
		for _, t := range []time.Time{rec.RecordedAt.Add(-time.Microsecond), rec.RecordedAt} {
			instants = append(instants, instant{daybook.AsOf(t), func(rec daybook.Recorded) bool { return !rec.RecordedAt.After(t) }})
		}
	}
	return instants
}

// asksEveryPoint fails the test unless repo knows the state of id at every point of
// its history, and at some together with some times of occurrence.
func (s *scene) asksEveryPoint(t *rapid.T, repo *daybook.Repository[[]string, note, any], records []daybook.Recorded, id daybook.AggregateID) {
	s.Helper()
	instants := everyInstant(records, id)
	for _, m := range instants {
		s.loadsFrom(repo, id, m.at, foldOf(s, records, id, m.shows))
	}
	for range 3 {
		m := instants[0]
		if rapid.Bool().Draw(t, "together") {
			m = rapid.SampledFrom(instants).Draw(t, "instant")
		}
		occurred := rapid.SampledFrom(records).Draw(t, "occurred").OccurredAt
		for _, by := range []time.Time{occurred.Add(-time.Microsecond), occurred} {
			s.loadsFrom(repo, id, m.at.OccurredBy(by), foldOf(s, records, id, func(rec daybook.Recorded) bool {
				return m.shows(rec) && !rec.OccurredAt.After(by)
			}))
		}
	}
}

func beyondTheEnd(s *scene) {
	id, other := newAggregate(), newAggregate()
	s.append(entry(id, daybook.NoEvents(), "1", "2"), entry(other, daybook.NoEvents(), "3"))
	at := func(id daybook.AggregateID, point daybook.Point) error {
		_, err := s.notebooks().LoadAt(s.Context(), id, point)
		return err
	}
	for _, c := range []struct {
		id    daybook.AggregateID
		point daybook.Point
		want  daybook.NotThereError
	}{
		{id, daybook.AtSequence(3), daybook.NotThereError{What: "sequence number", Asked: 3, Last: 2, Subject: id.String()}},
		{other, daybook.AtSequence(2), daybook.NotThereError{What: "sequence number", Asked: 2, Last: 1, Subject: other.String()}},
		{id, daybook.AtSequence(1 << 62), daybook.NotThereError{What: "sequence number", Asked: 1 << 62, Last: 2, Subject: id.String()}},
		{id, daybook.AtPosition(4), daybook.NotThereError{What: "position", Asked: 4, Last: 3, Subject: "book " + s.book.Name()}},
	} {
		if err, ok := refusedAs[*daybook.NotThereError](s, c.point.String(), at(c.id, c.point), daybook.ErrNotThere); ok && *err != c.want {
			s.Errorf("%s: the error is %+v, want %+v", c.point, *err, c.want)
		}
	}
	unknown := newAggregate()
	s.refused("number 1 of an unknown aggregate", at(unknown, daybook.AtSequence(1)), daybook.ErrNotThere)
	for _, point := range []daybook.Point{
		daybook.AtSequence(-1), daybook.AtPosition(-1), daybook.AsOf(time.Time{}),
		daybook.AtPosition(1).OccurredBy(time.Time{}), daybook.AsOfOccurred(time.Time{}),
		daybook.AsOf(time.Date(999, 12, 31, 0, 0, 0, 0, time.UTC)), daybook.AsOfOccurred(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		s.refused(point.String(), at(id, point), daybook.ErrInvalid)
	}
	unchanged := s.unchanged()
	s.loads(unknown, daybook.Point{}, daybook.Loaded[[]string]{Aggregate: unknown})
	s.loads(unknown, daybook.AtSequence(0), daybook.Loaded[[]string]{Aggregate: unknown})
	s.loads(id, daybook.AtPosition(0), daybook.Loaded[[]string]{Aggregate: id})
	unchanged("loading what nobody wrote")
}

func recordedTimes(s *scene) {
	id := newAggregate()
	start := s.head().RecordedAt
	var appends [][]daybook.Recorded
	for range times(50) {
		appends = append(appends, s.append(entry(id, daybook.Any(), "1", "2"), entry(newAggregate(), daybook.NoEvents(), "3")))
	}
	last := start
	for _, records := range appends {
		for _, rec := range records {
			if !rec.RecordedAt.Equal(records[0].RecordedAt) || !rec.OccurredAt.Equal(rec.RecordedAt) {
				s.Errorf("%v is recorded at %v and occurred at %v, want both to be its append's %v", rec, rec.RecordedAt, rec.OccurredAt, records[0].RecordedAt)
			}
		}
		if !records[0].RecordedAt.After(last) {
			s.Errorf("%v is recorded at %v, want it after the append before it, %v", records[0], records[0].RecordedAt, last)
		}
		last = records[0].RecordedAt
	}
	s.same("times as they are read", s.all(), slices.Concat(appends...))
}

func occurredTimes(s *scene) {
	id := newAggregate()
	var events []daybook.Recorded
	for _, c := range []struct{ given, want time.Time }{
		{time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC), time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)},
		{time.Date(2026, 11, 24, 12, 0, 0, 999999999, time.FixedZone("", -5*3600)), time.Date(2026, 11, 24, 17, 0, 0, 999999000, time.UTC)},
		{time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(8999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(8999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{time.Date(1582, 10, 10, 1, 2, 3, 4005, time.UTC), time.Date(1582, 10, 10, 1, 2, 3, 4000, time.UTC)},
		{time.Unix(0, 0), time.Unix(0, 0).UTC()},
	} {
		rec := s.append(daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{{Data: marked{}, OccurredAt: c.given}}})[0]
		if rec.OccurredAt != c.want {
			s.Errorf("an event that occurred at %v is returned as of %v, want %v", c.given, rec.OccurredAt, c.want)
		}
		events = append(events, rec)
	}
	s.same("the order is that of appending, and times are as they were returned", s.all(), events)
}

func occurredTimesOutOfRange(s *scene) {
	unchanged := s.unchanged()
	for _, at := range []time.Time{
		time.Date(999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(1000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC),
		time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		_, err := s.book.Append(s.Context(), daybook.Entry{Aggregate: newAggregate(), Events: []daybook.Event{{Data: marked{}, OccurredAt: at}}})
		if invalid, ok := refusedAs[*daybook.InvalidError](s, at.String(), err, daybook.ErrInvalid); ok && invalid.Field != "event.occurred_at" {
			s.Errorf("%v: the error names the field %q, want event.occurred_at", at, invalid.Field)
		}
	}
	unchanged("occurred times out of range")
}
