package daybook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

const (
	// bulkTime is after how long a generation that is being built writes its rows and its
	// checkpoint, from which it goes on after a crash. In a while, events touch most rows there
	// are, so that to write them more often is to write them all more often.
	bulkTime = 20 * time.Second
	// maxHeldRows bounds the rows in memory.
	maxHeldRows = 100_000
	// touchPause is how often who works on a projection says so.
	touchPause = time.Second
)

// errTaken says that somebody else has written the checkpoint.
var errTaken = fmt.Errorf("%w: another process works on it", ErrProjectionBusy)

// errTwice says that an engine has called a transaction's work again: what was folded in
// the first attempt is to be forgotten.
var errTwice = errors.New("the transaction was lost to another one")

// worker brings a generation of a projection forward. The compare-and-set of its
// checkpoint, in the transaction that writes the rows, is all that keeps others out: who
// was thought dead and wakes up again finds that he has nothing to say.
type worker struct {
	book     *Book
	d        *declaration
	fold     folding        // of a view
	at       Checkpoint     // as it is stored
	position int64          // up to where events are in the rows in memory
	bulk     bool           // rows are written seldom
	skips    map[int64]bool // events to pass over
	// delivered are the events behind the checkpoint that a subscription has delivered; its
	// runner's.
	delivered map[int64]bool
	wrote     time.Time // when the checkpoint was written
	flushed   time.Time // when rows were
	goal      int64     // of the advance under way
	progress  func(position, goal int64)
}

func newWorker(b *Book, d *declaration, at Checkpoint) *worker {
	w := &worker{book: b, d: d, at: at, position: at.Position, wrote: now(), flushed: now()}
	if d.table != nil {
		w.fold = d.fold(d.table(b.name, at.Generation))
	}
	return w
}

// now is for how long something takes, and never stored.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above

// reset goes back to what is stored, after an error.
func (w *worker) reset() {
	w.position = w.at.Position
	if w.fold != nil {
		w.fold.forget()
	}
}

// tell makes progress, where it is set, be told how far the worker is.
func (w *worker) tell(progress func(position, head int64)) {
	if progress != nil {
		w.progress = func(position, goal int64) { progress(min(position, goal), goal) }
	}
}

// advance brings the generation up to a position of the book, and writes it down. After an
// error, it is where the last checkpoint was written.
func (w *worker) advance(ctx context.Context, until Head) (err error) {
	defer func() {
		if err != nil {
			w.reset()
		}
	}()
	began, from := now(), w.at.Position
	w.goal = until.Position
	var taken chunk
	for next := range w.events(Query{AfterPosition: w.position, UntilPosition: until.Position}).chunks(ctx) {
		if next.err != nil {
			return next.err
		}
		if taken.join(next); !taken.full() {
			if err := w.touch(ctx); err != nil {
				return err
			}
			continue
		}
		if err := w.take(ctx, taken.events, taken.to); err != nil {
			return err
		}
		taken = chunk{}
	}
	if took := now().Sub(began).Seconds(); took > 0 {
		w.at.Rate = float64(until.Position-from) / took
	}
	return w.finish(ctx, taken.events, until)
}

// finish takes the last events up to a head, and writes all down.
func (w *worker) finish(ctx context.Context, events []ProjectedEvent, until Head) error {
	bulk := w.bulk
	w.bulk = false
	defer func() { w.bulk = bulk }()
	if len(events) == 0 && until.Position == w.at.Position {
		return nil
	}
	return w.take(ctx, events, until)
}

// take brings some events into the read model, which is then at position to.
func (w *worker) take(ctx context.Context, events []ProjectedEvent, to Head) (err error) {
	switch {
	case w.d.subscription != nil:
		if err := w.deliver(ctx, events); err != nil {
			return err
		}
		err = w.save(ctx, to, nil)
	case w.fold != nil:
		err = w.takeRows(ctx, events, to)
	default:
		err = w.save(ctx, to, func(ctx context.Context, tx DriverTx) error {
			if len(events) == 0 {
				return nil
			}
			return w.d.applyPage(ctx, tx.SQL(), Page{Generation: w.at.generation(w.book.name), Events: events})
		})
	}
	if err == nil && w.progress != nil {
		w.progress(to.Position, w.goal)
	}
	return err
}

