package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// paid is an event of the size that events have, till what comes of it.
type (
	paid struct {
		Amount    int64  `json:"amount"`
		Reference string `json:"reference"`
		Partner   string `json:"partner"`
	}
	till struct {
		Balance, Count int64
		Last           string
	}
)

var (
	payments = daybook.NewRegistry(daybook.Type[paid]("Paid"))
	tills    = daybook.Decider[till, paid, paid]{
		Type:    "till",
		Initial: func() till { return till{} },
		Decide:  func(_ till, p paid) ([]paid, error) { return []paid{p}, nil },
		Evolve: func(t till, p paid) till {
			return till{t.Balance + p.Amount, t.Count + 1, p.Reference}
		},
	}
)

type tillRepository = daybook.Repository[till, paid, paid]

func payment(n int) paid {
	return paid{Amount: int64(n), Reference: fmt.Sprintf("invoice %d of a customer", n), Partner: "somebody who pays"}
}

// payInto appends so many payments to a till, in appends of 10, each of which occurred
// an hour after the one before, and every fiftieth a week earlier.
func payInto(b *testing.B, book *daybook.Book, id daybook.AggregateID, from, to int) {
	b.Helper()
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := from; n < to; {
		entry := daybook.Entry{Aggregate: id, Expected: daybook.Any()}
		for range 10 {
			occurred := start.Add(time.Duration(n) * time.Hour)
			if n%50 == 49 {
				occurred = occurred.AddDate(0, 0, -7)
			}
			entry.Events = append(entry.Events, daybook.Event{Data: payment(n), OccurredAt: occurred})
			n++
		}
		if _, err := book.Append(b.Context(), entry); err != nil {
			b.Fatal(err)
		}
	}
}

func newTills(b *testing.B) (*DB, *daybook.Book) {
	b.Helper()
	db := openDB(b, with(b, migrated.DSN(b), "pool_max_conns", "16"))
	book, err := daybook.Open(b.Context(), db, "main", payments)
	if err != nil {
		b.Fatal(err)
	}
	return db, book
}

func newTill() daybook.AggregateID {
	return daybook.AggregateID{Type: "till", ID: daybook.NewUUID()}
}

// BenchmarkEvery is what the distance between snapshots costs and saves: the time to
// load a till of 10,000 events at a random point, the time it takes to read back and
// keep what 1,000 new events come to, and the room that it takes.
func BenchmarkEvery(b *testing.B) {
	for _, every := range []int{10, 50, 100, 200, 500} {
		db, book := newTills(b)
		repo := daybook.NewRepository(book, tills, daybook.Snapshots{Every: every, CheckOneIn: -1})
		id := newTill()
		payInto(b, book, id, 0, 10_000)
		if _, err := repo.Keep(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("load/%d", every), func(b *testing.B) { loadAnywhere(b, repo, id) })
		b.Run(fmt.Sprintf("keep/%d", every), func(b *testing.B) { keepAgain(b, book, repo) })
		conn, err := db.pool.Acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("bytes/%d", every), func(b *testing.B) {
			for b.Loop() {
			}
			b.ReportMetric(float64(value[int64](b, conn.Conn(), `SELECT pg_total_relation_size('daybook.snapshots') * 100 / pg_total_relation_size('daybook.events')`)), "%-of-events")
		})
		conn.Release()
	}
}

func loadAnywhere(b *testing.B, repo *tillRepository, id daybook.AggregateID) {
	b.Helper()
	var times []time.Duration
	for b.Loop() {
		times = append(times, timed(b, func(ctx context.Context) (till, error) {
			loaded, err := repo.LoadAt(ctx, id, daybook.AtSequence(1+int64(anyOf(10_000))))
			return loaded.State, err
		}))
	}
	b.ReportMetric(float64(median(times).Microseconds()), "median-µs")
}

func keepAgain(b *testing.B, book *daybook.Book, repo *tillRepository) {
	b.Helper()
	id := newTill()
	var times []time.Duration
	for from := 0; b.Loop(); from += 1000 {
		payInto(b, book, id, from, from+1000)
		times = append(times, timed(b, func(ctx context.Context) (till, error) {
			_, err := repo.Keep(ctx, id)
			return till{}, err
		}))
	}
	b.ReportMetric(float64(median(times).Nanoseconds())/1e6, "median-µs/event")
}

