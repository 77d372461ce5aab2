package bench

import (
	"context"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// row is an event and the place it is to get.
type row struct {
	aggregate daybook.AggregateID
	sequence  int64
	event     Paid
}

// An appender writes rows, all or nothing, and returns when they are durable. An
// aggregate that is not where the rows believe it to be is an error.
type appender func(ctx context.Context, rows []row) error

// callers are goroutines that append one after the other, each to aggregates of
// its own.
type callers struct {
	append     appender
	aggregates []daybook.AggregateID
	callers    int // each has as many of the aggregates as the others
	size       int // rows a call

	sequences []int64 // acknowledged, by aggregate
	batch     [][]row // the rows of each caller's next call
}

// newCallers makes n callers with one aggregate each and one event a call.
func newCallers(n int, write appender) *callers { return newBulkCallers(n, n, 1, write) }

// newBulkCallers makes n callers with size events a call, spread over aggregates
// in turn.
func newBulkCallers(n, aggregates, size int, write appender) *callers {
	c := &callers{
		append: write, aggregates: newAggregates(aggregates), callers: n, size: size,
		sequences: make([]int64, aggregates), batch: make([][]row, n),
	}
	for i := range c.batch {
		c.batch[i] = make([]row, size)
	}
	return c
}

// run lets all callers append for so long.
func (c *callers) run(ctx context.Context, d time.Duration) (sample, error) {
	return together(ctx, c.callers, d, c.call)
}

// call appends once, for caller i.
func (c *callers) call(ctx context.Context, i int) (events int64, err error) {
	each := len(c.aggregates) / c.callers
	mine := c.sequences[i*each : (i+1)*each]
	rows := c.batch[i]
	for k := range rows {
		to := k % each
		mine[to]++
		rows[k] = row{c.aggregates[i*each+to], mine[to], newPaid(mine[to])}
	}
	if err := c.append(ctx, rows); err != nil {
		for k := range rows {
			mine[k%each]--
		}
		return 0, err
	}
	return int64(len(rows)), nil
}

// written returns what was acknowledged, in all rounds.
func (c *callers) written() written {
	w := written{}
	for i, id := range c.aggregates {
		if c.sequences[i] > 0 {
			w[id.ID] = c.sequences[i]
		}
	}
	return w
}

// together lets n callers call, again and again, until d has passed or one of them
// fails. What is under way then is waited for, and counts. Of this process's CPU
// time the sample has what was taken meanwhile, and not what it takes to add up.
func together(ctx context.Context, n int, d time.Duration, call func(ctx context.Context, caller int) (events int64, err error)) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	events, times := make([]int64, n), make([]*latencies, n)
	for i := range times {
		times[i] = newLatencies()
	}
	used, start := processCPU(), time.Now()
	for i := range n {
		all.Go(func() {
			for began := start; began.Sub(start) < d && ctx.Err() == nil; {
				done, err := call(ctx, i)
				if err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				times[i].add(now.Sub(began))
				events[i] += done
				began = now
			}
		})
	}
	all.Wait()
	out := sample{Elapsed: time.Since(start), Client: processCPU() - used, Latency: newLatencies()}
	for i := range n {
		out.Events += events[i]
		out.Latency.merge(times[i])
	}
	return out, context.Cause(ctx)
}
