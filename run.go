package daybook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// firstRetry and lastRetry bound the time until an event is tried again that a
	// projection could not take.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// lastReconnect bounds the time until an engine is tried again that was out of reach.
	lastReconnect = 5 * time.Second
)

// Run runs projections behind the book until ctx ends, and returns its error then. Each goes
// on from its checkpoint, and takes every event exactly once (a [*Subscription]: at least
// once), in order. It wakes when this process or another one appends.
//
// Several processes may run the same projection: one works, and another takes over within
// seconds when that one ends, however it ends. An event that a projection cannot take stops
// that projection only; [Book.Projections] shows where and why, and it is tried again, after
// a second at first and after a minute in the end. See [Book.SkipEvent].
//
// A projection that the book does not know is made. One that was declared otherwise is made
// anew as in [Book.Rebuild], while the old one serves, unless its declaration leaves that to
// a command: then, and for one that is inline, Run returns [ErrProjectionChanged].
func (b *Book) Run(ctx context.Context, projectors ...Projector) error {
	return b.run(ctx, projectors, false)
}

// CatchUp is Run that ends when all are as far as the book was at the call, or
// somebody else has brought them there. An event that one cannot take is an error, also where
// somebody else has stopped at it.
func (b *Book) CatchUp(ctx context.Context, projectors ...Projector) error {
	return b.run(ctx, projectors, true)
}

func (b *Book) run(ctx context.Context, projectors []Projector, catchUp bool) error {
	runners := make([]*runner, len(projectors))
	names := map[string]bool{}
	for i, p := range projectors {
		d, err := b.declarationOf(p)
		if err != nil {
			return err
		}
		if names[d.name] {
			return invalid("projections", "%s is there twice", d.name)
		}
		names[d.name] = true
		runners[i] = &runner{book: b, d: d, id: NewUUID(), delivered: map[int64]bool{}}
	}
	b.running.add(names, 1)
	defer b.running.add(names, -1)
	if catchUp {
		head, err := b.Head(ctx)
		if err != nil {
			return err
		}
		for _, r := range runners {
			r.until = &head
		}
	}
	defer b.bell.listen(b.watch)() //nolint:contextcheck // the watch is all followers', and outlives this one's context
	all, ctx := errgroup.WithContext(ctx)
	for _, r := range runners {
		all.Go(func() error { return r.run(ctx) })
	}
	if len(runners) == 0 && !catchUp { // Run ends when ctx does
		<-ctx.Done()
		return ctx.Err()
	}
	return all.Wait()
}

// running is the projections that a Book is running, each with how many times. The zero
// running is ready for use.
type running struct {
	mu    sync.Mutex
	times map[string]int
}

func (r *running) add(names map[string]bool, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string]int{}
	}
	for name := range names {
		r.times[name] += times
	}
}

func (r *running) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times[name] > 0
}

// runner runs one projection.
type runner struct {
	book  *Book
	d     *declaration
	id    UUID
	until *Head // for CatchUp

	w      *worker // nil while somebody else works, or nobody may
	others watchman
	found  int64 // the generation that was live when it looked first; -1 after one of its own was
	// failing is the event that it has not taken at last, 0 where it was not about one, and
	// failures how often that was so, one time after the other.
	failing  int64
	failures int
	// delivered are the events behind the checkpoint that a subscription has delivered here,
	// also before it was taken from this runner, such as by who has paused it.
	delivered map[int64]bool
}

func (r *runner) run(ctx context.Context) error {
	defer func() {
		if r.w != nil {
			r.w.release(ctx)
		}
	}()
	for {
		rung := r.book.bell.rung() // before looking, or what comes in between is overheard
		pause, err := r.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errDone):
			return nil
		case errors.Is(err, ErrProjectionBusy):
			r.w, pause, rung = nil, touchPause/4, nil
		case isFatal(err) || err != nil && r.until != nil:
			return err
		case err != nil:
			pause, rung = r.retryPause(err), nil
			if r.givenUp(ctx) {
				pause, r.failures = 0, 0
			}
		}
		if pause == 0 {
			continue
		}
		if r.w == nil {
			rung = nil // there is nothing to do about it
		}
		if err := r.wait(ctx, pause, rung); err != nil {
			return err
		}
	}
}

// errDone ends CatchUp.
var errDone = errors.New("as far as it was to go")

// isFatal reports whether to try again is in vain. What is wrong with an event stops one
// projection, whatever the projection calls it, and the others go on.
func isFatal(err error) bool {
	return failedAt(err) == 0 && (errors.Is(err, ErrProjectionChanged) || errors.Is(err, ErrRestored) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotThere) || errors.Is(err, ErrSchema))
}

