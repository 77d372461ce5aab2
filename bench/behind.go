package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

const nameBehind = "behind"

// prepareBehind sets up callers here, and in another process a view that runs behind them.
func prepareBehind(ctx context.Context, s *stage) ([]contender, error) {
	const writers = 64
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	if err := book.CatchUp(ctx, newBalances()); err != nil { // which makes it
		return nil, err
	}
	forget(s, book)
	c := newCallers(writers, appendTo(book))
	w, err := s.startWorker(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.ask(request{Do: doProject, Target: s.target(nameDaybook)}); err != nil {
		return nil, err
	}
	round := func(ctx context.Context, d time.Duration) ([]sample, error) {
		appended, err := c.run(ctx, d)
		if err != nil {
			return nil, err
		}
		appended.Contender = nameAppend
		ended := time.Now()
		answer, err := w.ask(request{Do: doProjected, Position: c.written().total()})
		taken := answer.Sample
		taken.Contender, taken.Elapsed = nameBehind, appended.Elapsed+time.Since(ended)
		if err == nil && taken.Events != appended.Events {
			err = fmt.Errorf("the view has taken %d events, %d were appended", taken.Events, appended.Events)
		}
		return []sample{appended, taken}, err
	}
	return []contender{{
		name: nameBehind, round: round,
		verify: func(ctx context.Context) error {
			return errors.Join(auditBook(ctx, book, c.written()), auditBalances(ctx, s, book, viewTable(book)))
		},
	}}, nil
}

// projecting is the other process's side: it runs the view, and looks again and again how
// long the view takes to get to where the book is.
type projecting struct {
	book *daybook.Book
	view *daybook.View[daybook.UUID, balance]
	all  sync.WaitGroup

	mu    sync.Mutex
	err   error
	taken sample        // since it was asked last
	last  int64         // position when it was asked last
	used  time.Duration // CPU time then
}

// project begins to run the view, until ctx ends.
func (h *hand) project(ctx context.Context, asked request) error {
	book, closeBook, err := openBook(ctx, asked.Target)
	if err != nil {
		return err
	}
	p := &projecting{book: book, view: newBalances(), used: processCPU()}
	p.taken.Latency = newLatencies()
	h.projecting, h.closers = p, append(h.closers, func() error {
		p.all.Wait()
		return closeBook()
	})
	p.all.Go(func() { p.fail(book.Run(ctx, p.view)) })
	p.all.Go(func() { p.fail(p.probe(ctx)) })
	return nil
}

func (p *projecting) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

// probePause is how long it is between two looks at the book: they are not to be work.
const probePause = 5 * time.Millisecond

// probe looks how far the book is, and how long the view takes to get there.
func (p *projecting) probe(ctx context.Context) error {
	for ctx.Err() == nil {
		head, err := p.book.Head(ctx)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := p.book.WaitFor(ctx, p.view.Name, head.Position); err != nil {
			return err
		}
		p.see(time.Since(start))
		select {
		case <-ctx.Done():
		case <-time.After(probePause):
		}
	}
	return ctx.Err()
}

func (p *projecting) see(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken.Latency.add(took)
}

// projected waits until the view is at position, and returns what it has done since the
// last call. That wait is a latency like the others.
func (p *projecting) projected(ctx context.Context, position int64) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	start := time.Now()
	if err := p.book.WaitFor(ctx, p.view.Name, position); err != nil {
		return sample{}, err
	}
	p.see(time.Since(start))
	p.mu.Lock()
	defer p.mu.Unlock()
	taken, used := p.taken, processCPU()
	taken.Events, taken.Client = position-p.last, used-p.used
	p.taken, p.last, p.used = sample{Latency: newLatencies()}, position, used
	return taken, p.err
}