// applyPage calls Apply, and returns its panic as an error.
func (d *declaration) applyPage(ctx context.Context, tx Tx, page Page) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
		switch {
		case err != nil && len(page.Events) == 1:
			err = &ProjectionError{Projection: d.name, Record: page.Events[0].Recorded, Err: err}
		case err != nil:
			err = &pageError{err}
		}
	}()
	return d.apply(ctx, tx, page)
}

// takeRows is take for a view.
func (w *worker) takeRows(ctx context.Context, events []ProjectedEvent, to Head) error {
	missing, err := w.fold.take(events)
	if err != nil {
		return err
	}
	folded := len(missing.Keys) == 0
	if folded {
		if err := w.fold.fold(); err != nil {
			return err
		}
		w.position = to.Position
		if w.bulk && !w.d.copyDue(w.at.Position, to.Position) && w.fold.held() < maxHeldRows && now().Sub(w.flushed) < bulkTime {
			return w.touch(ctx)
		}
	}
	due := w.d.copyDue(w.at.Position, to.Position)
	err = w.save(ctx, to, func(ctx context.Context, tx DriverTx) error {
		if !folded {
			if err := loadAndFold(ctx, tx, w.fold, missing); err != nil {
				return err
			}
		}
		return writeRows(ctx, tx, w.fold)
	})
	if err != nil {
		return err
	}
	w.fold.written()
	if w.fold.held() > maxHeldRows {
		w.fold.forget()
	}
	if due {
		return w.keepCopy(ctx)
	}
	return nil
}

// loadAndFold brings what was taken into the rows, after loading those that are missing.
func loadAndFold(ctx context.Context, tx DriverTx, f folding, missing TableKeys) error {
	if len(missing.Keys) > 0 {
		rows, err := tx.LoadRows(ctx, missing)
		if err == nil {
			err = f.put(rows)
		}
		if err != nil {
			return err
		}
	}
	return f.fold()
}

func writeRows(ctx context.Context, tx DriverTx, f folding) error {
	rows, err := f.writes()
	if err != nil || len(rows.Rows)+len(rows.Dropped) == 0 {
		return err
	}
	err = tx.WriteRows(ctx, rows)
	var refused *RefusedRowError
	if errors.As(err, &refused) {
		err = &pageError{err}
	}
	return err
}

// save runs work and moves the checkpoint, in one transaction.
func (w *worker) save(ctx context.Context, to Head, work func(ctx context.Context, tx DriverTx) error) error {
	next := w.at
	next.Position, next.RecordedAt = to.Position, to.RecordedAt
	next.Failed, next.Failure = 0, ""
	calls := 0
	err := w.book.driver.Transact(ctx, w.book.id, false, func(ctx context.Context, tx DriverTx) error {
		if calls++; calls > 1 && work != nil {
			return errTwice
		}
		if err := put(ctx, tx, next); err != nil || work == nil {
			return err
		}
		return work(ctx, tx)
	})
	if err != nil {
		return err
	}
	w.saved(next)
	return nil
}

// saved notes that the checkpoint has been written.
func (w *worker) saved(c Checkpoint) {
	c.Revision++
	w.at, w.position, w.wrote, w.flushed = c, c.Position, now(), now()
	maps.DeleteFunc(w.delivered, func(position int64, _ bool) bool { return position <= c.Position })
	w.book.bell.ring() // for those in WaitFor
}

// put writes a checkpoint, or is errTaken.
func put(ctx context.Context, tx DriverTx, c Checkpoint) error {
	done, err := tx.PutCheckpoint(ctx, c)
	if err == nil && !done {
		err = errTaken
	}
	return err
}

// touch says that somebody works on it, if that was not said for a while.
func (w *worker) touch(ctx context.Context) error {
	if now().Sub(w.wrote) < touchPause {
		return nil
	}
	return w.write(ctx, w.at)
}

// write writes the checkpoint as it is given, and nothing else.
func (w *worker) write(ctx context.Context, c Checkpoint) error {
	err := w.book.driver.Transact(ctx, w.book.id, false, func(ctx context.Context, tx DriverTx) error { return put(ctx, tx, c) })
	if err != nil {
		return err
	}
	c.Revision++
	w.at, w.wrote = c, now()
	return nil
}

// events are those that q selects, as the projection gets them.
func (w *worker) events(q Query) selection {
	q.EventTypes = w.d.eventTypes
	return selection{book: w.book, projection: w.d.name, skips: w.skips, query: q}
}
