package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
)

const (
	nameLoad = "load"
	// pastPoints is at how many points of the past an aggregate is loaded.
	pastPoints = 100
	// minAskings is how often each is asked in a turn, however short that is.
	minAskings = 5
	// pastAppend is how many events are appended at a time: those of one append are
	// recorded at one time, so that this is how many times there are.
	pastAppend = 10
	// pastSeed makes the points the same in every run.
	pastSeed = 17
)

// kindsOfPoints are the ways to name a moment of the past by an event, and which events
// are in it.
var kindsOfPoints = []struct {
	name string
	of   func(rec daybook.Recorded) daybook.Point
	in   func(one, rec daybook.Recorded) bool
}{
	{
		"sequence", func(rec daybook.Recorded) daybook.Point { return daybook.AtSequence(rec.SequenceNumber) },
		func(one, rec daybook.Recorded) bool { return one.SequenceNumber <= rec.SequenceNumber },
	},
	{
		"position", func(rec daybook.Recorded) daybook.Point { return daybook.AtPosition(rec.Position) },
		func(one, rec daybook.Recorded) bool { return one.Position <= rec.Position },
	},
	{
		"recorded", func(rec daybook.Recorded) daybook.Point { return daybook.AsOf(rec.RecordedAt) },
		func(one, rec daybook.Recorded) bool { return !one.RecordedAt.After(rec.RecordedAt) },
	},
	{
		"occurred", func(rec daybook.Recorded) daybook.Point { return daybook.AsOfOccurred(rec.OccurredAt) },
		func(one, rec daybook.Recorded) bool { return !one.OccurredAt.After(rec.OccurredAt) },
	},
}

func pastRequirements() (must []requirement) {
	for _, kind := range kindsOfPoints {
		must = append(must, atMost(3, p50, kind.name, nameLoad), atMost(10, worst, kind.name, nameLoad))
	}
	return must
}

// preparePast sets up loads at random points, one contender for each kind of point,
// against loads of the present of an aggregate as long, with a snapshot 100 behind.
func preparePast(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	present, kept, err := keptBehind(ctx, book, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	all := []contender{pointsOf(nameLoad, kept, []asked{{id: present, want: accountAfter(s.ReplayEvents)}})}
	records, err := fillPast(ctx, book, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	repository := daybook.NewRepository(book, payments, daybook.Snapshots{})
	if _, err := repository.Keep(ctx, records[0].Aggregate); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(pastSeed, pastSeed)) //nolint:gosec // G404: any points will do, and the same ones are better
	for _, kind := range kindsOfPoints {
		var points []asked
		for range pastPoints {
			rec := records[random.IntN(len(records))]
			point := asked{id: rec.Aggregate, at: kind.of(rec)}
			for _, one := range records { // without the library
				if kind.in(one, rec) {
					point.want = evolve(point.want, newPaid(one.SequenceNumber))
				}
			}
			points = append(points, point)
		}
		all = append(all, pointsOf(kind.name, repository, points))
	}
	return all, nil
}

// fillPast makes an aggregate of so many events, each of which occurred an hour after
// the one before, but for every fiftieth, which is told of a week late.
func fillPast(ctx context.Context, book *daybook.Book, events int) (records []daybook.Recorded, err error) {
	id := newAggregates(1)[0]
	start := time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)
	for n := 1; n <= events; {
		entry := daybook.Entry{Aggregate: id, Expected: daybook.Exactly(int64(n - 1))}
		for range min(pastAppend, events-n+1) {
			occurred := start.Add(time.Duration(n) * time.Hour)
			if n%50 == 0 {
				occurred = occurred.AddDate(0, 0, -7)
			}
			entry.Events = append(entry.Events, daybook.Event{Data: newPaid(int64(n)), Metadata: metadata, OccurredAt: occurred})
			n++
		}
		if _, err := book.Append(ctx, entry); err != nil {
			return nil, err
		}
	}
	for rec, err := range book.Read(ctx, daybook.Query{Aggregate: id}) {
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// asked is a point of an aggregate's history, and what the aggregate was there.
type asked struct {
	id   daybook.AggregateID
	at   daybook.Point
	want account
}

// pointsOf is a contender that loads at each of the points, again and again.
//
// The latencies of its samples are of points and not of calls: a point's time is the
// median of its askings in the turn, and these lie as far apart as the turn allows. So
// a pause of the machine, which falls on a call, makes no point look slow, and the worst
// is over the points.
func pointsOf(name string, repository *accounts, points []asked) contender {
	round := func(ctx context.Context, d time.Duration) ([]sample, error) {
		times := make([][]time.Duration, len(points))
		used, start := processCPU(), time.Now()
		out := sample{Latency: newLatencies()}
		for pass := 0; pass < minAskings || time.Since(start) < d; pass++ {
			for i, point := range points {
				began := time.Now()
				loaded, err := repository.LoadAt(ctx, point.id, point.at)
				if err != nil {
					return nil, err
				}
				times[i] = append(times[i], time.Since(began))
				if loaded.State != point.want {
					return nil, fmt.Errorf("%s: the loaded state is %s, want %s", point.at, loaded.State, point.want)
				}
				out.Events++
			}
		}
		out.Elapsed, out.Client = time.Since(start), processCPU()-used
		for _, own := range times {
			slices.Sort(own)
			out.Latency.add(own[len(own)/2])
		}
		return []sample{out}, nil
	}
	return contender{name: name, round: round, verify: func(context.Context) error { return wantUsed(repository) }}
}
