package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// library is a book with enough in it to read: more than one of [daybook.Book]'s
// pages, and the ids of what it is about.
type library struct {
	records    []daybook.Recorded
	aggregates []daybook.AggregateID
}

// stock fills the scene's book with about n events, of three types, on aggregates
// of two types, in appends of one to nine events on one or two aggregates, that occurred
// in no order.
func (s *scene) stock(n int) library {
	s.Helper()
	var l library
	for i := range 6 {
		id := newAggregate()
		if i%3 == 0 {
			id.Type = "ledger"
		}
		l.aggregates = append(l.aggregates, id)
	}
	l.aggregates = append(l.aggregates, newAggregate()) // nobody writes to this one
	for i := 0; len(l.records) < n; i++ {
		var entries []daybook.Entry
		for j := range 1 + i%2 {
			// Not all aggregates grow alike, or their events would lie in a pattern.
			e := daybook.Entry{Aggregate: l.aggregates[(i*i+j*(1+i%5))%6], Expected: daybook.Any()}
			for k := range 1 + (i*7+j)%5 {
				e.Events = append(e.Events, daybook.Event{Data: []any{noted{Text: fmt.Sprint(i)}, marked{}, weighed{Whole: int64(k)}}[(i+j+k)%3],
					OccurredAt: time.Date(1999+(i+k)%3, 12, 31, 23, 59, 59, 1000*(i*5+k)%100_000, time.UTC)})
			}
			entries = append(entries, e)
		}
		l.records = append(l.records, s.append(entries...)...)
	}
	return l
}

// drawQuery draws any query that makes sense of l, without a limit.
func (l library) drawQuery(t *rapid.T) daybook.Query {
	size := int64(len(l.records))
	q := daybook.Query{
		AfterPosition: rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, size+2)).Draw(t, "after position"),
		UntilPosition: rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, size+2)).Draw(t, "until position"),
		EventTypes:    rapid.SampledFrom([][]string{nil, {}, {"Noted"}, {"Marked", "Weighed"}, {"Noted", "Noted", "Nothing"}, {"Nothing"}}).Draw(t, "types"),
		Reverse:       rapid.Bool().Draw(t, "reverse"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "of") {
	case 0:
		q.AggregateType = rapid.SampledFrom([]string{"", "", "notebook", "ledger", "nothing"}).Draw(t, "aggregate type")
	default:
		q.Aggregate = rapid.SampledFrom(l.aggregates).Draw(t, "aggregate")
		q.AfterSequence = rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, size/4)).Draw(t, "after sequence")
		q.UntilSequence = rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, size/2)).Draw(t, "until sequence")
	}
	return q
}

