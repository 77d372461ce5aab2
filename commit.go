package daybook

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxBatchAppends bounds a batch, as MaxEventsPerAppend and MaxAppendBytes do:
	// what one append may hold, a batch may.
	maxBatchAppends = 1_000
	// gatherYields is how often the leader lets others run before it closes a
	// batch. Those whose appends have just been answered come back with the next
	// ones; without waiting for them, callers split into two halves that take turns.
	gatherYields = 4
	// aheadBatches is how many batches may be under way in an engine that takes the next
	// one before it has answered the one before.
	aheadBatches = 2
	// aheadCallers is from how many callers on batches go ahead: halves of fewer cost the
	// engine more than what they hide of the program's time.
	aheadCallers = 32
	// settleFor bounds the attempts to find out what became of a commit.
	settleFor = 10 * time.Minute
	// partingTime is how long a caller whose context has ended waits for the answer
	// to a transaction that is under way, before it leaves without.
	partingTime = 100 * time.Millisecond
)

// committer is the line in which the appends to a book wait. Those that stand in it
// together share a transaction (group commit), and each gets its own outcome.
//
// The first to come leads. While it stays alone it takes its append to the engine itself,
// and is free when its context ends because the engine is: to wake another goroutine and
// be woken by it would cost a third of what the program spends on an append. Where others
// have come, a goroutine takes batch after batch and ends with the line: those in a batch
// leave one by one, and nothing runs for an idle book.
//
// An engine that is a round trip away takes a second batch while it is at the first one:
// half of the callers are answered and come back while it is at the other half.
type committer struct {
	hand  handing
	slots chan struct{} // holds a token for each batch under way

	mu      sync.Mutex
	line    []*call
	leading bool
	size    int  // the appends of the last batch
	flying  int  // the appends of those under way
	ahead   bool // the engine has let the next batch come ahead, last time it could
	pace    pace
}

// handing gives a batch to the engine. Where next is not nil, it calls it, at most once, when
// the next batch may come.
type handing func(ctx context.Context, batch []Append, next func()) ([]Outcome, error)

func newCommitter(hand handing) *committer {
	return &committer{hand: hand, slots: make(chan struct{}, aheadBatches)}
}

// call is an append that waits for its outcome.
type call struct {
	ctx    context.Context
	append sizedAppend
	leads  bool   // it was the first in an idle line
	batch  *batch // nil as long as the call stands in line

	done    chan struct{} // closed when the two below are set
	outcome Outcome
	err     error
}

// batch is what goes to the engine at once.
type batch struct {
	calls   []*call
	appends []Append
	ctx     context.Context // ends when all callers have left
	cancel  context.CancelFunc
	callers int                   // who have not left
	ahead   bool                  // the next one may be handed in before this one is answered
	trouble atomic.Pointer[error] // the last error that left the outcome unclear
}

// cause is err, the end of a context, with what was the trouble until then.
func (b *batch) cause(err error) error {
	trouble := b.trouble.Load()
	if trouble == nil || errors.Is(*trouble, err) {
		return err
	}
	return fmt.Errorf("%w (until then: %w)", err, *trouble)
}

// wait returns the outcome of a call that has joined the line. When ctx ends, a call
// that still stands in line is taken out of it; one that is under way has a moment to
// end, and is then unknown.
func (c *committer) wait(ctx context.Context, own *call) (Outcome, error) {
	if own.leads {
		c.begin(own) //nolint:contextcheck // the call has its caller's context; a batch of several has its own
	}
	select {
	case <-own.done:
		if own.err == nil || ctx.Err() == nil {
			return own.outcome, own.err
		}
	case <-ctx.Done():
	}
	if c.leave(own) {
		return Outcome{}, ctx.Err()
	}
	parting := time.NewTimer(partingTime)
	defer parting.Stop()
	select {
	case <-own.done:
	case <-parting.C:
		return Outcome{}, unknown(own.append.Append, own.batch.cause(ctx.Err()))
	}
	switch {
	case own.err == nil:
		return own.outcome, nil
	case errors.Is(own.err, ErrOutcomeUnknown):
		return Outcome{}, unknown(own.append.Append, own.batch.cause(ctx.Err()))
	case errors.Is(own.err, context.Canceled), errors.Is(own.err, ctx.Err()): // called off, because the caller was leaving
		return Outcome{}, ctx.Err()
	default:
		return Outcome{}, fmt.Errorf("%w: %w", ctx.Err(), own.err)
	}
}

// join puts an append at the end of the line, from where it goes to the engine
// together with those before and behind it. Who joins must wait: the first one leads.
func (c *committer) join(ctx context.Context, a sizedAppend) *call {
	own := &call{ctx: ctx, append: a, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = append(c.line, own)
	own.leads, c.leading = !c.leading, true
	return own
}

// begin gets an idle line going, on behalf of its first call.
func (c *committer) begin(own *call) {
	b := c.alone(own)
	if b == nil {
		go c.lead()
		return
	}
	defer func() { // also where the engine panics: others may have come
		if !c.idle() {
			go c.lead()
		}
	}()
	c.deliver(b, nil)
}

// alone makes a batch of a call that has the line for itself, as the last one had, and
// else returns nil.
func (c *committer) alone(own *call) *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) != 1 || c.size > 1 || c.flying > 0 {
		return nil
	}
	c.line, c.size = nil, 1
	c.flying++
	own.batch = &batch{calls: []*call{own}, appends: []Append{own.append.Append}, ctx: own.ctx, cancel: func() {}, callers: 1}
	return own.batch
}

