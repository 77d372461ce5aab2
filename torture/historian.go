package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// Historian is a reader who asks about the past while the book grows, mostly about
// its last moments, and notes what was answered once and for ever. Asked again, the
// book must say the same.
type Historian struct {
	// Seed decides which times are asked about.
	Seed uint64

	mu    sync.Mutex
	told  []recollection
	wrong []string
}

// recollection is an answer about the past.
type recollection struct {
	at        time.Time
	future    bool         // at had not passed yet, so that the answer may change
	position  int64        // of the last event recorded by then
	aggregate daybook.UUID // of that event
	number    int64        // how many events the aggregate had
}

func (r recollection) String() string {
	text := fmt.Sprintf("as of %v the book is at position %d, and %s at %d", r.at, r.position, r.aggregate, r.number)
	if r.future {
		text += ", so far"
	}
	return text
}

// Run asks until ctx ends, and has the answer to its last question when it returns.
func (h *Historian) Run(ctx context.Context, book *daybook.Book) {
	chance := rand.New(rand.NewPCG(h.Seed, 0)) //nolint:gosec // chance that can be repeated
	for ctx.Err() == nil {
		if err := h.ask(ctx, book, chance); err != nil {
			h.failed(err)
			breathe(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(musing):
		}
	}
}

// failed keeps the errors that no fault of the surroundings explains.
func (h *Historian) failed(err error) {
	if errors.Is(err, daybook.ErrNotThere) || errors.Is(err, daybook.ErrDecode) || errors.Is(err, daybook.ErrInvalid) {
		h.object("a question about the past: %v", err)
	}
}

func (h *Historian) object(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

// ask asks one question, and notes the answer if it is to hold for ever.
func (h *Historian) ask(ctx context.Context, book *daybook.Book, chance *rand.Rand) error {
	// The end of the round is no fault: what is under way is answered, or it could
	// move the head while the book is checked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	head, err := book.Head(ctx)
	if err != nil || head.Position == 0 {
		return err
	}
	at := when(head, chance)
	told, err := inquire(ctx, book, at)
	switch {
	case err != nil:
		return err
	case !told.future:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, told)
	case !at.After(head.RecordedAt):
		h.object("%v, although the book was at %v", told, head.RecordedAt)
	}
	return nil
}

const (
	// musing is the time between an answer and the next question.
	musing = 10 * time.Millisecond
	// lately is how far from the time of the last event a question can be.
	lately = 20 * time.Millisecond
)

// when draws a time: mostly one just after the last event, where an append could
// still go that is under way, or whose clock is behind.
func when(head daybook.Head, chance *rand.Rand) time.Time {
	by := time.Duration(chance.Int64N(int64(lately))>>chance.IntN(5)).Truncate(time.Microsecond) + time.Microsecond
	switch chance.IntN(4) {
	case 0:
		return head.RecordedAt
	case 1:
		return head.RecordedAt.Add(-by)
	default:
		return head.RecordedAt.Add(by)
	}
}

// inquire asks a book where it was, and a repository how the last aggregate was.
func inquire(ctx context.Context, book *daybook.Book, at time.Time) (told recollection, err error) {
	told.at = at
	if told.position, told.future, err = book.PositionAt(ctx, at); err != nil || told.position == 0 {
		return told, err
	}
	for rec, err := range book.Read(ctx, daybook.Query{AfterPosition: told.position - 1, Limit: 1}) {
		if err != nil {
			return told, err
		}
		told.aggregate = rec.Aggregate.ID
	}
	state, err := daybook.NewRepository(book, commands).LoadAt(ctx, aggregateID(told.aggregate), daybook.AsOf(at))
	told.number = state.State
	return told, err
}

// testify: I15. What was answered about a time is what the log says of it, and what
// is answered now.
func (h *Historian) testify(ctx context.Context, c *check, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.wrong {
		c.found("I15", "%s was told: %s", name, text)
	}
	c.report.Questions += len(h.told)
	for _, told := range h.told {
		if now := c.asOf(told); now != told {
			c.found("I15", "%s was told: %v; by what is recorded, %v", name, told, now)
			continue
		}
		again, err := inquire(ctx, c.book, told.at)
		if err != nil {
			return err
		}
		if again != told {
			c.found("I15", "%s was told: %v; asked again, %v", name, told, again)
		}
	}
	return nil
}

// asOf is what the log says about the time, and the aggregate, of a recollection.
func (c *check) asOf(told recollection) recollection {
	now := recollection{at: told.at, aggregate: told.aggregate}
	for _, e := range c.log {
		if e.RecordedAt > told.at.UnixMicro() {
			continue // and go on: a broken book may have more behind it
		}
		now.position++
		if e.Aggregate == told.aggregate {
			now.number++
		}
	}
	return now
}
