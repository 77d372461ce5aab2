package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// stamped has the events of write carry the time of the call as their number.
func stamped(write appender) appender {
	return func(ctx context.Context, rows []row) error {
		for i := range rows {
			rows[i].event = newPaid(time.Now().UnixMicro())
		}
		return write(ctx, rows)
	}
}

// prepareFollow sets up callers here and a follower in another process, by the same
// clock.
func prepareFollow(ctx context.Context, s *stage) ([]contender, error) {
	const writers = 64
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	c := newCallers(writers, stamped(appendTo(book)))
	w, err := s.startWorker(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.ask(request{Do: doFollow, Target: s.target(nameDaybook)}); err != nil {
		return nil, err
	}
	round := func(ctx context.Context, d time.Duration) ([]sample, error) {
		appended, err := c.run(ctx, d)
		if err != nil {
			return nil, err
		}
		appended.Contender = nameAppend
		answer, err := w.ask(request{Do: doSeen, Position: c.written().total()})
		followed := answer.Sample
		followed.Contender, followed.Elapsed = nameFollow, appended.Elapsed
		if err == nil && followed.Events != appended.Events {
			err = fmt.Errorf("%d events were seen, %d were appended", followed.Events, appended.Events)
		}
		return []sample{appended, followed}, err
	}
	return []contender{{
		name: nameFollow, round: round,
		verify: func(ctx context.Context) error { return auditBook(ctx, book, c.written()) },
	}}, nil
}

// follower is the other process's side.
type follower struct {
	ended chan struct{}

	mu    sync.Mutex
	moved chan struct{} // closed at the next event, and made anew
	last  int64
	err   error
	taken sample        // since it was asked last
	used  time.Duration // CPU time when it was asked last
}

// follow begins to follow a book, until ctx ends.
func (h *hand) follow(ctx context.Context, asked request) error {
	book, closeBook, err := openBook(ctx, asked.Target)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, closeBook)
	f := &follower{ended: make(chan struct{}), moved: make(chan struct{}), used: processCPU()}
	f.taken.Latency = newLatencies()
	h.follower = f
	go func() {
		defer close(f.ended)
		for rec, err := range book.Follow(ctx, daybook.Query{AfterPosition: asked.Position}) {
			if !f.see(book, rec, err) {
				return
			}
		}
	}()
	return nil
}

// see notes an event, or why there are no more.
func (f *follower) see(book *daybook.Book, rec daybook.Recorded, err error) bool {
	now := time.Now()
	var event Paid
	if err == nil {
		event, err = paidOf(book.Decode(rec))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && rec.Position != f.last+1 {
		err = fmt.Errorf("position %d was seen after position %d", rec.Position, f.last)
	}
	f.err = err
	if err == nil {
		f.last = rec.Position
		f.taken.Events++
		f.taken.Latency.add(now.Sub(time.UnixMicro(event.Number)))
	}
	close(f.moved)
	f.moved = make(chan struct{})
	return err == nil
}

// followTimeout bounds the wait for events that are all recorded.
const followTimeout = time.Minute

// seen waits until the event at position has been seen and returns what was seen
// since the last call.
func (f *follower) seen(ctx context.Context, position int64) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	for {
		f.mu.Lock()
		if f.err != nil || f.last >= position {
			break // and keep the lock
		}
		moved := f.moved
		f.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return sample{}, errors.Join(fmt.Errorf("position %d has not been seen", position), ctx.Err())
		}
	}
	defer f.mu.Unlock()
	taken, used := f.taken, processCPU()
	taken.Client = used - f.used
	f.taken, f.used = sample{Latency: newLatencies()}, used
	return taken, f.err
}
