package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-go/daybook"
)

// verifyEach is how many events each aggregate of a book that is verified has.
const verifyEach = 10

// prepareVerify fills a book of many aggregates, whose events stand among those of all
// others, and sets up Verify against a reader by hand, each in a new process every
// time.
func prepareVerify(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	if err := fillWide(ctx, book, s.BookEvents, verifyEach); err != nil {
		return nil, err
	}
	return []contender{
		s.inProcess(nameDaybook, doVerify, s.BookEvents),
		s.inProcess(nameRaw, doRead, s.BookEvents),
	}, nil
}

// inProcess is a contender that does one thing with a whole book, in a new process
// every time.
func (s *stage) inProcess(name, do string, events int) contender {
	return contender{name: name, round: func(ctx context.Context, _ time.Duration) ([]sample, error) {
		own := s.newStage(s.scenario)
		w, err := own.startWorker(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := w.ask(request{Do: do, Contender: name, Target: s.target(name)})
		if err == nil && answer.Sample.Events != int64(events) {
			err = fmt.Errorf("%d events were read, want %d", answer.Sample.Events, events)
		}
		return []sample{answer.Sample}, errors.Join(err, own.close(ctx))
	}}
}

// fillWide appends total events to aggregates of so many events each: an event to each of
// them, then the next to each.
func fillWide(ctx context.Context, book *daybook.Book, total, each int) error {
	aggregates := newAggregates(max(1, total/each))
	w := written{}
	for number := 0; number < total; {
		entries := make([]daybook.Entry, 0, thousand)
		for len(entries) < min(thousand, len(aggregates)) && number < total {
			id := aggregates[number%len(aggregates)]
			entries = append(entries, daybook.Entry{
				Aggregate: id, Expected: daybook.Exactly(w[id.ID]),
				Events: []daybook.Event{{Data: newPaid(int64(number)), Metadata: metadata}},
			})
			w[id.ID]++
			number++
		}
		if _, err := book.Append(ctx, entries...); err != nil {
			return err
		}
	}
	return auditBook(ctx, book, w)
}

// verifyBook verifies the whole book, with a rule that folds every aggregate.
func verifyBook(ctx context.Context, asked request) (s sample, err error) {
	book, closeBook, err := openBook(ctx, asked.Target)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, closeBook()) }()
	grows := daybook.Rule("grows", payments, func(step daybook.Step[account, Paid]) error {
		if step.After.Total <= step.Before.Total {
			return fmt.Errorf("%d after %d", step.After.Total, step.Before.Total)
		}
		return nil
	})
	used, start := processCPU(), time.Now()
	v, err := daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: []daybook.Check{grows}})
	took := time.Since(start)
	if err != nil {
		return s, err
	}
	if !v.Proved() || v.Passes != 1 || v.Checks[len(v.Checks)-1].Looked != v.Events {
		return s, fmt.Errorf("the book is not proved in one pass: %+v", v)
	}
	s = sample{Events: v.Events, Elapsed: took, Client: processCPU() - used, Latency: newLatencies(), PeakRSS: peakRSS()}
	s.Latency.add(took)
	return s, nil
}