// idle reports whether the line is empty. There is no leader from then on.
func (c *committer) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) == 0 {
		c.line, c.leading = nil, false
	}
	return !c.leading
}

// leave takes a call out of the line, or reports false where it is under way. A
// batch that nobody waits for any more is called off, if that is still possible.
func (c *committer) leave(own *call) (inLine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.batch == nil {
		c.line = slices.DeleteFunc(c.line, func(other *call) bool { return other == own })
		return true
	}
	if own.batch.callers--; own.batch.callers == 0 {
		own.batch.cancel()
	}
	return false
}

// lead takes batches to the engine until the line is empty, or another goroutine does.
func (c *committer) lead() {
	for leading := true; leading; {
		leading = c.leadOne()
	}
}

// leadOne takes a batch to the engine, and reports whether to go on. Those who are answered
// wake up before a batch may take this one's place.
func (c *committer) leadOne() (leading bool) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	for range gatherYields {
		runtime.Gosched()
	}
	b, early := c.next()
	if early {
		c.slots <- struct{}{} // the other one's: nothing is under way from here on
		defer func() { <-c.slots }()
		b, _ = c.next()
	}
	if b == nil {
		return false
	}
	if !b.ahead {
		c.deliver(b, nil)
		return true
	}
	leading = true
	c.deliver(b, func() {
		leading = false
		go c.lead()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = !leading
	return leading
}

// deliver takes a batch to the engine, and its outcomes back.
func (c *committer) deliver(b *batch, next func()) {
	outcomes, err := c.handOne(b, next)
	if errors.Is(err, ErrUnclear) {
		b.trouble.Store(&err)
		go c.settle(b) // those in line need not wait for that
		return
	}
	b.answer(outcomes, err)
}

// handOne counts those in b as under way until the engine has answered, or panics.
func (c *committer) handOne(b *batch, next func()) ([]Outcome, error) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flying -= len(b.calls)
	}()
	return c.hand(b.ctx, b.appends, next)
}

// next makes a batch of those at the head of the line: of all, or where batches go ahead
// of half of the callers at most, those under way included. When nobody is there, it
// returns nil, and there is no leader from then on. It is early where a batch is under way and
// theirs would not go ahead, but beside that one: it may rest on it.
func (c *committer) next() (b *batch, early bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var total sizes
	fits := func(own *call) bool {
		total.events, total.bytes = total.events+own.append.events, total.bytes+own.append.bytes
		return total.events <= MaxEventsPerAppend && total.bytes <= MaxAppendBytes
	}
	most := min(len(c.line), maxBatchAppends)
	callers := len(c.line) + c.flying
	crowd := callers >= aheadCallers
	ahead := crowd && !c.pace.together
	if !ahead && c.flying > 0 {
		return nil, true
	}
	if ahead && c.ahead {
		most = min(most, (callers+1)/2)
	}
	n := 0
	for n < most && fits(c.line[n]) {
		n++
	}
	if n == 0 {
		c.line, c.leading = nil, false
		return nil, false
	}
	c.pace.closed(n, now(), crowd)
	c.size = n
	c.flying += n
	b = &batch{calls: c.line[:n:n], callers: n, ahead: ahead, appends: make([]Append, n)}
	c.line = c.line[n:]
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(b.calls[0].ctx))
	for i, own := range b.calls {
		own.batch, b.appends[i] = b, own.append.Append
	}
	return b, false
}

// settle finds out what became of a batch whose reply was lost, by handing it in
// again: the engine takes its lock, so it waits for the lost commit to end one way or
// the other, and answers with the original records where it was recorded.
func (c *committer) settle(b *batch) {
	ctx, cancel := context.WithTimeout(b.ctx, settleFor) // one attempt may take long
	defer cancel()
	outcomes, err := backoff.Retry(ctx, func() ([]Outcome, error) {
		outcomes, err := c.hand(ctx, b.appends, nil)
		if err != nil {
			b.trouble.Store(&err)
		}
		return outcomes, err
	}, backoff.WithMaxElapsedTime(0))
	if err == nil {
		b.answer(outcomes, nil)
		return
	}
	for _, own := range b.calls {
		own.err = unknown(own.append.Append, b.cause(err))
	}
	b.close()
}

// answer gives every caller its outcome, or all of them the error.
func (b *batch) answer(outcomes []Outcome, err error) {
	for i, own := range b.calls {
		if err != nil {
			own.err = err
			continue
		}
		own.outcome = outcomes[i]
	}
	b.close()
}

func (b *batch) close() {
	for _, own := range b.calls {
		close(own.done)
	}
	b.cancel()
}

// unknown is the error for an append of which it cannot be said whether it was recorded.
func unknown(a Append, err error) error {
	out := &OutcomeUnknownError{Err: err}
	for _, entry := range a.Entries {
		for _, event := range entry.Events {
			out.EventIDs = append(out.EventIDs, event.EventID)
		}
	}
	return out
}
