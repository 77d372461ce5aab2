package torture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// Follower is a reader of the book who notes what it saw, in the order in which it
// saw it. It remembers a position, as readers do, and goes on from there after an
// error. The zero Follower begins at the beginning.
type Follower struct {
	mu    sync.Mutex
	seen  []Place
	wrong error
}

// Run follows the book until ctx ends.
func (f *Follower) Run(ctx context.Context, book *daybook.Book) {
	for ctx.Err() == nil {
		for rec, err := range book.Follow(ctx, daybook.Query{AfterPosition: f.last()}) {
			if err != nil {
				f.failed(err)
				break
			}
			f.mu.Lock()
			f.seen = append(f.seen, placeOf(rec))
			f.mu.Unlock()
		}
		breathe(ctx)
	}
}

// failed keeps the one error that no fault of the surroundings explains.
func (f *Follower) failed(err error) {
	if errors.Is(err, daybook.ErrNotThere) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.wrong = fmt.Errorf("what it had seen was gone: %w", err)
	}
}

func (f *Follower) last() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return 0
	}
	return f.seen[len(f.seen)-1].Position
}

// testify: I6. A follower sees every event once, in order, and what it saw stays.
func (f *Follower) testify(ctx context.Context, c *check, name string) error {
	f.catchUp(ctx, c.head.Position)
	seen, wrong := f.sight()
	if wrong != nil {
		c.found("I6", "%s: %v", name, wrong)
	}
	for i, place := range seen {
		if i >= len(c.log) {
			c.found("I6", "%s saw %d events, the book has %d", name, len(seen), len(c.log))
			return nil
		}
		if place != c.log[i].Place {
			c.found("I6", "%s saw %+v after %d others; there is %+v", name, place, i, c.log[i].Place)
			return nil
		}
	}
	if len(seen) < len(c.log) {
		c.found("I6", "%s saw %d of %d events", name, len(seen), len(c.log))
	}
	return nil
}

// catchUp waits until the follower has come to a position, or for as long as a
// reader may take.
func (f *Follower) catchUp(ctx context.Context, position int64) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	for f.last() < position && ctx.Err() == nil {
		breathe(ctx)
	}
}

// catchUpTimeout is how long after the last append a follower may take to see it.
const catchUpTimeout = 60 * time.Second

// sight returns what was seen, and what went wrong.
func (f *Follower) sight() ([]Place, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.wrong
}
