package daybook

import (
	"context"
	"iter"
	"sync"
	"time"
)

// followPause is how long Follow waits for the bell before it asks an idle book all
// the same: a notification can get lost, an event cannot.
const followPause = time.Second

// Follow is [Book.Read] that waits at the end for events to come, and so ends only
// when ctx does (it yields ctx's error), when the caller breaks off, when Limit is
// reached, or on an error. Every event is yielded once, in order of position,
// whichever process appends it. A start beyond the head is a [*NotThereError]: the
// book is not the one, or not in the state, that the position was remembered from.
func (b *Book) Follow(ctx context.Context, q Query) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		if err := q.check(); err != nil {
			yield(Recorded{}, err)
			return
		}
		if q.Reverse || q.UntilPosition != 0 || q.UntilSequence != 0 {
			yield(Recorded{}, invalid("query", "a follower goes forward without end: leave out Reverse and the Until bounds"))
			return
		}
		defer b.bell.listen(b.watch)() //nolint:contextcheck // the watch is all followers', and outlives this one's context
		limit, seen := q.Limit, 0
		counted := func(rec Recorded, err error) bool {
			seen++
			return yield(rec, err)
		}
		for {
			rung := b.bell.rung() // before looking, or what comes in between is overheard
			// Everything at or below the head is visible, so what a filter passes
			// over is never scanned again.
			head, err := b.Head(ctx)
			if err != nil {
				yield(Recorded{}, err)
				return
			}
			if q.AfterPosition > head.Position {
				// The book was restored, or it is another one. To wait until the head
				// comes by would be to skip what is recorded meanwhile.
				yield(Recorded{}, &NotThereError{What: "position", Asked: q.AfterPosition, Last: head.Position, Subject: "book " + b.name})
				return
			}
			if head.Position > q.AfterPosition {
				q.UntilPosition = head.Position
				if !b.readPages(ctx, q, counted) || (limit > 0 && seen == limit) {
					return
				}
				q.AfterPosition = head.Position
				if limit > 0 {
					q.Limit = limit - seen
				}
				continue
			}
			select {
			case <-ctx.Done():
				yield(Recorded{}, ctx.Err())
				return
			case <-rung:
			case <-time.After(followPause):
			}
		}
	}
}

// watch rings the bell for appends of other processes until ctx ends.
func (b *Book) watch(ctx context.Context) { b.driver.Watch(ctx, b.id, b.bell.ring) }

// bell tells the followers of a book that it may have grown. The first one who
// listens makes the engine watch for appends of other processes, the last one who
// leaves ends that.
type bell struct {
	mu        sync.Mutex
	next      chan struct{} // closed by the next ring; nil as long as nobody waits for it
	listeners int
	unwatch   func()
}

// ring wakes all who wait.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// rung returns a channel that the next ring closes.
func (b *bell) rung() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// listen keeps watch running until the function it returns is called, by this
// listener and by all others.
func (b *bell) listen(watch func(context.Context)) (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners++; b.listeners == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			watch(ctx)
		}()
		b.unwatch = func() {
			cancel()
			<-ended
		}
	}
	return func() {
		b.mu.Lock()
		b.listeners--
		unwatch, last := b.unwatch, b.listeners == 0
		b.mu.Unlock()
		if last {
			unwatch() // not under the lock: watch may be about to ring
		}
	}
}
