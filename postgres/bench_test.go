package postgres

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// BenchmarkAppend appends one event a call, each goroutine to its own aggregate.
// "insert" is its baseline: the same row by a plain INSERT of its own transaction,
// on the same connections, without order and without any check.
func BenchmarkAppend(b *testing.B) {
	for _, goroutines := range []int{1, 8, 64} {
		dsn := migrated.DSN(b)
		db, conn := openDB(b, with(b, dsn, "pool_max_conns", strconv.Itoa(goroutines))), connect(b, dsn)
		book, err := db.OpenBook(b.Context(), "main")
		if err != nil {
			b.Fatal(err)
		}
		exec(b, conn, `CREATE TABLE plain (LIKE daybook.events INCLUDING ALL)`)
		exec(b, conn, `CREATE SEQUENCE plain_position`)
		b.Run(fmt.Sprintf("append/%d", goroutines), func(b *testing.B) {
			spread(b, goroutines, func(add func() bool) {
				aggregate := account()
				for add() {
					if _, err := db.Append(b.Context(), book, []daybook.Append{deposits(aggregate, 1)}, daybook.InlineWork{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run(fmt.Sprintf("insert/%d", goroutines), func(b *testing.B) {
			spread(b, goroutines, func(add func() bool) {
				aggregate := account()
				for n := 1; add(); n++ {
					event := deposits(aggregate, 1).Entries[0].Events[0]
					_, err := db.pool.Exec(b.Context(), `INSERT INTO plain VALUES ($1, nextval('plain_position'), $2, $3, $4, $5, $6, $7, $8, '{}', $9, $9)`,
						int64(book), aggregate.Type, [16]byte(aggregate.ID), n, [16]byte(event.EventID), event.EventType, event.SchemaVersion, event.Payload, time.Now())
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// spread runs work in n goroutines until add has said true b.N times in all.
func spread(b *testing.B, n int, work func(add func() bool)) {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range n {
		all.Go(func() { work(func() bool { return done.Add(1) <= int64(b.N) }) })
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
