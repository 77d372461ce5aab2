package daybook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Subscription hands events to a function, in order, for effects outside of the database:
// mail, payments, other services. Each event is delivered at least once, and again after a
// crash between its delivery and the checkpoint: who receives it is to tell repetitions by
// the event's id. It is run by [Book.Run].
//
// An event that Deliver returns an error for is tried again, after a second at first and
// after a minute in the end, and those behind it wait; [Book.Projections] shows it. It is passed
// over when somebody says so, by [Book.SkipEvent] or DeadLetterAfter, and that is recorded.
type Subscription struct {
	// Name is the subscription's in the book: 1 to 32 of a-z, 0-9 and '_', the first a letter.
	Name string
	// EventTypes, where set, are the only events it wants, by their names in the registry. With
	// others, it goes on from where it is.
	EventTypes []string
	// Deliver takes one event. A context that ends says that the program does.
	Deliver func(ctx context.Context, e ProjectedEvent) error
	// Partition and Workers, where both are set, deliver so many events at a time. Those for
	// which Partition returns the same text keep their order.
	Partition func(e ProjectedEvent) string
	Workers   int
	// DeadLetterAfter, where set, is after how many attempts an event is given up. It is
	// recorded as a [Skip] with the last error, and [Book.Skips] lists it.
	DeadLetterAfter int
	// Since, where set, is the position behind which a subscription begins that the book
	// does not know yet.
	Since int64
}

func (s *Subscription) declaration() (*declaration, error) {
	if s == nil || s.Deliver == nil {
		return nil, invalid("subscription.deliver", "is nil: it is who gets the events")
	}
	if s.Workers < 0 || s.DeadLetterAfter < 0 || s.Since < 0 {
		return nil, invalid("subscription "+s.Name, "workers %d, dead letter after %d, since %d: none may be negative", s.Workers, s.DeadLetterAfter, s.Since)
	}
	if s.Workers > 1 && s.Partition == nil {
		return nil, invalid("subscription "+s.Name, "%d workers need a Partition, which says what is to keep its order", s.Workers)
	}
	d := &declaration{name: s.Name, shape: "subscription", subscription: s, eventTypes: s.EventTypes}
	return d, d.check()
}

// deliver hands events to the subscription. Before an error, it saves how far it has come
// without one, so that what was delivered is not delivered again without need. Where it is
// taken from the worker meanwhile, as by a pause, no further event is begun.
func (w *worker) deliver(ctx context.Context, events []ProjectedEvent) error {
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() { done <- w.deliverAll(ctx, events, stop) }()
	tick := time.NewTicker(touchPause)
	defer tick.Stop()
	var lost error
	for {
		select {
		case err := <-done:
			if lost != nil {
				return lost
			}
			if at := failedAt(err); at > w.at.Position+1 {
				if saveErr := w.save(ctx, Head{Position: at - 1, RecordedAt: w.recordedAtOf(ctx, at-1)}, nil); saveErr != nil {
					return saveErr
				}
			}
			return err
		case <-tick.C:
			if errors.Is(lost, ErrProjectionBusy) {
				continue
			}
			if lost = w.touch(ctx); errors.Is(lost, ErrProjectionBusy) {
				close(stop)
			}
		}
	}
}

// deliverAll delivers events, each worker its own, and returns the error of the first event
// that has one. What others have delivered behind it is not delivered again when this one is
// tried again, nor is anything where the checkpoint cannot be written. When stop is closed,
// it returns behind the events that have been begun.
func (w *worker) deliverAll(ctx context.Context, events []ProjectedEvent, stop <-chan struct{}) error {
	s := w.d.subscription
	workers := max(s.Workers, 1)
	errs := make([]error, workers)
	delivered := make([][]int64, workers)
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			for _, e := range events {
				if w.delivered[e.Position] {
					continue
				}
				select {
				case <-stop:
					return
				default:
				}
				did, err := s.one(ctx, e, i, workers)
				if errs[i] = err; err != nil {
					return
				}
				if did {
					delivered[i] = append(delivered[i], e.Position)
				}
			}
		})
	}
	wait.Wait()
	for _, positions := range delivered {
		for _, position := range positions {
			w.delivered[position] = true
		}
	}
	return firstOf(errs)
}

// one delivers an event, if it is this worker's, and reports whether it did.
func (s *Subscription) one(ctx context.Context, e ProjectedEvent, worker, workers int) (did bool, err error) {
	err = guarded(s.Name, e.Recorded, func() error {
		if workers > 1 && hashText(s.Partition(e))%uint64(workers) != uint64(worker) { //nolint:gosec // neither is negative
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		did = true
		return s.Deliver(ctx, e)
	})
	return did, err
}

// giveUp records that an event is passed over which has been tried for the last time, and
// reports whether it is.
func (w *worker) giveUp(ctx context.Context, attempts int) (bool, error) {
	s := w.d.subscription
	if s == nil || s.DeadLetterAfter == 0 || attempts < s.DeadLetterAfter || w.at.Failed == 0 {
		return false, nil
	}
	reason := fmt.Sprintf("dead letter after %d attempts: %s", attempts, w.at.Failure)
	skip := Skip{Projection: w.d.name, Position: w.at.Failed, Reason: storable(reason, maxFailureBytes)}
	if err := w.book.transact(ctx, w.d.name, false, func(ctx context.Context, tx DriverTx) error { return tx.PutSkip(ctx, skip) }); err != nil {
		return false, err
	}
	w.skips[skip.Position] = true
	return true, nil
}