// filter is what q selects of records, worked out in the plainest way.
func filter(records []daybook.Recorded, q daybook.Query) []daybook.Recorded {
	var out []daybook.Recorded
	for _, rec := range records {
		switch {
		case q.Aggregate != daybook.AggregateID{} && rec.Aggregate != q.Aggregate,
			!q.OccurredUntil.IsZero() && rec.OccurredAt.After(q.OccurredUntil),
			q.AggregateType != "" && rec.Aggregate.Type != q.AggregateType,
			len(q.EventTypes) > 0 && !slices.Contains(q.EventTypes, rec.EventType),
			rec.SequenceNumber <= q.AfterSequence, q.UntilSequence > 0 && rec.SequenceNumber > q.UntilSequence,
			rec.Position <= q.AfterPosition, q.UntilPosition > 0 && rec.Position > q.UntilPosition:
			continue
		}
		out = append(out, rec)
	}
	if q.Reverse {
		slices.Reverse(out)
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out
}

// pages reads all that q selects from the engine, in pages of the given size.
func (s *scene) pages(q daybook.Query, size int) (out []daybook.Recorded) {
	s.Helper()
	q.Limit = size
	for {
		page := s.read(q)
		if len(page) > size {
			s.Fatalf("Driver.Read returned %d events, the limit is %d", len(page), size)
		}
		s.goesOn(q, out, page)
		out = append(out, page...)
		if len(page) < size && !daybook.FullPage(page) {
			return out
		}
		switch last := page[len(page)-1]; {
		case q.Reverse && last.Position == 1:
			return out
		case q.Reverse:
			q.UntilPosition = last.Position - 1
		default:
			q.AfterPosition = last.Position
		}
	}
}

// collect reads all that q selects through the book.
func (s *scene) collect(book *daybook.Book, q daybook.Query) (out []daybook.Recorded) {
	s.Helper()
	for rec, err := range book.Read(s.Context(), q) {
		if err != nil {
			s.Fatalf("Read(%+v): %v", q, err)
		}
		s.goesOn(q, out, []daybook.Recorded{rec})
		out = append(out, rec)
	}
	return out
}

// goesOn ends the test unless next goes on where out has ended, in q's order: an
// engine that goes back would be read for ever.
func (s *scene) goesOn(q daybook.Query, out, next []daybook.Recorded) {
	s.Helper()
	if len(out) == 0 || len(next) == 0 {
		return
	}
	if from, to := out[len(out)-1].Position, next[0].Position; to == from || (to < from) != q.Reverse {
		s.Fatalf("reading %+v, position %d came after %d", q, to, from)
	}
}

func readsEqualFilter(s *scene) {
	l := s.stock(450)
	rapid.Check(s, func(t *rapid.T) {
		r := *s
		r.TB = t
		q := l.drawQuery(t)
		if rapid.IntRange(0, 2).Draw(t, "occurred") == 0 {
			q.OccurredUntil = rapid.SampledFrom(l.records).Draw(t, "until").OccurredAt.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off by")) * time.Microsecond)
		}
		want := filter(l.records, q)
		size := rapid.OneOf(rapid.IntRange(7, 60), rapid.IntRange(150, 460), rapid.Just(1<<20)).Draw(t, "page size")
		r.same("Driver.Read, page by page, is not the filter over the whole", r.pages(q, size), want)
		r.same("Book.Read is not the filter over the whole", r.collect(r.book, q), want)
		q.Limit = rapid.IntRange(1, len(want)+2).Draw(t, "limit")
		r.same("Book.Read with a limit is not the filter over the whole", r.collect(r.books[1], q), filter(l.records, q))
	})
}

func everyPageSize(s *scene) {
	l := s.stock(40)
	for _, q := range []daybook.Query{
		{}, {Reverse: true}, {Aggregate: l.aggregates[4]}, {Aggregate: l.aggregates[1], Reverse: true},
		{OccurredUntil: time.Date(2000, 12, 31, 23, 59, 59, 0, time.UTC)}, {Aggregate: l.aggregates[4], OccurredUntil: time.Date(2000, 12, 31, 23, 59, 59, 0, time.UTC), Reverse: true},
		{EventTypes: []string{"Noted"}}, {AggregateType: "ledger", Reverse: true}, {AfterPosition: 5, UntilPosition: 17},
		{Aggregate: l.aggregates[4], AfterPosition: 4, UntilPosition: 20}, {Aggregate: l.aggregates[4], AfterSequence: 1, UntilSequence: 4},
		{Aggregate: l.aggregates[4], AfterSequence: 1, UntilSequence: 4, AfterPosition: 4, UntilPosition: 20, EventTypes: []string{"Noted", "Marked"}, Reverse: true},
	} {
		want := filter(l.records, q)
		if len(want) < 2 {
			s.Fatalf("%+v selects %d events, too few to show anything", q, len(want))
		}
		for size := 1; size <= len(want)+1; size++ {
			s.same(fmt.Sprintf("%+v in pages of %d", q, size), s.pages(q, size), want)
			if s.Failed() {
				return
			}
		}
	}
}

func appendInsideLoop(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	id := newAggregate()
	for _, q := range []daybook.Query{{}, {Reverse: true}, {Aggregate: id}, {Aggregate: id, Reverse: true}} {
		r := s.again(s.TB)
		// The book and the aggregate are of more than one page.
		r.append(entry(id, daybook.NoEvents(), slices.Repeat([]string{"x"}, 130)...), entry(newAggregate(), daybook.NoEvents(), "x", "y"))
		r.append(entry(id, daybook.Exactly(130), slices.Repeat([]string{"x"}, 100)...))
		want := filter(r.all(), q)
		var got []daybook.Recorded
		for rec, err := range r.book.Read(ctx, q) {
			if err != nil {
				r.Fatalf("reading %+v while appending: %v", q, err)
			}
			got = append(got, rec)
			if len(got)%4 != 1 {
				continue
			}
			if _, err := r.book.Append(ctx, entry(id, daybook.Exists(), "inside the loop")); err != nil {
				r.Fatalf("appending inside the loop: %v", err)
			}
		}
		if len(got) > len(want) {
			got = got[:len(want)] // some of those appended since may come, after the others
		}
		r.same(fmt.Sprintf("reading %+v while appending", q), got, want)
		r.audit()
	}
}

func breakingOff(s *scene) {
	s.stock(260)
	for i := range times(1000) {
		for _, err := range s.books[i%2].Read(s.Context(), daybook.Query{Reverse: i%3 == 0, Limit: 3}) {
			if err != nil {
				s.Fatalf("Read %d: %v", i, err)
			}
			break
		}
	}
	for range times(40) {
		for _, err := range s.book.Follow(s.Context(), daybook.Query{}) {
			if err != nil {
				s.Fatalf("Follow: %v", err)
			}
			break
		}
	}
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	atOnce(racers, func(i int) {
		if _, err := s.books[i%2].Append(ctx, entry(newAggregate(), daybook.NoEvents(), "x")); err != nil {
			s.Errorf("appending after many breaks: %v", err)
		}
		if _, err := s.books[i%2].Head(ctx); err != nil {
			s.Errorf("reading after many breaks: %v", err)
		}
	})
}

func followerFilters(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	l := s.stock(230)
	id := l.aggregates[2]
	q := daybook.Query{Aggregate: id, AfterPosition: 20, EventTypes: []string{"Noted"}}
	there := filter(l.records, q)
	q.Limit = len(there) + 3
	followed := make(chan []daybook.Recorded, 1)
	go func() {
		var got []daybook.Recorded
		for rec, err := range s.books[1].Follow(ctx, q) {
			if err != nil {
				s.Errorf("Follow: %v", err)
				break
			}
			got = append(got, rec)
		}
		followed <- got
	}()
	for i := range 4 {
		s.append(entry(newAggregate(), daybook.NoEvents(), "of another"), entry(id, daybook.Any(), fmt.Sprint("new ", i)))
		pause(ctx, 10*time.Millisecond)
	}
	s.same("a follower with a filter and a limit", <-followed, filter(s.all(), q))

	ending, end := context.WithCancel(ctx)
	q = daybook.Query{AfterPosition: s.head().Position}
	for _, err := range s.book.Follow(ending, daybook.Query{AfterPosition: q.AfterPosition - 1}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				s.Errorf("a follower whose context ended: %v, want %v", err, context.Canceled)
			}
			break
		}
		end()
	}
	end()
	for _, q := range []daybook.Query{{Reverse: true}, {UntilPosition: 3}, {AfterPosition: -1}, {AfterSequence: 1}} {
		for _, err := range s.book.Follow(ctx, q) {
			s.refused(fmt.Sprintf("following %+v", q), err, daybook.ErrInvalid)
			break
		}
	}
}

func lookupFinds(s *scene) {
	l := s.stock(40)
	rapid.Check(s, func(t *rapid.T) {
		r := *s
		r.TB = t
		chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, len(l.records)-1), 0, 8, rapid.ID[int]).Draw(t, "which")
		var ids []daybook.UUID
		var want []daybook.Recorded
		for i := range rapid.IntRange(0, 3).Draw(t, "unknown") {
			ids = append(ids, daybook.UUID{15: byte(i + 1)})
		}
		slices.Sort(chosen)
		for _, i := range chosen {
			ids, want = append(ids, l.records[i].EventID), append(want, l.records[i])
		}
		got, err := r.driver.Lookup(r.Context(), r.id, rapid.Permutation(append(ids, ids[:len(ids)/2]...)).Draw(t, "in any order, some twice"))
		if err != nil {
			r.Fatalf("Driver.Lookup: %v", err)
		}
		slices.SortFunc(got, func(a, b daybook.Recorded) int { return int(a.Position - b.Position) })
		r.same("Driver.Lookup", got, want)
	})
}