// retryPause counts a failure, and is for how long to wait then.
func (r *runner) retryPause(err error) time.Duration {
	if at := failedAt(err); at != r.failing {
		r.failing, r.failures = at, 0
	}
	last := lastRetry
	if !errors.Is(err, ErrProjection) && !errors.Is(err, errNotRenewed) {
		last = lastReconnect
	}
	pause := min(firstRetry<<min(r.failures, 10), last)
	r.failures++
	return pause
}

// givenUp reports whether the event at which it has stopped is passed over from now on.
func (r *runner) givenUp(ctx context.Context) bool {
	if r.w == nil || r.failing == 0 {
		return false
	}
	gone, err := r.w.giveUp(ctx, r.failures)
	return gone && err == nil // else it is tried again, and so is this
}

// wait waits for the bell, at most so long, and says meanwhile that somebody is there.
func (r *runner) wait(ctx context.Context, pause time.Duration, rung <-chan struct{}) error {
	for end := now().Add(pause); ; {
		left := min(end.Sub(now()), touchPause)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
			return nil
		case <-time.After(left):
		}
		if r.w != nil && !r.holds(ctx) {
			return nil
		}
	}
}

// holds says that somebody is there, and reports whether it still is r's to say. Where it
// is not, the next turn finds out why.
func (r *runner) holds(ctx context.Context) bool {
	if r.w.touch(ctx) != nil {
		r.w = nil
	}
	return r.w != nil
}

// turn does what there is to do, and returns for how long to wait then.
func (r *runner) turn(ctx context.Context) (pause time.Duration, err error) {
	if r.w == nil {
		if err := r.takeOver(ctx); err != nil || r.w == nil {
			return touchPause / 4, err
		}
	}
	head, err := r.book.Head(ctx)
	if err != nil {
		return 0, err
	}
	if r.until != nil {
		if r.w.at.Position >= r.until.Position {
			return 0, errDone
		}
		head = *r.until
	}
	if r.w.at.Position > head.Position {
		return 0, fmt.Errorf("%w: projection %s is at position %d and the book ends at %d: %s", ErrRestored, r.d.name, r.w.at.Position, head.Position, remedy(r.d.behind()))
	}
	if r.w.at.Position == head.Position {
		return touchPause, r.w.touch(ctx)
	}
	err = r.w.advance(ctx, head)
	if err == nil || errors.Is(err, ErrProjectionBusy) || ctx.Err() != nil {
		r.failures = 0
		return 0, err
	}
	return 0, r.w.stumble(ctx, head, err)
}

// takeOver makes r the one who works, if somebody is needed. What does not exist is made.
func (r *runner) takeOver(ctx context.Context) error {
	list, err := r.book.generations(ctx, r.d.name)
	if err != nil {
		return err
	}
	live, found := list.in(GenerationLive)
	switch {
	case found && live.Declared == r.d.fingerprint():
		r.found = -1 // whoever makes another one from now on means it
	case r.found == 0:
		r.found = live.Generation
	}
	switch {
	case !found && len(list) > 0:
		return r.makeFirst(ctx, list)
	case !found:
		if err := r.make(ctx); err != nil {
			return err
		}
		return r.takeOver(ctx)
	case live.Kind == KindInline || live.Kind != r.d.behind():
		return fmt.Errorf("%w: %s is %s in the book, so it cannot be run as %s", ErrProjectionChanged, r.d.name, live.Kind, r.d.behind())
	case live.Paused && (r.until == nil || live.Declared != r.d.fingerprint() || live.Position < r.until.Position): // also for who declares it otherwise
		if r.until != nil {
			return invalid("projection "+r.d.name, "is paused: resume it first")
		}
		return nil
	case live.Declared != r.d.fingerprint():
		return r.renew(ctx, live)
	case r.until != nil && live.Position >= r.until.Position:
		return r.book.whetherDone(ctx, live)
	case !r.others.silent(live) && live.Runner != r.id:
		if r.until != nil && r.others.busy && live.Failed != 0 && live.Failed <= r.until.Position {
			return stopped(live)
		}
		return nil
	}
	w, err := r.book.claim(ctx, r.d, live, r.id)
	if err != nil {
		return err
	}
	r.w, w.delivered = w, r.delivered
	return nil
}

// whetherDone is errDone, unless c is so far because the book was restored.
func (b *Book) whetherDone(ctx context.Context, c Checkpoint) error {
	pinned, err := b.driver.Pin(ctx, b.id)
	if err != nil {
		return b.failed("projection "+c.Projection, err)
	}
	defer func() { _ = pinned.Close() }() // it was only read
	state, err := pinned.State(ctx)
	if err != nil {
		return b.failed("projection "+c.Projection, err)
	}
	if err := belongs(c, state); err != nil {
		return err
	}
	return errDone
}

