package daybook

import (
	"context"
	"errors"
	"fmt"
)

const (
	// switchEvents is how many events may still be missing when a generation is switched
	// to: they are brought in while, for an inline projection, appends wait.
	switchEvents = 2_000
	// maxSwitches bounds how often a generation catches up before it switches all the same.
	maxSwitches = 20
)

var (
	// errFarBehind says that too much was recorded meanwhile.
	errFarBehind = errors.New("too far behind to switch")
	// errMoved says that the live generation has come further meanwhile.
	errMoved = errors.New("the live generation has moved")
)

// goLive brings the worker's generation up to the head and switches to it, and again where
// that did not come about because of what happened meanwhile. Where prove is set, it is called
// before the first switch.
func (w *worker) goLive(ctx context.Context, kind ProjectionKind, prove func(context.Context) error) error {
	for try := 1; ; try++ {
		head, err := w.book.Head(ctx)
		if err == nil {
			err = w.advance(ctx, head)
		}
		if err == nil && prove != nil {
			if err := prove(ctx); err != nil {
				return err
			}
			prove = nil
		}
		if err == nil {
			err = w.switchOver(ctx, kind, try == maxSwitches)
		}
		again := errors.Is(err, errFarBehind) || errors.Is(err, errTwice) || errors.Is(err, errMoved)
		if !again || try == maxSwitches {
			return err
		}
	}
}

// switchOver makes the worker's generation the live one, in one transaction: the events
// that are still missing are brought in, the generation that was live is kept, and readers
// are pointed to the new one, which is of a kind from then on. Where it is inline, appends wait, and whoever appends
// afterwards must know of it. errFarBehind says that too many events are missing, unless
// it is to be done all the same, and errMoved that the live one was written to meanwhile.
func (w *worker) switchOver(ctx context.Context, kind ProjectionKind, allTheSame bool) error {
	var next Checkpoint
	var sum rowSum
	if w.fold != nil {
		sum = w.fold.sum()
	}
	calls := 0
	err := w.book.transact(ctx, w.d.name, kind == KindInline, func(ctx context.Context, tx DriverTx) error {
		if calls++; calls > 1 {
			return errTwice
		}
		list, err := tx.Checkpoints(ctx, w.d.name)
		if err != nil {
			return err
		}
		state, err := tx.State(ctx) // behind the checkpoints, so that the head is not before them
		if err != nil {
			return err
		}
		live, hasLive := generations(list).in(GenerationLive)
		until := state.Head
		if kind != KindInline && (!hasLive || live.Position <= w.at.Position) {
			until = Head{Position: w.at.Position, RecordedAt: w.at.RecordedAt}
		}
		if until.Position-w.at.Position > switchEvents && !allTheSame {
			return errFarBehind
		}
		bump := kind == KindInline
		if hasLive && live.Generation != w.at.Generation {
			bump = bump || live.Kind == KindInline
			// First, so that whoever works on it does not come further meanwhile.
			if err := keep(ctx, tx, live, state); err != nil {
				return err
			}
		}
		if err := w.bringIn(ctx, tx, until); err != nil {
			return err
		}
		next = w.at
		next.Kind, next.State, next.Position, next.RecordedAt, next.Runner = kind, GenerationLive, until.Position, until.RecordedAt, UUID{}
		next.Paused, next.Failed, next.Failure = false, 0, ""
		if err := put(ctx, tx, next); err != nil {
			return err
		}
		if err := w.d.show(ctx, tx, w.book.name, next.Generation); err != nil {
			return fmt.Errorf("switching to generation %d: %w", next.Generation, err)
		}
		if bump {
			return tx.SetInline(ctx, state.Inline+1)
		}
		return nil
	})
	if err != nil {
		w.reset()
		if w.fold != nil {
			w.fold.begin(sum, false) // what was added up is not in the table
		}
		return err
	}
	w.saved(next)
	return nil
}

// keep turns the live generation into one that is kept.
func keep(ctx context.Context, tx DriverTx, live Checkpoint, state BookState) error {
	if live.Kind == KindInline && !live.Paused {
		live.Position, live.RecordedAt, live.Incarnation = state.Position, state.RecordedAt, state.Incarnation
	}
	live.State, live.Runner, live.Paused = GenerationKept, UUID{}, false
	err := put(ctx, tx, live)
	if errors.Is(err, errTaken) {
		err = errMoved
	}
	return err
}

// bringIn brings the events up to a head into the read model, in a transaction.
func (w *worker) bringIn(ctx context.Context, tx DriverTx, until Head) error {
	for after := w.at.Position; after < until.Position; {
		records, err := tx.Read(ctx, Query{AfterPosition: after, UntilPosition: until.Position, EventTypes: w.d.eventTypes, Limit: chunkEvents})
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		c := w.events(Query{}).decode(records)
		if c.err != nil {
			return c.err
		}
		after = c.to.Position
		if err := w.applyIn(ctx, tx, c.events); err != nil {
			return err
		}
	}
	return nil
}

// applyIn brings some events into the read model, in a transaction.
func (w *worker) applyIn(ctx context.Context, tx DriverTx, events []ProjectedEvent) error {
	switch {
	case len(events) == 0 || w.d.subscription != nil:
		return nil
	case w.fold == nil:
		return w.d.applyPage(ctx, tx.SQL(), Page{Generation: w.at.generation(w.book.name), Events: events})
	}
	missing, err := w.fold.take(events)
	if err == nil {
		err = loadAndFold(ctx, tx, w.fold, missing)
	}
	if err == nil {
		err = writeRows(ctx, tx, w.fold)
	}
	if err == nil {
		w.fold.written() // for the next page; where the transaction fails, all is forgotten
	}
	return err
}