// BenchmarkExecuteKeeping is commands of 64 callers, each on a till of its own, and all
// on one ("front"). 0 is without snapshots.
func BenchmarkExecuteKeeping(b *testing.B) {
	for _, every := range []int{0, 10, 50, 100, 200, 500} {
		for _, front := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/front=%v", every, front), func(b *testing.B) {
				_, book := newTills(b)
				var opts []daybook.RepositoryOption
				if every > 0 {
					opts = append(opts, daybook.Snapshots{Every: every})
				}
				repo := daybook.NewRepository(book, tills, opts...)
				one := newTill()
				spread(b, 64, func(add func() bool) {
					id := newTill()
					if front {
						id = one
					}
					for n := 0; add(); n++ {
						if _, err := repo.Execute(b.Context(), id, payment(n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
				if err := repo.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(repo.SnapshotStats().Written), "snapshots")
			})
		}
	}
}

// handSQL is what one writes by hand to load a till with a snapshot, whole rows.
const handSQL = `
WITH kept AS MATERIALIZED (
	SELECT sequence_number, state FROM daybook.snapshots WHERE book_id = $1 AND aggregate_id = $2 ORDER BY sequence_number DESC LIMIT 1
)
SELECT e.*, CASE WHEN e.sequence_number = (SELECT sequence_number + 1 FROM kept) THEN (SELECT state FROM kept) END
FROM daybook.events AS e
WHERE e.book_id = $1 AND e.aggregate_id = $2 AND e.sequence_number > (SELECT sequence_number FROM kept)
ORDER BY e.sequence_number`

// loadTill is a load of a till at a point, to be timed.
func loadTill(repo *tillRepository, id daybook.AggregateID, at daybook.Point) func(context.Context) (till, error) {
	return func(ctx context.Context) (till, error) {
		loaded, err := repo.LoadAt(ctx, id, at)
		return loaded.State, err
	}
}

// keptBehind makes a till of 10,000 events with a snapshot 100 behind.
func keptBehind(b *testing.B, book *daybook.Book) (*tillRepository, daybook.AggregateID) {
	b.Helper()
	id := newTill()
	repo := daybook.NewRepository(book, tills, daybook.Snapshots{Every: 9_900, CheckOneIn: -1})
	payInto(b, book, id, 0, 9_900)
	if _, err := repo.Keep(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	payInto(b, book, id, 9_900, 10_000)
	return repo, id
}

// BenchmarkResume loads a till of 10,000 events in turns: with a snapshot 100 behind,
// by hand with the same, and by a full replay. It reports medians as ratios.
func BenchmarkResume(b *testing.B) {
	db, book := newTills(b)
	behind, id := keptBehind(b, book)
	number, err := db.OpenBook(b.Context(), "main")
	if err != nil {
		b.Fatal(err)
	}
	byHand := func(ctx context.Context) (state till, err error) {
		rows, err := db.pool.Query(ctx, handSQL, int64(number), [16]byte(id.ID))
		if err != nil {
			return state, err
		}
		defer rows.Close()
		for first := true; rows.Next(); first = false {
			raw := rows.RawValues()
			if first {
				if err := json.Unmarshal(raw[12], &state); err != nil {
					return state, err
				}
			}
			var rec daybook.Recorded
			new(repeats).decode(raw[1:12], &rec)
			value, err := payments.Decode(rec)
			if err != nil {
				return state, err
			}
			state = tills.Evolve(state, value.(paid))
		}
		return state, rows.Err()
	}
	plain := daybook.NewRepository(book, tills)
	var kept, hand, full []time.Duration
	for b.Loop() {
		kept = append(kept, timed(b, loadTill(behind, id, daybook.Point{})))
		hand = append(hand, timed(b, byHand))
		if len(full) < 20 {
			full = append(full, timed(b, loadTill(plain, id, daybook.Point{})))
		}
	}
	b.ReportMetric(float64(median(kept).Microseconds()), "kept-µs")
	b.ReportMetric(float64(median(kept))/float64(median(hand)), "kept/hand")
	b.ReportMetric(float64(median(full))/float64(median(kept)), "full/kept")
}

// BenchmarkPast loads a till of 10,000 events at random points of every kind, in turns
// with the present of one whose snapshot is 100 behind. It reports ratios.
func BenchmarkPast(b *testing.B) {
	_, book := newTills(b)
	behind, id := keptBehind(b, book)
	past := newTill()
	payInto(b, book, past, 0, 10_000)
	repo := daybook.NewRepository(book, tills, daybook.Snapshots{CheckOneIn: -1})
	if _, err := repo.Keep(b.Context(), past); err != nil {
		b.Fatal(err)
	}
	var records []daybook.Recorded
	for rec, err := range book.Read(b.Context(), daybook.Query{Aggregate: past}) {
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, rec)
	}
	for name, point := range map[string]func(daybook.Recorded) daybook.Point{
		"sequence": func(rec daybook.Recorded) daybook.Point { return daybook.AtSequence(rec.SequenceNumber) },
		"position": func(rec daybook.Recorded) daybook.Point { return daybook.AtPosition(rec.Position) },
		"recorded": func(rec daybook.Recorded) daybook.Point { return daybook.AsOf(rec.RecordedAt) },
		"occurred": func(rec daybook.Recorded) daybook.Point { return daybook.AsOfOccurred(rec.OccurredAt) },
	} {
		b.Run(name, func(b *testing.B) {
			var now, then []time.Duration
			for b.Loop() {
				now = append(now, timed(b, loadTill(behind, id, daybook.Point{})))
				then = append(then, timed(b, loadTill(repo, past, point(records[anyOf(len(records))]))))
			}
			b.ReportMetric(float64(median(then))/float64(median(now)), "median/load")
			b.ReportMetric(float64(slices.Max(then))/float64(median(now)), "worst/load")
		})
	}
}

// anyOf is a number below n, by chance.
func anyOf(n int) int {
	return rand.IntN(n) //nolint:gosec // any point will do
}

func timed(b *testing.B, load func(context.Context) (till, error)) time.Duration {
	b.Helper()
	began := time.Now()
	if _, err := load(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func median(times []time.Duration) time.Duration {
	times = slices.Sorted(slices.Values(times))
	return times[len(times)/2]
}