// make makes the first generation.
func (r *runner) make(ctx context.Context) error {
	return r.book.transact(ctx, r.d.name, false, func(ctx context.Context, tx DriverTx) error {
		first := Checkpoint{Kind: r.d.behind(), State: GenerationLive}
		if s := r.d.subscription; s != nil {
			first.Position = s.Since
		}
		first, err := r.d.createIn(ctx, tx, r.book, 1, first)
		if err != nil {
			return err
		}
		state, err := tx.State(ctx)
		if err != nil {
			return err
		}
		if first.Position > state.Position {
			return &NotThereError{What: "position", Asked: first.Position, Last: state.Position, Subject: "book " + r.book.name}
		}
		return r.d.show(ctx, tx, r.book.name, 1)
	})
}

// errNotRenewed says that to try again is much work.
var errNotRenewed = errors.New("daybook: a further generation could not be made")

// renew makes a generation by this declaration. Only a program that has found the one which
// serves does that: one that is older than that has nothing to say.
func (r *runner) renew(ctx context.Context, live Checkpoint) error {
	if live.Generation != r.found {
		return nil
	}
	if err := older(r.d, live); err != nil {
		return err
	}
	if r.d.byCommand {
		return changed(r.d)
	}
	return r.build(ctx)
}

// makeFirst takes up the first generation where nobody makes it any more.
func (r *runner) makeFirst(ctx context.Context, list generations) error {
	if building, found := list.in(GenerationBuilding); !found || !r.others.silent(building) {
		return nil
	}
	return r.build(ctx)
}

// build makes a generation by this declaration, and switches to it.
func (r *runner) build(ctx context.Context) error {
	_, err := r.book.build(ctx, r.d, buildOrder{kind: r.d.behind(), ifNeeded: true})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrProjectionBusy):
		r.found = 0 // whoever makes one may make it by this declaration
		return err
	}
	return fmt.Errorf("%w: %w", errNotRenewed, err)
}

// older is the error for a program that declares a lower version than the one that serves.
func older(d *declaration, live Checkpoint) error {
	if !isOlder(d, live) {
		return nil
	}
	return fmt.Errorf("%w: generation %d of %s was made by version %d, and this program declares version %d: it is older. Use the newer program, or rebuild by command to go back", ErrProjectionChanged, live.Generation, d.name, live.Version, d.version)
}

func isOlder(d *declaration, live Checkpoint) bool { return int64(d.version) < live.Version }

func changed(d *declaration) error {
	return fmt.Errorf("%w: %s was made by another declaration than this program's, which leaves it to a command to make it anew: rebuild it", ErrProjectionChanged, d.name)
}

// stumble finds the event at which the projection cannot go on, brings it up to there, and
// notes the failure. err is what has happened between the checkpoint and head. It returns
// nil where it all went well this time.
func (w *worker) stumble(ctx context.Context, head Head, err error) error {
	step := int64(chunkEvents)
	for w.at.Position < head.Position {
		at := failedAt(err)
		if at == w.at.Position+1 {
			return w.fail(ctx, err) // not to be tried twice in a row: it may be a letter
		}
		to := min(w.at.Position+step, head.Position)
		if at > w.at.Position {
			to = min(to, at-1)
		}
		if err = w.advance(ctx, Head{Position: to, RecordedAt: w.recordedAtOf(ctx, to)}); err == nil {
			continue
		}
		if errors.Is(err, ErrProjectionBusy) || ctx.Err() != nil {
			return err
		}
		if step == 1 || to == w.at.Position+1 {
			return w.fail(ctx, err)
		}
		step = max(step/2, 1)
	}
	return nil
}

// recordedAtOf is when the event at a position was recorded.
func (w *worker) recordedAtOf(ctx context.Context, position int64) time.Time {
	if rec, found := w.eventAt(ctx, position); found {
		return rec.RecordedAt
	}
	return w.at.RecordedAt
}

func (w *worker) eventAt(ctx context.Context, position int64) (rec Recorded, found bool) {
	for rec, err := range w.book.Read(ctx, Query{AfterPosition: position - 1, UntilPosition: position}) {
		return rec, err == nil
	}
	return rec, false
}

// maxFailureBytes bounds the text of a failure.
const maxFailureBytes = 2_000

// fail notes that the next event is one that the projection cannot take.
func (w *worker) fail(ctx context.Context, err error) error {
	if failedAt(err) == 0 {
		rec, found := w.eventAt(ctx, w.at.Position+1)
		if !found {
			return err // it is not the event
		}
		err = &ProjectionError{Projection: w.d.name, Record: rec, Err: err}
	}
	c := w.at
	c.Failed, c.Failure = w.at.Position+1, storable(err.Error(), maxFailureBytes)
	if noteErr := w.write(ctx, c); noteErr != nil {
		return errors.Join(err, noteErr)
	}
	return err
}
